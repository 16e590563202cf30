"""The tables. A change here needs a migration; a test compares the two."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)

HEAD = "0005"
"""The newest migration; a store that is at it is opened without importing Alembic."""

# Written as in a query: an index over some rows only serves queries that repeat its condition word for word.
ADAPTIVE_PATH = text("NOT invalid AND (shadow OR arm = 'adaptive')")
"""Decisions that the adaptive path took part in."""

DISAGREEING = text("audited AND NOT agrees")
"""Audited decisions that the baseline would have made otherwise."""

AUDITS = text("audited AND agrees IS NOT NULL")
"""Decisions that hold both decisions to compare: `DecisionRow.is_audit`."""

CHOSE_ADAPTIVE = text("(arm = 'adaptive' OR reason = 'FALLBACK')")
"""Decisions for which the adaptive arm was chosen, also where it failed: `DecisionRow.is_adaptive` or `fell_back`."""

ASKED_WORD = text("(why_fixed IS NULL OR why_fixed IN ('EXPOSURE', 'FALLBACK'))")
"""Decisions whose arm a live word chose, in an enabled process with its plan; and those of versions without words."""

# SQLite counts up by itself only in columns of type INTEGER.
Serial = BigInteger().with_variant(Integer, "sqlite")

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    }
)

store_meta = Table("store_meta", metadata, Column("key", Text, primary_key=True), Column("value", Text, nullable=False))

records = Table(
    "records",
    metadata,
    Column("target", Text, primary_key=True),
    Column("value", Double, nullable=False),
    Column("u_plus", Double, nullable=False),
    Column("u_minus", Double, nullable=False),
    Column("context", Text),
    Column("time", Text, nullable=False),
    Column("derived_from", Text),
    Column("version", Integer, nullable=False),
    Column("status", Text, nullable=False),
    Column("consecutive_rollbacks", Integer, nullable=False),
)

record_versions = Table(
    "record_versions",
    metadata,
    Column("target", Text, ForeignKey("records.target"), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("value", Double, nullable=False),
    Column("u_plus", Double, nullable=False),
    Column("u_minus", Double, nullable=False),
    Column("context", Text),
    Column("time", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("correction_key", Text),
)

resolutions = Table(
    "resolutions",
    metadata,
    Column("correction_key", Text, primary_key=True),
    Column("target", Text, ForeignKey("records.target"), nullable=False, index=True),
    Column("outcome", Text, nullable=False),
    Column("kind", Text),
    Column("strategy", Text),
    Column("decision", Text),
    Column("n", Integer),
    Column("fixed_n", Integer),
    Column("arm", Text),
    Column("reason", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("at", Double, nullable=False),
)

provenance = Table(
    "provenance",
    metadata,
    Column("seq", Serial, primary_key=True, autoincrement=False),
    Column("at", Double, nullable=False),
    Column("target", Text, nullable=False, index=True),
    Column("correction_key", Text, index=True),
    Column("event", Text, nullable=False),
    Column("payload", Text, nullable=False),
    Column("prev_hash", Text, nullable=False),
    Column("hash", Text, nullable=False),
)

decisions = Table(
    "decisions",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("rollout", Text, nullable=False),
    Column("stage", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("region", Text),
    Column("arm", Text, nullable=False),
    Column("audited", Boolean, nullable=False),
    Column("shadow", Boolean, nullable=False),
    Column("decision", Text, nullable=False),
    Column("n", Integer, nullable=False),
    Column("fixed_n", Integer, nullable=False),
    Column("estimate", Double),
    Column("reason", Text, nullable=False),
    Column("baseline_decision", Text),
    Column("baseline_n", Integer),
    Column("adaptive_decision", Text),
    Column("adaptive_n", Integer),
    Column("agrees", Boolean),
    Column("guarded", Boolean),
    Column("invalid", Boolean, nullable=False),
    Column("seed", BigInteger, nullable=False),
    Column("plan_id", Text, nullable=False),
    Column("at", Double, nullable=False),
    Column("epoch", BigInteger),
    Column("process", Text),
    Column("why_fixed", Text),
    Column("drawn", Integer),
    Column("draw_seconds", Double),
    Column("cost", Double),
    Column("failure", Text),
    Column("features", Text),
    Column("baseline_statistic", Double),
    Column("halves", Double),
    UniqueConstraint("rollout", "key"),
    Index(None, "rollout", "stage"),
    Index(
        "ix_decisions_adaptive_path",
        "rollout",
        "stage",
        "id",
        sqlite_where=ADAPTIVE_PATH,
        postgresql_where=ADAPTIVE_PATH,
    ),
    Index(
        "ix_decisions_disagreeing",
        "rollout",
        "stage",
        "id",
        sqlite_where=DISAGREEING,
        postgresql_where=DISAGREEING,
    ),
)

rollups = Table(
    "rollups",
    metadata,
    Column("rollout", Text, primary_key=True),
    Column("rule", Text, nullable=False),
    Column("last", BigInteger, nullable=False),
    Column("counts", Text, nullable=False),
)

rollup_targets = Table(
    "rollup_targets",
    metadata,
    Column("rollout", Text, primary_key=True),
    Column("stage", Text, primary_key=True),
    Column("region", Text, primary_key=True),
    Column("target", Text, primary_key=True),
    Column("adaptive", Boolean, nullable=False),
    sqlite_with_rowid=False,
)

rollup_storms = Table(
    "rollup_storms",
    metadata,
    Column("rollout", Text, primary_key=True),
    Column("stage", Text, primary_key=True),
    Column("scope", Text, primary_key=True),
    Column("adaptive_rollbacks", Integer, nullable=False),
    Column("adaptive_review", Boolean, nullable=False),
    Column("baseline_rollbacks", Integer, nullable=False),
    Column("baseline_review", Boolean, nullable=False),
    sqlite_with_rowid=False,
)

rollup_audited = Table(
    "rollup_audited",
    metadata,
    Column("rollout", Text, primary_key=True),
    Column("target", Text, primary_key=True),
    Column("stage", Text, primary_key=True),
    sqlite_with_rowid=False,
)

irregularities = Table(
    "irregularities",
    metadata,
    Column("rollout", Text, primary_key=True),
    Column("stage", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("count", BigInteger, nullable=False),
    Column("newest", Double, nullable=False),
)

rollouts = Table(
    "rollouts",
    metadata,
    Column("id", Text, primary_key=True),
    Column("service", Text, nullable=False, index=True),
    Column("version", Integer, nullable=False),
    Column("phase", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("config", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
)

words = Table(
    "words",
    metadata,
    Column("service", Text, primary_key=True),
    Column("epoch", BigInteger, nullable=False),
    Column("incarnation", Text, nullable=False),
    Column("rollout", Text, nullable=False),
    Column("plan_id", Text, nullable=False),
    Column("phase", Text, nullable=False),
    Column("stage", Text, nullable=False),
    Column("exposure", Text),
    Column("audit_fraction", Double, nullable=False),
    Column("audit_salt", Text, nullable=False),
    Column("shadow", Boolean, nullable=False),
    Column("length", Double),
    Column("valid_until", Double),
    Column("txid", Text, nullable=False),
)

processes = Table(
    "processes",
    metadata,
    Column("nonce", Text, primary_key=True),
    Column("service", Text, nullable=False, index=True),
    Column("host", Text, nullable=False),
    Column("pid", BigInteger, nullable=False),
    Column("version", Text, nullable=False),
    Column("started", Double, nullable=False),
    Column("plan_id", Text, nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("seen_at", Double),
    Column("beat_at", Double, nullable=False),
    Column("rows_waiting", BigInteger, nullable=False),
    Column("left_at", Double),
)

journal = Table(
    "audit_events",
    metadata,
    Column("seq", Serial, primary_key=True, autoincrement=False),
    Column("rollout", Text, nullable=False, index=True),
    Column("at", Double, nullable=False),
    Column("who", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("numbers", Text, nullable=False),
    Column("prev_hash", Text, nullable=False),
    Column("hash", Text, nullable=False),
)

outbox = Table(
    "outbox",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("rollout", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("payload", Text, nullable=False),
    Column("idempotency_key", Text, nullable=False, unique=True),
    Column("attempts", Integer, nullable=False),
    Column("next_at", Double, nullable=False),
    Column("done_at", Double),
)

leases = Table(
    "leases",
    metadata,
    Column("name", Text, primary_key=True),
    Column("holder", Text, nullable=False),
    Column("token", Integer, nullable=False),
    Column("beat", Integer, nullable=False),
    Column("at", Double, nullable=False),
)

receipts = Table(
    "receipts",
    metadata,
    Column("rollout", Text, primary_key=True),
    Column("at", Double, nullable=False),
    Column("asked", Integer, nullable=False),
    Column("fixed", Integer, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("seconds", Double, nullable=False),
    Column("processes", Integer),
    Column("acknowledged", Integer),
    Column("fenced", Integer),
    Column("gone", Integer),
    Column("not_covered", Integer),
)

triage_items = Table(
    "triage_items",
    metadata,
    Column("id", Text, primary_key=True),
    Column("service", Text, nullable=False),
    Column("stage", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("bundle", Text, nullable=False),
    Column("opened_at", Double, nullable=False),
    Column("closed_at", Double),
    Column("closed_by", Text),
    Column("note", Text),
)
