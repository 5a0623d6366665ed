"""A model for the tests: it answers by what stands in the request, at once or after a fixed time, with faults to order.

Its scribe writes segments down as they stand. A `Stub` may be told to invent drugs, to break the schema, to loop or to
think; the same request always gets the same answer.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from dataclasses import dataclass, field
from typing import Any

from pipeline.engines import base

_SEGMENT = re.compile(r"^\[(\d+)\] ([^:]+): (.*)$", re.MULTILINE)
_STATEMENT = re.compile(r"^\((s\d+)\) (?:([SOAP]): )?(.*)$", re.MULTILINE)


@dataclass
class Stub:
    """A model. `invents`, `breaks`, `loops`: one of so many; 0 is never. `thinks` is the share of thinking tokens.

    `fails` is how every answer fails. After `changes_after` answers it is another model; 0 is never.
    """

    name: str = "stub"
    parallel: int = 4
    seconds: float = 0.0
    invents: int = 0
    breaks: int = 0
    loops: int = 0
    thinks: float = 0.0
    version: str = "1"
    refuses_to_start: str = ""
    state: str = "available"
    reason: str = ""
    fails: base.Kind | None = None
    changes_after: int = 0
    asked: list[base.Request] = field(default_factory=list)
    at_work: int = 0
    most_at_work: int = 0
    is_running: bool = False

    @property
    def identity(self) -> base.Identity:
        has_changed = 0 < self.changes_after < len(self.asked)
        return base.Identity(name=self.name, engine="stub", model=f"stub-{'new' if has_changed else self.version}")

    async def start(self) -> None:
        if self.refuses_to_start:
            raise base.NotUsable(self.refuses_to_start)
        self.is_running = True

    async def close(self) -> None:
        self.is_running = False

    async def answer(self, request: base.Request) -> base.Answer:
        assert self.is_running
        self.asked.append(request)
        self.at_work += 1
        self.most_at_work = max(self.most_at_work, self.at_work)
        try:
            await asyncio.sleep(self.seconds)
            return self._answer(request)
        finally:
            self.at_work -= 1

    def _answer(self, request: base.Request) -> base.Answer:
        if self.fails is not None:
            raise base.Failure(self.fails, "It does not answer.")
        if request.fault is None and self._is_one_of(self.breaks, request, "breaks"):
            raise base.Failure("invalid", "The answer is not of the schema.", tokens=7)
        if self._is_one_of(self.loops, request, "loops"):
            raise base.Failure("loop", "The answer repeats itself.", tokens=100, thinking_tokens=40)
        value = getattr(self, f"_{request.stage}")(request)
        tokens = len(str(value)) // 4
        return base.Answer(
            value=value,
            prompt_tokens=100 + len(request.user) // 4,
            shared_tokens=100,
            tokens=tokens,
            thinking_tokens=int(self.thinks * tokens),
            prefill_seconds=len(request.user) / 4000,
            decode_seconds=tokens / 50,
            mode="single",
        )

    def _is_one_of(self, every: int, request: base.Request, what: str) -> bool:
        """By the words of the request, so that it does not matter in which order the answers are asked for."""
        digest = hashlib.sha256(f"{what} {request.stage} {request.user} {request.fault}".encode()).digest()
        return bool(every) and digest[0] % every == 0

    def _scribe(self, request: base.Request) -> dict[str, Any]:
        items = []
        for number, speaker, text in _SEGMENT.findall(request.user):
            sentence = max(re.split(r"(?<=[.!?]) ", text), key=len)[:200]
            section = "S" if speaker.startswith("Patient") else "P" if "verschreib" in text else "O"
            if "nicht" in sentence or "kein" in sentence or sentence.endswith("?"):
                continue
            said = sentence[:60]
            if self.invents and int(number) % self.invents == 0:
                sentence = f"{sentence[:150]} Metoprolol 95 mg."
            items.append(
                {
                    "belege": [{"segment": int(number), "zitat": said}],
                    "abschnitt": section,
                    "art": "bejaht",
                    "text": sentence,
                }
            )
        most = request.shape.json_schema["properties"]["stellen"]["maxItems"]
        for section in "AP":
            for number, item in enumerate(items[-4:]):
                if number % 2:
                    item["abschnitt"] = section
        return {"stellen": items[:most]}

    def _summarise(self, request: base.Request) -> dict[str, Any]:
        told = _STATEMENT.findall(request.user)[:3]
        return {"saetze": [{"aussagen": [name], "text": text[:220].ljust(10, ".")} for name, _s, text in told]}

    def _code(self, request: base.Request) -> dict[str, Any]:
        properties = request.shape.json_schema["properties"]["diagnosen"]["items"]["properties"]
        return {"diagnosen": [{"aussage": properties["aussage"]["enum"][0], "kode": properties["kode"]["enum"][0]}]}

    def _check(self, request: base.Request) -> dict[str, Any]:
        number, _speaker, text = _SEGMENT.findall(request.user)[-1]
        return {"stellen": [{"belege": [{"segment": int(number), "zitat": text[:20]}], "was": "verordnet"}]}

    def _bill(self, _request: base.Request) -> dict[str, Any]:
        return {"stellen": []}

    def _judge(self, request: base.Request) -> dict[str, Any]:
        said, _, claim = request.user.rpartition("\n\nAussage")
        claim = claim.partition(": ")[2]
        words = re.findall(r"\w{4,}", claim.lower())
        stands = [word in said.lower() for word in words]
        return {"urteil": "ja" if all(stands) else "nein" if not any(stands) else "unklar"}
