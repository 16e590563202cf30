"""The word of a rollout, the processes that read it, and under which word a decision was made."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "words",
        sa.Column("service", sa.Text(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("incarnation", sa.Text(), nullable=False),
        sa.Column("rollout", sa.Text(), nullable=False),
        sa.Column("plan_id", sa.Text(), nullable=False),
        sa.Column("phase", sa.Text(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("exposure", sa.Text()),
        sa.Column("audit_fraction", sa.Double(), nullable=False),
        sa.Column("audit_salt", sa.Text(), nullable=False),
        sa.Column("shadow", sa.Boolean(), nullable=False),
        sa.Column("length", sa.Double()),
        sa.Column("valid_until", sa.Double()),
        sa.Column("txid", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("service", name=op.f("pk_words")),
    )
    op.create_table(
        "processes",
        sa.Column("nonce", sa.Text(), nullable=False),
        sa.Column("service", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("pid", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("started", sa.Double(), nullable=False),
        sa.Column("plan_id", sa.Text(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", sa.Double()),
        sa.Column("beat_at", sa.Double(), nullable=False),
        sa.Column("rows_waiting", sa.BigInteger(), nullable=False),
        sa.Column("left_at", sa.Double()),
        sa.PrimaryKeyConstraint("nonce", name=op.f("pk_processes")),
    )
    op.create_table(
        "irregularities",
        sa.Column("rollout", sa.Text(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("newest", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("rollout", "stage", "kind", name=op.f("pk_irregularities")),
    )
    op.create_index(op.f("ix_processes_service"), "processes", ["service"], unique=False)
    for counted in ("processes", "acknowledged", "fenced", "gone", "not_covered"):
        op.add_column("receipts", sa.Column(counted, sa.Integer()))
    op.add_column("decisions", sa.Column("epoch", sa.BigInteger()))
    op.add_column("decisions", sa.Column("process", sa.Text()))
    op.add_column("decisions", sa.Column("why_fixed", sa.Text()))
