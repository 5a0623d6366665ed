"""`fhir-gateway check models`: whether the models can be loaded and fit, and whether the servers keep to a schema."""

from __future__ import annotations

import asyncio

from fhir_gateway import settings
from pipeline.engines import base, memory_fit, options


def text(config: settings.Settings) -> tuple[str, bool]:
    """The arithmetic of the files, a line for each server, and whether every model can be used."""
    if not config.models:
        return "No model is configured: the rules engine serves every stage.", True
    try:
        fits = memory_fit.of(config.models)
    except base.NotUsable as error:
        return str(error), False
    servers = {name: model for name, model in config.models.items() if isinstance(model, options.OpenAI)}
    lines = [memory_fit.table(fits)] if fits else []
    good = all(fit.fits for fit in fits)
    for fit in fits:
        fault = asyncio.run(_fault(fit))
        lines += [fault] if fault else []
        good = good and not fault
    for name, model in servers.items():
        line, has_passed = asyncio.run(_server(name, model))
        lines.append(line)
        good = good and has_passed
    lines += [f"{name} serves no stage." for name in config.models if name not in config.stages.models]
    return "\n".join(lines), good


async def _fault(fit: memory_fit.Fit) -> str:
    """Why a model could not be loaded although it fits, or nothing."""
    from pipeline.engines.llama import engine, weights

    try:
        engine.require_extra(fit.name)
        if fit.needs is not None:  # else its file cannot be read, as the table says
            await weights.verify(fit.name, fit.options.file, fit.options.sha256)
    except base.NotUsable as error:
        return str(error)
    return ""


async def _server(name: str, model: options.OpenAI) -> tuple[str, bool]:
    """What a server is and whether it passed the canary."""
    from pipeline.engines.openai import engine

    try:
        report = await engine.probe(name, model)
    except base.NotUsable as error:
        return str(error), False
    told = [report.server, report.build, report.model and f"model {report.model}"]
    told += [f"context {report.context}" if report.context else None, f"{report.slots} slots" if report.slots else None]
    told += [report.form and f"asked by {report.form}", report.thoughts and f"thoughts in {report.thoughts}"]
    known = ", ".join(part for part in told if part and part != "unknown")
    return f"{name}  {model.url}  {report.state}: {report.reason}{f' ({known})' if known else ''}", report.has_passed
