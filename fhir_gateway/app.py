"""The composition root: every part is made here, handed its settings, and taken down again."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
import structlog
from dbos import DBOS, DBOSClient, DBOSPortableJSONSerializer
from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Message, Receive, Scope, Send

import fhir_gateway
from fhir_gateway import errors, lock, logs, metrics, settings
from fhir_gateway.ehr import client as ehr_client
from fhir_gateway.messages import delivery as message_delivery
from fhir_gateway.messages import mapping, over_http, reception
from fhir_gateway.mllp import server as mllp_server
from fhir_gateway.mllp import tls
from fhir_gateway.rest import openapi, router
from fhir_gateway.runs import in_flight, trigger, workflow
from fhir_gateway.search import values
from fhir_gateway.security import audit
from fhir_gateway.store import codec, database, resources, search_index
from fhir_gateway.subscriptions import delivery, matching
from mappers.results_to_fhir import device
from mappers.v2_to_fhir import rules, sites
from pipeline import consultation, documenting, prompts, rehearsal, results
from pipeline.engines import base, memory_fit, models, options, slots
from pipeline.engines import rules as rules_engine
from pipeline.engines.openai import wire
from profiles import package, validation
from terminology.icd10gm import catalogue, installed

ENGINE_NAME = "fhir-gateway"
EXECUTOR = "gateway"  # one process works on a database at a time: see `lock`
POLLING_SECONDS = 0.1  # how long a queued run waits at most until the engine looks for it

log = structlog.get_logger()


@dataclass(slots=True)
class Gateway:
    """One running gateway. `token` is None where no [security] section asks for one."""

    settings: settings.Settings
    database: database.Database
    engine: DBOSClient
    slots: slots.Slots
    models: models.Models
    metrics: metrics.Metrics
    ehr: ehr_client.Ehr | None
    token: str | None
    device_resource: codec.Resource
    engine_version: str
    documenting: documenting.Options
    profiles: validation.Profiles
    reads: audit.Reads
    in_flight: in_flight.InFlight = dataclasses.field(default_factory=in_flight.InFlight)
    reception: reception.Reception = dataclasses.field(init=False)
    sender: message_delivery.Worker = dataclasses.field(init=False)
    is_ready: bool = False

    @property
    def device(self) -> str:
        """The reference of the Device that authors the results."""
        return f"Device/{self.device_resource['id']}"

    def author(self, works: Mapping[str, results.Work]) -> codec.Resource:
        """The Device that authors a run's results: the gateway, with each model and prompt that had a part in them.

        A model's version ends with how it was decoded: only `single` gives the same text to the bit again.
        """
        used = {
            stage: f"{attempt.model} {attempt.mode}"
            for stage, work in works.items()
            for attempt in work.attempts
            if attempt.outcome == "used"
        }
        if not used:
            return self.device_resource
        named = {f"model-{stage}": model for stage, model in used.items()}
        told = {f"prompt-{stage}": prompts.load(stage).digest for stage in used}
        return device.build({**_versions(), **named, **told})


def database_url(config: settings.Settings) -> str:
    """The configured database, or the SQLite file in the data folder (which is made when missing)."""
    if config.database.url is None:
        config.server.data.mkdir(parents=True, exist_ok=True, mode=0o700)
        return database.sqlite_url(config.server.data / "gateway.sqlite")
    url = sa.make_url(config.database.url)
    if config.database.password_file is not None:
        url = url.set(password=settings.read_secret(config.database.password_file))
    return url.render_as_string(hide_password=False)


@contextlib.contextmanager
def opened(config: settings.Settings) -> Iterator[database.Database]:
    """The configured store at this version's schema, for a command beside a running gateway or without one."""
    url = database_url(config)
    database.migrate(url)
    store = database.Database(url)
    try:
        yield store
    finally:
        store.close()


def engine_connection(url: str) -> sa.Engine:
    """The workflow engine's own connections, with the same durability as ours."""
    if not database.is_sqlite(url):
        return sa.create_engine(url, pool_size=10, max_overflow=10, pool_pre_ping=True)
    engine = sa.create_engine(url)

    @sa.event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: object) -> None:
        connection.isolation_level = "IMMEDIATE"
        database.prepare_sqlite_connection(connection)

    return engine


def client(url: str, engine: sa.Engine) -> DBOSClient:
    """The handle that puts workflows into the engine's queue."""
    return DBOSClient(
        system_database_url=url,
        system_database_engine=engine,
        application_name=ENGINE_NAME,
        serializer=DBOSPortableJSONSerializer(),
    )


@contextlib.asynccontextmanager
async def running(config: settings.Settings) -> AsyncIterator[Gateway]:
    """A gateway with its store, and in the role `all` its workflow engine, its Subscriptions and its MLLP listener.

    All of it ends with the context.
    """
    async with contextlib.AsyncExitStack() as stack:
        url = database_url(config)
        is_worker = config.server.role == "all"
        await asyncio.to_thread(_use_catalogues, config)
        stack.callback(catalogue.use, None)
        values.know_bases(config.server.base_url, config.ehr.base_url if config.ehr else None, port=config.server.port)
        if is_worker:
            stack.enter_context(_only_worker(config, url))
            await asyncio.to_thread(_prepare, url)
        else:
            await asyncio.to_thread(database.check_schema, url)
        notes = matching.Notes((config.server.base_url or "").rstrip("/"))
        store = database.Database(url, notes)
        stack.callback(store.close)
        engine = engine_connection(url)
        stack.callback(engine.dispose)
        gateway = Gateway(
            settings=config,
            database=store,
            engine=client(url, engine),
            slots=slots.Slots(config.runs.slots),
            models=await _models(stack, config) if is_worker else models.none(),
            metrics=metrics.Metrics(),
            ehr=ehr_client.Ehr(config.ehr) if config.ehr else None,
            token=settings.read_secret(config.security.token_file) if config.security else None,
            device_resource=device.build(_versions()),
            engine_version=f"rules {rules_engine.version()['tables']}",
            documenting=documenting.Options(
                insurance_when_unknown=insurance(config), readability=config.summary.readability
            ),
            profiles=await asyncio.to_thread(_profiles, config.profiles.packages),
            reads=audit.Reads(store),
        )
        if gateway.ehr is not None:
            stack.push_async_callback(gateway.ehr.close)
        known = await asyncio.to_thread(_sites, config.hl7v2.sites)
        mapper = mapping.Mapper(gateway, known)
        gateway.reception = reception.Reception(store, known, mapper, gateway.metrics)
        gateway.sender = message_delivery.Worker(gateway)
        if is_worker:
            await store.write(lambda unit: resources.put(unit, gateway.device_resource))
            await _launch(gateway, url, engine)
            stack.push_async_callback(_stop, config)
            worker = delivery.Worker(gateway)
            notes.wake = worker.wake
            worker.start()
            stack.push_async_callback(worker.stop)
            gateway.sender.start()
            stack.push_async_callback(gateway.sender.stop)
        mapper.start(maps=is_worker)
        stack.push_async_callback(mapper.stop)
        if is_worker:
            await _listen(stack, gateway)
        gateway.is_ready = True
        yield gateway
        gateway.is_ready = False


def _use_catalogues(config: settings.Settings) -> None:
    """Code with the imported editions of the data folder; ConfigurationError where their file is damaged."""
    path = config.server.data / installed.FILE
    try:
        installed.Store(path).check()
        catalogue.use(path)
    except installed.NotUsable as error:
        raise errors.ConfigurationError(str(error)) from None


def _versions() -> dict[str, str]:
    return {"gateway": fhir_gateway.__version__, **rules_engine.version()}


def insurance(config: settings.Settings) -> consultation.Insurance | None:
    """What is assumed of an encounter without Coverage."""
    assumed = config.billing.insurance_when_unknown
    return None if assumed == "none" else assumed


async def _models(stack: contextlib.AsyncExitStack, config: settings.Settings) -> models.Models:
    """The models that serve a stage, ready to be asked; ConfigurationError where one of them never can be."""
    wanted = {name: model for name, model in config.models.items() if name in config.stages.models}
    loaded = models.configured(wanted, config.stages)
    stack.push_async_callback(loaded.close)
    try:
        await asyncio.to_thread(memory_fit.require, wanted)
        await loaded.start()
    except base.NotUsable as error:
        raise errors.ConfigurationError(str(error)) from None
    return loaded


def check(config: settings.Settings) -> None:
    """Read what the configuration names besides secrets: catalogues, site files, certificates.

    Raises ConfigurationError.
    """
    _use_catalogues(config)
    _sites(config.hl7v2.sites)
    for listener in _listeners(config).values():
        _server_tls(listener)
    for destination in config.hl7v2.destinations.values():
        tls.client_context(destination.ca, destination.certificate, destination.key)
    for name, model in config.models.items():
        if isinstance(model, options.OpenAI):
            try:
                asyncio.run(wire.Wire(model).close())
            except base.NotUsable as error:
                raise errors.ConfigurationError(f"models.{name}: {error}") from None


def _sites(folder: Path | None) -> sites.Sites:
    """The senders' files. At the start a broken one is an error; later its last good state goes on."""
    if folder is not None and not folder.is_dir():
        raise errors.ConfigurationError(f"hl7v2.sites: {folder} is no folder.")
    try:
        known = sites.Sites(folder)
    except rules.Broken as error:
        raise errors.ConfigurationError(f"The bundled maps cannot be used: {error}.") from None
    known.refresh()
    if known.broken:
        raise errors.ConfigurationError(f"hl7v2.sites: {next(iter(known.broken.values()))}.")
    return known


def _listeners(config: settings.Settings) -> dict[str, settings.Listener]:
    """The MLLP ports by their names; `mllp` is the one of `server.mllp_port`."""
    options = config.hl7v2
    main = settings.Listener(
        port=config.server.mllp_port, certificate=options.certificate, key=options.key, client_ca=options.client_ca
    )
    return {"mllp": main, **options.listeners}


def _server_tls(listener: settings.Listener) -> ssl.SSLContext | None:
    if listener.certificate is None or listener.key is None:
        return None
    return tls.server_context(listener.certificate, listener.key, listener.client_ca)


async def _listen(stack: contextlib.AsyncExitStack, gateway: Gateway) -> None:
    """The MLLP ports. They end first: what has been received completely is still answered."""
    options, server = gateway.settings.hl7v2, gateway.settings.server
    limits = mllp_server.Limits(
        options.max_megabytes * 1_048_576, options.connections, options.idle_seconds, options.read_seconds
    )

    async def receive(message: bytes, peer: mllp_server.Peer) -> Sequence[reception.Answer]:
        return await gateway.reception.receive(message, channel="mllp", port=peer.port, certificate=peer.certificate)

    for name, wanted in _listeners(gateway.settings).items():
        listener = await mllp_server.start(name, server.host, wanted.port, receive, limits, _server_tls(wanted))
        stack.push_async_callback(listener.close, server.drain_seconds / 4)
        log.info("listening", mllp=f"{server.host}:{listener.port}", listener=name)


def _only_worker(config: settings.Settings, url: str) -> contextlib.AbstractContextManager[None]:
    if database.is_sqlite(url):
        return lock.held(config.server.data / "gateway.lock")
    return lock.held_in_database(url)


def _prepare(url: str) -> None:
    """The schema and the search index of this version, and a first run through the stages."""
    database.migrate(url)
    engine = database.connect(url, writes=True)
    try:
        with engine.connect() as connection:
            is_current = search_index.is_current(connection)
        if not is_current:
            search_index.make_again(engine)
    finally:
        engine.dispose()
    rehearsal.run()


def _profiles(paths: tuple[Path, ...]) -> validation.Profiles:
    """The installed profiles; ConfigurationError when a package cannot be used."""
    try:
        return validation.Profiles([package.load(path) for path in paths])
    except package.NotUsable as error:
        raise errors.ConfigurationError(f"profiles.packages: {error}") from None


async def _launch(gateway: Gateway, url: str, engine: sa.Engine) -> None:
    workflow.bind(gateway)
    DBOS(
        config={
            "name": ENGINE_NAME,
            "system_database_url": url,
            "system_database_engine": engine,
            "executor_id": EXECUTOR,
            "application_version": workflow.APPLICATION_VERSION,
            "serializer": DBOSPortableJSONSerializer(),
            "max_executor_threads": 32,
            "log_level": "ERROR",
        }
    )
    DBOS.launch()
    await DBOS.register_queue_async(
        trigger.QUEUE, polling_interval_sec=POLLING_SECONDS, worker_concurrency=gateway.settings.runs.concurrency
    )
    logs.tame()


async def _stop(config: settings.Settings) -> None:
    seconds = max(1, int(config.server.drain_seconds / 2))
    await asyncio.to_thread(DBOS.destroy, workflow_completion_timeout_sec=seconds)
    workflow.bind(None)


class _Application(FastAPI):
    """The ASGI application. What is below /fhir goes straight to the endpoint: the layers that FastAPI lays around a
    route take more time than a read, and the endpoint has its own word for each of their cases.
    """

    endpoint: router.Endpoint | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.endpoint is not None and scope["type"] == "http" and router.is_below(scope["path"]):
            await self.endpoint(scope, receive, send)
        elif scope["type"] == "lifespan":
            await super().__call__(scope, receive, functools.partial(self._tell, send))
        else:
            await super().__call__(scope, receive, send)

    async def _tell(self, send: Send, message: Message) -> None:
        """To uvicorn how the start went, without the traceback of a failure that the process says as one sentence."""
        has_sentence = message["type"] == "lifespan.startup.failed" and hasattr(self.state, "failure")
        await send({"type": message["type"]} if has_sentence else message)


def build(config: settings.Settings) -> FastAPI:
    """The ASGI application. Its gateway lives as long as its lifespan."""

    @contextlib.asynccontextmanager
    async def lifespan(_application: FastAPI) -> AsyncIterator[None]:
        try:
            async with running(config) as gateway:
                application.state.gateway = gateway
                application.endpoint = router.Endpoint(gateway)
                yield
        except errors.GatewayError as error:
            application.state.failure = error  # uvicorn swallows it; the process says it as one sentence
            raise

    application = _Application(
        lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False
    )
    application.add_exception_handler(HTTPException, router.no_such_route)
    application.add_route("/hl7v2", over_http.post, methods=["POST"])
    application.add_api_route("/healthz", _healthz, methods=["GET"])
    application.add_api_route("/readyz", _readyz, methods=["GET"])
    application.add_api_route("/metrics", _metrics, methods=["GET"])
    application.add_api_route("/openapi.json", _openapi, methods=["GET"])
    return application


async def _healthz() -> Response:
    return JSONResponse({"status": "alive"})


async def _readyz(request: Request) -> Response:
    gateway: Gateway | None = getattr(request.app.state, "gateway", None)
    if gateway is None or not gateway.is_ready:
        return JSONResponse({"status": "starting"}, 503)
    try:
        await gateway.database.read(lambda connection: connection.execute(sa.text("SELECT 1")))
    except (sa.exc.SQLAlchemyError, errors.StoreUnavailable):
        return JSONResponse({"status": "the database does not answer"}, 503)
    if not gateway.database.is_writing:
        return JSONResponse({"status": "the writer has ended"}, 503)
    return JSONResponse({"status": "ready"})


async def _metrics(request: Request) -> Response:
    gateway: Gateway = request.app.state.gateway
    return Response(gateway.metrics.text(), media_type="text/plain; version=0.0.4")


async def _openapi() -> Response:
    return await asyncio.to_thread(lambda: JSONResponse(openapi.description(router.TABLE)))  # made once, in seconds
