"""Alembic's entry: the connection comes from `database.migrate`."""

from __future__ import annotations

from alembic import context

from fhir_gateway.store import schema

context.configure(connection=context.config.attributes["connection"], target_metadata=schema.metadata)
with context.begin_transaction():
    context.run_migrations()
