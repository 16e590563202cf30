"""What became of a rehearsal's arrivals, counted in its store: also of those that a killed process resolved."""

from dataclasses import replace

from sqlalchemy import func, select

from suffice.resolution.resolve import Summary
from suffice.store.database import Store
from suffice.store.ledger import Ledger
from suffice.store.records import Status
from suffice.store.schema import records, resolutions


def resolved(store: Store) -> Summary:
    """The summary of all corrections in the store; none of them is counted as `already` or `reused`."""
    c = resolutions.c
    query = select(c.outcome, func.count(), func.sum(c.n), func.sum(c.fixed_n)).group_by(c.outcome)
    review = select(func.count()).where(records.c.status == Status.NEEDS_REVIEW.value)
    with store.read() as connection:
        rows = connection.execute(query).all()
        escalations = connection.execute(review).scalar_one()
    return Summary(
        corrections=sum(count for _, count, _, _ in rows),
        escalations=escalations,
        draws=sum(n or 0 for _, _, n, _ in rows),
        fixed_draws=sum(n or 0 for _, _, _, n in rows),
        **{outcome: count for outcome, count, _, _ in rows},
    )


def decided(ledger: Ledger, rollout: str) -> Summary:
    """The summary where cases arrived, which are only decided."""
    summary = Summary()
    for row in ledger.each_row(rollout):
        draws, fixed_draws = summary.draws + row.n, summary.fixed_draws + row.fixed_n
        summary = replace(summary, corrections=summary.corrections + 1, draws=draws, fixed_draws=fixed_draws)
    return summary
