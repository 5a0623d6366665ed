"""The one place that speaks to the configured EHR. No other host is ever addressed, redirects are not followed."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import httpx

from fhir_gateway import errors, settings
from fhir_gateway.store import codec

_PAGES = 20  # pages of one search at most


class Unreachable(errors.GatewayError):
    """The EHR did not answer, or not now (5xx, 429). The stage is tried again."""


class Rejected(Exception):
    """The EHR refused what it was sent (4xx). `reason` has its own words, which belong on the Task and nowhere else."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"HTTP {status}")
        self.status = status
        self.reason = reason


class Ehr:
    """A client of the configured EHR. Close it when done."""

    def __init__(self, config: settings.Ehr) -> None:
        self.config = config
        self.base = config.base_url.rstrip("/")
        self._http = httpx.AsyncClient(
            headers={"Accept": "application/fhir+json", **config.headers},
            timeout=config.timeout_seconds,
            follow_redirects=False,
            trust_env=False,
        )

    async def close(self) -> None:
        """Close its connections."""
        await self._http.aclose()

    async def request(self, method: str, path: str, body: object = None) -> tuple[int, codec.Resource]:
        """Status and resource of one request below the base address; raises Unreachable where another try may help."""
        headers = {"Content-Type": "application/fhir+json"} if body is not None else {}
        if self.config.token_file is not None:
            headers["Authorization"] = f"Bearer {settings.read_secret(self.config.token_file)}"
        url = f"{self.base}/{path}".rstrip("/")
        try:
            response = await self._http.request(
                method, url, headers=headers, content=None if body is None else codec.encode(body)
            )
        except httpx.HTTPError as error:
            raise Unreachable(f"The EHR did not answer ({type(error).__name__}).") from None
        if response.status_code >= 500 or response.status_code in (408, 425, 429):
            raise Unreachable(f"The EHR answered {response.status_code}.")
        try:
            resource = codec.decode(response.content) if response.content else {}
        except codec.NotJson:
            raise Unreachable("The EHR's answer is not JSON.") from None
        return response.status_code, resource if isinstance(resource, dict) else {}

    async def read(self, reference: str) -> codec.Resource | None:
        """The resource at Type/id, or None when the EHR has none."""
        status, resource = await self.request("GET", reference)
        if status in (404, 410):
            return None
        if status != 200:
            raise Rejected(status, told(status, resource))
        return resource

    async def search(self, path: str) -> list[codec.Resource]:
        """All matches of a search, page by page; next links that lead to another host are refused."""
        found: list[codec.Resource] = []
        for _page in range(_PAGES):
            status, bundle = await self.request("GET", path)
            if status != 200:
                raise Rejected(status, told(status, bundle))
            found += [e["resource"] for e in bundle.get("entry", []) if e.get("search", {}).get("mode") != "outcome"]
            following = next((link["url"] for link in bundle.get("link", []) if link.get("relation") == "next"), None)
            if following is None:
                return found
            if not following.startswith(f"{self.base}/"):
                raise Rejected(status, "The EHR's next link leads to another address.")
            path = following.removeprefix(f"{self.base}/")
        return found


def told(status: int, resource: codec.Resource) -> str:
    """The server's status with the words of its OperationOutcome."""
    words = [
        str(issue.get("diagnostics") or issue.get("details", {}).get("text") or issue.get("code", ""))
        for issue in resource.get("issue", [])
    ]
    return f"The EHR answered {status}: {'; '.join(filter(None, words)) or 'no reason given'}"


async def complete(
    ehr: Ehr, encounter_id: str, found: Mapping[str, codec.Resource], record: Mapping[str, str]
) -> dict[str, codec.Resource]:
    """What the store found, completed by the EHR: encounter, patient, coverage and record. The store's own wins."""
    merged = dict(found)
    encounter = merged.get(f"Encounter/{encounter_id}") or await ehr.read(f"Encounter/{encounter_id}")
    if encounter is None:
        return merged
    merged[f"Encounter/{encounter_id}"] = encounter
    subject = encounter.get("subject", {}).get("reference")
    if not isinstance(subject, str):
        return merged
    if subject not in merged:
        patient = await ehr.read(subject)
        if patient is not None:
            merged[subject] = patient
    searches = [f"{resource_type}?{parameter}={subject}" for resource_type, parameter in record.items()]
    searches.append(f"Coverage?beneficiary={subject}")
    for resources in await asyncio.gather(*(ehr.search(path) for path in searches)):
        for resource in resources:
            merged.setdefault(_reference(resource), resource)
    return merged


def _reference(resource: Mapping[str, Any]) -> str:
    return f"{resource.get('resourceType')}/{resource.get('id')}"
