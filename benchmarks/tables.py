"""Rows of the tables: what a method costs, and how often it differs from the fixed decision."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.alternatives import Answer
from suffice.stopping.plan import Plan


@dataclass(frozen=True)
class Row:
    """A method over all truths, which count alike: µs a decision, draws, and disagreement with the fixed decision on
    the same draws (over all truths, at the worst, and at the one that is asked about)."""

    method: str
    microseconds: float
    mean_n: float
    saving: float
    disagreement: float
    worst: float
    worst_at: float
    at_null: float
    disagreement_by_truth: tuple[float, ...]
    n_by_truth: tuple[float, ...]


@dataclass(frozen=True)
class Measured:
    """All methods over the same cases; `truths` has one value for each case."""

    size: int
    truths: NDArray[np.float64]
    null: float
    fixed: NDArray[np.bool_]

    def row(self, method: str, seconds_a_case: float, answer: Answer) -> Row:
        accepted, n = answer
        levels = np.unique(self.truths)
        differ = np.array([(accepted != self.fixed)[self.truths == level].mean() for level in levels])
        used = np.array([n[self.truths == level].mean() for level in levels])
        worst = int(differ.argmax())
        return Row(
            method,
            seconds_a_case * 1e6,
            float(used.mean()),
            1 - float(used.mean()) / self.size,
            float(differ.mean()),
            float(differ[worst]),
            float(levels[worst]),
            float(differ[int(np.abs(levels - self.null).argmin())]),
            tuple(differ.tolist()),
            tuple(used.tolist()),
        )


def markdown(rows: list[Row], truth: str, null: str) -> str:
    """The rows as a table."""
    head = ("method", "µs a decision", "mean draws", "saved", "differ", f"worst {truth}", null)
    lines = [" | ".join(head), " | ".join(["---"] + ["---:"] * (len(head) - 1))]
    lines += [" | ".join(_cells(row)) for row in rows]
    return "\n".join(f"| {line} |" for line in lines)


def _cells(row: Row) -> tuple[str, ...]:
    return (
        row.method,
        f"{row.microseconds:.2f}",
        f"{row.mean_n:.1f}",
        f"{100 * row.saving:.1f} %",
        f"{100 * row.disagreement:.2f} %",
        f"{100 * row.worst:.2f} % at {row.worst_at:.3g}",
        f"{100 * row.at_null:.2f} %",
    )


def computed(plans: Mapping[str, Plan]) -> str:
    """A line with the worst cases of the tables, which the sampled ones scatter around."""
    worst = ", ".join(f"{name}: {100 * plan.worst_disagreement:.2f} %" for name, plan in plans.items())
    return f"Worst cases computed for these plans (those of the table are sampled): {worst}."
