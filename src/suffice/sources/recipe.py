"""What a case can be made of again in another process or at another time, as plain JSON values."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from suffice.errors import DataError, shown
from suffice.sampling.recorded import Recorded
from suffice.sources.built import Builder
from suffice.sources.correction import Correction, Estimate
from suffice.verifier.case import Case, Features

if TYPE_CHECKING:
    from suffice.sources.recorded import Unusable

Recipe: TypeAlias = Mapping[str, Any]
"""`record` and `measurement` of a correction; or the `draws` of a recorded case, to be taken in the `given_order` or in
a permutation; or what the service's builder is `given`: key, target, region and features."""


@dataclass(frozen=True, slots=True)
class Described:
    """A case that is not made yet: what it is about, what it is made of, and by whom where only the service can."""

    key: str
    target: str
    region: str | None
    recipe: Recipe
    builder: Builder | None = None

    def case(self) -> Case:
        """The case, made anew each time: a sampler may hold state. Raises DataError when it cannot be made."""
        return replace(case_of(self.recipe, self.key, self.target, self.builder), region=self.region)


def of_correction(correction: Correction) -> Recipe:
    """What the case of a correction is made of again."""
    return {"record": asdict(correction.record), "measurement": asdict(correction.measurement)}


def of_recorded(recorded: Recorded) -> Recipe:
    """What a case is made of again whose draws were recorded."""
    return {"draws": recorded.values.tolist(), "given_order": recorded.given_order}


def with_draws(cases: "Iterable[Case | Unusable]", n: int) -> Iterator[tuple[Case, Recorded]]:
    """The recorded cases that have n draws or more, each with its draws."""
    for case in cases:
        if isinstance(case, Case) and isinstance(case.sampler, Recorded) and len(case.sampler.values) >= n:
            yield case, case.sampler


def of_built(key: str, target: str, region: str | None, features: Features) -> Recipe:
    """What the service's builder builds a case from."""
    return {"given": {"key": key, "target": target, "region": region, "features": dict(features)}}


def recipe_in(plain: Mapping[str, Any]) -> Recipe:
    """The recipe in a line that holds more. Raises DataError, KeyError, TypeError or ValueError when there is none."""
    if "given" in plain:
        given = plain["given"]
        kinds = {"key": (str,), "target": (str,), "region": (str, type(None)), "features": (dict,)}
        if given.keys() != kinds.keys() or any(type(given[name]) not in kind for name, kind in kinds.items()):
            raise TypeError(f"given is {shown(given)}")
        return {"given": given}
    recipe = {
        name: plain[name] for name in (("draws", "given_order") if "draws" in plain else ("record", "measurement"))
    }
    case_of(recipe, "", "", None)
    return recipe


def case_of(recipe: Recipe, key: str, target: str, builder: Builder | None) -> Case:
    """The case with this key, and so with its stream. Raises DataError when it cannot be made; KeyError, TypeError or
    ValueError for what is no recipe."""
    if "record" in recipe:
        return Correction(key, target, Estimate(**recipe["record"]), Estimate(**recipe["measurement"])).case()
    if "draws" in recipe:
        draws = np.array(recipe["draws"])
        if draws.dtype.kind not in "if":
            raise TypeError(f"draws are {shown(recipe['draws'])}")
        if type(recipe["given_order"]) is not bool:
            raise TypeError(f"given_order is {shown(recipe['given_order'])}")
        return Case(key, target, Recorded(draws.astype(np.float64), recipe["given_order"]))
    if builder is None:
        raise DataError("only the service can build its cases: verifier.cases is null; allowed: its function")
    # In a rehearsal the same case arrives again under other keys.
    return replace(builder.case(**recipe["given"]), key=key, target=target)
