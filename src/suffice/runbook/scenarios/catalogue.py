"""All scenarios, by id."""

from collections.abc import Iterable

from suffice.errors import DataError
from suffice.runbook.scenarios.boundary import BOUNDARY_EFFECT
from suffice.runbook.scenarios.context import CONTEXT_SWAP
from suffice.runbook.scenarios.invalid import NON_FINITE_DRAWS
from suffice.runbook.scenarios.negative_gain import COUNTERFACTUAL_NEGATIVE_GAIN
from suffice.runbook.scenarios.noise import SMALL_NOISE, ZERO_VARIANCE
from suffice.runbook.scenarios.order import DRIFTING_DRAWS, FRONT_LOADED_DRAWS
from suffice.runbook.scenarios.outlier import LARGE_OUTLIER
from suffice.runbook.scenarios.poisoned import POISONED_SOURCE
from suffice.runbook.scenarios.scenario import Scenario
from suffice.runbook.scenarios.storm import ROLLBACK_STORM
from suffice.runbook.scenarios.tails import HEAVY_TAIL

SCENARIOS: tuple[Scenario, ...] = (
    SMALL_NOISE,
    LARGE_OUTLIER,
    CONTEXT_SWAP,
    POISONED_SOURCE,
    ROLLBACK_STORM,
    BOUNDARY_EFFECT,
    HEAVY_TAIL,
    DRIFTING_DRAWS,
    FRONT_LOADED_DRAWS,
    ZERO_VARIANCE,
    NON_FINITE_DRAWS,
    COUNTERFACTUAL_NEGATIVE_GAIN,
)


def named(ids: Iterable[str]) -> tuple[Scenario, ...]:
    """The scenarios of these ids, in the catalogue's order. Raises DataError for one that is not known."""
    wanted = list(ids)
    known = [scenario.id for scenario in SCENARIOS]
    for name in wanted:
        if name not in known:
            raise DataError(f"scenario is {name!r}; allowed: {', '.join(known)}")
    return tuple(scenario for scenario in SCENARIOS if scenario.id in wanted)
