"""`suffice promote`: the change that lets a service become adaptive, as a branch with its evidence."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from suffice.cli import options


def promote(
    source: Annotated[str | None, typer.Option(help="pdg or codata, beside the even set (default: pdg).")] = None,
    records: Annotated[Path | None, typer.Option(help="Your records, as in suffice compare.")] = None,
    measurements: Annotated[Path | None, typer.Option(help="Your measurements of them.")] = None,
    branch: Annotated[
        str | None, typer.Option(help="The new branch (default: suffice/promote- and the plan's id).")
    ] = None,
    body: Annotated[Path, typer.Option(help="Where the text of the pull request is written.")] = Path(
        "TemporaryQueue/promotion/pull-request.md"
    ),
    push: Annotated[str | None, typer.Option(metavar="REMOTE", help="Push the branch to this remote.")] = None,
    pr: Annotated[bool, typer.Option("--pr", help="Open the pull request with gh; needs --push.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Measure and judge; change nothing.")] = False,
    config: options.ConfigFile = None,
    json: options.Json = False,
) -> int:
    """Measure the configured plan, and commit `enabled: true` with a release note on a new branch of this work tree.

    Refused (exit 2) when the work tree is dirty, a gate fails on the even set or on the source, or it is enabled
    already. Nothing is pushed unless asked for.
    """
    from suffice.cli.console import print_json
    from suffice.cli.sources import corrections_of
    from suffice.errors import RolloutError
    from suffice.rollout.promotion import Wanted, measure
    from suffice.rollout.promotion import promote as made
    from suffice.rollout.subject import Subject

    if pr and push is None:
        raise RolloutError("--pr needs --push REMOTE: a pull request is about a branch that others can see")
    name, corrections = corrections_of(None if records or measurements else source or "pdg", records, measurements)
    cases = [correction.case() for correction in corrections]
    path = config or Path("config.json")
    if dry_run:
        evidence = measure(Subject.read(path), name, cases)
        if json:
            print_json({"dry_run": True, "evidence": [asdict(it) for it in evidence]})
        else:
            _print_evidence([(it.source, it.summary) for it in evidence])
        return 0
    done = made(Wanted(path, body, branch, push, pr), name, cases)
    if json:
        print_json({**asdict(done), "body": str(done.body)})
        return 0
    _print_evidence([(it.source, it.summary) for it in done.evidence])
    sys.stdout.write(f"{done.branch} at {done.commit[:12]}: {', '.join(done.changed)}\n")
    sys.stdout.write(f"text of the pull request: {done.body}\n")
    if done.pull_request:
        sys.stdout.write(f"{done.pull_request}\n")
    elif not done.pushed:
        sys.stdout.write("not pushed; git push shows it to others\n")
    return 0


def _print_evidence(evidence: "list[tuple[str, dict[str, float]]]") -> None:
    from suffice.cli.console import percent, print_table

    rows = (
        (name, f"{it['cases']:,}", percent(it["sample_reduction"], 1), percent(it["disagreement_rate"]))
        for name, it in evidence
    )
    print_table("Evidence, measured now", ("source", "cases", "draws saved", "decisions that differ"), rows)
