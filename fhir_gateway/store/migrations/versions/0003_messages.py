"""HL7 v2 messages, what they said of movements, what was not mapped, and messages of ours on their way."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_key = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "message",
        sa.Column("number", _key, primary_key=True, autoincrement=True),
        sa.Column("id", sa.String(36), nullable=False, unique=True),
        sa.Column("identity", sa.String(64), unique=True),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("site", sa.String(64), nullable=False),
        sa.Column("event", sa.String(16), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("answer", sa.LargeBinary),
        sa.Column("peer", sa.LargeBinary, nullable=False),
        sa.Column("encounter", sa.String(64)),
        sa.Column("faults", sa.Integer, nullable=False, server_default="0"),
        sa.Column("not_mapped", sa.Integer, nullable=False, server_default="0"),
        sa.Column("is_counted", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("reason", sa.String(512)),
    )
    op.create_index("message_by_state", "message", ["state", "number"])
    op.create_index("message_by_encounter", "message", ["encounter", "number"])
    op.create_table(
        "message_identity",
        sa.Column("type", sa.String(64), primary_key=True),
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("id", sa.String(64), nullable=False),
    )
    op.create_table(
        "message_age",
        sa.Column("type", sa.String(64), primary_key=True),
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("element", sa.String(64), primary_key=True),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "movement",
        sa.Column("message", sa.String(36), primary_key=True),
        sa.Column("position", sa.Integer, primary_key=True),
        sa.Column("encounter", sa.String(64), nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_index("movement_by_encounter", "movement", ["encounter"])
    op.create_table(
        "not_mapped",
        sa.Column("site", sa.String(64), primary_key=True),
        sa.Column("event", sa.String(16), primary_key=True),
        sa.Column("field", sa.String(32), primary_key=True),
        sa.Column("messages", sa.BigInteger, nullable=False),
        sa.Column("first", sa.BigInteger, nullable=False),
        sa.Column("last", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "outgoing",
        sa.Column("number", _key, primary_key=True, autoincrement=True),
        sa.Column("control", sa.String(36), nullable=False, unique=True),
        sa.Column("destination", sa.String(64), nullable=False),
        sa.Column("patient", sa.String(64), nullable=False),
        sa.Column("encounter", sa.String(64), nullable=False),
        sa.Column("event", sa.String(16), nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
        sa.Column("due", sa.BigInteger, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("told", sa.LargeBinary, nullable=False),
        sa.Column("answer", sa.LargeBinary),
        sa.Column("reason", sa.String(512)),
    )
    op.create_index("outgoing_by_state", "outgoing", ["destination", "state", "number"])


def downgrade() -> None:
    for table in (
        "outgoing",
        "not_mapped",
        "movement",
        "message_age",
        "message_identity",
        "message",
    ):
        op.drop_table(table)
