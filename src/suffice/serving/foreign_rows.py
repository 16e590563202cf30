"""Ledger rows of a service in another language, from its draws: what they come to is decided here, by the plan.

The service says what it drew and under which word. Both decisions follow from that, and whether the target is audited
follows from the word; a claim that says otherwise is refused. So a mistake in its executor is seen at its first row.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from math import nan
from types import NoneType
from typing import Any

from suffice import strict_json
from suffice.config import Stage
from suffice.errors import DataError, shown
from suffice.flag.bucketing import audited
from suffice.sampling.draw import as_finite, as_number
from suffice.serving.fence import LEASE_SECONDS
from suffice.serving.ledger_rows import check_storable, is_amount, row_of
from suffice.serving.served import Observed, Served, adaptive_steps, fixed_steps, shadow_steps, taken
from suffice.serving.situation import Salts, Situation
from suffice.stopping.plan import Plan
from suffice.store.decision_row import LARGEST, DecisionRow, WhyFixed, too_long
from suffice.store.processes import LENT
from suffice.store.words import Word
from suffice.verifier.arm import Arm
from suffice.verifier.case import Case

MOST_DRAWN = 2**53

_TEXT, _WHOLE, _NUMBER = ((str,), "a text"), ((int,), "a whole number"), ((int, float), "a number")
_NEEDED: Mapping[str, tuple[tuple[type, ...], str]] = {
    **dict.fromkeys(("key", "target", "arm", "rollout", "stage", "plan_id", "process"), _TEXT),
    **dict.fromkeys(("epoch", "fixed_n"), _WHOLE),
    "at": _NUMBER,
}
_OPTIONAL: Mapping[str, tuple[tuple[type, ...], str]] = {
    **dict.fromkeys(("region", "why_fixed", "failure", "decision"), ((str, NoneType), "a text or null")),
    **dict.fromkeys(("n", "drawn"), ((int, NoneType), "a whole number or null")),
    **dict.fromkeys(("cost", "draw_seconds"), ((int, float, NoneType), "a number or null")),
    **dict.fromkeys(("draws", "counts"), ((list,), "a list")),
    "features": ((dict,), "an object"),
}
_KNOWN = {**_NEEDED, **_OPTIONAL}


@dataclass(frozen=True, slots=True)
class Terms:
    """What a rollout says about the decisions of its service: the plan, and the stages by their names."""

    plan: Plan
    stages: Mapping[str, Stage]


class ForeignRows:
    """Makes ledger rows of lines. `terms_of` gives the terms of a rollout of the service, None for a foreign one.

    `word` is the one that is in the store, `now` the store's time (seconds since the epoch).
    """

    def __init__(self, terms_of: Callable[[str], Terms | None], word: Word | None, now: float) -> None:
        self._terms_of, self._word, self._now = terms_of, word, now

    def row(self, line: bytes) -> DecisionRow:
        """The row that a line describes. Raises DataError, one line, for one that is to be refused."""
        try:
            plain = strict_json.loads(line)
        except ValueError as error:
            raise DataError(strict_json.wrong_with(error)) from error
        values = _checked(plain)
        terms = self._terms_of(values["rollout"])
        if terms is None:
            raise DataError(f"rollout is {shown(values['rollout'])}; allowed: a rollout of this service")
        self._check_word(values, terms)
        case = _case(values)
        stage = terms.stages.get(values["stage"])
        audits = stage is not None and audited(
            case.target, Salts.of(values["rollout"]).audit, float(stage.audit_fraction)
        )
        served = _served(values, terms.plan, audits=audits, shadow=stage is not None and stage.shadow)
        _check_claims(values, served)
        situation = Situation(rollout=values["rollout"], stage=values["stage"])
        return row_of(case, served, situation, terms.plan.id, 0, float(values["at"]), values["process"])

    def _check_word(self, values: Mapping[str, Any], terms: Terms) -> None:
        plan, stages = terms.plan, ("", *terms.stages)
        if values["plan_id"] != plan.id:
            raise DataError(f"plan_id is {shown(values['plan_id'])}; allowed: {plan.id}, the plan of the rollout")
        if values["fixed_n"] != plan.n:
            raise DataError(f"fixed_n is {shown(values['fixed_n'])}; allowed: {plan.n}, the N of the plan")
        if values["stage"] not in stages:
            raise DataError(f"stage is {shown(values['stage'])}; allowed: {', '.join(map(repr, stages))}")
        if not values["process"].startswith(LENT):
            raise DataError(f"process is {shown(values['process'])}; allowed: the one that the word was lent to")
        newest = self._word.epoch if self._word else 0
        if not 1 <= values["epoch"] <= newest:
            raise DataError(f"epoch is {shown(values['epoch'])}; allowed: 1 to {newest}, that of the word in the store")
        if self._word and values["epoch"] == newest:
            for name in ("rollout", "stage"):
                told = getattr(self._word, name)
                if values[name] != told:
                    raise DataError(
                        f"{name} is {shown(values[name])}; allowed: {told!r}, as the word of this epoch says"
                    )
        at = as_finite(values["at"])
        if at is None or not 0 <= at <= self._now + LEASE_SECONDS:
            raise DataError(f"at is {shown(values['at'])}; allowed: seconds since the epoch, not later than now")


def _checked(plain: Any) -> dict[str, Any]:
    if not isinstance(plain, dict):
        raise DataError(f"the line is {shown(plain)}; allowed: an object")
    for name in plain:
        if name not in _KNOWN:
            raise DataError(f"{shown(name)} is not known; allowed: {', '.join(_KNOWN)}")
    for name in _NEEDED:
        if name not in plain:
            raise DataError(f"{name} is missing; needed: {', '.join(_NEEDED)}, and draws or counts")
    for name, value in plain.items():
        kinds, allowed = _KNOWN[name]
        if type(value) not in kinds:
            raise DataError(f"{name} is {shown(value)}; allowed: {allowed}")
        if isinstance(value, str) and "\0" in value:
            raise DataError(f"{name} is {shown(value)}; allowed: text without NUL")
    if ("draws" in plain) == ("counts" in plain):
        raise DataError("allowed: either draws or counts")
    reason = too_long(plain["key"], plain["target"], plain.get("region")) or too_long(plain["process"], "", None)
    if reason:
        raise DataError(reason)
    return plain


def _case(values: Mapping[str, Any]) -> Case:
    case = Case(
        values["key"],
        values["target"],
        region=values.get("region"),
        features=values.get("features", {}),
        cost=values.get("cost"),
    )
    check_storable(case)
    seconds = values.get("draw_seconds")
    if seconds is not None and not is_amount(seconds):
        raise DataError(f"draw_seconds are {shown(seconds)}; allowed: a number from 0 to {LARGEST:g}, or null")
    return case


def _served(values: Mapping[str, Any], plan: Plan, *, audits: bool, shadow: bool) -> Served:
    arm = _member("arm", values["arm"], {each.value: each for each in Arm})
    given = _given(values, plan)
    if arm is Arm.ADAPTIVE:
        if values.get("why_fixed") is not None:
            raise DataError(f"why_fixed is {shown(values['why_fixed'])}; allowed: null on the adaptive arm")
        if not (plan.guarded or plan.rule.counts):
            raise DataError("arm is 'adaptive'; allowed: fixed, for this plan is for normal draws, without its guard")
        served = taken(adaptive_steps(plan, Observed(), audited=audits), given.to(plan, "an audited target", audits))
    else:
        why = _member("why_fixed", values.get("why_fixed") or WhyFixed.EXPOSURE.name, WhyFixed.__members__)
        in_shadow = shadow and audits and why is WhyFixed.EXPOSURE
        steps = shadow_steps if in_shadow else fixed_steps
        failure = (values.get("failure") or why.value) if why is WhyFixed.FALLBACK else None
        served = taken(steps(plan, Observed()), given.to(plan, "the fixed arm", all_of_them=True))
        served = replace(served, fallback=failure, why_fixed=why)
    return replace(
        served,
        epoch=values["epoch"],
        rollout=values["rollout"],
        drawn=_drawn(values, served, None if served.baseline or arm is Arm.FIXED else len(given)),
        draw_seconds=values.get("draw_seconds"),
        halves=served.halves if given.ordered else None,
    )


def _drawn(values: Mapping[str, Any], served: Served, given: int | None) -> int | None:
    drawn, stopped = values.get("drawn"), (served.adaptive or served.verdict).n
    if drawn is not None and not stopped <= drawn <= MOST_DRAWN:
        raise DataError(f"drawn is {shown(drawn)}; allowed: at least {stopped}, where the plan stopped")
    return given if drawn is None else int(drawn)


@dataclass(frozen=True, slots=True)
class _Given:
    """The draws of a row in pieces. Unless they are `ordered`, their order within a piece is not known."""

    pieces: list[list[float]]
    ordered: bool

    def __len__(self) -> int:
        return sum(map(len, self.pieces))

    def to(self, plan: Plan, who: str, all_of_them: bool) -> Callable[[int], list[float]]:  # noqa: FBT001
        """Gives the draws of a decision, in their order. `who` needs `all_of_them`."""
        left, at = self.pieces.copy(), 0

        def take(need: int) -> list[float]:
            nonlocal at
            if not left and all_of_them:
                raise DataError(f"{at} draws are given; allowed: all {plan.n}, for {who} goes on to N")
            if not left:
                raise DataError(f"the plan goes on after {at} draws; allowed: an adaptive decision that it has made")
            piece = left.pop(0)
            if len(piece) > need:
                if not self.ordered:
                    raise DataError(f"counts: the plan looks at {at + need} draws; allowed: a count at each look")
                left.insert(0, piece[need:])
            at += min(need, len(piece))
            return piece[:need]

        return take


def _given(values: Mapping[str, Any], plan: Plan) -> _Given:
    if "draws" in values:
        given = _Given([[_draw(number, value) for number, value in enumerate(values["draws"], start=1)]], ordered=True)
    else:
        given = _Given(_of_counts(values["counts"], plan), ordered=False)
    if not 1 <= len(given) <= plan.n:
        raise DataError(f"{len(given)} draws are given; allowed: 1 to {plan.n}")
    return given


def _draw(number: int, value: Any) -> float:
    if value is None:
        return nan
    if type(value) not in (int, float, bool):
        raise DataError(f"draw {number} is {shown(value)}; allowed: a number, or null for one that is none")
    # A truth value is no number to `as_number`.
    double = as_number(value)
    return float(value) if double is None else double


def _of_counts(counts: list[Any], plan: Plan) -> list[list[float]]:
    if not plan.rule.counts:
        raise DataError(f"counts are given; allowed: draws, for rule {plan.rule.name} does not count")
    allowed = "[n, ones] with rising n, as [[8, 7], [16, 15]]"
    for pair in counts:
        if (
            type(pair) is not list
            or [type(each) for each in pair] != [int, int]
            or not 0 <= pair[1] <= pair[0] <= plan.n
        ):
            raise DataError(f"counts hold {shown(pair)}; allowed: {allowed}")
    pieces = list[list[float]]()
    for (n, ones), (more, more_ones) in pairwise([[0, 0], *counts]):
        if more <= n or not 0 <= more_ones - ones <= more - n:
            raise DataError(f"counts go from {shown([n, ones])} to {shown([more, more_ones])}; allowed: {allowed}")
        pieces.append([1.0] * (more_ones - ones) + [0.0] * (more - n - more_ones + ones))
    return pieces


def _member(name: str, text: str, members: Mapping[str, Any]) -> Any:
    if text not in members:
        raise DataError(f"{name} is {shown(text)}; allowed: {', '.join(members)}")
    return members[text]


def _check_claims(values: Mapping[str, Any], served: Served) -> None:
    claims = {"decision": served.decision.value, "n": served.n}
    for name, decided in claims.items():
        if values.get(name) not in (None, decided):
            raise DataError(f"{name} is {shown(values[name])}; by the plan it is {decided!r} of these draws")
