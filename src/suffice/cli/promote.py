"""`suffice promote`: the change that lets a service become adaptive, as a branch with its evidence."""

import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from suffice.answer import Answer
from suffice.cli import options
from suffice.cli.rollout_options import AcceptOptions
from suffice.cli.sources import CORRECTIONS, CaseOptions, service_code
from suffice.errors import RolloutError
from suffice.terminal import percent, print_lines, print_table

if TYPE_CHECKING:
    from suffice.rollout.promotion import Promotion, SourceSummary


@service_code()
def promote(
    *,
    source: CaseOptions,
    where: options.StoreOptions,
    waive: options.Waive = None,
    accept: AcceptOptions,
    branch: Annotated[
        str | None, typer.Option(metavar="NAME", help="The new branch [default: suffice/promote- and the plan's id].")
    ] = None,
    body: Annotated[Path, typer.Option(help="Where the text of the pull request is written.")] = Path(
        "TemporaryQueue/promotion/pull-request.md"
    ),
    push: Annotated[str | None, typer.Option(metavar="REMOTE", help="Push the branch to this remote.")] = None,
    pr: Annotated[bool, typer.Option("--pr", help="Open the pull request with gh; needs --push.")] = False,
    dry_run: options.DryRun = False,
    config: options.ConfigFile = None,
) -> Answer:
    """Measure the configured plan, and commit `enabled: true` with a release note on a new branch of this work tree.

    It measures on the even set and on the source. Exits 2 when a gate fails on one of them, when the plan's own worst
    case is above the limit, when the work tree is dirty, or when the service is enabled already. What rollout start
    would be refused for stands in the text. It pushes nothing unless asked to.

    Example: suffice promote --push origin --pr
    """
    from suffice.rollout.promotion import Wanted, measure
    from suffice.rollout.promotion import promote as make_promotion
    from suffice.rollout.start import Start, accepted_in_words, foresee_here, waived_of
    from suffice.rollout.subject import Subject
    from suffice.rollout.world import Place

    if pr and push is None:
        raise RolloutError("--pr needs --push REMOTE: a pull request is about a branch that others can see")
    path = config or options.CONFIG
    subject = Subject.read(path)
    name, arrivals = source.arrivals(subject, path, where)
    cases = [arrival.case() for arrival in arrivals]
    corrections = source.source in CORRECTIONS or source.records is not None
    waived, reasons = waived_of(waive or ())
    begin = Start(
        waived,
        {"source": name} if corrections or source.samples else None,
        enable=True,
        accepted={**accept.reasons, **reasons},
        targets=len({case.target for case in cases}) if corrections else None,
    )
    place = Place(path, where.queue, url=where.store)
    seen = foresee_here(place, subject, begin, time.time())
    unnamed = foresee_here(place, subject, replace(begin, source=None), time.time())
    only_unnamed = [one for one in unnamed.objections if one not in seen.objections]
    notes = [
        *seen.notes,
        *(f"a rollout start that names no source would be refused: {one.told}" for one in only_unnamed),
    ]
    seen.of_the_plan().refuse("promote")
    told = [objection.told for objection in seen.objections]
    if dry_run:
        evidence = measure(subject, name, cases)
        plain = {"dry_run": True, "evidence": [asdict(measured) for measured in evidence], "start_refused_for": told}
        plain["notes"] = notes
        return Answer(plain, lambda: _print_measured(evidence, told, notes))
    wanted = Wanted(path, body, branch, push, pr, accepted_in_words(begin.accepted, begin.waived), told)
    promotion = make_promotion(wanted, name, cases)
    plain = {**asdict(promotion), "body": str(promotion.body), "start_refused_for": told, "notes": notes}
    return Answer(plain, lambda: _print(promotion, told, notes))


def _print(promotion: "Promotion", told: "Sequence[str]", notes: "Sequence[str]") -> None:
    _print_measured(promotion.evidence, told, notes)
    print_lines(
        f"{promotion.branch} at {promotion.commit[:12]}: {', '.join(promotion.changed)}",
        f"text of the pull request: {promotion.body}",
    )
    if promotion.pull_request:
        print_lines(promotion.pull_request)
    elif not promotion.pushed:
        print_lines("not pushed; git push shows it to others")


def _print_measured(evidence: "Sequence[SourceSummary]", told: "Sequence[str]", notes: "Sequence[str]") -> None:
    columns = ("source", "cases", "draws saved", "decisions that differ")
    print_table("Evidence, measured now", columns, map(_row, evidence))
    print_lines(*(f"rollout start would be refused here: {sentence}" for sentence in told), *notes)


def _row(measured: "SourceSummary") -> tuple[str, ...]:
    summary = measured.summary
    saved, differ = percent(summary["sample_reduction"], 1), percent(summary["disagreement_rate"])
    return measured.source, f"{summary['cases']:,}", saved, differ
