"""An independent judge of a campaign: it reads traces, ledger, journal, receipts, and shares no code with the product.

All machines of a campaign run on one kernel, so that one clock has all moments (seconds since the epoch). A decision's
last question was asked after its last draw; so a draw that ended after a receipt proves a question that came too late.

Whether a call waited for somebody is judged by what the kernel counts for its thread: the time in which it neither ran
nor waited for a processor. So a machine that is busy blames nobody; a wait for the store, for a lock or for the network
is seen, whatever it is hidden behind.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain

LEASE_SECONDS = 5.0
"""What the product promises, written down once more."""

BLOCKED_SECONDS = 1.0
"""A call may wait 0.25 s for its own agent, once. Whoever waits for a store that does not answer waits for 2 s."""

ROUNDING = 1e-6

MOVES = (
    *("start", "advance", "complete", "await approval", "approve", "resume"),
    *("pause", "hold back", "roll back"),
)
"""What a journal says where a rollout moves; all else, as a cycle that judges, leaves it where it is."""


@dataclass(frozen=True)
class Traced:
    """A decision as the process that made it noted it: when it was asked for, drawn and returned; and for how long its
    thread was blocked, but for the sampler's own sleep."""

    key: str
    process: str
    began: float
    drawn: float
    ended: float
    blocked: float
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

    def meets(self, other: "Span") -> bool:
        return self.begin < other.end and other.begin < self.end


@dataclass(frozen=True)
class Resolved:
    """A correction as the store has it, with the server's time of the commit; arm None where nothing was decided."""

    key: str
    arm: str | None
    committed: float


@dataclass(frozen=True)
class Books:
    """What a store says: the keys of its ledger, its corrections, its journal (time and action), and its receipts. One
    that was withdrawn is in the journal only."""

    ledger: Sequence[str] = ()
    corrections: Sequence[Resolved] = ()
    journal: Sequence[tuple[float, str]] = ()
    receipts: Sequence[float] = ()


@dataclass
class Campaign:
    """What happened.

    `books` are those of each store, in order: a restore gives up one and goes on with another, which knows nothing of
    what came after the backup. `told` are the corrections (key and process) whose commit a process was told of.
    `fixed` are times in which everybody must be fixed beside those that receipts and journals tell of; `good` those in
    which everybody may be adaptive and nothing is wrong. In the times of `cut` a process could not reach the store, in
    those of `stopped` it could do nothing. `holds` are the seconds that each stage must be held.
    """

    decisions: Sequence[Traced] = ()
    books: Sequence[Books] = (Books(),)
    told: Sequence[tuple[str, str]] = ()
    fixed: list[Span] = field(default_factory=list)
    good: list[Span] = field(default_factory=list)
    cut: list[tuple[str, Span]] = field(default_factory=list)
    stopped: list[tuple[str, Span]] = field(default_factory=list)
    holds: Sequence[float] = ()


@dataclass(frozen=True)
class Wrong:
    """A broken promise: which, and by whom ("" where that is nobody's alone)."""

    promise: str
    process: str


def judge(campaign: Campaign) -> set[Wrong]:
    """Every promise that was broken, by whom; empty for a campaign that shows what it should."""
    judges = (_too_late, _lost_or_doubled, _corrections, _waiting, _never_adaptive, _shortened)
    return set(chain.from_iterable(look(campaign) for look in judges))


def times_fixed(campaign: Campaign) -> list[Span]:
    """When everybody must be fixed: from each receipt, and a lease after a runner found itself in another store, until
    a person lets the rollout go on."""
    journal = {event for books in campaign.books for event in books.journal}
    resumed = sorted(at for at, action in journal if action == "resume")
    told = [(at, at) for books in campaign.books for at in books.receipts]
    told += [(at, at) for at, action in journal if action == "receipt"]
    told += [(at, at + LEASE_SECONDS) for at, action in journal if action == "hold back"]
    spans = [Span(begin, next((end for end in resumed if end > at), float("inf"))) for at, begin in told]
    return [*campaign.fixed, *(span for span in spans if span.begin < span.end)]


def _too_late(campaign: Campaign) -> Iterable[Wrong]:
    fixed = times_fixed(campaign)
    for decision in campaign.decisions:
        if decision.adaptive and any(span.holds(decision.drawn) for span in fixed):
            yield Wrong("adaptive where everybody is fixed", decision.process)
    for process, span in campaign.cut:
        late = Span(span.begin + LEASE_SECONDS, span.end)
        if any(
            decision.process == process and decision.adaptive and late.holds(decision.drawn)
            for decision in campaign.decisions
        ):
            yield Wrong("adaptive after its lease", process)


def _lost_or_doubled(campaign: Campaign) -> Iterable[Wrong]:
    kept = Counter(campaign.books[-1].ledger)
    given_up = {key for books in campaign.books[:-1] for key in books.ledger}
    doubled = {key for books in campaign.books for key, count in Counter(books.ledger).items() if count > 1}
    for decision in campaign.decisions:
        if decision.key in doubled:
            yield Wrong("a row is doubled", decision.process)
        if not kept[decision.key] and decision.key not in given_up:
            yield Wrong("a row is lost", decision.process)


def _corrections(campaign: Campaign) -> Iterable[Wrong]:
    fixed, first = times_fixed(campaign), dict[str, Resolved]()
    for books in campaign.books:
        if len({one.key for one in books.corrections}) < len(books.corrections):
            yield Wrong("a correction is doubled", "")
        for one in books.corrections:
            # A store that was restored from a dump has them by the time of the restore.
            first.setdefault(one.key, one)
    for one in first.values():
        if one.arm == "adaptive" and any(span.holds(one.committed) for span in fixed):
            yield Wrong("a correction is committed adaptively where everybody is fixed", one.key.partition("/")[0])
    for key, process in campaign.told:
        if key not in first:
            yield Wrong("a correction is lost", process)


def _waiting(campaign: Campaign) -> Iterable[Wrong]:
    for decision in campaign.decisions:
        call = Span(decision.began, decision.ended)
        stopped = any(process == decision.process and span.meets(call) for process, span in campaign.stopped)
        if decision.blocked > BLOCKED_SECONDS and not stopped:
            yield Wrong("a call waits for somebody", decision.process)


def _never_adaptive(campaign: Campaign) -> Iterable[Wrong]:
    for process in {decision.process for decision in campaign.decisions}:
        drawn = [decision.drawn for decision in campaign.decisions if decision.process == process and decision.adaptive]
        if not campaign.good or not all(any(map(span.holds, drawn)) for span in campaign.good):
            yield Wrong("never adaptive in good times", process)


def _shortened(campaign: Campaign) -> Iterable[Wrong]:
    """A stage is watched from its start, from a person's resume, and from an approval that it waited for."""
    for books in campaign.books:
        stage, held, since, last, waits = 0, 0.0, None, "", False
        for at, action in books.journal:
            if action not in MOVES:
                continue
            if since is not None:
                held, since = held + at - since, at
            if action == "approve" and last != "await approval":
                yield Wrong("an approval of a stage that waits for none", "")
            elif action in ("advance", "complete"):
                if held + ROUNDING < campaign.holds[stage]:
                    yield Wrong("a stage is shortened", "")
                if waits:
                    yield Wrong("a stage ends without its approval", "")
                # A last stage that was put back to the baseline and resumed completes once more.
                stage, held, waits = min(stage + 1, len(campaign.holds) - 1), 0.0, False
            elif action in ("start", "resume", "approve"):
                since, waits = at, waits and action != "approve"
            else:
                since, waits = None, waits or action == "await approval"
            last = action
