"""The stopping plan: an immutable table with its operating characteristics."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from hashlib import sha256
from math import ceil, floor
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any, Literal, get_args

from suffice import strict_json
from suffice.decision.rule import Rule
from suffice.decision.rules import rule_of
from suffice.errors import PlanError, shown
from suffice.files import read_whole, write_atomically
from suffice.stopping.budget import Budget
from suffice.stopping.guard import Guard, guard_of
from suffice.stopping.run import Boundary, Run, boundaries_of, checked

if TYPE_CHECKING:
    from suffice.stopping.operating import Operating

SCHEMA = 1

_ROUNDING = 1e-9

_KINDS: dict[str, tuple[type, ...]] = {
    "n": (int,),
    "method": (str,),
    "guarantee": (str,),
    "worst_disagreement": (int, float),
    "worst_at": (int, float),
    "lower_bound": (int, float, NoneType),
    "guarded": (bool,),
}
"""The plain JSON values of a plan's own fields."""

Guarantee = Literal["exact", "asymptotic", "none"]


@dataclass(frozen=True, repr=False)
class Plan:
    """A table looks → boundaries for one rule and N, with the worst case and the average sample number computed for it.

    `guarantee`: "exact" when the worst case over every truth is at most `max_disagreement` without assumptions on the
    distribution; "asymptotic" when it is for a Brownian motion; "none" when it is above. `worst_at` is the truth where
    the worst case is: successes among N for counts, the effect in standard errors for means. `uniform_asn` is over the
    uniform mix. No plan with these looks and this bound, whose stops decide for the side that the sample is on, has one
    below `lower_bound` (None when the method proves none). A `guarded` plan was made for draws of unknown shape: its
    table keeps more of the bound in reserve, and its runs apply the guard (see `stopping.guard`), whose cost in draws
    `uniform_asn` does not hold.
    """

    rule: Rule
    n: int
    method: str
    guarantee: Guarantee
    max_disagreement: float | dict[str, float]
    boundaries: tuple[Boundary, ...]
    uniform_asn: float
    worst_disagreement: float
    worst_at: float
    lower_bound: float | None
    guarded: bool = False

    def __repr__(self) -> str:
        table = f"N {self.n}, {len(self.boundaries)} looks, ASN {self.uniform_asn:.2f}"
        bound = f"disagreement {self.worst_disagreement:.3g} of at most {self.max_disagreement} ({self.guarantee})"
        return f"<Plan {self.id[:12]} {self.method} for {self.rule}: {table}, {bound}>"

    @property
    def budget(self) -> Budget:
        """The agreed disagreement by direction."""
        return Budget.of(self.max_disagreement)

    @property
    def looks(self) -> tuple[int, ...]:
        return tuple(b.n for b in self.boundaries)

    @cached_property
    def id(self) -> str:
        """SHA-256 over the content."""
        return _hash(self._content())

    @cached_property
    def operating(self) -> "Operating":
        """Computed anew from the table alone."""
        from suffice.stopping.operating import operating

        return operating(self.rule, self.n, self.boundaries)

    def start(self) -> Run:
        """A new ask/tell run."""
        return Run(self.rule, self.n, self.boundaries, self._guard)

    @cached_property
    def _guard(self) -> Guard | None:
        return guard_of(self.rule, self.n, guarded=self.guarded)

    def asn(self, truth: float) -> float:
        """Expected draws at a truth: a probability of success for counts, an effect in standard errors for means."""
        return self.operating.asn(truth)

    def disagreement(self, truth: float) -> float:
        """P(adaptive ≠ baseline) at a truth (see `asn`)."""
        return self.operating.disagreement(truth)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; `id` is the hash of all the others."""
        return {**self._content(), "id": self.id}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "Plan":
        """The plan that `to_dict` described. Raises PlanError when it was edited, is damaged or of another schema."""
        if content.get("schema") != SCHEMA:
            raise PlanError(f"plan schema is {shown(content.get('schema'))}; allowed: {SCHEMA}")
        if content.get("id") != _hash({key: value for key, value in content.items() if key != "id"}):
            raise PlanError("the plan's id is not the hash of its content: it was edited or damaged; make it anew")
        try:
            plan = cls(
                rule=rule_of(content["rule"], content["parameters"]),
                boundaries=boundaries_of(content["boundaries"]),
                uniform_asn=checked("asn", content["asn"], int, float),
                max_disagreement=content["max_disagreement"],
                **{name: checked(name, content[name], *kinds) for name, kinds in _KINDS.items()},
            )
            if plan.guarantee not in get_args(Guarantee):
                raise ValueError(f"guarantee: {shown(plan.guarantee)}")
            plan.budget  # noqa: B018 (raises what is wrong with it)
            plan.rule.check_n(plan.n)
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
            raise PlanError(f"the plan lacks or garbles {error}") from error
        if plan.id != content["id"]:
            raise PlanError("the plan holds something else than its table; make it anew")
        plan._check_count()
        return plan

    def _check_count(self) -> None:
        """Earlier versions took at_least·N in decimal arithmetic. At shares like 5/6, whose double is written a little
        above them, that asks for one success more: such a table is for another decision."""
        written = self.rule.parameters
        if self.rule.name == "proportion":
            before = ceil(Fraction(str(written["at_least"])) * self.n)
        elif self.rule.name == "monte_carlo_p":
            before = self.n + 1 - floor(Fraction(str(written["alpha"])) * (self.n + 1))
        else:
            return
        now = int(self.rule.critical(self.n))
        if before != now and self.operating.worst()[0] > self.worst_disagreement + _ROUNDING:
            made = f"the plan was made for {before} of {self.n} by an earlier version"
            raise PlanError(f"{made}, and its rule asks for {now}; make it anew")

    def save(self, path: str | Path) -> None:
        """Write the plan as JSON. Raises OutputError."""
        write_atomically(Path(path), json.dumps(self.to_dict(), indent=2) + "\n")

    @classmethod
    def load(cls, path: str | Path) -> "Plan":
        """Read a saved plan. Raises PlanError when it cannot be read, is no plan, or was edited."""
        try:
            content = strict_json.loads(read_whole(Path(path)))
        except (OSError, ValueError) as error:
            raise PlanError(f"{path}: cannot be read as a plan: {error}") from error
        if not isinstance(content, dict):
            raise PlanError(f"{path}: a plan is a JSON object, found {type(content).__name__}")
        try:
            return cls.from_dict(content)
        except PlanError as error:
            raise PlanError(f"{path}: {error}") from error

    def _content(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "rule": self.rule.name,
            "parameters": dict(self.rule.parameters),
            "n": self.n,
            "method": self.method,
            "guarantee": self.guarantee,
            "max_disagreement": self.max_disagreement,
            "looks": list(self.looks),
            "boundaries": [{"n": b.n, "reject_at": b.reject_at, "accept_at": b.accept_at} for b in self.boundaries],
            "asn": self.uniform_asn,
            "worst_disagreement": self.worst_disagreement,
            "worst_at": self.worst_at,
            "lower_bound": self.lower_bound,
            "guarded": self.guarded,
        }


def _hash(content: Mapping[str, Any]) -> str:
    return sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
