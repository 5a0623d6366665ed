"""The first schema."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_key = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_current = sa.text("is_current")


def upgrade() -> None:
    op.create_table(
        "received",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("channel", sa.String(16), nullable=False),
        sa.Column("target", sa.String(512), nullable=False),
        sa.Column("content_type", sa.String(128), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("status", sa.Integer, nullable=False),
        sa.Column("answer", sa.LargeBinary),
    )
    op.create_index("received_by_content", "received", ["sha256", "target"])
    op.create_index("received_by_time", "received", ["at"])

    op.create_table(
        "resource_version",
        sa.Column("rk", _key, primary_key=True, autoincrement=True),
        sa.Column("type", sa.String(64), nullable=False),
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("is_current", sa.Boolean, nullable=False),
        sa.Column("body", sa.LargeBinary),
        sa.Column("received", sa.String(36)),
        sa.UniqueConstraint("type", "id", "version", name="resource_version_once"),
    )
    op.create_index(
        "resource_current",
        "resource_version",
        ["type", "id"],
        unique=True,
        sqlite_where=_current,
        postgresql_where=_current,
    )
    op.create_index(
        "resource_current_by_time",
        "resource_version",
        ["type", "at", "rk"],
        sqlite_where=_current,
        postgresql_where=_current,
    )

    for name, values in (
        ("index_token", (("system", sa.String(256)), ("code", sa.String(256)))),
        ("index_reference", (("target_type", sa.String(64)), ("target_id", sa.String(256)))),
        ("index_date", (("low", sa.BigInteger()), ("high", sa.BigInteger()))),
        ("index_string", (("value", sa.String(256)),)),
    ):
        columns = [column for column, _type in values]
        op.create_table(
            name,
            sa.Column("rk", sa.BigInteger, nullable=False),
            sa.Column("parameter", sa.String(64), nullable=False),
            *(sa.Column(column, kind, nullable=False) for column, kind in values),
        )
        op.create_index(f"{name}_by_value", name, ["parameter", *columns, "rk"])
        op.create_index(f"{name}_by_resource", name, ["rk", "parameter", *columns])

    op.create_table(
        "run",
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
    )
    op.create_index("run_by_encounter", "run", ["encounter", "number"])
    op.create_index("run_by_status", "run", ["status", "created"])

    op.create_table(
        "stage_output",
        sa.Column("run", sa.String(36), primary_key=True),
        sa.Column("stage", sa.String(16), primary_key=True),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("micros", sa.BigInteger, nullable=False),
        sa.Column("engine", sa.String(128), nullable=False),
    )

    op.create_table(
        "stage_start",
        sa.Column("run", sa.String(36), primary_key=True),
        sa.Column("stage", sa.String(16), primary_key=True),
        sa.Column("starts", sa.Integer, nullable=False),
    )

    op.create_table(
        "delivered",
        sa.Column("target", sa.String(256), primary_key=True),
        sa.Column("reference", sa.String(128), primary_key=True),
        sa.Column("version", sa.String(16), nullable=False),
    )
