"""A disagreeing decision of a triage bundle, decided again."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from types import NoneType
from typing import Any

from suffice import strict_json
from suffice.decision.rule import Rule
from suffice.errors import DataError, shown
from suffice.files import read_whole
from suffice.serving.served import Feed
from suffice.sources.built import Builder
from suffice.sources.recipe import Recipe, case_of, of_recorded, recipe_in, with_draws
from suffice.sources.recorded import Unusable
from suffice.stopping.plan import Plan
from suffice.stopping.run import Run
from suffice.triage.bundle import DISAGREEMENTS
from suffice.triage.frozen import plan_in
from suffice.triage.manifest import check
from suffice.verifier.case import Case
from suffice.verifier.loop import observations

LEDGER = "ledger.jsonl"


def reproduce(
    bundle: Path,
    key: str | None = None,
    *,
    builder: Callable[[], Builder | None] = lambda: None,
    recorded: Callable[[Rule], Iterable[Case | Unusable]] | None = None,
    feed_of: Callable[[str], Feed | None] = lambda _: None,
) -> dict[str, Any]:
    """Both paths of a decision, look by look, as plain JSON values; `key` None takes the first that disagreed.

    `builder` gives the service's own, where only that can build its cases; which code runs is never up to the bundle.
    `recorded` gives the cases of draws that the service recorded, and then a decision is taken that is among them.
    `feed_of` a fault's name is what a rehearsal with that fault made of the draws. Raises DataError when the bundle was
    changed, has no such decision, or not the plan that made it, or when its case cannot be built.
    """
    check(bundle)
    asked = _asked(bundle, key) if recorded is None else _recorded(bundle, key, recorded)
    plan = plan_in(bundle, asked.plan_id)
    feed = feed_of(asked.fault) if asked.fault else None
    case = case_of(asked.recipe, asked.key, asked.target, builder() if "given" in asked.recipe else None)
    observed = observations(case, plan.rule, plan.n, asked.seed)
    baseline, adaptive = Run(plan.rule, plan.n, ()), plan.start()
    fed: list[float] = []
    while adaptive.open:
        more = observed[adaptive.n : adaptive.n + adaptive.need]
        fed += feed(more) if feed else more
        adaptive.observe(fed[adaptive.n :])
    baseline.observe(observed)
    looks = [
        {
            "n": n,
            "baseline": _statistic(plan, observed[:n]),
            "adaptive": _statistic(plan, fed[:n]) if n <= adaptive.n else None,
        }
        for n in (*(look for look in plan.looks if look <= adaptive.n), plan.n)
    ]
    return {
        "key": asked.key,
        "seed": asked.seed,
        "fault": asked.fault,
        "baseline": baseline.verdict.decision.value,
        "baseline_n": baseline.verdict.n,
        "adaptive": adaptive.verdict.decision.value,
        "adaptive_n": adaptive.verdict.n,
        "differs": baseline.verdict.decision is not adaptive.verdict.decision,
        "looks": looks,
    }


def _statistic(plan: Plan, observed: list[float]) -> float | None:
    tally = plan.rule.tally()
    if not tally.add(observed):
        return None
    return tally.statistic if isfinite(tally.statistic) else None


@dataclass(frozen=True, slots=True)
class _Asked:
    """A disagreeing decision, with all that is needed to decide it again."""

    key: str
    target: str
    recipe: Recipe
    seed: int
    plan_id: str
    fault: str | None


def _asked(bundle: Path, key: str | None) -> _Asked:
    path = bundle / DISAGREEMENTS
    try:
        lines = read_whole(path).splitlines()
    except OSError as error:
        raise DataError(f"{bundle}: is no triage bundle with decisions: {error.strerror or error}") from error
    for line, text in enumerate(lines, start=1):
        try:
            asked = _read(strict_json.loads(text))
        except (AttributeError, DataError, KeyError, OverflowError, TypeError, ValueError) as error:
            raise DataError(f"{path}, line {line}: lacks or garbles {' '.join(str(error).split())[:200]}") from error
        if key is None or asked.key == key:
            return asked
    if not lines and _none_differs(bundle):
        raise DataError(f"{bundle}: no audited decision of the stage differs from the baseline")
    if key is None:
        raise DataError(
            f"{bundle}: has no disagreeing decision that can be decided again; that needs the service's own function "
            "(verifier.cases), draws that it recorded (--samples), a rollout that was started with --source, or "
            "decisions of suffice resolve"
        )
    raise DataError(f"{bundle}: has no disagreeing decision {key}; it holds {len(lines)}")


def _recorded(bundle: Path, key: str | None, recorded: Callable[[Rule], Iterable[Case | Unusable]]) -> _Asked:
    """The first recorded case that a disagreeing decision of the bundle was about, with its draws."""
    plan = Plan.load(bundle / "plan.json")
    rows = {row["key"]: row for row in _ledger(bundle) if row["agrees"] is False and key in (None, row["key"])}
    for case, draws in with_draws(recorded(plan.rule), plan.n):
        if case.key in rows:
            try:
                return _read({**rows[case.key], **of_recorded(draws), "fault": None})
            except (DataError, KeyError, TypeError, ValueError) as error:
                raise _garbled(bundle / LEDGER, error) from error
    which = f"disagreeing decision {key}" if key else f"any of {len(rows)} disagreeing decisions"
    raise DataError(f"{bundle}: --samples has no case of {which} with the {plan.n} draws of a fixed one")


def _ledger(bundle: Path) -> list[dict[str, Any]]:
    """The rows of a bundle. Raises DataError for a file that holds none."""
    path = bundle / LEDGER
    try:
        rows = [strict_json.loads(line) for line in read_whole(path).decode().splitlines()]
        for row in rows:
            row["key"], row["agrees"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _garbled(path, error) from error
    return rows


def _garbled(path: Path, error: Exception) -> DataError:
    return DataError(f"{path}: lacks or garbles {' '.join(str(error).split())[:200]}")


def _none_differs(bundle: Path) -> bool:
    """Whether no audited decision of a bundle differs from the baseline; False where that cannot be told."""
    try:
        return all(row["agrees"] is not False for row in _ledger(bundle))
    except DataError:
        return False


def _read(plain: Mapping[str, Any]) -> _Asked:
    kinds = {"key": (str,), "target": (str,), "seed": (int,), "plan_id": (str,), "fault": (str, NoneType)}
    for name, allowed in kinds.items():
        if type(plain[name]) not in allowed:
            raise TypeError(f"{name} is {shown(plain[name])}")
    return _Asked(**{name: plain[name] for name in kinds}, recipe=recipe_in(plain))
