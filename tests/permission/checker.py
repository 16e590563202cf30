"""An independent judge of a campaign: it reads traces, ledger and receipts, and shares no code with the product.

All machines of a campaign run on one kernel, so that one clock has all moments (seconds since the epoch). A decision's
last question was asked after its last draw; so a draw that ended after a receipt proves a question that came too late.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

LEASE_SECONDS = 5.0
"""What the product promises, written down once more."""


@dataclass(frozen=True)
class Traced:
    """A decision as the process that made it noted it: when it was asked for, drawn and returned."""

    key: str
    process: str
    began: float
    drawn: float
    ended: float
    arm: str

    @property
    def adaptive(self) -> bool:
        return self.arm == "adaptive"


@dataclass(frozen=True)
class Span:
    """From when to when something held."""

    begin: float
    end: float

    def holds(self, moment: float) -> bool:
        return self.begin < moment < self.end


@dataclass
class Campaign:
    """What happened. `fixed` are the times in which everybody must be fixed: from a receipt, or from a lease after a
    word lapsed, until the next word that permits; `good` those in which everybody may be adaptive and nothing is wrong;
    `cut` the times in which a process could not reach the store."""

    decisions: Sequence[Traced]
    ledger: Iterable[str]
    fixed: list[Span] = field(default_factory=list)
    good: list[Span] = field(default_factory=list)
    cut: list[tuple[str, Span]] = field(default_factory=list)


@dataclass(frozen=True)
class Wrong:
    """A broken promise: which, and by whom."""

    promise: str
    process: str


def judge(campaign: Campaign) -> set[Wrong]:
    """Every promise that was broken, by whom; empty for a campaign that shows what it should."""
    wrong = set()
    for decision in campaign.decisions:
        if decision.adaptive and any(span.holds(decision.drawn) for span in campaign.fixed):
            wrong.add(Wrong("adaptive where everybody is fixed", decision.process))
    for process, span in campaign.cut:
        late = Span(span.begin + LEASE_SECONDS, span.end)
        if any(it.process == process and it.adaptive and late.holds(it.drawn) for it in campaign.decisions):
            wrong.add(Wrong("adaptive after its lease", process))
    rows = Counter(campaign.ledger)
    for decision in campaign.decisions:
        if rows[decision.key] != 1:
            wrong.add(Wrong("a row is lost" if not rows[decision.key] else "a row is doubled", decision.process))
    for process in {decision.process for decision in campaign.decisions}:
        own = [it for it in campaign.decisions if it.process == process]
        if not any(it.adaptive and any(span.holds(it.drawn) for span in campaign.good) for it in own):
            wrong.add(Wrong("never adaptive in good times", process))
    return wrong
