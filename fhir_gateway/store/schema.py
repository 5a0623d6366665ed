"""The tables. Times are microseconds since 1970 (UTC) as integers: both databases sort and compare them alike."""

from __future__ import annotations

import sqlalchemy as sa

metadata = sa.MetaData()

_key = sa.BigInteger().with_variant(sa.Integer, "sqlite")

#: Every request that wanted to write, byte for byte, with the answer it got. Rejected ones too.
received = sa.Table(
    "received",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("channel", sa.String(16), nullable=False),
    sa.Column("target", sa.String(512), nullable=False),
    sa.Column("content_type", sa.String(128), nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("status", sa.Integer, nullable=False),
    sa.Column("answer", sa.LargeBinary),
    sa.Index("received_by_content", "sha256", "target"),
    sa.Index("received_by_time", "at"),
)

#: Every version of every resource. `body` is None where the version is a deletion.
resource_version = sa.Table(
    "resource_version",
    metadata,
    sa.Column("rk", _key, primary_key=True, autoincrement=True),
    sa.Column("type", sa.String(64), nullable=False),
    sa.Column("id", sa.String(64), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("is_current", sa.Boolean, nullable=False),
    sa.Column("body", sa.LargeBinary),
    sa.Column("received", sa.String(36)),
    sa.UniqueConstraint("type", "id", "version", name="resource_version_once"),
    sa.Index(
        "resource_current",
        "type",
        "id",
        unique=True,
        sqlite_where=sa.text("is_current"),
        postgresql_where=sa.text("is_current"),
    ),
    sa.Index(
        "resource_current_by_time",
        "type",
        "at",
        "rk",
        sqlite_where=sa.text("is_current"),
        postgresql_where=sa.text("is_current"),
    ),
)


def _index_table(name: str, *values: sa.Column[str] | sa.Column[int]) -> sa.Table:
    """An index table of current resources: by value for searching, and by resource for probing and replacing."""
    columns = [value.name for value in values]
    return sa.Table(
        name,
        metadata,
        sa.Column("rk", sa.BigInteger, nullable=False),
        sa.Column("parameter", sa.String(64), nullable=False),
        *values,
        sa.Index(f"{name}_by_value", "parameter", *columns, "rk"),
        sa.Index(f"{name}_by_resource", "rk", "parameter", *columns),
    )


index_token = _index_table(
    "index_token",
    sa.Column("system", sa.String(256), nullable=False),
    sa.Column("code", sa.String(256), nullable=False),
)
index_reference = _index_table(
    "index_reference",
    sa.Column("target_type", sa.String(64), nullable=False),
    sa.Column("target_id", sa.String(256), nullable=False),
)
index_date = _index_table(
    "index_date",
    sa.Column("low", sa.BigInteger, nullable=False),
    sa.Column("high", sa.BigInteger, nullable=False),
)
index_string = _index_table("index_string", sa.Column("value", sa.String(256), nullable=False))

INDEX_TABLES = (index_token, index_reference, index_date, index_string)

#: One row a run. The Task resource with the same id tells the world; this row is what the service itself decides on.
run = sa.Table(
    "run",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("number", sa.BigInteger, nullable=False),
    sa.Column("encounter", sa.String(64), nullable=False),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("stage", sa.String(16)),
    sa.Column("workflow", sa.String(64)),
    sa.Column("sources", sa.LargeBinary, nullable=False),
    sa.Column("reason", sa.String(512)),
    sa.Column("created", sa.BigInteger, nullable=False),
    sa.Column("updated", sa.BigInteger, nullable=False),
    sa.Index("run_by_encounter", "encounter", "number"),
    sa.Index("run_by_status", "status", "created"),
)

#: What a finished stage said, as JSON. Written once; a replay deletes the rows of the stages that run again.
stage_output = sa.Table(
    "stage_output",
    metadata,
    sa.Column("run", sa.String(36), primary_key=True),
    sa.Column("stage", sa.String(16), primary_key=True),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("micros", sa.BigInteger, nullable=False),
    sa.Column("engine", sa.String(128), nullable=False),
)

#: How often a stage was begun and neither finished nor failed: its process ended under it.
stage_start = sa.Table(
    "stage_start",
    metadata,
    sa.Column("run", sa.String(36), primary_key=True),
    sa.Column("stage", sa.String(16), primary_key=True),
    sa.Column("starts", sa.Integer, nullable=False),
)

#: The version of each resource that a record system already has.
delivered = sa.Table(
    "delivered",
    metadata,
    sa.Column("target", sa.String(256), primary_key=True),
    sa.Column("reference", sa.String(128), primary_key=True),
    sa.Column("version", sa.String(16), nullable=False),
)
