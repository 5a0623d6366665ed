"""Other people's sample messages, many of them odd on purpose, through a real gateway: LinuxForHealth's and HL7's."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import support
from tests.acceptance import german, hl7v2
from tests.acceptance.hl7v2 import Answer
from tests.support import Gateway

PEERS = os.environ.get("FHIR_PEERS")
DATA = support.SHARED / "data" / "hl7v2"
FOLDERS = (
    DATA / "linuxforhealth",
    DATA / "hl7_v2_to_fhir_ig" / "samples" / "test_conversions",
    DATA / "hl7_v2_to_fhir_ig" / "samples" / "messages",
)
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="needs ../shared/data/hl7v2")


@dataclass(frozen=True)
class Sample:
    """One message as it was sent, with its answers."""

    name: str
    sent: bytes
    answers: list[Answer]

    @property
    def wishes(self) -> tuple[str, str]:
        """MSH-15 and MSH-16."""
        fields = [*german.header(self.sent), *[""] * 16]
        return fields[15], fields[16]


def wire(path: Path, number: int) -> bytes:
    """The message of a file as it goes over a wire, under a control id and from a facility of its own: many samples
    have the same control id, and the same number for patients and visits that are others each time.
    """
    lines = path.read_bytes().replace(b"\r\n", b"\r").replace(b"\n", b"\r").strip().split(b"\r")
    fields = lines[0].split(b"|")
    fields[3], fields[9] = b"FAC%05d" % number, b"S%05d" % number
    return b"\r".join([b"|".join(fields), *lines[1:]]) + b"\r"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """One without a site: nobody has told it of these senders."""
    with support.running(tmp_path_factory.mktemp("samples") / "data") as started:
        yield started


@pytest.fixture(scope="module")
def samples(gateway: Gateway) -> list[Sample]:
    """All of them, each over a connection of its own that its sender ends behind it."""
    paths = [path for folder in FOLDERS for path in sorted(folder.iterdir()) if path.suffix in (".hl7", ".txt")]
    assert len(paths) > 270
    found = []
    for number, path in enumerate(paths):
        message = wire(path, number)
        with hl7v2.Line(gateway.mllp_port) as line:
            line.send(message)
            line.end()
            found.append(Sample(path.stem, message, line.to_end()))
    hl7v2.all_settled(gateway)
    return found


def test_each_is_kept_byte_for_byte(gateway: Gateway, samples: list[Sample]) -> None:
    assert [sample.name for sample in samples if len(gateway.kept(sample.sent)) != 1] == []


def test_each_is_answered_as_it_asks_and_a_refusal_says_why(gateway: Gateway, samples: list[Sample]) -> None:
    for sample in samples:
        state = hl7v2.settled(gateway, sample.sent).state
        commit, application = sample.wishes
        good = state == "mapped"
        expected = {"": [], "NE": [], "AL": ["A"], "ER": [] if good else ["A"], "SU": ["A"] if good else []}[
            application
        ]
        codes = [f"{kind}{'A' if good else 'E'}" for kind in expected]
        codes = ["CA"] * (commit == "AL") + codes if commit or application else ["AA"]
        assert [answer.code for answer in sample.answers] == codes, (sample.name, state)
        for answer in sample.answers:
            assert answer.control == hl7v2.control_of(sample.sent)
            if not answer.is_positive:
                version = german.header(sample.sent)[12]
                reason = answer.error[2] if version >= "2.5" else answer.raw.decode("latin-1")
                assert len(reason) > 10, sample.name


def values(sample: Sample, name: str) -> list[list[str]]:
    """The fields of each segment of this name: [n] is field n."""
    lines = sample.sent.decode("latin-1").split("\r")
    return [[*line.split("|"), *[""] * 20] for line in lines if line.startswith(f"{name}|")]


def tells_of_nobody(sample: Sample) -> bool:
    """Whether there is no number of a patient in it."""
    return not any(any(fields[2:5]) or fields[19] for fields in values(sample, "PID"))


def has_no_document(sample: Sample) -> bool:
    """Whether a message that is to bring a document has no text, or one that its author left out."""
    return not any(fields[5] for fields in values(sample, "OBX")) or b"<Base64 encoded>" in sample.sent


def test_those_fail_that_tell_of_nobody_or_bring_nothing(gateway: Gateway, samples: list[Sample]) -> None:
    failed = [sample for sample in samples if hl7v2.settled(gateway, sample.sent).state in ("failed", "refused")]
    rest = {
        sample.name: hl7v2.settled(gateway, sample.sent).reason
        for sample in failed
        if not tells_of_nobody(sample) and not (b"|MDM^T" in sample.sent and has_no_document(sample))
    }
    # The same visit or order (by its universal id) of two people: never may one's become the other's.
    another = "it belongs to another patient than this message is about."
    assert {name: reason for name, reason in rest.items() if another not in (reason or "")} == {}
    assert set(rest) <= {"05_ORU_R01_ORU_R01", "Hl7ORUMessageTest_L60__ORU_R01", "SegmentUtilTest_L321__ORU_R01"}


def test_none_that_tells_of_nobody_is_stored(gateway: Gateway, samples: list[Sample]) -> None:
    mapped = [sample for sample in samples if hl7v2.settled(gateway, sample.sent).state == "mapped"]
    assert [sample.name for sample in mapped if tells_of_nobody(sample)] == []


def test_most_have_a_map(gateway: Gateway, samples: list[Sample]) -> None:
    states = Counter((row[0], row[1]) for row in gateway.rows("SELECT event, state FROM message"))
    without = {event for (event, state) in states if state == "no-map"}
    assert without <= {
        "VXU^V04", "PPR^PC1", "PPR^PC2", "PPR^PC3", "RDE^O11", "RDE^O25", "OMP^O09", "CUSTOM^PAT",
    }  # fmt: skip
    assert sum(count for (_event, state), count in states.items() if state == "mapped") > 100


def test_the_mapping_never_breaks_off(gateway: Gateway, samples: list[Sample]) -> None:
    assert len(samples) > 270
    assert [line for line in hl7v2.logged(gateway) if line["level"] in ("error", "critical")] == []
    assert gateway.is_ready()


def test_every_resource_passes_the_base_check(gateway: Gateway, samples: list[Sample]) -> None:
    served = list(german.everything(gateway))
    assert len(served) > len(samples)
    assert german.base_faults(served) == []


@pytest.mark.skipif(PEERS is None, reason="needs the Node peers in FHIR_PEERS")
def test_every_resource_passes_two_foreign_validators(gateway: Gateway, samples: list[Sample], tmp_path: Path) -> None:
    assert PEERS is not None and samples
    assert german.foreign_faults(list(german.everything(gateway)), Path(PEERS), tmp_path) == ""
