"""Who is asked in the benchmark of the model engines: our engine and two servers, each for answers of equal length."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import random
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Literal

import httpx

from pipeline.engines import base, options, shapes
from pipeline.engines.llama import engine as llama
from tests import tiny_models

PARALLEL = 8
CONTEXT = 2048  # tokens for each of PARALLEL
ROLE_TOKENS = 500  # of the role prompt that all requests of a round share
SECONDS = 600.0  # for one answer; more than this is a fault
_START_SECONDS = 60.0

Kind = Literal["decode", "role"]
#: Fields of eight digits in an answer: each is about fifteen tokens, as only letters have tokens of several characters.
FIELDS: dict[Kind, int] = {"decode": 7, "role": 4}

Ask = Callable[[str, str, Kind], Awaitable[int]]  # system, user, kind -> tokens of the answer


def shape(kind: Kind) -> shapes.Shape:
    """Numbers under names: an answer of fixed length that repeats no run of words, so that no watch ends it."""
    number: shapes.Schema = {"type": "integer", "minimum": 10_000_000, "maximum": 99_999_999}
    return shapes.Shape(json_schema=shapes.obj(**{f"feld{at}": number for at in range(FIELDS[kind])}))


def words(seed: object, count: int) -> str:
    """German-looking words, other ones for each seed."""
    chance = random.Random(str(seed))
    return " ".join("".join(chance.choices("etaoinshrdlu", k=4)) for _ in range(count))


@contextlib.asynccontextmanager
async def own(
    file: Path, threads: int, parallel: int = PARALLEL, context: int = CONTEXT
) -> AsyncIterator[llama.Engine]:
    """Our engine with a model loaded."""
    configured = options.Llama(
        engine="llama", file=file, sha256=hashlib.sha256(file.read_bytes()).hexdigest(), context=context,
        parallel=parallel, threads=threads, seconds=SECONDS,
    )  # fmt: skip
    engine = llama.Engine(file.stem, configured)
    try:
        await engine.start()
        yield engine
    finally:
        await engine.close()


def asks(engine: base.Engine) -> Ask:
    async def ask(system: str, user: str, kind: Kind) -> int:
        request = base.Request(stage="benchmark", system=system, user=user, shape=shape(kind), seconds=SECONDS)
        return (await engine.answer(request)).tokens

    return ask


def asks_server(client: httpx.AsyncClient, tokens: dict[Kind, int]) -> Ask:
    """Free text of the same length: a server is spared the grammar that our engine works under."""

    async def ask(system: str, user: str, kind: Kind) -> int:
        body = {
            "messages": [{"role": "system", "content": system}, {"role": "user", "content": user}],
            "max_tokens": tokens[kind], "temperature": 0, "ignore_eos": True, "cache_prompt": True,
        }  # fmt: skip
        answer = await client.post("/v1/chat/completions", json=body)
        answer.raise_for_status()
        return int(answer.json()["usage"]["completion_tokens"])

    return ask


@contextlib.contextmanager
def python_server(file: Path, threads: int) -> Iterator[str | None]:
    """llama-cpp-python's own server in a child process; None where its extra is not installed."""
    if any(importlib.util.find_spec(name) is None for name in ("sse_starlette", "starlette_context")):
        yield None
        return
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "llama_cpp.server", "--model", str(file), "--host", "127.0.0.1", "--port",
               str(port), "--n_ctx", str(CONTEXT), "--n_threads", str(threads), "--interrupt_requests", "false",
               "--verbose", "false"]  # fmt: skip
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + _START_SECONDS
        while child.poll() is None and time.monotonic() < end:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        child.kill()
        child.wait()


async def ways(stack: contextlib.AsyncExitStack, engine: base.Engine, file: Path, threads: int) -> dict[str, Ask]:
    """All that can be asked, by name; the servers are asked for as many tokens as our engine's answers have."""
    found, tokens = {"own": asks(engine)}, dict[Kind, int]()
    for kind in FIELDS:
        tokens[kind] = await found["own"]("Rolle", "Frage", kind)
    addresses = {"llama_cpp.server": stack.enter_context(python_server(file, threads))}
    if importlib.util.find_spec("xllamacpp") is not None:
        server = tiny_models.served(file, parallel=PARALLEL, context=CONTEXT, threads=threads)
        addresses["xllamacpp"] = stack.enter_context(server)
    for name, address in addresses.items():
        if address is not None:
            client = httpx.AsyncClient(base_url=address, timeout=SECONDS)
            found[name] = asks_server(await stack.enter_async_context(client), tokens)
            await found[name]("Rolle", "Frage", "decode")  # the first one pays for what is loaded late
    return found


async def words_of_role(engine: base.Engine) -> int:
    """How many words make a role prompt of ROLE_TOKENS tokens under this vocabulary."""
    lengths = []
    for count in (10, 110):
        made = base.Request(
            stage="benchmark", system=words("sized", count), user="x", shape=shape("role"), seconds=SECONDS
        )
        lengths.append((await engine.answer(made)).prompt_tokens)
    return round(100 * ROLE_TOKENS / (lengths[1] - lengths[0]))
