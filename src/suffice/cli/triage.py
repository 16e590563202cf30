"""`suffice triage`: look at frozen evidence, and see a difference happen again."""

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from suffice.answer import Answer
from suffice.cli import options
from suffice.cli.command import Grouped, add
from suffice.cli.sources import (
    Column,
    RebuildOptions,
    SamplesFile,
    SourceOptions,
    check_samples_alone,
    samples_of,
    service_code,
)
from suffice.errors import DataError, ExitCode
from suffice.extras import require
from suffice.files import read_whole
from suffice.terminal import print_lines, print_table, progress

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from suffice.decision.rule import Rule
    from suffice.evidence.rebuild import Pair, Rebuild
    from suffice.sources.built import Builder
    from suffice.sources.correction import Correction
    from suffice.sources.recorded import Samples
    from suffice.store.database import Store
    from suffice.store.decision_row import DecisionRow
    from suffice.store.rollouts import StoredRollout
    from suffice.store.triage import TriageItem

app = typer.Typer(
    help="What was rolled back: items, their frozen evidence, the cause, the region, and a difference seen again.",
    cls=Grouped,
    no_args_is_help=True,
)

Item = Annotated[str, typer.Argument(metavar="ITEM", help="The item's id, as `suffice triage list` prints it.")]
ItemOrBundle = Annotated[Path, typer.Argument(metavar="ITEM", help="An item's id, or a bundle's folder.")]


def list_items(
    *,
    every: Annotated[bool, typer.Option("--all", help="Also those that are closed.")] = False,
    where: options.StoreOptions,
) -> Answer:
    """The open items, one for each rollout that was rolled back.

    Example: suffice triage list --all
    """
    from suffice.evidence.failures import failures_of
    from suffice.store.rollouts import load_rollout
    from suffice.store.triage import items

    with where.existing() as store, store.read() as connection:
        listed = items(connection, closed=every)
        sources = {item.id: _source(load_rollout(connection, item.id)) for item in listed}
        failures = {item.id: failures_of(connection, item.id, item.stage) for item in listed}
    columns = ("item", "service", "source", "stage", "opened", "state", "why it was rolled back")
    rows = [
        (item.id, item.service, sources[item.id] or "–", item.stage, _moment(item.opened_at), _state(item), item.reason)
        for item in listed
    ]
    return Answer(
        [
            {**asdict(item), "open": item.open, "source": sources[item.id], "failures": failures[item.id]}
            for item in listed
        ],
        lambda: print_table("Triage", columns, rows, left=len(columns)),
    )


def _source(stored: "StoredRollout | None") -> str | None:
    """What the rollout's cases are built from again, None where nobody can."""
    about = stored.config if stored else {}
    source = about.get("source")
    if not isinstance(source, dict):
        source = {"cases": about.get("config", {}).get("verifier", {}).get("cases")}
    named = next((source[key] for key in ("source", "records", "samples", "cases") if source.get(key)), None)
    return None if named is None else str(named)


def _state(item: "TriageItem") -> str:
    return "open" if item.open else f"closed by {item.closed_by}"


def _moment(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M}Z"


def show(item: Item, *, where: options.StoreOptions) -> Answer:
    """An item: why, which gates failed, where its evidence is, and the commands to begin with.

    Example: suffice triage show verifier-000001
    """
    from suffice.evidence.failures import failures_of
    from suffice.triage.items import read_item

    with where.existing() as store:
        chosen = read_item(store, item)
        with store.read() as connection:
            failures = failures_of(connection, chosen.id, chosen.stage)
    file = Path(chosen.bundle) / "TRIAGE.md"
    text = read_whole(file).decode().rstrip("\n") if file.is_file() else None
    closed = () if chosen.open else (f"Closed by {chosen.closed_by}: {chosen.note}", "")
    missing = f"{chosen.id} ({chosen.stage}): {chosen.reason}\nIts bundle {chosen.bundle} is not there any more."
    return Answer(
        {**asdict(chosen), "open": chosen.open, "intact": text is not None, "failures": failures},
        lambda: print_lines(*closed, text or missing),
    )


def close(
    item: Item,
    *,
    note: Annotated[str, typer.Option(metavar="TEXT", help="What it was, and what was done about it.")],
    who: options.Who = None,
    where: options.StoreOptions,
) -> Answer:
    """Close an item, with what it was. The bundle stays; from then on retention may remove the rollout's old rows.

    Example: suffice triage close verifier-000001 --note "a biased sampler"
    """
    import time

    from suffice.triage.items import close as close_item

    by = who or options.user()
    with where.existing() as store:
        close_item(store, item, time.time(), by, note)
    return Answer({"item": item, "closed_by": by, "note": note}, lambda: print_lines(f"{item} is closed"))


def check(item: ItemOrBundle, *, where: options.StoreOptions) -> Answer:
    """Check every file of a bundle against its manifest. Exits 2 when one was changed, added or removed.

    Example: suffice triage check verifier-000001
    """
    from suffice.triage.manifest import check as checked

    bundle = _bundle(item, where)
    count = checked(bundle)
    return Answer(
        {"bundle": str(bundle), "files": count, "intact": True},
        lambda: print_lines(f"{count} files are as they were frozen"),
    )


def explain(item: ItemOrBundle, *, where: options.StoreOptions) -> Answer:
    """Why a rollout failed: the plan disagrees as it says, or the draws are to blame, or nobody can tell.

    It compares the disagreements of the stage's audits with those that the plan itself says, given what each audit saw.
    Where a gate that judges no differences rolled back, or a person, it says so, and where to look.
    Exits 3 where it cannot tell.

    Example: suffice triage explain verifier-000001
    """
    from suffice.triage.cause import Cause
    from suffice.triage.frozen import explained

    seen = explained(_bundle(item, where))
    plain = {
        "cause": seen.cause.word,
        "audits": seen.audits,
        "expected": seen.expected,
        "observed": seen.observed,
        "p": seen.p,
        "evidence": seen.evidence,
        "evidence_now": seen.now,
        "limit": seen.limit,
        "left_out": seen.left_out,
        "sentence": f"{seen.instead}{seen.sentence}",
    }
    return Answer(
        plain,
        lambda: print_lines(seen.text),
        ExitCode.CANNOT_TELL if seen.cause is Cause.UNKNOWN else ExitCode.HOLDS,
    )


@service_code()
def map_(
    item: ItemOrBundle,
    *,
    cases: Annotated[
        str | None,
        typer.Option(
            metavar="MODULE:FUNCTION",
            help="What builds cases from features [default: verifier.cases of the configuration].",
        ),
    ] = None,
    source: SourceOptions,
    budget: Annotated[int, typer.Option(min=0, help="Directed decisions beside the audits, at most.")] = 300,
    seed: options.Seed = None,
    plot: options.Plot = None,
    config: options.ConfigFile = None,
    where: options.StoreOptions,
) -> Answer:
    """Where decisions differ: a region, as rules over the features of the cases.

    It starts from the stage's audits. Directed decisions then look where the edges may be: of cases that the service
    builds, or of the corrections of a source that are most like them; --budget 0 makes none.
    A case is marked when its two decisions differ, or its early and late draws do by more than 3.5 standard errors.
    Without --seed, search and draws have that of the audits.
    Exits 3 where no region can be told.

    Example: suffice triage map verifier-000001 --budget 300 --plot region.svg
    """
    from suffice.rehearsal.faults import feed_of
    from suffice.sources.built import Builder
    from suffice.triage.frozen import frozen_stage
    from suffice.triage.map import Decide, by_builder, by_pool, map_region
    from suffice.triage.region_view import lines_of, plain_map

    if plot is not None:
        require("--plot", "matplotlib")
    if cases and source.named:
        raise DataError("--cases and a source of corrections are both given; allowed: one of them")
    stage = frozen_stage(_bundle(item, where))
    used = stage.seed if seed is None else seed
    feed = feed_of(stage.fault) if stage.fault else None
    decide: Decide | None = None
    if source.named:
        pool = [correction.case() for correction in source.corrections()[1]]
        decide, budget = by_pool(pool, stage.plan, used, feed), min(budget, len(pool))
    elif budget:
        named = cases or options.read_config(config, required=config is not None).verifier.cases
        builder = Builder.of(named, config or options.CONFIG)
        if builder is None:
            raise DataError(
                "directed decisions need cases: --source, --cases, or verifier.cases, which is null; --budget 0 uses "
                "the audits alone"
            )
        decide = by_builder(builder, stage.plan, used, stage.region, feed)
    with progress("deciding") as told:
        mapped = map_region(stage.audits, decide, budget, used, lambda made: told(made, made / budget))
    if plot is not None:
        from suffice.reports.plots import save_figure
        from suffice.reports.region_plot import region_figure

        save_figure(region_figure(mapped), plot)
    return Answer(
        plain_map(mapped, used),
        lambda: print_lines(*lines_of(mapped)),
        ExitCode.HOLDS if mapped.resolved else ExitCode.CANNOT_TELL,
    )


@service_code()
def affected(
    item: ItemOrBundle,
    *,
    csv: options.Csv = None,
    source: RebuildOptions,
    config: options.ConfigFile = None,
    where: options.StoreOptions,
) -> Answer:
    """Decide each adaptive decision of the failed stage again by the baseline; list what went out wrong.

    Nothing is written to the store. Cases are built again from provenance, from the source that is named here or was at
    the rollout's start, or by verifier.cases. The history of each affected record is resolved again as the baseline
    decides, and compared with what the store holds. --csv has a row for each wrong decision.
    Exits 2 when something is wrong, 3 when nothing is but some cannot be decided again, 0 when all are right.

    Example: suffice triage affected verifier-000001 --csv wrong.csv
    """
    from contextlib import ExitStack

    from suffice.comparison.rows import csv_lines
    from suffice.config import load
    from suffice.files import check_writable
    from suffice.resolution.storm import StormPolicy
    from suffice.sources.built import Builder
    from suffice.triage.affected import FailedStage, WrongDecision, find_affected
    from suffice.triage.affected_view import COLUMNS, plain_affected, row_of, rows_shown

    source.check()
    if csv is not None:
        check_writable(csv)
    ours = options.read_config(config, required=config is not None)
    builder = Builder.of(ours.verifier.cases, config or options.CONFIG)
    with where.existing() as store, ExitStack() as files:
        chosen = _item_of(store, item)
        bundle = item if item.is_dir() else Path(chosen.bundle)
        rebuild, corrections = _ways(store, chosen.id, bundle, source, builder)
        stored = bundle / "config.json"
        failed = FailedStage(store, chosen.id, chosen.stage, bundle, rebuild, builder)
        policy = StormPolicy.of(load(stored) if stored.is_file() else ours)
        write = files.enter_context(csv_lines(csv, COLUMNS)) if csv is not None else None

        def each(wrong: WrongDecision) -> None:
            if write is not None:
                line = row_of(wrong)
                write([line], careful=any("\r" in str(cell) for cell in line))

        with progress("deciding again") as told:
            seen = find_affected(store, failed, policy, corrections, each, told)
    unknown = ExitCode.HOLDS if seen.all_known else ExitCode.CANNOT_TELL
    return Answer(
        {"item": chosen.id, "stage": chosen.stage, **plain_affected(seen)},
        lambda: print_table(f"{chosen.id}, stage {chosen.stage}", ("what", "count"), rows_shown(seen)),
        ExitCode.FAILS if seen.any_wrong else unknown,
    )


def _item_of(store: "Store", given: Path) -> "TriageItem":
    """The item of an id, or of a bundle's folder, in the store that made it."""
    from suffice.store.triage import items
    from suffice.triage.items import read_item

    if not given.is_dir() and len(given.parts) == 1:
        return read_item(store, str(given))
    with store.read() as connection:
        known = items(connection, closed=True)
    same = next((item for item in known if Path(item.bundle).resolve() == given.resolve()), None)
    if same is None:
        raise DataError(f"{given}: is the bundle of no item of {store.name}; name its store by --queue or --store")
    return same


def _ways(
    store: "Store", rollout: str, bundle: Path, named: RebuildOptions, builder: "Builder | None"
) -> "tuple[Rebuild, Callable[[], Mapping[str, Correction]]]":
    """How decisions of a rollout are rebuilt, and the corrections of its source by their keys.

    A source is read only where something is left that needs it.
    """
    from functools import cache

    from suffice.cli.rollout_options import rebuild_of, stored_corrections, stored_source
    from suffice.evidence.rebuild import from_builder, from_provenance, in_turn
    from suffice.stopping.plan import Plan
    from suffice.store.rollouts import load_rollout

    with store.read() as connection:
        about = load_rollout(connection, rollout)
    given = stored_source(named) or (about.config.get("source") if about else None)

    @cache
    def from_given() -> "Rebuild":
        return rebuild_of(given or {}, Plan.load(bundle / "plan.json"))

    def by_source(rows: "Sequence[DecisionRow]") -> "list[Pair]":
        return from_given()(rows) if rows else []

    @cache
    def corrections() -> "Mapping[str, Correction]":
        if given is None or "samples" in given:
            return {}
        return {correction.key: correction for correction in stored_corrections(given)}

    ways = [from_provenance(store), *([by_source] if given else []), *([from_builder] if builder else [])]
    return in_turn(ways), corrections


@service_code()
def reproduce(
    item: ItemOrBundle,
    *,
    key: Annotated[str | None, typer.Option(metavar="KEY", help="The decision [default: the bundle's first].")] = None,
    samples: SamplesFile = None,
    column: Column = None,
    config: options.ConfigFile = None,
    where: options.StoreOptions,
) -> Answer:
    """Decide a disagreeing decision of a bundle again from its seed, and print both paths look by look.

    Cases that only the service can build are built by the function that verifier.cases names in the configuration, or
    their draws are those of --samples, as they were drawn.
    Exits 0 when the difference is seen again, 2 when it is not.

    Example: suffice triage reproduce verifier-000001
    """
    from suffice.rehearsal.faults import feed_of
    from suffice.sources.built import Builder
    from suffice.sources.opened import STDIN
    from suffice.triage.reproduce import reproduce as reproduced

    def builder() -> Builder | None:
        name = options.read_config(config, required=config is not None).verifier.cases
        return Builder.of(name, config or options.CONFIG)

    def recorded(rule: "Rule") -> "Samples":
        return samples_of(samples or STDIN, column or (), rule, given_order=True)

    check_samples_alone(samples, column)
    seen = reproduced(
        _bundle(item, where), key, builder=builder, recorded=recorded if samples else None, feed_of=feed_of
    )
    rows = [(str(look["n"]), _number(look["baseline"]), _number(look["adaptive"])) for look in seen["looks"]]
    title = (
        f"{seen['key']}: fixed {seen['baseline']} after {seen['baseline_n']}, "
        f"adaptive {seen['adaptive']} after {seen['adaptive_n']}"
    )
    return Answer(
        seen,
        lambda: print_table(title, ("draws", "fixed sees", "adaptive sees"), rows),
        ExitCode.HOLDS if seen["differs"] else ExitCode.FAILS,
    )


for _name, _command in (
    ("list", list_items),
    ("show", show),
    ("close", close),
    ("check", check),
    ("explain", explain),
    ("map", map_),
    ("affected", affected),
    ("reproduce", reproduce),
):
    add(app, "Commands", _name, _command)


def _item(item: str, where: options.StoreOptions) -> "TriageItem":
    from suffice.triage.items import read_item

    with where.existing() as store:
        return read_item(store, item)


def _bundle(given: Path, where: options.StoreOptions) -> Path:
    """A folder as it is; anything else is an item's id."""
    return given if given.is_dir() or len(given.parts) > 1 else Path(_item(str(given), where).bundle)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.6g}"
