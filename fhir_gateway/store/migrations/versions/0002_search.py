"""Search parameters by number, quantities and composites, conditional creates, subscriptions.

The index tables are made again from the registry: `search_index.make_again` fills them at the next start.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_key = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.String(256).with_variant(sa.String(256, collation="C"), "postgresql"), nullable=False)


def _number(name: str) -> sa.Column[float]:
    return sa.Column(name, sa.Double, nullable=False)


def _moment(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=False)


def upgrade() -> None:
    for name in ("index_token", "index_reference", "index_date", "index_string"):
        op.drop_table(name)
    for name, by, columns in (
        ("index_token", "code system", (_text("system"), _text("code"))),
        ("index_reference", "target_id target_type", (_text("target_type"), _text("target_id"))),
        ("index_date", "low high", (_moment("low"), _moment("high"))),
        ("index_string", "value written", (_text("value"), _text("written"))),
        (
            "index_quantity",
            "low high code",
            (_text("system"), _text("code"), _text("unit"), _number("low"), _number("high")),
        ),
        (
            "index_composite",
            "code value_code low high",
            (_text("system"), _text("code"), _text("value_system"), _text("value_code"), _number("low"),
             _number("high")),
        ),
    ):  # fmt: skip
        names = [column.name for column in columns]
        op.create_table(
            name,
            sa.Column("rk", sa.BigInteger, nullable=False),
            sa.Column("parameter", sa.BigInteger, nullable=False),
            *columns,
            sa.PrimaryKeyConstraint("rk", "parameter", *names, name=f"{name}_by_resource"),
            sqlite_with_rowid=False,
        )
        op.create_index(f"{name}_by_value", name, ["parameter", *by.split(), "rk"])
    op.add_column("resource_version", sa.Column("method", sa.String(8), nullable=False, server_default="PUT"))
    op.add_column("resource_version", sa.Column("created", sa.Boolean, nullable=False, server_default=sa.false()))
    op.execute("UPDATE resource_version SET created = (version = 1)")
    op.create_table("index_state", sa.Column("registry", sa.BigInteger, primary_key=True))
    op.create_table(
        "conditional_create",
        sa.Column("type", sa.String(64), primary_key=True),
        sa.Column("criteria", sa.String(64), primary_key=True),
        sa.Column("id", sa.String(64), nullable=False),
    )
    op.create_table(
        "notification",
        sa.Column("number", _key, primary_key=True, autoincrement=True),
        sa.Column("subscription", sa.String(64), nullable=False),
        sa.Column("type", sa.String(64), nullable=False),
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
    )
    op.create_index("notification_by_subscription", "notification", ["subscription", "number"])
    op.drop_index("resource_current", "resource_version")
    op.drop_index("resource_current_by_time", "resource_version")
    op.create_index("resource_by_time", "resource_version", ["type", "at", "rk"])
    op.drop_index("received_by_content", "received")
    answered = sa.text("answer IS NOT NULL")
    op.create_index(
        "received_by_content", "received", ["sha256", "target"], sqlite_where=answered, postgresql_where=answered
    )
    if op.get_bind().dialect.name == "sqlite":
        _steer()


#: What SQLite's planner is told of a large store (https://www.sqlite.org/fileformat2.html#stat1tab): rows, then rows
#: for each further column of the index. Without it a probe of one resource reads the index by value, end to end.
_STATISTICS = {
    ("index_token", "index_token"): "4000000 8 1 1 1",
    ("index_token", "index_token_by_value"): "4000000 40000 2000 1500 1",
    ("index_reference", "index_reference"): "2000000 4 1 1 1",
    ("index_reference", "index_reference_by_value"): "2000000 40000 40 40 1",
    ("index_date", "index_date"): "1000000 2 1 1 1",
    ("index_date", "index_date_by_value"): "1000000 40000 40 20 1",
    ("index_string", "index_string"): "1000000 3 1 1 1",
    ("index_string", "index_string_by_value"): "1000000 40000 100 100 1",
    ("index_quantity", "index_quantity"): "1000000 2 1 1 1 1 1",
    ("index_quantity", "index_quantity_by_value"): "1000000 40000 400 400 400 1",
    ("index_composite", "index_composite"): "1000000 3 1 1 1 1 1 1",
    ("index_composite", "index_composite_by_value"): "1000000 40000 2000 400 100 100 1",
    ("resource_version", "resource_by_time"): "1000000 40000 1 1",
    ("resource_version", "sqlite_autoindex_resource_version_1"): "1000000 40000 2 1",
}


def _steer() -> None:
    op.execute("ANALYZE sqlite_schema")  # makes the table of the statistics
    op.execute("DELETE FROM sqlite_stat1")
    for (table, index), text in _STATISTICS.items():
        op.execute(
            sa.text("INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES (:table, :index, :text)").bindparams(
                table=table, index=index, text=text
            )
        )
