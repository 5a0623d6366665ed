"""One typed settings object. Every key is read somewhere, an unknown key is an error, secrets come from files.

Sources, the strongest first: the command line, the environment (`FHIR_GATEWAY_SERVER__PORT=8081`), `gateway.toml`.
"""

from __future__ import annotations

import ipaddress
import os
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
from pydantic import BaseModel, ConfigDict, Field
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from fhir_gateway import errors
from fhir_gateway.subscriptions import channel
from pipeline.engines import options
from pipeline.grounding import summary

Seconds = Annotated[float, Field(gt=0)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Server(_Section):
    """Where the gateway listens and keeps its data."""

    role: Literal["all", "api"] = Field(
        "all",
        description="all: everything. api: only the FHIR endpoint, beside the one process in the role all.",
    )
    host: str = Field(
        "127.0.0.1", description="Address to listen on. Anything but loopback needs a [security] section."
    )
    port: int = Field(8080, ge=0, le=65535, description="Port of the FHIR endpoint. 0 takes a free one.")
    mllp_port: int = Field(2575, ge=0, le=65535, description="Port of the HL7 v2 (MLLP) listener. 0 takes a free one.")
    data: Path = Field(Path("data"), description="Folder of the database and the lock file.")
    base_url: str | None = Field(
        None,
        description="Address of /fhir for Location headers and links. Default: as each client addressed it.",
    )
    drain_seconds: Seconds = Field(8.0, le=10, description="How long a stop waits for requests and runs in flight.")


class Database(_Section):
    """Which database holds the data and the workflow engine's tables."""

    url: str | None = Field(
        None,
        description="SQLAlchemy URL, e.g. postgresql+psycopg://user@host/name. Default: SQLite in the data folder.",
    )
    password_file: Path | None = Field(None, description="File with the database password, put into `url`.")


class Rest(_Section):
    """Limits of the FHIR endpoint."""

    max_body_megabytes: int = Field(32, gt=0, description="A larger request body is answered 413.")
    max_bundle_entries: int = Field(2000, gt=0, description="A Bundle with more entries is answered 413.")
    body_seconds: Seconds = Field(60.0, description="A request body that takes longer to come is answered 408.")
    header_seconds: Seconds = Field(20.0, description="A connection that sends no request head for so long is closed.")
    page_size: int = Field(50, gt=0, le=1000, description="Search results a page when the client asks for no _count.")


class Profiles(_Section):
    """FHIR packages whose profiles `$validate` and `meta.profile` can name."""

    packages: tuple[Path, ...] = Field(
        (), description="Folders or .tgz files of FHIR packages with snapshots. A profile that is not here is unknown."
    )
    enforce: bool = Field(
        False, description="Refuse a resource that breaks a profile it claims in meta.profile and that is installed."
    )


class Subscriptions(_Section):
    """Where Subscriptions may deliver to, and how often they try."""

    hosts: tuple[str, ...] = Field(
        (), description="Hosts (`name` or `name:port`) that a rest-hook may call. Empty: no Subscription can be made."
    )

    @pydantic.field_validator("hosts")
    @classmethod
    def _are_hosts(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        """An entry that names no host would be a setting without effect."""
        for host in hosts:
            if not channel.address(host)[0]:
                raise ValueError(f"{host!r} is no host and no host:port")
        return hosts

    attempts: int = Field(8, gt=0, description="Failed tries of one notification before its Subscription is in error.")
    backoff_seconds: Seconds = Field(1.0, description="Pause before the second try; it doubles, to 60 s at most.")
    timeout_seconds: Seconds = Field(10.0, description="How long one delivery may take.")


class Listener(_Section):
    """A further MLLP port. Senders can be told apart by it."""

    port: int = Field(ge=0, le=65535, description="Its port. 0 takes a free one.")
    certificate: Path | None = Field(None, description="Server certificate (PEM): the port speaks TLS.")
    key: Path | None = Field(None, description="The key of the certificate.")
    client_ca: Path | None = Field(
        None, description="Authorities (PEM) of client certificates: who has none of theirs is not let in."
    )

    @pydantic.model_validator(mode="after")
    def _is_whole(self) -> Listener:
        """Half a TLS set-up would be none."""
        if (self.certificate is None) != (self.key is None) or (self.client_ca and not self.certificate):
            raise ValueError("certificate and key belong together, and client_ca needs both")
        return self


Result = Literal["note", "summary", "diagnoses", "warnings", "billing"]


class Destination(_Section):
    """A system that results are sent to as HL7 v2 messages over MLLP."""

    host: str = Field(description="Its host.")
    port: int = Field(ge=1, le=65535, description="Its MLLP port.")
    results: tuple[Result, ...] = Field(
        description="What it gets: note and summary (MDM), diagnoses (BAR^P12), warnings (ORU^R01), billing (DFT^P03)."
    )
    drafts: tuple[Result, ...] = Field(
        ("note", "summary", "warnings"),
        description="Which of them it gets as drafts too, marked as such; the others only after the release.",
    )
    application: str = Field("FHIR-GATEWAY", description="Our name in MSH-3.")
    facility: str = Field("", description="Our facility in MSH-4.")
    receiving_application: str = Field("", description="Its name in MSH-5.")
    receiving_facility: str = Field("", description="Its facility in MSH-6.")
    accept: Literal["", "AL"] = Field("AL", description="MSH-15. Empty, with an empty `answer`: original mode.")
    answer: Literal["", "NE", "AL"] = Field("NE", description="MSH-16. AL waits for the application's answer too.")
    tls: bool = Field(False, description="Connect with TLS.")
    ca: Path | None = Field(None, description="Authorities (PEM) of its certificate. Default: the system's.")
    certificate: Path | None = Field(None, description="Our client certificate (PEM).")
    key: Path | None = Field(None, description="The key of our certificate.")
    connect_seconds: Seconds = Field(10.0, description="How long a connection may take to be made.")
    timeout_seconds: Seconds = Field(
        30.0, description="How long an answer is waited for; then the connection is dropped."
    )
    attempts: int = Field(5, gt=0, description="Times a message is sent before it is a dead letter.")
    backoff_seconds: Seconds = Field(1.0, description="Pause before the second try; it doubles, to 60 s at most.")


class Hl7v2(_Section):
    """HL7 v2 messages in and out."""

    sites: Path | None = Field(
        None, description="Folder with a file NAME.yaml for each sender. A changed file is read again."
    )
    max_megabytes: int = Field(32, gt=0, description="A connection that sends a larger message is ended.")
    connections: int = Field(256, gt=0, description="MLLP connections at once on a port.")
    idle_seconds: Seconds = Field(3600.0, description="A connection without traffic for so long is ended.")
    read_seconds: Seconds = Field(60.0, description="A message that takes longer to come ends its connection.")
    certificate: Path | None = Field(None, description="Server certificate (PEM): server.mllp_port speaks TLS.")
    key: Path | None = Field(None, description="The key of the certificate.")
    client_ca: Path | None = Field(None, description="Authorities (PEM) of client certificates, which are then needed.")
    listeners: dict[str, Listener] = Field({}, description="Further MLLP ports, as [hl7v2.listeners.NAME].")
    destinations: dict[str, Destination] = Field(
        {}, description="Where results go as HL7 v2, as [hl7v2.destinations.NAME]."
    )

    @pydantic.model_validator(mode="after")
    def _is_whole(self) -> Hl7v2:
        """Half a TLS set-up would be none."""
        Listener(port=0, certificate=self.certificate, key=self.key, client_ca=self.client_ca)
        return self


class Runs(_Section):
    """When a run starts and how it fails."""

    document_types: tuple[str, ...] = Field(
        (), description="DocumentReference types that start a run, as `system|code`. Empty: every type does."
    )
    concurrency: int = Field(8, gt=0, description="Runs in flight at once in this process.")
    slots: int = Field(2, gt=0, description="Stages that the rules engine works on at once.")
    attempts: int = Field(5, gt=0, description="How often a stage is tried before its run is dead.")
    backoff_seconds: Seconds = Field(1.0, description="Pause before the second try; it doubles with every further one.")
    stage_seconds: Seconds = Field(120.0, description="How long the gateway itself may take for one stage.")


class Ehr(_Section):
    """The record system's own FHIR server: context is read from it, results are written to it."""

    base_url: str = Field(description="Base of its FHIR endpoint, e.g. https://kis.example/fhir.")
    headers: dict[str, str] = Field({}, description="Fixed request headers.")
    token_file: Path | None = Field(None, description="File with a bearer token; it is read again for every request.")
    timeout_seconds: Seconds = Field(20.0, description="How long one request may take.")
    attempts: int = Field(6, gt=0, description="Tries before a delivery is dead.")
    backoff_seconds: Seconds = Field(1.0, description="Pause before the second try; it doubles with every further one.")
    transaction: bool = Field(True, description="Send one transaction; false sends the resources one by one.")


class Billing(_Section):
    """What the biller assumes."""

    insurance_when_unknown: Literal["GKV", "PKV", "none"] = Field(
        "GKV",
        description="Schedule for an encounter without Coverage; the Task says that it was assumed. none: no Claim.",
    )


class Summary(_Section):
    """How the summary for the patient has to be."""

    readability: float = Field(
        summary.READABLE, ge=0, le=100, description="Least reading ease (Flesch–Amstad) of a model's summary."
    )


class Security(_Section):
    """Who may come in. Without this section the gateway listens on loopback only."""

    token_file: Path = Field(
        description="File with the bearer token that every request under /fhir but metadata must carry."
    )


class Settings(BaseSettings):
    """The whole configuration."""

    model_config = SettingsConfigDict(
        env_prefix="FHIR_GATEWAY_",
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        nested_model_default_partial_update=True,
    )

    server: Server = Server()
    database: Database = Database()
    rest: Rest = Rest()
    profiles: Profiles = Profiles()
    runs: Runs = Runs()
    subscriptions: Subscriptions = Subscriptions()
    hl7v2: Hl7v2 = Hl7v2()
    billing: Billing = Billing()
    summary: Summary = Summary()
    models: dict[str, options.Model] = Field({}, description="Models by their names, as [models.NAME].")
    stages: options.Stages = options.Stages()
    ehr: Ehr | None = None
    security: Security | None = None

    @pydantic.model_validator(mode="after")
    def _stages_have_their_models(self) -> Settings:
        """A chain ends in the rules engine, which never fails, and names only models that there are."""
        if options.RULES in self.models:
            raise ValueError(f"the name {options.RULES!r} is the rules engine's: give [models.{options.RULES}] another")
        for stage in options.Stages.model_fields:
            *models, last = getattr(self.stages, stage) or ("",)
            if last != options.RULES:
                raise ValueError(f"stages.{stage} must end in {options.RULES!r}")
            unknown = [name for name in models if name not in self.models]
            if unknown:
                raise ValueError(f"stages.{stage} names {unknown[0]!r}, but there is no [models.{unknown[0]}]")
            if len(set(models)) < len(models):
                raise ValueError(f"stages.{stage} names a model twice")
        return self

    @property
    def has_receivers(self) -> bool:
        """Whether results are sent to anybody: a record system by FHIR, or destinations by HL7 v2."""
        return self.ehr is not None or bool(self.hl7v2.destinations)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment stands above the file, whose values come in as arguments."""
        return env_settings, init_settings


def load(path: Path | None = None, **overrides: Any) -> Settings:
    """The settings of `path` (none: the defaults) with the environment and the command line's `overrides` on top.

    `overrides` are values of [server]; None means not given. Raises ConfigurationError with one sentence.
    """
    document = _read(path) if path is not None else {}
    _refuse_unknown_environment()
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        settings = Settings(**document)
        if given:
            settings = settings.model_copy(
                update={"server": Server.model_validate({**settings.server.model_dump(), **given})}
            )
    except pydantic.ValidationError as error:
        name = path.name if path else "the configuration"
        raise errors.ConfigurationError(f"In {name}{_fault(error)}.") from None
    _refuse_open_door(settings)
    return settings


def _fault(error: pydantic.ValidationError) -> str:
    """The first fault, after its place in the file."""
    first = error.errors(include_url=False, include_input=False)[0]
    section, *rest = [str(part) for part in first["loc"]] or [""]
    if section == "models" and len(rest) > 1:  # behind the name stands which engine was tried
        rest.pop(1)
    if first["type"] == "union_tag_not_found":
        said = "engine is missing: llama or openai"
    elif first["type"] == "union_tag_invalid":
        said = "engine must be llama or openai"
    else:
        said = first["msg"].removeprefix("Value error, ")
    where = ".".join((section, *rest))
    return f", {where}: {said}" if where else f": {said}"


def _refuse_unknown_environment() -> None:
    """A variable that names no section would be a setting that nobody reads."""
    prefix = "FHIR_GATEWAY_"
    for name in os.environ:
        section = name.removeprefix(prefix).split("__")[0].lower()
        if name.startswith(prefix) and section not in (*Settings.model_fields, *_NOT_SETTINGS):
            raise errors.ConfigurationError(f"The environment variable {name} names no section of the configuration.")


#: Variables with our prefix that only the test suite reads.
_NOT_SETTINGS = ("test_postgres",)


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise errors.ConfigurationError(f"{path} cannot be read: {error.strerror}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise errors.ConfigurationError(f"{path} is not TOML: {error}.") from None


def _refuse_open_door(settings: Settings) -> None:
    if settings.security is None and not is_loopback(settings.server.host):
        raise errors.ConfigurationError(
            f"Without a [security] section the gateway listens on loopback only, not on {settings.server.host}."
        )


def is_loopback(host: str) -> bool:
    """Whether a name or an address is this machine's own."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def read_secret(path: Path) -> str:
    """A secret's file without the white space around it; ConfigurationError when it cannot be read or is empty."""
    try:
        secret = path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError):
        raise errors.ConfigurationError(f"The secret file {path} cannot be read.") from None
    if not secret:
        raise errors.ConfigurationError(f"The secret file {path} is empty.")
    return secret
