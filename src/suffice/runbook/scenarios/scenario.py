"""What a scenario declares."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import product

from suffice.runbook.scenarios.setting import Check, Params, Setting, Setup, Value
from suffice.runbook.scenarios.worlds import Worlds


@dataclass(frozen=True, slots=True)
class Scenario:
    """A declared, parametrised case: what it models, what must hold, its grid of parameters, and both as functions.

    `near_normal` says whether the differences of its draws are normal or nearly so, and in exchangeable order: the
    assumption under which a mean rule's plan is guaranteed. `exchangeable` alone is the assumption of count rules.
    """

    id: str
    models: str
    expectation: str
    grid: Mapping[str, tuple[Value, ...]]
    setup: Callable[[Params, Setting], Setup]
    expect: Callable[[Worlds, Params], Iterable[Check]]
    near_normal: bool = True
    exchangeable: Callable[[Params], bool] = lambda _: True

    def cells(self, grid: Mapping[str, tuple[Value, ...]] | None = None) -> list[dict[str, Value]]:
        """Every combination of the parameters' values, the last parameter running fastest."""
        used = self.grid if grid is None else {**self.grid, **grid}
        return [dict(zip(used, values, strict=True)) for values in product(*used.values())]
