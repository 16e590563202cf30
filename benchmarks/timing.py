"""Times that can be divided by each other."""

from collections.abc import Callable, Mapping
from time import perf_counter


def least_seconds(work: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """The least time of each over several rounds, in which they take turns: whatever else the machine does meets all of
    them alike."""
    least = dict.fromkeys(work, float("inf"))
    for _ in range(rounds):
        for name, do in work.items():
            start = perf_counter()
            do()
            least[name] = min(least[name], perf_counter() - start)
    return least
