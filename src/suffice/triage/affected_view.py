"""What a failed stage left wrong, as JSON values, as lines, and as rows of CSV."""

from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any

from suffice.store.records import Record
from suffice.triage.affected import Affected, Undecidable, Wrong, WrongDecision
from suffice.triage.replay import Replayed, Unreplayable

COLUMNS = ("key", "target", "region", "at", "decision", "n", "baseline", "fixed_n", "what")


def row_of(wrong: WrongDecision) -> tuple[Any, ...]:
    """The line of CSV for a wrong decision; `at` is in seconds since the epoch."""
    row = wrong.row
    cells = (row.key, row.target, row.region or "", row.at, row.decision.value, row.n)
    return *cells, wrong.baseline.value, row.fixed_n, wrong.kind.value


def plain_affected(affected: Affected) -> dict[str, Any]:
    """The whole as plain JSON values."""
    counts, replayed = affected.counts, affected.replayed
    return {
        "exposed": counts.exposed,
        "audited": counts.audited,
        "decided_again": counts.decided_again,
        "wrong": counts.wrong.total(),
        "kinds": _by_name(counts.wrong, Wrong),
        "undecidable": _by_name(counts.undecidable, Undecidable),
        "targets": affected.targets,
        "replayed": replayed.records,
        "records": [
            {"target": each.held.target, "held": _plain(each.held), "baseline": _plain(each.baseline)}
            for each in replayed.differences
            if each.value_differs
        ],
        "reviews_missing": _reviews(replayed)[0],
        "reviews_wrong": _reviews(replayed)[1],
        "follow_on": [
            {
                "key": each.key,
                "target": each.target,
                "outcome": each.was.name.lower(),
                "baseline": each.baseline.name.lower(),
            }
            for each in replayed.follow_on
        ],
        "unreplayable": {target: why.name.lower() for target, why in replayed.unreplayable.items()},
    }


def rows_shown(affected: Affected) -> Iterator[tuple[str, str]]:
    """What a person sees, and how many there are of it."""
    counts, replayed = affected.counts, affected.replayed
    missing, wrong = _reviews(replayed)
    yield "exposed: adaptive decisions in force", f"{counts.exposed:,}"
    yield "audited", f"{counts.audited:,}"
    yield "decided again", f"{counts.decided_again:,}"
    yield "wrong", f"{counts.wrong.total():,}"
    yield from ((f"  {kind.value}", f"{counts.wrong[kind]:,}") for kind in Wrong if counts.wrong[kind])
    yield "targets of wrong decisions", f"{affected.targets:,}"
    yield "records whose value differs", f"{sum(each.value_differs for each in replayed.differences):,}"
    yield "reviews that are missing", f"{len(missing):,}"
    yield "reviews that should not be", f"{len(wrong):,}"
    yield "corrections that end otherwise in consequence", f"{len(replayed.follow_on):,}"
    yield "not decidable again", f"{counts.undecidable.total():,}"
    yield from ((f"  {why.value}", f"{counts.undecidable[why]:,}") for why in Undecidable if counts.undecidable[why])
    untold = list(replayed.unreplayable.values())
    yield "records that cannot be told", f"{len(untold):,}"
    yield from ((f"  {why.value}", f"{untold.count(why):,}") for why in Unreplayable if why in untold)


def _reviews(replayed: Replayed) -> tuple[list[str], list[str]]:
    """Targets that need a review which they do not have, and those that have one which they do not need."""
    differences = replayed.differences
    missing = [each.held.target for each in differences if each.review_missing]
    return missing, [each.held.target for each in differences if each.review_wrong]


def _by_name(counted: Mapping[Any, int], kinds: type[Enum]) -> dict[str, int]:
    return {kind.name.lower(): counted[kind] for kind in kinds if counted.get(kind)}


def _plain(record: Record) -> list[float]:
    return [record.value, record.u_plus, record.u_minus]
