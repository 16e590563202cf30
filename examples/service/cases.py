"""What the service asks: does a dam hold in at least 80 % of the floods that are simulated?"""

from numpy.random import Generator

from suffice import Case


class Floods:
    """The sampler: of each simulated flood, whether the water stays below the crest."""

    def __init__(self, crest: float, river: float) -> None:
        self.crest, self.river = crest, river

    def __call__(self, rng: Generator, n: int) -> list[bool]:
        return [self.river * rng.gumbel(1.0, 0.3) < self.crest for _ in range(n)]


def build(*, key: str, target: str, region: str | None, features: dict[str, float]) -> Case:
    """A case, for the service and for whoever checks its decisions: all that the draws depend on is in the features."""
    return Case(key, target, Floods(features["crest"], features["river"]), region, features=features)
