"""What draws cost, why the adaptive path failed, what cases and audits looked like, and which targets were audited."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("decisions", sa.Column("drawn", sa.Integer()))
    op.add_column("decisions", sa.Column("draw_seconds", sa.Double()))
    op.add_column("decisions", sa.Column("cost", sa.Double()))
    op.add_column("decisions", sa.Column("failure", sa.Text()))
    op.add_column("decisions", sa.Column("features", sa.Text()))
    op.add_column("decisions", sa.Column("baseline_statistic", sa.Double()))
    op.add_column("decisions", sa.Column("halves", sa.Double()))
    op.create_table(
        "rollup_audited",
        sa.Column("rollout", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("rollout", "target", "stage", name=op.f("pk_rollup_audited")),
        sqlite_with_rowid=False,
    )
