"""What a rollout is started with, and what speaks against its start: all of it in one answer.

Some of it nobody can lift. The rest are objections: a person may accept each, with a reason that the journal keeps.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import Connection, select

from suffice.config import Config, Stage
from suffice.errors import MissingDataError, RolloutError
from suffice.flag.lowering import ASKED_FILE
from suffice.gates import determinism, targets
from suffice.gates.e_process import audits_to_prove
from suffice.gates.sample_reduction import check_net
from suffice.gates.wording import at_most, limit
from suffice.rollout.command_checks import Check
from suffice.rollout.controller import Started, State
from suffice.rollout.subject import Subject
from suffice.rollout.wish import wish
from suffice.rollout.world import Place
from suffice.sources.built import Builder
from suffice.store.database import Store, open_store
from suffice.store.ledger import Traffic, traffic_of, unfit_lately
from suffice.store.rollouts import rollouts_of
from suffice.store.schema import provenance
from suffice.store.triage import items
from suffice.terminal import duration

WAIVABLE = (determinism.GATE, targets.GATE)
"""Gates that a rollout may be started without: what nobody can build again cannot be recomputed, and who has few
targets has few first audits."""

WORST_CASE, OPEN_ITEM, SLOW = "worst-case", "open-item", "slow"
"""What a person may accept with a reason, as `--accept-…` spells it."""

_DAY = 86_400.0
_SHORTEST_SECONDS = 3600.0
"""Traffic of less than an hour says nothing about days."""


@dataclass(frozen=True, slots=True)
class Start:
    """What a rollout is started with beside configuration and plan: gates that it goes without, the source that its
    cases can be rebuilt from, commands that are gates too, and whether to set `enabled` first.

    `accepted` has the reason for each objection that a person has accepted, and for each waived gate that she gave one
    for; `targets` is how many the source has, None
    where that is not known.
    """

    waived: tuple[str, ...] = ()
    source: Mapping[str, Any] | None = None
    checks: tuple[Check, ...] = ()
    enable: bool = False
    accepted: Mapping[str, str] = field(default_factory=dict)
    targets: int | None = None

    def has(self, kind: str | None) -> bool:
        """Whether a person has accepted this, or waived the gate of this name."""
        return kind in self.accepted or kind in self.waived


@dataclass(frozen=True, slots=True)
class Objection:
    """What speaks against a start; `kind` is what a person accepts, or the gate that she waives;
    None: nobody can accept it."""

    kind: str | None
    sentence: str

    @property
    def told(self) -> str:
        """The sentence, and the option that lets the rollout start all the same, if one does."""
        if self.kind is None:
            return self.sentence
        option = f"--waive {self.kind}" if self.kind in WAIVABLE else f"--accept-{self.kind} REASON"
        return f"{self.sentence} ({option})"


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What speaks against a start and is not accepted, and a sentence for what is not known."""

    objections: tuple[Objection, ...] = ()
    notes: tuple[str, ...] = ()

    def refuse(self, what: str = "start") -> None:
        """Raises RolloutError with all objections, when there is one."""
        if self.objections:
            raise RolloutError(f"{what} is refused: {'; '.join(objection.told for objection in self.objections)}")

    def of_the_plan(self) -> "Foreseen":
        """What speaks against the plan itself, wherever it is started."""
        return replace(self, objections=tuple(one for one in self.objections if one.kind == WORST_CASE))


def check_start(place: Place, begin: Start) -> Subject:
    """Check what nobody can accept and no store tells, and return what the rollout would be about.

    Raises RolloutError, ConfigError, PlanError; DataError when what builds the service's cases cannot be imported.
    """
    subject = Subject.read(place.config)
    builder = Builder.of(subject.config.verifier.cases, place.config)
    if builder and determinism.GATE not in begin.waived:
        builder.check()
    config, last = subject.config, subject.config.rollout.stages[-1]
    unknown = [name for name in begin.waived if name not in WAIVABLE]
    if unknown:
        raise RolloutError(f"gate {unknown[0]} cannot be waived; allowed: {', '.join(WAIVABLE)}")
    empty = [kind for kind, reason in begin.accepted.items() if not reason.strip()]
    if empty:
        option = f"--waive {empty[0]}=" if empty[0] in WAIVABLE else f"--accept-{empty[0]}"
        raise RolloutError(f"{option} has no reason; allowed: a text that says why")
    expected = 1 - subject.plan.uniform_asn / subject.plan.n
    check_net(last.audit_fraction, expected, config.rollout.acceptance.min_sample_reduction)
    if not (config.verifier.adaptive_sampling.enabled or begin.enable):
        raise RolloutError(
            f"{place.config}: verifier.adaptive_sampling.enabled is false, so no decision could become "
            f"adaptive; set it to true (`{place.command('promote')}` does), or start with --enable"
        )
    if wish(place.queue) is not None:
        raise RolloutError(
            f"{place.queue / ASKED_FILE}: a rollback was asked for; `{place.command('rollout cycle')}` carries it out"
        )
    return subject


def foresee(place: Place, subject: Subject, begin: Start, store: Store | None, now: float) -> Foreseen:
    """What speaks against a start at `now` (seconds since the epoch) and is not accepted. `store`: None where there is
    none yet. Raises StoreError."""
    if store is None:
        return _foreseen(place, subject, begin, None, None)
    with store.read() as connection:
        return _foreseen(place, subject, begin, connection, traffic_of(connection, place.service, now))


def foresee_here(place: Place, subject: Subject, begin: Start, now: float) -> Foreseen:
    """The same, of the store that is there, if one is. Raises StoreError."""
    try:
        store = open_store(place.store, create=False, upgrade=False)
    except MissingDataError:
        return foresee(place, subject, begin, None, now)
    with store:
        return foresee(place, subject, begin, store, now)


def first_state(subject: Subject, begin: Start) -> tuple[State, Started]:
    """The state that a rollout is stored in first, and the event that starts it."""
    state = State(subject.config.rollout, slow=SLOW in begin.accepted)
    return state, Started("; ".join(accepted_in_words(begin.accepted, begin.waived)))


def waived_of(texts: Sequence[str]) -> tuple[tuple[str, ...], dict[str, str]]:
    """The gates that texts like "determinism" and "determinism=nobody has the seeds" name, and the reasons given."""
    named = [text.partition("=") for text in texts]
    return tuple(name for name, _, _ in named), {name: reason for name, given, reason in named if given}


def accepted_in_words(accepted: Mapping[str, str], waived: Sequence[str] = ()) -> list[str]:
    """A sentence for each gate that a person has waived, and each thing that she has accepted."""
    told = {gate: f"waived at the start: {gate}" for gate in waived}
    told |= {kind: f"accepted at the start: {kind}" for kind in sorted(accepted) if kind not in told}
    reasons = {kind: f", for {' '.join(reason.split())}" for kind, reason in accepted.items()}
    return [f"{sentence}{reasons.get(kind, '')}" for kind, sentence in told.items()]


def _foreseen(
    place: Place, subject: Subject, begin: Start, connection: Connection | None, traffic: Traffic | None
) -> Foreseen:
    every = _objections(place, subject, begin, connection, traffic)
    return Foreseen(tuple(one for one in every if not begin.has(one.kind)), _unknown(traffic))


def _objections(
    place: Place, subject: Subject, begin: Start, connection: Connection | None, traffic: Traffic | None
) -> Iterator[Objection]:
    config, plan = subject.config, subject.plan
    allowed = config.rollout.acceptance.max_disagreement_rate
    if plan.worst_disagreement > allowed:
        yield Objection(
            WORST_CASE,
            f"the plan's own worst case is a disagreement of {at_most(plan.worst_disagreement)}, and the stages allow "
            f"{limit(allowed)}",
        )
    unfit, lately = unfit_lately(connection, place.service, plan.id) if connection else (0, 0)
    if unfit:
        yield Objection(
            None,
            f"the plan holds for normal draws; those of {unfit:,} of the newest {lately:,} decisions may be any, and "
            "take the fixed arm; allowed: verifier.adaptive_sampling.plan_file with a plan of `suffice plan "
            "--use-config --guarded --save FILE`, or Case(eligible=False)",
        )
    if begin.source is None and not config.verifier.cases and not _has_provenance(connection):
        yield Objection(
            determinism.GATE,
            "nothing tells how to build this service's decisions again: no --source, --records or --samples, no "
            "verifier.cases, and no provenance of suffice resolve in the store",
        )
    opened = _open_items(connection, place, plan.id)
    if opened:
        shown = place.command(f"triage show {opened[0]}")
        yield Objection(OPEN_ITEM, f"{opened[0]} was rolled back with this plan, and its item is open (`{shown}`)")
    yield from (Objection(SLOW, sentence) for sentence in _slow(config, traffic))
    too_few = _few_targets(config, begin.targets)
    if too_few:
        yield Objection(targets.GATE, too_few)


def _has_provenance(connection: Connection | None) -> bool:
    query = select(provenance.c.seq).where(provenance.c.correction_key.is_not(None)).limit(1)
    return connection is not None and connection.execute(query).first() is not None


def _open_items(connection: Connection | None, place: Place, plan_id: str) -> list[str]:
    if connection is None:
        return []
    plans = {stored.id: stored.config.get("plan") for stored in rollouts_of(connection, place.service)}
    return [item.id for item in items(connection) if plans.get(item.id) == plan_id]


def _slow(config: Config, traffic: Traffic | None) -> Iterator[str]:
    """Of each stage that would not have its audits before it is paused for want of progress."""
    if traffic is None or traffic.seconds < _SHORTEST_SECONDS:
        return
    for stage in config.rollout.stages:
        inside = sum(
            count for region, count in traffic.decisions.items() if not stage.regions or region in stage.regions
        )
        per_day = inside * _audited(stage) * _DAY / traffic.seconds
        longest = stage.hold_seconds + config.rollout.progress_deadline.total_seconds()
        if per_day * longest / _DAY >= stage.min_audits:
            continue
        needs = f"needs {stage.min_audits / per_day:,.3g} days" if per_day else "never ends"
        yield (
            f"stage {stage.name} needs {stage.min_audits:,} audits, and at the rate of the last "
            f"{duration(traffic.seconds)} ({inside:,} decisions, {per_day:,.3g} audits a day) it {needs}; its hold and "
            f"rollout.progress_deadline are {duration(longest)}"
        )


def _audited(stage: Stage) -> float:
    """The share of a stage's decisions that become audits."""
    return stage.audit_fraction * (1.0 if stage.shadow else stage.weight / 100)


def _few_targets(config: Config, known: int | None) -> str | None:
    first, acceptance = config.rollout.stages[0], config.rollout.acceptance
    needed = audits_to_prove(0, acceptance.max_disagreement_rate, acceptance.confidence)
    if known is None or needed is None or not first.needs_proof or known * _audited(first) >= needed:
        return None
    return (
        f"the source has {known:,} targets, and the gate targets needs {needed:,} that agree for a proof of "
        f"{limit(acceptance.max_disagreement_rate)}"
    )


def _unknown(traffic: Traffic | None) -> tuple[str, ...]:
    if traffic is None:
        return ("how long the stages take is not known: no recent decision of this service is in the store",)
    if traffic.seconds < _SHORTEST_SECONDS:
        return (f"how long the stages take is not known: decisions are seen for {duration(traffic.seconds)} only",)
    return ()
