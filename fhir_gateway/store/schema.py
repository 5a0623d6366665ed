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
    sa.Index(
        "received_by_content",
        "sha256",
        "target",
        sqlite_where=sa.text("answer IS NOT NULL"),
        postgresql_where=sa.text("answer IS NOT NULL"),
    ),
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
    sa.Column("method", sa.String(8), nullable=False, server_default="PUT"),
    sa.Column("created", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.UniqueConstraint("type", "id", "version", name="resource_version_once"),
    sa.Index("resource_by_time", "type", "at", "rk"),
)


def _index_table(name: str, by: str, *values: sa.Column[str] | sa.Column[int] | sa.Column[float]) -> sa.Table:
    """An index table of current resources: `by` its values for searching, and by resource for probing and replacing."""
    return sa.Table(
        name,
        metadata,
        sa.Column("rk", sa.BigInteger, nullable=False),
        sa.Column("parameter", sa.BigInteger, nullable=False),
        *values,
        sa.PrimaryKeyConstraint("rk", "parameter", *(value.name for value in values), name=f"{name}_by_resource"),
        sa.Index(f"{name}_by_value", "parameter", *by.split(), "rk"),
        sqlite_with_rowid=False,
    )


def _text(name: str) -> sa.Column[str]:
    """Text that sorts and compares by its code points, in every database."""
    return sa.Column(name, sa.String(256).with_variant(sa.String(256, collation="C"), "postgresql"), nullable=False)


index_token = _index_table("index_token", "code system", _text("system"), _text("code"))
index_reference = _index_table("index_reference", "target_id target_type", _text("target_type"), _text("target_id"))
index_date = _index_table(
    "index_date",
    "low high",
    sa.Column("low", sa.BigInteger, nullable=False),
    sa.Column("high", sa.BigInteger, nullable=False),
)
index_string = _index_table("index_string", "value written", _text("value"), _text("written"))
index_quantity = _index_table(
    "index_quantity",
    "low high code",
    _text("system"),
    _text("code"),
    _text("unit"),
    sa.Column("low", sa.Double, nullable=False),
    sa.Column("high", sa.Double, nullable=False),
)
#: A code and the value beside it: (system, code) of the first component, what the second one is compared with after it.
index_composite = _index_table(
    "index_composite",
    "code value_code low high",
    _text("system"),
    _text("code"),
    _text("value_system"),
    _text("value_code"),
    sa.Column("low", sa.Double, nullable=False),
    sa.Column("high", sa.Double, nullable=False),
)

INDEX_TABLES = (index_token, index_reference, index_date, index_string, index_quantity, index_composite)

#: One row: the checksum of the table of search parameters that the index was made with.
index_state = sa.Table("index_state", metadata, sa.Column("registry", sa.BigInteger, primary_key=True))

#: What a conditional create asked for, once: the unique key that makes one resource of many requests at a time.
conditional_create = sa.Table(
    "conditional_create",
    metadata,
    sa.Column("type", sa.String(64), primary_key=True),
    sa.Column("criteria", sa.String(64), primary_key=True),
    sa.Column("id", sa.String(64), nullable=False),
)

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

#: What a Subscription has still to be told, in the order of the commits. A row goes when it is delivered.
notification = sa.Table(
    "notification",
    metadata,
    sa.Column("number", _key, primary_key=True, autoincrement=True),
    sa.Column("subscription", sa.String(64), nullable=False),
    sa.Column("type", sa.String(64), nullable=False),
    sa.Column("id", sa.String(64), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Index("notification_by_subscription", "subscription", "number"),
)

#: Every HL7 v2 message, in the order of arrival; its bytes stand in `received` under the same id. `identity` is the
#: digest of MSH-3, MSH-4 and MSH-10, once; None for a message that was refused.
message = sa.Table(
    "message",
    metadata,
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
    sa.Column("is_counted", sa.Boolean, nullable=False, server_default=sa.false()),  # in the table not_mapped
    sa.Column("reason", sa.String(512)),
    sa.Index("message_by_state", "state", "number"),
    sa.Index("message_by_encounter", "encounter", "number"),
)

#: Which resource an identifier of a message means, or what else a rule file finds it by, as a digest.
message_identity = sa.Table(
    "message_identity",
    metadata,
    sa.Column("type", sa.String(64), primary_key=True),
    sa.Column("digest", sa.String(64), primary_key=True),
    sa.Column("id", sa.String(64), nullable=False),
)

#: When the newest message that said something of an element was made: what an older one says does not go over it.
message_age = sa.Table(
    "message_age",
    metadata,
    sa.Column("type", sa.String(64), primary_key=True),
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("element", sa.String(64), primary_key=True),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("number", sa.BigInteger, nullable=False),  # of the message, which tells two of the same second apart
)

#: What the messages said of an encounter's whereabouts: all of it, so that the order of arrival changes nothing.
movement = sa.Table(
    "movement",
    metadata,
    sa.Column("message", sa.String(36), primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True),
    sa.Column("encounter", sa.String(64), nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Index("movement_by_encounter", "encounter"),
)

#: Fields with a value that no rule took, by sender: how often, and when first and last. Never the value.
not_mapped = sa.Table(
    "not_mapped",
    metadata,
    sa.Column("site", sa.String(64), primary_key=True),
    sa.Column("event", sa.String(16), primary_key=True),
    sa.Column("field", sa.String(32), primary_key=True),
    sa.Column("messages", sa.BigInteger, nullable=False),
    sa.Column("first", sa.BigInteger, nullable=False),
    sa.Column("last", sa.BigInteger, nullable=False),
)

#: HL7 v2 messages of ours on their way to a destination, in the order in which they were made.
outgoing = sa.Table(
    "outgoing",
    metadata,
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
    sa.Column("told", sa.LargeBinary, nullable=False),  # the versions that its receiver has with it, as JSON
    sa.Column("answer", sa.LargeBinary),
    sa.Column("reason", sa.String(512)),
    sa.Index("outgoing_by_state", "destination", "state", "number"),
)
