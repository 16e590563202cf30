"""Roll-ups of the ledger, and indexes for what each cycle asks."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "rollups",
        sa.Column("rollout", sa.Text(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.Column("counts", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("rollout", name=op.f("pk_rollups")),
    )
    op.create_table(
        "rollup_targets",
        sa.Column("rollout", sa.Text(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("region", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("adaptive", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("rollout", "stage", "region", "target", name=op.f("pk_rollup_targets")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "rollup_storms",
        sa.Column("rollout", sa.Text(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("adaptive_rollbacks", sa.Integer(), nullable=False),
        sa.Column("adaptive_review", sa.Boolean(), nullable=False),
        sa.Column("baseline_rollbacks", sa.Integer(), nullable=False),
        sa.Column("baseline_review", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("rollout", "stage", "scope", name=op.f("pk_rollup_storms")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_provenance_correction_key"), "provenance", ["correction_key"], unique=False)
    for name, condition in (
        ("ix_decisions_adaptive_path", "NOT invalid AND (shadow OR arm = 'adaptive')"),
        ("ix_decisions_disagreeing", "audited AND NOT agrees"),
    ):
        op.create_index(
            name,
            "decisions",
            ["rollout", "stage", "id"],
            unique=False,
            sqlite_where=sa.text(condition),
            postgresql_where=sa.text(condition),
        )
