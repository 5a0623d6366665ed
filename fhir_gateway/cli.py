"""The command line: one noun a command. Bad input ends with exit code 2 and one sentence."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

import typer

import fhir_gateway
from fhir_gateway import errors, settings
from pipeline.engines import options

Config = Annotated[Path | None, typer.Option("--config", help="Configuration file (gateway.toml).")]
Data = Annotated[Path | None, typer.Option("--data", help="Folder of the database.")]

application = typer.Typer(
    no_args_is_help=True, add_completion=False, help=fhir_gateway.__doc__, pretty_exceptions_enable=False
)
checks = typer.Typer()
application.add_typer(checks, name="check")
evaluation = typer.Typer(
    invoke_without_command=True, help="Measure the stages on consultations with gold annotations, and compare models."
)
application.add_typer(evaluation, name="evaluate")
runs = typer.Typer(no_args_is_help=True, help="Runs: what was worked on, how it ended, and working on it again.")
application.add_typer(runs, name="runs")

messages = typer.Typer(no_args_is_help=True, help="HL7 v2 messages: what came, how it was mapped, and what goes out.")
application.add_typer(messages, name="messages")
maps = typer.Typer(no_args_is_help=True, help="The mapping of HL7 v2 to FHIR: explained, and tested.")
application.add_typer(maps, name="map")

catalogues = typer.Typer(
    no_args_is_help=True, help="ICD-10-GM: its years, its codes, and importing what BfArM publishes."
)
application.add_typer(catalogues, name="terminology")

Day = Annotated[str | None, typer.Option("--date", help="Day of the encounter, YYYY-MM-DD; default: today.")]

Sites = Annotated[Path | None, typer.Option("--sites", help="Folder of site files; default: hl7v2.sites.")]


def main() -> None:
    """The entry point of `fhir-gateway`."""
    try:
        application()
    except errors.GatewayError as error:
        typer.echo(error.message, err=True)
        sys.exit(2)


@application.command()
def version() -> None:
    """Print the version."""
    typer.echo(fhir_gateway.__version__)


@application.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port of the FHIR endpoint; 0 takes a free one.")] = None,
    mllp_port: Annotated[int | None, typer.Option(help="Port of the HL7 v2 listener; 0 takes a free one.")] = None,
    role: Annotated[str | None, typer.Option(help="all, or api for the FHIR endpoint alone.")] = None,
    data: Data = None,
    config: Config = None,
) -> None:
    """Run the gateway until it is told to stop (SIGTERM, SIGINT)."""
    from fhir_gateway import server

    sys.exit(server.serve(_settings(config, host=host, port=port, mllp_port=mllp_port, role=role, data=data)))


@checks.callback(invoke_without_command=True)
def check(context: typer.Context, config: Config = None, data: Data = None) -> None:
    """Read the configuration as `serve` would, and say what it means."""
    if context.invoked_subcommand is not None:
        return
    import msgspec

    from fhir_gateway import app

    found = _settings(config, data=data)
    secrets = (
        *(model.key_file for model in found.models.values() if isinstance(model, options.OpenAI)),
        found.database.password_file,
        found.ehr.token_file if found.ehr else None,
        found.security.token_file if found.security else None,
    )
    for secret in secrets:
        if secret is not None:
            settings.read_secret(secret)
    app.check(found)
    shown = found.model_dump_json(exclude={"database": {"url"}, "ehr": {"headers"}})
    typer.echo(msgspec.json.format(shown.encode()).decode())


@checks.command("models")
def check_models(config: Config = None) -> None:
    """Whether the configured models fit into memory, and whether the servers keep to a schema."""
    from fhir_gateway import model_check

    told, is_good = model_check.text(_settings(config))
    typer.echo(told)
    if not is_good:
        sys.exit(2)


@application.command()
def demo(
    case: Annotated[str, typer.Option("--case", help="Name of a bundled consultation.")] = "polytrauma",
    keep: Annotated[bool, typer.Option("--keep", help="Leave the gateway running until Ctrl-C.")] = False,
    json: Annotated[Path | None, typer.Option("--json", help="Write the resources to this file.")] = None,
) -> None:
    """Send one bundled consultation through a real gateway over HTTP and print what comes back."""
    from fhir_gateway.demo import show

    sys.exit(show.run(case, keep=keep, json_file=json))


@evaluation.callback()
def evaluate(
    context: typer.Context,
    cases: Annotated[Path | None, typer.Option("--cases", help="Folder of cases; default: the bundled ones.")] = None,
    details: Annotated[bool, typer.Option("--details", help="Name every missed fact and every fabrication.")] = False,
    catalogue: Annotated[
        Path | None, typer.Option("--catalogue", help="Published file of ICD-10-GM: measure the codes by it too.")
    ] = None,
    models: Annotated[
        Path | None, typer.Option("--models", help="Configuration whose models are measured, one after another.")
    ] = None,
    stages: Annotated[
        str | None, typer.Option("--stages", help="Of scribe,summarise,code,check,bill; default: all.")
    ] = None,
    repeat: Annotated[
        int | None, typer.Option("--repeat", min=1, help="How often each is asked; default: once.")
    ] = None,
    concurrency: Annotated[
        str | None, typer.Option("--concurrency", help="Consultations at once, e.g. 1,3,8; default: 1.")
    ] = None,
    judge: Annotated[
        str | None, typer.Option("--judge", help="Model that is asked for a second opinion on every statement.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="File of the measurement; default: evaluation-DATE.jsonl.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a file that was broken off.")] = False,
    keep_texts: Annotated[
        bool, typer.Option("--keep-texts", help="Keep statements in the file: a patient's, if the cases are real.")
    ] = False,
) -> None:
    """Measure the rules engine, or with --models every model of a configuration."""
    if context.invoked_subcommand is not None:
        return
    from rich.console import Console

    from fhir_gateway import evaluation_command

    wanted = evaluation_command.Wanted(models, cases, stages, repeat, concurrency, judge, out, resume, keep_texts)
    if not wanted.is_measurement:
        typer.echo(evaluation_command.table(cases, details=details, catalogue=catalogue))
        return
    if details or catalogue is not None:
        option = "--details" if details else "--catalogue"
        raise errors.ConfigurationError(f"{option} belongs to the table of the rules engine, without --models.")
    sys.exit(evaluation_command.measure(wanted, Console()))


@evaluation.command("compare")
def compare_measurements(
    files: Annotated[list[Path], typer.Argument(help="Files of measurements.")],
    html: Annotated[
        Path | None, typer.Option("--html", help="Write the comparison as a page that stands alone.")
    ] = None,
) -> None:
    """Show measurements side by side, and which models to disqualify and why."""
    from rich.console import Console

    from fhir_gateway import evaluation_command

    evaluation_command.compare(files, html, Console())


@runs.command("list")
def list_runs(
    state: Annotated[str | None, typer.Option(help="Only runs in this state, e.g. failed.")] = None,
    limit: Annotated[int, typer.Option(help="How many at most.")] = 50,
    config: Config = None,
    data: Data = None,
) -> None:
    """The newest runs, one a line."""
    from fhir_gateway.runs import inspection

    for line in inspection.lines(_settings(config, data=data), state, limit):
        typer.echo(line)


@runs.command("show")
def show_run(run: str, config: Config = None, data: Data = None) -> None:
    """One run: its state, its stages with their times, and the reason when it failed."""
    from fhir_gateway.runs import inspection

    typer.echo(inspection.text(_settings(config, data=data), run))


@runs.command("replay")
def replay_run(
    run: Annotated[str | None, typer.Argument(help="Id of the run; with --shadow default: the newest.")] = None,
    from_stage: Annotated[
        str | None, typer.Option("--from", help="First stage that is done again. Default: gather.")
    ] = None,
    shadow: Annotated[
        bool, typer.Option("--shadow", help="Write nothing: show what would be different with --model.")
    ] = False,
    model: Annotated[str, typer.Option("--model", help="With --shadow: a model of the configuration, or rules.")] = "",
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, help="With --shadow: how many of the newest runs. Default: 10.")
    ] = None,
    config: Config = None,
    data: Data = None,
) -> None:
    """Queue a run again from a stage on; a running gateway takes it up at once, else the next one does."""
    found = _settings(config, data=data)
    if shadow:
        from fhir_gateway.runs import shadow as shadows

        if from_stage is not None or (run is not None and limit is not None):
            raise errors.ConfigurationError("--from does not belong to --shadow, and --limit not to one run.")

        for told in shadows.texts(found, run, model, limit or _SHADOWED):
            typer.echo(told)
        return
    from fhir_gateway.runs import inspection

    if run is None or model or limit is not None:
        raise errors.ConfigurationError("Name the run to replay. --model and --limit belong to --shadow.")
    typer.echo(inspection.replay(found, run, from_stage or "gather"))


_SHADOWED = 10  # runs


@messages.command("list")
def list_messages(
    state: Annotated[str | None, typer.Option(help="received, mapped, failed, no-map or refused.")] = None,
    limit: Annotated[int, typer.Option(help="How many at most.")] = 50,
    config: Config = None,
    data: Data = None,
) -> None:
    """The newest messages, one a line."""
    from fhir_gateway.messages import inspection

    for line in inspection.lines(_settings(config, data=data), state, limit):
        typer.echo(line)


@messages.command("show")
def show_message(message: str, config: Config = None, data: Data = None) -> None:
    """One message: its state, where each value goes, and what is odd about its structure."""
    from fhir_gateway.messages import inspection

    typer.echo(inspection.text(_settings(config, data=data), message))


@messages.command("replay")
def replay_messages(
    message: Annotated[list[str] | None, typer.Argument(help="Ids of messages.")] = None,
    state: Annotated[str | None, typer.Option(help="All in this state: failed, no-map or mapped.")] = None,
    config: Config = None,
    data: Data = None,
) -> None:
    """Map messages again, after a fix; a running gateway does it at once, else the next one does."""
    from fhir_gateway.messages import inspection

    typer.echo(inspection.replay(_settings(config, data=data), message or [], state))


@messages.command("not-mapped")
def list_not_mapped(
    site: Annotated[str | None, typer.Option(help="Only this sender.")] = None,
    config: Config = None,
    data: Data = None,
) -> None:
    """Fields that carried a value and were mapped by no rule, by sender and event, the most frequent first."""
    from fhir_gateway.messages import inspection

    for line in inspection.not_mapped(_settings(config, data=data), site):
        typer.echo(line)


@messages.command("outgoing")
def list_outgoing(
    state: Annotated[str | None, typer.Option(help="waiting, sent or dead.")] = None,
    limit: Annotated[int, typer.Option(help="How many at most.")] = 50,
    config: Config = None,
    data: Data = None,
) -> None:
    """Messages of ours and how they fare, one a line."""
    from fhir_gateway.messages import inspection

    for line in inspection.outgoing_lines(_settings(config, data=data), state, limit):
        typer.echo(line)


@messages.command("send-again")
def send_message_again(control: str, config: Config = None, data: Data = None) -> None:
    """Send a dead letter again."""
    from fhir_gateway.messages import inspection

    typer.echo(inspection.send_again(_settings(config, data=data), control))


@maps.command("explain")
def explain_message(
    file: Annotated[Path, typer.Argument(help="A file with an HL7 v2 message, or a batch.")],
    site: Annotated[str | None, typer.Option(help="Name of the sender; default: by MSH-3 and MSH-4.")] = None,
    sites: Sites = None,
    config: Config = None,
) -> None:
    """Each value of a message, and where it goes."""
    from fhir_gateway.messages import inspection

    typer.echo(inspection.explain(file, sites or _settings(config).hl7v2.sites, site))


@maps.command("test")
def test_maps(
    site: Annotated[str | None, typer.Argument(help="Name of the sender; default: all.")] = None,
    sites: Sites = None,
    accept: Annotated[bool, typer.Option("--accept", help="Take what comes out now as what is expected.")] = False,
    config: Config = None,
) -> None:
    """Run the golden messages of a site and show what differs."""
    from fhir_gateway.messages import inspection

    told, is_good = inspection.test(sites or _settings(config).hl7v2.sites, site, accept=accept)
    typer.echo(told)
    if not is_good:
        sys.exit(1)


@catalogues.command("list")
def list_catalogues(config: Config = None, data: Data = None) -> None:
    """The years that there are, how much they hold, and the files that they came from."""
    from fhir_gateway import terminology_command

    for line in terminology_command.listed(_settings(config, data=data).server.data):
        typer.echo(line)


@catalogues.command("show")
def show_code(code: str, date: Day = None, config: Config = None, data: Data = None) -> None:
    """A code: its title and place, where and for whom it may stand, its notes, and the codes below it."""
    from fhir_gateway import terminology_command

    folder = _settings(config, data=data).server.data
    _tell(terminology_command.shown(folder, code, terminology_command.day_of(date)))


@catalogues.command("search")
def search_codes(
    text: str,
    date: Day = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many at most.")] = 20,
    config: Config = None,
    data: Data = None,
) -> None:
    """The codes that a text may mean, the best first."""
    from fhir_gateway import terminology_command

    folder = _settings(config, data=data).server.data
    _tell(terminology_command.found(folder, text, terminology_command.day_of(date), limit))


@catalogues.command("validate")
def validate_code(
    code: str,
    date: Day = None,
    setting: Annotated[Literal["practice", "hospital"], typer.Option(help="Where it is coded.")] = "practice",
    sex: Annotated[Literal["M", "W"] | None, typer.Option(help="The patient's sex.")] = None,
    age: Annotated[str | None, typer.Option(help="Completed years, e.g. 35, or days of life, e.g. 10d.")] = None,
    config: Config = None,
    data: Data = None,
) -> None:
    """Whether a code may stand on a day, and why not; exit code 1 where it may not, 3 where it cannot be said."""
    from fhir_gateway import terminology_command

    told, status = terminology_command.judged(
        _settings(config, data=data).server.data,
        code,
        terminology_command.day_of(date),
        setting,
        sex or "",
        terminology_command.lived(age),
    )
    typer.echo(told)
    if status:
        sys.exit(status)


@catalogues.command("import")
def import_catalogue(
    file: Annotated[Path, typer.Argument(help="Metadata (zip, TXT, CSV), ClaML, FHIR package or Alpha-ID.")],
    year: Annotated[int | None, typer.Option(help="Its year, where the file does not say it.")] = None,
    config: Config = None,
    data: Data = None,
) -> None:
    """Import a published file into the data folder: all of it, or nothing."""
    from rich.console import Console

    from fhir_gateway import terminology_command

    folder = _settings(config, data=data).server.data
    for line in terminology_command.take(folder, file, year, Console(stderr=True)):
        typer.echo(line)


@catalogues.command("remove")
def remove_catalogue(
    year: Annotated[int, typer.Argument(help="The year that was imported.")], config: Config = None, data: Data = None
) -> None:
    """Take out all that was imported of a year."""
    from rich.console import Console

    from fhir_gateway import terminology_command

    folder = _settings(config, data=data).server.data
    for line in terminology_command.removed(folder, year, Console(stderr=True)):
        typer.echo(line)


def _tell(lines: Iterable[str]) -> None:
    """Print lines; where there are none, why, with the exit code that says it."""
    from fhir_gateway import terminology_command

    try:
        for line in lines:
            typer.echo(line)
    except terminology_command.Nothing as nothing:
        typer.echo(nothing.message, err=True)
        sys.exit(nothing.status)


def _settings(config: Path | None, **overrides: object) -> settings.Settings:
    return settings.load(config, **overrides)
