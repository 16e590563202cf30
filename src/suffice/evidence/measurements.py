"""What the ledger says of one stage: its counts, each of which may be unknown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from math import isfinite
from typing import Any, Self, TypeAlias

from suffice.errors import MissingDataError
from suffice.evidence.expected import Expected
from suffice.evidence.saving import Saving

Measured: TypeAlias = float | None
"""A count or a duration as it was measured; None when it was not. What comes from files may also be NaN or negative."""


@dataclass(slots=True)
class Slice:
    """The audits of a stage whose cases have something in common: the `number`-th value to appear there (from 1) of the
    region, or of the `family`-th text feature (from 1; 0 is the region).

    Of its `audits`, in the order of the ledger, those at `disagreed_at` (from 1, the latest ones) disagree.
    """

    number: int
    audits: int = 0
    disagreements: int = 0
    disagreed_at: list[int] = field(default_factory=list)
    family: int = 0

    @property
    def rarer(self) -> int:
        """How much rarer its alarms must be than one alone, so that those of all regions come as rarely as one, and
        those of all features, too: the shares 1 / j(j + 1) sum to 1."""
        return self.number * (self.number + 1) * (self.family * (self.family + 1) if self.family else 1)


@dataclass(frozen=True, slots=True)
class EarlierStage:
    """The audits of another stage of the rollout, those that reached the ledger after it had passed among them.

    Of the `watched` ones, in the order of the ledger, those at `disagreed_at` (from 1, the latest ones) disagree.
    """

    audits: Measured = None
    disagreements: Measured = None
    watched: Measured = None
    disagreed_at: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class Evidence:
    """One stage as it was measured, up to now; None is "not measured", which no gate takes for zero.

    Counts have the ledger's names and meaning: `adaptive` decisions are in force, `stopped` ones (in force or in the
    shadow) took `stopping_draws` up to their stopping times where the baseline takes `fixed_draws`; `reductions` counts
    them by the share 1 − draws / N that each saved (see `reduced`), and `saving` is what that came to. `audits` are the
    audited decisions but for those that are INVALID on both paths; one that reached N by itself is an audit that
    agrees, one that was decided where the baseline is INVALID differs. Audits of decisions in force added
    `audit_draws`.

    `fallbacks` are adaptive decisions that the fixed arm had to take over; `failures` counts their messages. Of
    `audited_targets`, on which the storm policy was replayed in both worlds, `excess` ones escalate only adaptively and
    `spared` ones only in the baseline.
    `adaptive_targets` and `fixed_targets` are the targets (as the flag knows them) of the stage's regions that each arm
    has decided about.
    `recomputed` decisions were decided again in a fresh process, and `differing` of them came out otherwise, the first
    of them that with the key `first_differing`; `not_recomputed` says why the newest could not be. `age` is
    how long ago production showed that it lives, and `silence` how long there was no decision (since the stage began,
    if there was none), in seconds. `plans` counts the decisions by the plan that made them.

    Of the `watched` audits, in the order of the ledger, those at `disagreed_at` (from 1, the latest ones) disagree.
    `slices` are these audits by what their cases have in common ("region eu"), and they are of so many `targets`;
    `expected` has the first of each target, where the plan says how likely it was to disagree.
    `earlier` has the audits of the stages before this one, by their names.
    All stages of the rollout up to now have `rollout_audits`; of those that are the `first_audits` of their targets
    `first_disagreements` disagree.
    `shadow_decisions`, of which `shadow_invalid` were INVALID, are those of the rollout's shadow stage, if it had one.

    Of the `processes` at work, so many are `disabled` or have a `foreign` plan; `rows_waiting` rows are in their
    spools, on the way to the ledger. `ineligible` decisions are about cases that are never adaptive, or unfit.

    `recent` has the counts in `RECENT` of about the last hour: those of the whole stage hide what has just begun.

    Beside the rows there are decisions without one: `reused` had the keys of earlier decisions, `refused` are those
    whose rows were refused or lost, the newest `refused_age` seconds ago (None: there is none). `unfinished` audits had
    their adaptive decision when their sampler raised: what the baseline decides nobody knows.
    """

    decisions: Measured = None
    adaptive: Measured = None
    invalid: Measured = None
    audits: Measured = None
    disagreements: Measured = None
    stopped: Measured = None
    stopping_draws: Measured = None
    fixed_draws: Measured = None
    reductions: Mapping[str, Measured] | None = None
    saving: Saving = field(default_factory=Saving)
    audit_draws: Measured = None
    fallbacks: Measured = None
    audited_targets: Measured = None
    excess: Measured = None
    spared: Measured = None
    adaptive_targets: Measured = None
    fixed_targets: Measured = None
    recomputed: Measured = None
    differing: Measured = None
    first_differing: str | None = None
    not_recomputed: str | None = None
    age: Measured = None
    silence: Measured = None
    plans: Mapping[str, int] | None = None
    watched: Measured = 0
    disagreed_at: Sequence[int] = ()
    slices: Mapping[str, Slice] = field(default_factory=dict)
    expected: Expected | None = None
    earlier: Mapping[str, EarlierStage] = field(default_factory=dict)
    failures: Mapping[str, int] = field(default_factory=dict)
    targets: Measured = 0
    rollout_audits: Measured = None
    first_audits: Measured = None
    first_disagreements: Measured = None
    shadow_decisions: Measured = 0
    shadow_invalid: Measured = 0
    reused: Measured = 0
    refused: Measured = 0
    refused_age: Measured = None
    ineligible: Measured = 0
    unfinished: Measured = 0
    processes: Measured = 0
    disabled: Measured = 0
    foreign: Measured = 0
    rows_waiting: Measured = 0
    recent: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of_plain(cls, plain: Mapping[str, Any]) -> Self:
        """The evidence that these plain JSON values describe, of this version or of an earlier one."""
        known = {one.name: plain[one.name] for one in fields(cls) if one.name in plain}
        slices = {name: Slice(**part) for name, part in plain.get("slices", {}).items()}
        saving, expected = Saving(**plain.get("saving", {})), plain.get("expected", {})
        known["earlier"] = {name: EarlierStage(**stage) for name, stage in plain.get("earlier", {}).items()}
        known |= {"slices": slices, "saving": saving, "expected": None if expected is None else Expected(**expected)}
        return cls(**known)

    def counts(self, *names: str) -> tuple[int, ...]:
        """These counts. Raises MissingDataError when one is missing or no count at all."""
        return tuple(_count(name, getattr(self, name)) for name in names)

    def lately(self, *names: str) -> tuple[int, ...]:
        """How many of these counts came lately, 0 where that was not measured."""
        return tuple(_count(f"recent {name}", self.recent.get(name, 0)) for name in names)

    def since(self, before: "Evidence | None") -> Self:
        """This evidence, with what came since `before` as `recent`: all of it when there was nothing before.

        What either did not measure is left out.
        """
        counts = {name: (getattr(self, name), getattr(before, name) if before else 0) for name in RECENT}
        grown = {name: int(now - then) for name, (now, then) in counts.items() if now is not None and then is not None}
        return replace(self, recent=grown)

    def expectation(self) -> Expected:
        """The audits whose chance to disagree the plan says. Raises MissingDataError when that was not measured."""
        if self.expected is None:
            raise MissingDataError(_sentence("expected", None, ""))
        return self.expected

    def seconds(self, name: str) -> float:
        """This duration. Raises MissingDataError when it is missing, negative, NaN or infinite."""
        value = getattr(self, name)
        if value is None or not isfinite(value) or value < 0:
            raise MissingDataError(_sentence(name, value, "at least 0 seconds"))
        return float(value)

    def reduced(self) -> dict[float, int]:
        """How many decisions saved which share of their N draws, rounded down to one of `REDUCTIONS` steps.

        Those that a version before this one counted are not among them. Raises MissingDataError when they are missing,
        or one is no count or of no such share.
        """
        if self.reductions is None:
            raise MissingDataError(_sentence("reductions", None, ""))
        shares = dict[float, int]()
        for step, decisions in self.reductions.items():
            demand(step.isascii() and step.isdigit() and int(step) <= REDUCTIONS, f"a reduction of step {step!r}")
            shares[int(step) / REDUCTIONS] = _count("reductions", decisions)
        return shares

    def decisions_by_plan(self) -> dict[str, int]:
        """How many decisions each plan made. Raises MissingDataError when it is missing, or one is no count at all."""
        if self.plans is None:
            raise MissingDataError(_sentence("plans", None, ""))
        return {plan: _count("plans", decisions) for plan, decisions in self.plans.items()}


RECENT = ("decisions", "adaptive", "invalid", "audits", "ineligible", "reused")
"""The counts of which what came lately is kept apart."""

REDUCTIONS = 10_000
"""Steps of the shares that decisions save: what is kept of a stage stays small, however different its decisions."""

NOTHING_MEASURED = Evidence()
"""What there is when the source of the numbers does not answer."""


def demand(possible: bool, sentence: str) -> None:  # noqa: FBT001
    """Raise MissingDataError with this sentence unless the counts are possible together."""
    if not possible:
        raise MissingDataError(f"impossible counts: {sentence}")


def _count(name: str, value: Measured) -> int:
    if value is None or not isfinite(value) or value < 0 or value != int(value):
        raise MissingDataError(_sentence(name, value, "a whole number, at least 0"))
    return int(value)


def _sentence(name: str, value: Measured, allowed: str) -> str:
    words = name.replace("_", " ")
    return f"{words}: not measured" if value is None else f"{words}: measured as {value}; allowed: {allowed}"
