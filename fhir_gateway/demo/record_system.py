"""What a record system does: send one transaction, follow the run's Task, read the results. Over HTTP only."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from types import TracebackType
from typing import Any

import httpx

from fhir_gateway import errors
from fhir_gateway.demo import gateway_process
from fhir_gateway.store import codec

Json = dict[str, Any]

RUN_SECONDS = 120.0  # a run takes a few seconds; more than this is a fault
POLL_SECONDS = 0.1

ENDED = frozenset({"completed", "failed", "cancelled", "rejected", "entered-in-error"})

_OWN_TIME = re.compile(r'^fhir_gateway_stage_seconds_(count|sum)\{stage="(\w+)"\} (\S+)$', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Answers:
    """Everything about one run. `sent` and `outputs` are resources as read back; `versions` the Task's, oldest first.

    `outputs` are by the kind that the Task gives them (note, summary, condition, warning, claim, provenance).
    `own_seconds` is each stage's own time from the gateway's metrics.
    """

    base: str
    sent: tuple[Json, ...]
    task: Json
    versions: tuple[Json, ...]
    outputs: dict[str, list[Json]]
    device: Json | None
    own_seconds: dict[str, Decimal]

    def output(self, kind: str) -> list[Json]:
        """The results of one kind; none when there are none."""
        return self.outputs.get(kind, [])

    def all(self) -> list[Json]:
        """Every resource once."""
        devices = [self.device] if self.device else []
        return [*self.sent, self.task, *devices, *(r for group in self.outputs.values() for r in group)]


class RecordSystem:
    """A client of one gateway's FHIR endpoint. Use it as a context."""

    def __init__(self, gateway: gateway_process.Gateway) -> None:
        self.gateway = gateway
        self.base = f"{gateway.address}/fhir"
        self._http = httpx.Client(timeout=30, trust_env=False, headers={"Accept": "application/fhir+json"})

    def __enter__(self) -> RecordSystem:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._http.close()

    def send(self, bundle: Json) -> list[str]:
        """POST a transaction; the references (Type/id) of what the gateway made of its entries, in their order."""
        body = codec.encode(bundle)
        answer = self._answer("POST", self.base, content=body, headers={"Content-Type": "application/fhir+json"})
        locations = [entry["response"]["location"] for entry in answer["entry"]]
        return ["/".join(location.removeprefix(f"{self.base}/").split("/")[:2]) for location in locations]

    def read(self, path: str, **parameters: str) -> Json:
        """A resource, or the Bundle of a search or a history."""
        return self._answer("GET", f"{self.base}/{path}", params=parameters or None)

    def follow(self, encounter: str) -> Iterator[tuple[Json, ...]]:
        """All versions of the Task of this encounter's run, oldest first, each time there is a new one, to its end."""
        deadline = time.monotonic() + RUN_SECONDS
        seen = 0
        while True:
            gateway_process.check_alive(self.gateway)
            versions = self._versions(encounter)
            if len(versions) > seen:
                seen = len(versions)
                yield versions
            if versions and versions[-1]["status"] in ENDED:
                return
            if time.monotonic() > deadline:
                raise errors.GatewayError(f"The run had not ended after {RUN_SECONDS:.0f} seconds.")
            time.sleep(POLL_SECONDS)

    def collect(self, sent: list[str], versions: tuple[Json, ...]) -> Answers:
        """Everything that the run's Task names, and what was sent, as the gateway serves it."""
        task = versions[-1]
        outputs: dict[str, list[Json]] = {}
        for output in task.get("output", []):
            if "valueReference" not in output:
                continue
            kind = output["type"]["coding"][0]["code"]
            outputs.setdefault(kind, []).append(self.read(output["valueReference"]["reference"]))
        authors = [author["reference"] for note in outputs.get("note", []) for author in note.get("author", [])]
        return Answers(
            base=self.base,
            sent=tuple(self.read(reference) for reference in sent),
            task=task,
            versions=versions,
            outputs=outputs,
            device=self.read(authors[0]) if authors else None,
            own_seconds=self._own_seconds(),
        )

    def _versions(self, encounter: str) -> tuple[Json, ...]:
        tasks = self.read("Task", encounter=encounter).get("entry", [])
        if not tasks:
            return ()
        history = self.read(f"Task/{tasks[-1]['resource']['id']}/_history")
        return tuple(entry["resource"] for entry in reversed(history["entry"]))

    def _own_seconds(self) -> dict[str, Decimal]:
        """Each stage's own time, as long as the gateway has worked on one run only."""
        found: dict[tuple[str, str], Decimal] = {
            (stage, what): Decimal(value)
            for what, stage, value in _OWN_TIME.findall(self._request("GET", f"{self.gateway.address}/metrics").text)
        }
        return {stage: found[stage, "sum"] for stage, what in found if what == "sum" and found[stage, "count"] == 1}

    def _answer(self, method: str, url: str, **request: Any) -> Json:
        body: Json = codec.decode(self._request(method, url, **request).content)
        return body

    def _request(self, method: str, url: str, **request: Any) -> httpx.Response:
        try:
            response = self._http.request(method, url, **request)
        except httpx.HTTPError as error:
            raise errors.GatewayError(f"The gateway did not answer {method} {url} ({type(error).__name__}).") from None
        if not response.is_success:
            raise errors.GatewayError(f"The gateway answered {response.status_code} to {method} {url}.")
        return response
