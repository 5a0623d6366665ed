"""The gateway's handle on the process that owns a model: start it, ask it, notice its death, end it."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import itertools
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pipeline
from pipeline.clinical import Clinical
from pipeline.engines import base
from pipeline.engines.llama import messages

#: How a worker is started. `-P`: no module of the working directory can take the place of ours.
COMMAND = (sys.executable, "-P", "-m", "pipeline.engines.llama.worker")

#: Seconds in which a model must be loaded.
LOAD_SECONDS = 900.0
#: Seconds after which a process that does not give a cancelled request up is taken to hang, and killed.
HANG_SECONDS = 120.0
_CLOSE_SECONDS = 5.0


#: What the process is given of our environment: where things are, and how much of the machine it may use. No key, no
#: address of a proxy.
_KEPT = frozenset({"PATH", "HOME", "LANG", "TMPDIR", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "SYSTEMROOT"})
_KEPT_PREFIXES = ("LC_", "CUDA_", "NVIDIA_", "HIP_", "ROCR_", "GGML_", "GOMP_", "OMP_")
_SET = {
    "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "DO_NOT_TRACK": "1",
    "GGML_NO_BACKTRACE": "1", "OMP_WAIT_POLICY": "PASSIVE", "PYTHONDONTWRITEBYTECODE": "1",
}  # fmt: skip


class Died(Exception):
    """The process ended while it was needed."""


class Child:
    """A running process with its model loaded. `is_alive`: it can be asked."""

    def __init__(self, process: asyncio.subprocess.Process, ready: messages.Ready) -> None:
        self.ready = ready
        self._process = process
        self._numbers = itertools.count(1)
        self._asked: dict[int, asyncio.Future[messages.Answered]] = {}
        self._given_up: dict[int, asyncio.TimerHandle] = {}
        self._reading = asyncio.create_task(self._read())
        self._heirs: list[Callable[[Child], None]] = []
        self.is_alive = True

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    def when_ended(self, tell: Callable[[Child], None]) -> None:
        """Tell once the process has ended, for whatever reason, before those who wait for answers hear of it."""
        self._heirs.append(tell)

    async def ask(self, request: base.Request, tokens: int) -> messages.Answered:
        """The answer's text; raises base.Failure, or Died. Cancelled, it tells the process so."""
        if not self.is_alive:
            raise Died
        number = next(self._numbers)
        user = request.told
        future: asyncio.Future[messages.Answered] = asyncio.get_running_loop().create_future()
        self._asked[number] = future
        ask = messages.Ask(
            id=number, system=request.system, user=user, shape=request.shape, tokens=tokens, priority=request.priority
        )
        try:
            await _send(self._process, ask)
            return await future
        except asyncio.CancelledError:
            self._give_up(number)
            raise
        finally:
            self._asked.pop(number, None)

    def _give_up(self, number: int) -> None:
        assert self._process.stdin is not None
        if not self.is_alive:
            return
        self._process.stdin.write(messages.frame(messages.Cancel(id=number)))
        self._given_up[number] = asyncio.get_running_loop().call_later(HANG_SECONDS, self.kill)

    async def _read(self) -> None:
        """Hand out what the process reports, until it ends; then everyone who waits hears of its death."""
        try:
            while (report := await _receive(self._process)) is not None:
                self._hand_out(report)
        finally:
            self.is_alive = False
            for tell in self._heirs:
                tell(self)
            for handle in self._given_up.values():
                handle.cancel()
            for future in self._asked.values():
                if not future.done():
                    future.set_exception(Died())
            await _end(self._process)

    def _hand_out(self, report: Clinical) -> None:
        if isinstance(report, messages.Gone) and (handle := self._given_up.pop(report.id, None)) is not None:
            handle.cancel()
        if not isinstance(report, messages.Answered | messages.Failed):
            return
        future = self._asked.get(report.id)
        if future is None or future.done():
            return
        if isinstance(report, messages.Answered):
            future.set_result(report)
        else:
            future.set_exception(base.Failure(report.why, report.text, tokens=report.tokens))

    def kill(self) -> None:
        """End it at once."""
        _kill(self._process)

    async def close(self) -> None:
        """End it: it ends itself when its input does, and is killed when it does not."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        await asyncio.wait({self._reading}, timeout=_CLOSE_SECONDS)
        self.kill()
        await asyncio.wait({self._reading})


async def start(load: messages.Load) -> Child:
    """Start a process and let it load the model. Raises base.NotUsable, or Died."""
    try:
        process = await asyncio.create_subprocess_exec(
            *COMMAND, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL, env=environment(),
        )  # fmt: skip
    except OSError:
        raise Died from None
    try:
        async with asyncio.timeout(LOAD_SECONDS):
            await _send(process, load)
            report = await _receive(process)
        if isinstance(report, messages.Ready):
            return Child(process, report)
    except TimeoutError:
        report = None
        _kill(process)
    except asyncio.CancelledError:
        _kill(process)
        await process.wait()
        raise
    await _end(process)
    if isinstance(report, messages.Unusable):
        raise base.NotUsable(report.why)
    raise Died


async def _end(process: asyncio.subprocess.Process) -> None:
    """Wait for a process whose output has ended; kill it when it stays."""
    try:
        async with asyncio.timeout(_CLOSE_SECONDS):
            await process.wait()
    except TimeoutError:
        _kill(process)
        await process.wait()


def _kill(process: asyncio.subprocess.Process) -> None:
    """Not by its own method, which takes the exit code away from the loop that waits for it."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)


def environment() -> dict[str, str]:
    """What the process sees: no key, no proxy, no hub; our package where we have it."""
    kept = {key: value for key, value in os.environ.items() if key in _KEPT or key.startswith(_KEPT_PREFIXES)}
    return kept | _SET | {"PYTHONPATH": str(Path(pipeline.__file__).parents[1])}


def missing() -> list[str]:
    """What of the extra `llama` is not installed."""
    return [name for name in ("llama_cpp", "llguidance") if importlib.util.find_spec(name) is None]


async def _send(process: asyncio.subprocess.Process, message: Clinical) -> None:
    assert process.stdin is not None
    with contextlib.suppress(ConnectionError):  # who reads hears of the death
        process.stdin.write(messages.frame(message))
        await process.stdin.drain()


async def _receive(process: asyncio.subprocess.Process) -> Clinical | None:
    """The next report; None at the end."""
    assert process.stdout is not None
    try:
        head = await process.stdout.readexactly(messages.HEAD)
        body = await process.stdout.readexactly(int.from_bytes(head, "big"))
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    return messages.REPORTS.validate_json(body)
