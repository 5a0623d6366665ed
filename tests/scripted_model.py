"""A model in memory that follows a script: what it is asked is kept, what it says is checked like any answer."""

from __future__ import annotations

import asyncio
import functools
import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from pipeline import consultation, results, segments
from pipeline.engines import base, models, options, shapes
from pipeline.evaluation import cases
from pipeline.stages import read_document, scribe
from terminology.drugs import catalogue as drugs

#: What the model says to a request: a JSON value, the text of an answer as `Text`, or an exception that it raises.
Script = Callable[[base.Request], Any]

_POLARITIES = {
    "affirmed": "bejaht", "negated": "verneint", "uncertain": "unsicher", "historical": "früher", "family": "familie"
}  # fmt: skip


class Text(str):
    """The bytes of an answer as they are, JSON or not."""


class Engine:
    """An engine that answers by its script, after `seconds` and once `gate` is open.

    `requests` are what it was asked, `working` how many are under way, `most` the highest number at once, `cancelled`
    how many were called off.
    """

    def __init__(self, script: Script, *, parallel: int = 2, seconds: float = 0.0, name: str = "skript") -> None:
        self.parallel = parallel
        self.requests: list[base.Request] = []
        self.working = self.most = self.cancelled = 0
        self.is_started = self.is_closed = False
        self.gate = asyncio.Event()
        self.gate.set()
        self._script, self._seconds, self._name = script, seconds, name

    @property
    def identity(self) -> base.Identity:
        """A model without a file."""
        return base.Identity(name=self._name, engine="scripted", model=f"{self._name}-1")

    async def start(self) -> None:
        """Nothing to load."""
        self.is_started = True

    async def close(self) -> None:
        """Nothing to end."""
        self.is_closed = True

    async def answer(self, request: base.Request) -> base.Answer:
        """What the script says; raises Failure where that is no answer of the schema."""
        self.requests.append(request)
        self.working += 1
        self.most = max(self.most, self.working)
        try:
            await asyncio.sleep(self._seconds)
            await self.gate.wait()
            return _answer(self._script(request), request)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.working -= 1


def _answer(said: Any, request: base.Request) -> base.Answer:
    if isinstance(said, BaseException):
        raise said
    if isinstance(said, base.Answer):
        return said
    text = said if isinstance(said, Text) else json.dumps(said, ensure_ascii=False, separators=(",", ":"))
    try:
        value = shapes.parse(text, request.shape)
    except shapes.NotValid:
        raise base.Failure("invalid", "The answer is no JSON of the schema.", tokens=len(text)) from None
    return base.Answer(
        value=value,
        prompt_tokens=len(request.system) + len(request.user),
        tokens=len(text),
        prefill_seconds=0.25,
        decode_seconds=0.5,
        mode="single",
    )


def in_turn(*said: Any) -> Script:
    """A script that says one thing after the other, whatever it is asked."""
    left = iter(said)
    return lambda _request: next(left)


def serving(stages: Mapping[str, Sequence[Engine]]) -> models.Models:
    """Models that serve these stages, the first before the next. An engine may serve several."""
    names: dict[int, str] = {}
    engines: dict[str, tuple[base.Engine, float]] = {}
    chains: dict[str, Any] = {}
    for stage, chain in stages.items():
        for engine in chain:
            name = names.setdefault(id(engine), f"m{len(names) + 1}")
            engines[name] = (engine, 60.0)
        chains[stage] = (*(names[id(engine)] for engine in chain), options.RULES)
    return models.Models(engines, options.Stages(**chains))


# --- values of a schema ----------------------------------------------------------------------------------------------

_ODD = 'aÄß é1\t\n"\\\u0000\u001f\u2028\ufeff😀</think><think>{}[]'


def random_value(shape: shapes.Shape, chance: random.Random, words: Sequence[str] = ()) -> Any:
    """Any value of the schema: its texts are runs of `words`, odd characters, or quotes that stand where they say."""
    return _random(shape.json_schema, shape, chance, words)


def _random(node: shapes.Schema, shape: shapes.Shape, chance: random.Random, words: Sequence[str]) -> Any:
    if "$ref" in node:
        value = _random(shape.json_schema["$defs"][node["$ref"].rpartition("/")[2]], shape, chance, words)
        return _quoting(value, shape, chance) if shape.segments else value
    if "const" in node:
        return node["const"]
    if "enum" in node:
        return chance.choice(node["enum"])
    match node["type"]:
        case "object":
            return {name: _random(inner, shape, chance, words) for name, inner in node["properties"].items()}
        case "array":
            fewest, most = node.get("minItems", 0), node["maxItems"]
            length = chance.choice([fewest, most, chance.randint(fewest, most), min(most, fewest + 3)])
            return [_random(node["items"], shape, chance, words) for _ in range(length)]
        case "string":
            return _random_text(node, chance, words)
        case "integer":
            return chance.choice([node["minimum"], node["maximum"], chance.randint(node["minimum"], node["maximum"])])
        case _:
            return chance.random() < 0.5


def _random_text(node: shapes.Schema, chance: random.Random, words: Sequence[str]) -> str:
    fewest, most = node.get("minLength", 0), node["maxLength"]
    if words and chance.random() < 0.8:
        text = " ".join(chance.choice(words) for _ in range(chance.randint(1, 12)))
    else:
        text = "".join(chance.choice(_ODD) for _ in range(chance.choice([fewest, most, chance.randint(fewest, most)])))
    return text[:most].ljust(fewest, "x")


def _quoting(value: dict[str, Any], shape: shapes.Shape, chance: random.Random) -> dict[str, Any]:
    """Four of five cites quote a run of words of the segment that they name."""
    if chance.random() < 0.2:
        return value
    said = shape.segments[value["segment"]]
    words = said.split(" ")
    first = chance.randrange(len(words))
    quote = " ".join(words[first : first + chance.randint(1, 12)])[:240]
    return {**value, "zitat": quote or value["zitat"]}


# --- what a perfect model would say ----------------------------------------------------------------------------------


def cites(evidence: Sequence[results.Evidence], transcript: segments.Transcript) -> list[dict[str, Any]]:
    """The evidence as cites: verbatim, at most two of at most 240 characters, whole words."""
    found = []
    for item in evidence[:2]:
        assert item.segment is not None
        quote = transcript.segment(item.segment).text[item.start : item.end]
        if len(quote) > 240:
            quote = quote[:241].rpartition(" ")[0]
        found.append({"segment": item.segment, "zitat": quote.strip()})
    return found


def sayable(note: results.Note) -> list[results.Statement]:
    """The statements that a model can say too: at most two places of at most 240 characters carry them."""
    return [s for s in note.statements if len(s.evidence) <= 2 and all(_is_short(item) for item in s.evidence)]


def _is_short(item: results.Evidence) -> bool:
    return item.start is not None and item.end is not None and item.end - item.start <= 240


def noted(statements: Sequence[results.Statement], transcript: segments.Transcript) -> dict[str, Any]:
    """The answer of a scribe that says these statements."""
    return {"stellen": [place(statement, transcript) for statement in statements]}


def place(statement: results.Statement, transcript: segments.Transcript) -> dict[str, Any]:
    """One statement in a scribe's answer."""
    return {
        "belege": cites(statement.evidence, transcript),
        "abschnitt": statement.section,
        "art": _POLARITIES[statement.polarity],
        "text": statement.text,
    }


def texts(value: Any) -> Iterator[str]:
    """Every text in a value, its keys aside."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from texts(item)


# --- the bundled cases, as the rules engine works them ---------------------------------------------------------------


def worked(case: cases.Case) -> tuple[consultation.Consultation, segments.Transcript, results.Note]:
    """A case with its segments and the rules engine's note."""
    return _worked(case.name)


@functools.cache
def _worked(name: str) -> tuple[consultation.Consultation, segments.Transcript, results.Note]:
    case = cases.named(name)
    transcript = read_document.run(case.consultation)
    return case.consultation, transcript, scribe.run(case.consultation, transcript)


def drug_in(text: str) -> str | None:
    """The first drug that a text names, in its own words."""
    return next((mention.text for mention in drugs.find(text)), None)
