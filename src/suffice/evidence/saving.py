"""What draws cost, and what of it was saved: in the caller's own unit, and in seconds of the sampler."""

from dataclasses import dataclass

from suffice.store.decision_row import DecisionRow
from suffice.terminal import duration


@dataclass(slots=True)
class Saving:
    """Sums over decisions that stopped adaptively, each over those where it is known what a draw costs, or takes.

    `cost` and `seconds` are what N draws each come to. Of that so much was `saved`: nothing where an audit went on to
    N; in the shadow it is what would be.
    """

    cost: float = 0.0
    cost_saved: float = 0.0
    seconds: float = 0.0
    seconds_saved: float = 0.0

    def count(self, row: DecisionRow, times: int) -> None:
        """Add so many decisions like this one."""
        draws = row.stopping_draws
        if draws is None:
            return
        left = 0 if row.audited and row.is_adaptive else row.fixed_n - draws
        if row.cost is not None:
            self.cost += times * row.cost * row.fixed_n
            self.cost_saved += times * row.cost * left
        if row.draw_seconds is not None and row.drawn:
            each = row.draw_seconds / row.drawn
            self.seconds += times * each * row.fixed_n
            self.seconds_saved += times * each * left

    def words(self, unit: str) -> str:
        """Like "12.3 of 40.1 (USD) and 3 h 12 min of drawing"; "" where nothing is known, or less than a second."""
        cost = f"{_number(self.cost_saved)} of {_number(self.cost)} ({unit})" if self.cost else ""
        time = f"{duration(self.seconds_saved)} of drawing" if self.seconds >= 1 else ""
        return " and ".join(filter(None, (cost, time)))


def _number(cost: float) -> str:
    return f"{cost:,.0f}" if cost >= 100 else f"{cost:.3g}"
