"""A gateway as its own process, on free loopback ports, with a data folder that is gone afterwards."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx

from fhir_gateway import errors

READY_SECONDS = 60.0  # a start with a fresh database takes about two on a small machine
END_SECONDS = 12.0  # after SIGTERM; the gateway promises ten
POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Gateway:
    """A ready gateway. `address` has no trailing slash and no path; `log` holds the process's stderr."""

    address: str
    mllp_port: int
    log: Path
    process: subprocess.Popen[bytes]


@contextlib.contextmanager
def running() -> Iterator[Gateway]:
    """A ready gateway that ends with the context. Its log outlives the context only when something went wrong."""
    folder = Path(tempfile.mkdtemp(prefix="fhir-gateway-demo-"))
    is_log_kept = False
    try:
        with _told_to_end_by_signals(), _process(folder) as gateway:
            _wait_until_ready(gateway)
            yield gateway
    except errors.GatewayError as error:
        is_log_kept = True
        log = folder / "gateway.log"
        raise errors.GatewayError(f"{error.message.rstrip('.')} (log of the gateway: {log}).") from None
    finally:
        shutil.rmtree(folder / "data" if is_log_kept else folder, ignore_errors=True)


def check_alive(gateway: Gateway) -> None:
    """Raise one sentence when the process has ended."""
    code = gateway.process.poll()
    if code is not None:
        raise errors.GatewayError(f"The gateway ended by itself with exit code {code}.")


@contextlib.contextmanager
def _process(folder: Path) -> Iterator[Gateway]:
    port, mllp_port = _free_ports()
    log = folder / "gateway.log"
    arguments = ["--host", "127.0.0.1", "--port", str(port), "--mllp-port", str(mllp_port)]
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "fhir_gateway", "serve", *arguments, "--data", str(folder / "data")],
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            start_new_session=True,  # Ctrl-C is for the demonstration, which then ends the gateway in order
        )
    try:
        yield Gateway(f"http://127.0.0.1:{port}", mllp_port, log, process)
    finally:
        _end(process)


def _environment() -> dict[str, str]:
    """Ours without what would configure a gateway: an invented patient never goes to somebody's real store or EHR."""
    return {name: value for name, value in os.environ.items() if not name.upper().startswith("FHIR_GATEWAY_")}


def _free_ports() -> tuple[int, int]:
    with socket.socket() as first, socket.socket() as second:
        first.bind(("127.0.0.1", 0))
        second.bind(("127.0.0.1", 0))
        return first.getsockname()[1], second.getsockname()[1]


def _wait_until_ready(gateway: Gateway) -> None:
    deadline = time.monotonic() + READY_SECONDS
    with httpx.Client(base_url=gateway.address, timeout=5, trust_env=False) as client:
        while time.monotonic() < deadline:
            check_alive(gateway)
            with contextlib.suppress(httpx.TransportError):
                if client.get("/readyz").status_code == 200:
                    return
            time.sleep(POLL_SECONDS)
    raise errors.GatewayError(f"The gateway was not ready within {READY_SECONDS:.0f} seconds.")


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextlib.contextmanager
def _told_to_end_by_signals() -> Iterator[None]:
    """SIGTERM and a closed terminal end the demonstration like Ctrl-C, so that no gateway is left behind.

    Ctrl-C is set too: a shell starts what runs in its background with SIGINT ignored.
    """
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, signal.default_int_handler) for number in signals]
    try:
        yield
    finally:
        for number, handler in zip(signals, before, strict=True):
            signal.signal(number, handler)
