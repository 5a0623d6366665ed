"""The process that owns a model: `python -m pipeline.engines.llama.worker`, orders on standard input.

One thread reads orders and prepares requests, tokens and grammar; the main thread owns the context and computes. The
process ends when its input ends, so that it never outlives the gateway. Nothing is ever printed.
"""

from __future__ import annotations

import collections
import hashlib
import os
import queue
import sys
import threading
from typing import BinaryIO

import llguidance

from pipeline.clinical import Clinical
from pipeline.engines import base, core_dumps, shapes
from pipeline.engines.llama import batching, closing, decoder, grammar, library, messages, template

#: Grammars that are kept compiled: only large ones without segments, which are catalogues and no patient's.
_KEPT_GRAMMARS = 8
_LARGE_GRAMMAR = 20_000  # characters

_NOT_COMPUTED = 70  # exit code: llama.cpp could not compute a step


class Preparer:
    """From a request to a job: what can be refused is refused here, before anything is computed."""

    def __init__(self, model: library.Model, load: messages.Load) -> None:
        self._vocabulary = vocabulary = model.vocabulary
        self._frame = template.frame(model.template, bos=vocabulary.name("bos"), eos=vocabulary.name("eos"))
        self._context = min(load.context, model.trained_context)  # beyond it a model talks nonsense
        self._tokenizer = vocabulary.tokenizer()
        ends = frozenset(vocabulary.ends)
        self._tokens = decoder.Tokens(vocabulary.size, ends, vocabulary.piece, closing.Ranks(vocabulary.pieces))
        self._kept: collections.OrderedDict[str, llguidance.LLMatcher] = collections.OrderedDict()

    def job(self, ask: messages.Ask) -> batching.Job:
        """The job of a request. Raises base.Failure."""
        try:
            largest = ask.shape.max_bytes + 2
        except shapes.NotBounded as fault:
            raise base.Failure("refused", f"The schema of the answer has no bound: {fault}") from None
        most = min(largest, ask.tokens + closing.most_bytes(ask.shape))
        prompt, fixed = template.prompt(self._frame, ask.system, ask.user, self._vocabulary)
        if len(prompt) + most > self._context:
            raise base.Failure(
                "refused",
                f"The prompt of {len(prompt)} tokens and an answer of up to {most} do not fit the context of "
                f"{self._context}; raise `context` as far as the model was trained, or lower `max_tokens`.",
            )
        made = decoder.Decoder(self._matcher(ask.shape), self._tokens, budget=ask.tokens, most=most)
        return batching.Job(ask.id, ask.priority, prompt, fixed, most, made)

    def _matcher(self, shape: shapes.Shape) -> llguidance.LLMatcher:
        text = grammar.lark(shape)
        if shape.segments or len(text) < _LARGE_GRAMMAR:
            return self._compiled(text)
        key = hashlib.sha256(text.encode()).hexdigest()
        if key not in self._kept:
            self._kept[key] = self._compiled(text)
            if len(self._kept) > _KEPT_GRAMMARS:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key].deep_copy()

    def _compiled(self, text: str) -> llguidance.LLMatcher:
        is_faulty, warnings = llguidance.LLMatcher.validate_grammar_with_warnings(text, self._tokenizer)
        if is_faulty or warnings:
            raise base.Failure("refused", "The schema of the answer is not supported by the grammar.")
        matcher = llguidance.LLMatcher(self._tokenizer, text, log_level=0)
        if matcher.is_error():
            raise base.Failure("refused", "The schema of the answer is not supported by the grammar.")
        return matcher


class Worker:
    """The two threads and the queue between them."""

    def __init__(self, source: BinaryIO, target: BinaryIO) -> None:
        self._source = source
        self._target = target
        self._writing = threading.Lock()
        self._inbox: queue.SimpleQueue[batching.Job | messages.Cancel] = queue.SimpleQueue()

    def run(self) -> None:
        """Load what the first order says, then work until the input ends."""
        load = self._read()
        if not isinstance(load, messages.Load):
            return
        try:
            model = library.Model(load.file, gpu_layers=load.gpu_layers)
            jobs = self._batching(model, load)
            preparer = Preparer(model, load)
        except (library.NotLoaded, template.NotRendered) as reason:
            self._tell(messages.Unusable(why=str(reason).rstrip(".")))
            return
        self._tell(
            messages.Ready(
                name=model.name,
                quantisation=model.quantisation,
                trained_context=model.trained_context,
                vocabulary=model.vocabulary.size,
            )
        )
        threading.Thread(target=self._prepare, args=(preparer,), daemon=True).start()
        while True:
            while jobs.is_idle or not self._inbox.empty():
                _take(jobs, self._inbox.get())
            jobs.step()

    def _batching(self, model: library.Model, load: messages.Load) -> batching.Batching:
        parallel = 1 if load.exact else load.parallel
        batch = max(load.batch, 2 * parallel)  # so that a prompt goes on while all others answer
        context = library.Context(
            model,
            cells=load.context * parallel,
            sequences=1 if load.exact else parallel + batching.KEPT_PREFIXES,
            batch=batch,
            threads=load.threads,
            kv=load.kv,
        )
        return batching.Batching(
            context, cells=load.context * parallel, parallel=parallel, batch=batch, exact=load.exact, tell=self._tell
        )

    def _prepare(self, preparer: Preparer) -> None:
        """The reading thread. Whatever ends it ends the process: nobody would hear an order any more."""
        try:
            while (order := self._read()) is not None:
                if isinstance(order, messages.Cancel):
                    self._inbox.put(order)
                elif isinstance(order, messages.Ask):
                    self._ask(preparer, order)
        finally:
            os._exit(0)

    def _ask(self, preparer: Preparer, order: messages.Ask) -> None:
        try:
            self._inbox.put(preparer.job(order))
        except base.Failure as failure:
            self._tell(messages.Failed(id=order.id, why=failure.kind, text=failure.text))

    def _read(self) -> messages.Load | messages.Ask | messages.Cancel | None:
        head = self._source.read(messages.HEAD)
        if len(head) < messages.HEAD:
            return None
        body = self._source.read(int.from_bytes(head, "big"))
        return messages.ORDERS.validate_json(body)

    def _tell(self, message: Clinical) -> None:
        with self._writing:
            self._target.write(messages.frame(message))
            self._target.flush()


def _take(jobs: batching.Batching, item: batching.Job | messages.Cancel) -> None:
    if isinstance(item, messages.Cancel):
        jobs.cancel(item.id)
    else:
        jobs.add(item)


def main() -> None:
    """Run on standard input and output; what native code prints goes nowhere."""
    core_dumps.forbid()
    target = os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    library.silence()
    try:
        Worker(sys.stdin.buffer, target).run()
    except library.NotDecoded:
        os._exit(_NOT_COMPUTED)
    except BrokenPipeError:
        os._exit(0)


if __name__ == "__main__":
    main()
