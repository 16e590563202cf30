"""Why a gate failed: the plan, the draws, or nobody can tell."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from math import exp, inf

from suffice.evidence.expected import Expected, chance_of, tail
from suffice.gates import consistency, determinism, disagreement, escalation, health, targets
from suffice.gates.consistency import in_words, log_e_more
from suffice.gates.e_process import ALARM, reached
from suffice.gates.outcome import GateResult
from suffice.stopping.plan import Plan
from suffice.store.decision_row import DecisionRow

LIKELY = 0.01
"""A plan is to blame only where at least so many of its stages would show as many disagreements."""

_SHOWS = round(1 / (1 - ALARM))
_MOST = 700.0

_OF_DIFFERENCES = {consistency.GATE, disagreement.GATE, escalation.GATE, targets.GATE}

_LOOK_AT = {
    determinism.GATE: (
        "Look at what changed since: a dependency, the sampler, the seed (environment.json has the versions). "
        "ledger.jsonl has, by its key, what was recorded; `suffice triage reproduce` shows only what disagreed."
    ),
    health.GATE: "Look at what the adaptive path failed with (`suffice triage show`), and at who else writes the flag.",
}
_LOOK_AT_ANY = "Look at what it saw, in gates.json and events.jsonl of the bundle."
_NO_GATE = "No gate did: a person asked for it, or the rollout was deleted; `suffice triage show` has the reason. "


class Cause(Enum):
    """What is to blame; the value says what follows."""

    PLAN = "The plan disagrees as often as it says it does, and that is more than the limit: another plan is needed."
    DRAWS = (
        "Far more audits disagree than the plan can explain: the draws do not come in exchangeable order, or the two "
        "arms do not see the same ones."
    )
    OTHER = "Not how often audits disagree rolled it back."
    UNKNOWN = "It may be the plan, the draws or neither: these audits do not show which."

    @property
    def word(self) -> str:
        """As programs read it."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Explanation:
    """The cause, with what it was judged by.

    Of the first `audits` of targets whose chance to disagree their plan says, `observed` disagree where `expected`
    should; so many or more have the probability `p` (None without audits). `evidence` is the highest that the e-process
    of the gate consistency reached, `now` what it was after the last audit, as the gate has it, and `limit` the rate
    that the rollout allows, None where that is not known. Of `left_out` audits no plan says anything, `why` says
    why not, and `instead` what rolled it back where that was something else.
    """

    cause: Cause
    audits: int
    expected: float
    observed: int
    p: float | None
    evidence: float
    now: float
    limit: float | None
    left_out: int
    why: str = ""
    instead: str = ""

    @property
    def text(self) -> str:
        """The cause and what shows it, in a few sentences."""
        return f"Cause: {self.cause.word}. {self.cause.value} {self.instead}{self.sentence}"

    @property
    def sentence(self) -> str:
        """The numbers, as a person reads them."""
        if self.p is None:
            return f"{self.why[:1].upper()}{self.why[1:]}."
        allows = "" if self.limit is None else f", and the limit allows {self.limit * self.audits:.4g}"
        disagree = "audit disagrees" if self.observed == 1 else "audits disagree"
        note = f" {self.why}." if self.why else ""
        return (
            f"{self.observed:,} of {self.audits:,} {disagree}, where the plan expects {self.expected:.3g}{allows}; the "
            f"probability of so many or more is {self.p:.2g}. Evidence that this is more than the plan says: "
            f"{in_words(self.evidence)} at its highest, {in_words(self.now)} after the last audit "
            f"({_SHOWS} shows it).{note}"
        )


def explain(audits: Sequence[DecisionRow], plans: Iterable[Plan], limit: float | None) -> Explanation:
    """The cause of what audits of a stage show, which are in ledger order; `plans` are those that really ran.

    Each target counts once, by its first audit, as for that gate. *draws* where the evidence of the gate consistency
    ever reached 100, wrong in at most 1 % of stages whose draws are sound; *plan* where it did not, p is at least 0.01,
    and the plan expects more than the limit; else *unknown*. Assumes nothing of the draws' distribution. Under a rule
    that compares means no plan says how likely it is to disagree: that is *unknown*.
    """
    known = {plan.id: chance_of(lambda _, plan=plan: plan, plan.id) for plan in plans}  # type: ignore[misc]
    counted, chances, peak = Expected(), list[float](), -inf
    firsts = dict[str, DecisionRow]()
    for row in audits:
        firsts.setdefault(row.target, row)
    for row in firsts.values():
        chance = known[row.plan_id](row) if row.plan_id in known else None
        if chance is None:
            continue
        chances.append(chance)
        counted.add(chance, disagrees=row.agrees is False)
        # It falls with an audit that agrees.
        if row.agrees is False or len(chances) == 1:
            peak = max(peak, log_e_more(counted.logs))
    left_out = len(firsts) - len(chances)
    if not chances:
        return untold(_why_none(audits), limit, left_out)
    p = tail(chances, counted.disagreements)
    if reached(peak, ALARM):
        cause = Cause.DRAWS
    elif limit is not None and p >= LIKELY and counted.expected > limit * counted.audits:
        cause = Cause.PLAN
    else:
        cause = Cause.UNKNOWN
    why = f"{left_out:,} more audits are left out, of which no plan of the bundle says anything" if left_out else ""
    evidence, now = (exp(min(log_e, _MOST)) for log_e in (max(peak, 0.0), log_e_more(counted.logs)))
    return Explanation(
        cause, counted.audits, counted.expected, counted.disagreements, p, evidence, now, limit, left_out, why
    )


def rolled_back_by(seen: Explanation, failed: Sequence[GateResult]) -> Explanation:
    """The same, as *other* where the audits show no cause and none of the gates that `failed` judges differences."""
    if seen.cause is not Cause.UNKNOWN or any(result.gate in _OF_DIFFERENCES for result in failed):
        return seen
    told = [f"The gate {result.named}. {_LOOK_AT.get(result.gate, _LOOK_AT_ANY)} " for result in failed]
    return replace(seen, cause=Cause.OTHER, instead="".join(told) or _NO_GATE)


def untold(why: str, limit: float | None = None, left_out: int = 0) -> Explanation:
    """That nothing is known, and why."""
    return Explanation(Cause.UNKNOWN, 0, 0.0, 0, None, 1.0, 1.0, limit, left_out, why)


def _why_none(audits: Sequence[DecisionRow]) -> str:
    if not audits:
        return "the stage has no audit"
    return (
        f"of none of {len(audits):,} audits a plan of the bundle says how likely it was to disagree; that needs a rule "
        "of counts, and the total that the audit saw"
    )
