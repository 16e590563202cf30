"""A row of the decision ledger, and its plain form on file and in the database."""

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from enum import Enum, StrEnum
from math import inf, isfinite, nan
from operator import attrgetter, contains, itemgetter
from typing import Any

from suffice.decision.rule import Decision
from suffice.errors import StoreError
from suffice.verifier.arm import Arm

LONGEST = 1024
"""Bytes that a key, target or region may have in the ledger: an index of PostgreSQL takes no more than 2,704 in all."""


LARGEST = 1e15
"""The largest cost of a draw, and the most seconds for draws, that are added up: a sum must not overflow."""


class Reason(StrEnum):
    """Why a decision came when it did: how its run closed (the names of `StopReason`), or that the fixed arm took over
    from an adaptive path that failed."""

    ACCEPT_BOUNDARY = "ACCEPT_BOUNDARY"
    REJECT_BOUNDARY = "REJECT_BOUNDARY"
    REACHED_N = "REACHED_N"
    NON_FINITE = "NON_FINITE"
    FALLBACK = "FALLBACK"


class WhyFixed(Enum):
    """Why a decision took the fixed arm. Only `FALLBACK` says that the adaptive path failed."""

    EXPOSURE = "the word does not put this target on the adaptive arm"
    DISABLED = "the configuration says enabled: false"
    FOREIGN_PLAN = "the word is about another plan"
    NO_WORD = "no word of a rollout is known"
    LAPSED = "the word, or the lease of its last read, has run out"
    FENCED = "the word was taken back while the case was being decided"
    FORCED = "the baseline is forced: by SUFFICE_FORCE_FIXED, by the flag file or by a provider of the host"
    FALLBACK = "the adaptive path failed"
    INELIGIBLE = "the case says that it is never to be adaptive"
    UNFIT = "the plan does not hold for draws of this shape"


@dataclass(frozen=True, slots=True)
class DecisionRow:
    """One production decision.

    `key` is unique within its rollout ("" when there is none). `decision` after `n` draws is the one in force, by
    `arm`; draws that an audit adds are not in `n`. `adaptive_*` and `baseline_*` are what each path decided after how
    many draws, None where it did not run; `agrees` compares them, None where there is nothing to compare or both
    are INVALID. `guarded`: whether the guard for draws of unknown shape was on, None where it does not apply.
    A NaN or infinite `estimate` is stored as NULL and read as NaN. `at` is in seconds since the epoch. `epoch` is that
    of the word that the decision was made under, and `process` the nonce of who made it. `drawn` draws were made up to
    the adaptive stopping time (in blocks, so at least that many), which took `draw_seconds`; one costs `cost`.
    `failure` says why the fixed arm took over; `features` are the case's, as JSON. An
    audit saw `baseline_statistic` over all N draws (how many succeeded, or t), and a difference of `halves` standard
    errors between the early and the late ones. Rows of versions before these have none.

    What is counted of a row is said here, once: `is_adaptive`, `fell_back`, `is_audit`, `stopping_n`,
    `stopping_draws`.
    """

    key: str
    target: str
    arm: Arm
    decision: Decision
    n: int
    fixed_n: int
    estimate: float
    reason: Reason
    seed: int
    plan_id: str
    at: float
    rollout: str = ""
    stage: str = ""
    region: str | None = None
    audited: bool = False
    shadow: bool = False
    baseline_decision: Decision | None = None
    baseline_n: int | None = None
    adaptive_decision: Decision | None = None
    adaptive_n: int | None = None
    agrees: bool | None = None
    guarded: bool | None = None
    invalid: bool = False
    epoch: int | None = None
    process: str | None = None
    why_fixed: WhyFixed | None = None
    drawn: int | None = None
    draw_seconds: float | None = None
    cost: float | None = None
    failure: str | None = None
    features: str | None = None
    baseline_statistic: float | None = None
    halves: float | None = None

    @property
    def is_adaptive(self) -> bool:
        """Whether the decision in force is the adaptive path's."""
        return self.arm is _ADAPTIVE

    @property
    def fell_back(self) -> bool:
        """Whether the fixed arm took over from an adaptive path that failed."""
        return self.reason is _FALLBACK

    @property
    def is_audit(self) -> bool:
        """Whether it holds both decisions to compare."""
        return self.audited and self.agrees is not None

    @property
    def stopping_n(self) -> int | None:
        """Draws up to the adaptive stopping time, in force or in the shadow; None where nothing was decided so."""
        if _INVALID in (self.decision, self.baseline_decision, self.adaptive_decision):
            return None
        if self.adaptive_n is not None:
            return self.adaptive_n
        # A decision that was not audited leaves the stopping time to `n`.
        return self.n if self.arm is _ADAPTIVE else None

    @property
    def stopping_draws(self) -> int | None:
        """Draws that were made up to that time, those beyond it in their block among them; as many as were needed where
        nobody noted it, and never more than N, which the baseline makes at the least."""
        needed = self.stopping_n
        return None if needed is None else max(needed, min(self.drawn or 0, self.fixed_n))


# To look a member up in its class takes longer than all the rest.
_ADAPTIVE, _FALLBACK, _INVALID = Arm.ADAPTIVE, Reason.FALLBACK, Decision.INVALID

NAMES = tuple(field.name for field in fields(DecisionRow))
"""The columns of a row in the ledger, in order."""

_DEFAULTS = {field.name: field.default for field in fields(DecisionRow) if field.default is not MISSING}
_KNOWN = frozenset(NAMES)
_values, _in_order = attrgetter(*NAMES), itemgetter(*NAMES)
_ESTIMATE = NAMES.index("estimate")


def _by_text(kind: type[Enum], *, optional: bool = False) -> dict[str | None, Enum | None]:
    """The members of an enum by their texts in the store."""
    members: dict[str | None, Enum | None] = {member.value: member for member in kind}
    return {None: None, **members} if optional else members


def _by_name(kind: type[Enum]) -> dict[str | None, Enum | None]:
    """The members of an enum, and none, by their names."""
    return {None: None, **{member.name: member for member in kind}}


_ENUMS = tuple(
    (NAMES.index(name), members)
    for name, members in {
        "arm": _by_text(Arm),
        "decision": _by_text(Decision),
        "reason": _by_text(Reason),
        "baseline_decision": _by_text(Decision, optional=True),
        "adaptive_decision": _by_text(Decision, optional=True),
        "why_fixed": _by_name(WhyFixed),
    }.items()
)


_KINDS: dict[type, str] = {str: "text", int: "an integer", float: "a number", bool: "true or false", type(None): "none"}
_TEXT, _COUNT, _NUMBER, _BOOL, _NONE = (str,), (int,), (float, int), (bool,), (type(None),)
_TYPES: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("key", "target", "plan_id", "rollout", "stage"), _TEXT),
    **dict.fromkeys(("region", "process", "failure", "features"), _TEXT + _NONE),
    **dict.fromkeys(("n", "fixed_n", "seed"), _COUNT),
    **dict.fromkeys(("baseline_n", "adaptive_n", "epoch", "drawn"), _COUNT + _NONE),
    **dict.fromkeys(("audited", "shadow", "invalid"), _BOOL),
    **dict.fromkeys(("agrees", "guarded"), _BOOL + _NONE),
    "at": _NUMBER,
    **dict.fromkeys(("estimate", "draw_seconds", "cost", "baseline_statistic", "halves"), _NUMBER + _NONE),
}
"""What the plain values may be, but for those of enums, whose texts are looked up."""

_FINITE = ("at", "draw_seconds", "cost", "baseline_statistic", "halves")

_typed = itemgetter(*_TYPES)


def plain_row(row: DecisionRow) -> dict[str, Any]:
    """The row as plain JSON values: enums by their texts, an estimate that is no number as None."""
    values = dict(zip(NAMES, _values(row), strict=True))
    # `_value_` is what `value` looks up, several times as slowly.
    values["arm"], values["decision"], values["reason"] = row.arm._value_, row.decision._value_, row.reason._value_
    if row.baseline_decision is not None:
        values["baseline_decision"] = row.baseline_decision._value_
    if row.adaptive_decision is not None:
        values["adaptive_decision"] = row.adaptive_decision._value_
    if row.why_fixed is not None:
        values["why_fixed"] = row.why_fixed._name_
    if not isfinite(row.estimate):
        values["estimate"] = None
    return values


def row_of_plain(plain: Mapping[str, Any]) -> DecisionRow:
    """The row that `plain_row` described; what a row of an earlier version lacks has its default.

    Raises StoreError, naming the row, when a value is missing, not known, misspelt or of another type.
    """
    values = {**_DEFAULTS, **plain}
    if values.keys() != _KNOWN:
        wrong = min(_KNOWN ^ values.keys())
        raise _unreadable(plain, f"{wrong} is {'missing' if wrong in _KNOWN else 'not known'}")
    # In one pass without a loop of Python's: this is done for each decision.
    if not all(map(contains, _TYPES.values(), map(type, _typed(values)))):
        wrong, types = next((name, types) for name, types in _TYPES.items() if type(values[name]) not in types)
        raise _unreadable(
            plain, f"{wrong} is {values[wrong]!r}; allowed: {' or '.join(map(_KINDS.__getitem__, types))}"
        )
    for name in _FINITE:
        if values[name] is not None and not -inf < values[name] < inf:
            raise _unreadable(plain, f"{name} is {values[name]!r}; allowed: a finite number")
    return row_of_values(_in_order(values))


def _unreadable(plain: Mapping[str, Any], wrong: str) -> StoreError:
    return StoreError(f"decision {plain.get('key')!r} of rollout {plain.get('rollout')!r}: {wrong}")


def row_of_values(values: Sequence[Any]) -> DecisionRow:
    """The row with these values of its columns. Raises StoreError for a text that is no member of its enum."""
    typed = list(values)
    try:
        for place, members in _ENUMS:
            typed[place] = members[typed[place]]
    except (KeyError, TypeError) as error:
        raise _misspelt(values) from error
    if typed[_ESTIMATE] is None:
        typed[_ESTIMATE] = nan
    return DecisionRow(*typed)


def _misspelt(values: Sequence[Any]) -> StoreError:
    row = dict(zip(NAMES, values, strict=True))
    place, members = next((place, members) for place, members in _ENUMS if values[place] not in list(members))
    allowed = ", ".join("none" if text is None else text for text in members)
    return StoreError(
        f"decision {row['key']} of rollout {row['rollout']!r}: {NAMES[place]} is {values[place]!r}; allowed: {allowed}"
    )


def too_long(key: str, target: str, region: str | None) -> str | None:
    """Which of these is longer than the ledger takes, in words; None when none is."""
    for name, text in (("key", key), ("target", target), ("region", region or "")):
        # No character takes more than four bytes, so that most texts need not be encoded.
        if 4 * len(text) > LONGEST and len(text.encode(errors="surrogatepass")) > LONGEST:
            return f"its {name} is longer than {LONGEST:,} bytes"
    return None
