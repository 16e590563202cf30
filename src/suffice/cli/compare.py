"""`suffice compare`: every case both ways on the same draws."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from suffice.answer import Answer
from suffice.cli import options, sources
from suffice.errors import DataError, MissingDataError, PlanError

if TYPE_CHECKING:
    from suffice.comparison.chunks import Plans, Progress
    from suffice.sources.recorded import Unusable
    from suffice.verifier.case import Case
    from suffice.verifier.many import CaseResult


def compare(
    *,
    source: Annotated[str | None, typer.Option(help="pdg, codata or even [default: even].")] = None,
    records: sources.Records = None,
    measurements: sources.Measurements = None,
    samples: Annotated[
        Path | None, typer.Option(help="Your recorded draws: .jsonl, .csv or .parquet; N is how many a case has.")
    ] = None,
    order: Annotated[
        str, typer.Option(help="How recorded draws are taken: keyed, in a random permutation, or as given.")
    ] = "keyed",
    method: Annotated[
        str | None, typer.Option(help="One or more methods, like optimal,margin; the first is judged.")
    ] = None,
    choice: options.RuleOptions,
    seed: options.Seed = None,
    csv: Annotated[Path | None, typer.Option(help="Write a row for each case and method.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write a row for each case, as Parquet.")] = None,
    report: Annotated[Path | None, typer.Option(help="Write a self-contained HTML report.")] = None,
    workers: options.Workers = 1,
    cluster: options.Cluster = None,
    use_config: options.UseConfig = False,
    deterministic: Annotated[
        bool, typer.Option("--deterministic", help="Take the seed from the configuration.")
    ] = False,
    config: options.ConfigFile = None,
) -> Answer:
    """Decide every case by the fixed rule and adaptively on the same draws; show what was saved and what differs.

    Exits 2 when the first method disagrees in a larger share than regression_gate.max_disagreement_rate, 3 when there
    is no case to judge (with --use-config: fewer than regression_gate.min_cases).
    """
    from suffice.comparison.view import answer
    from suffice.extras import require
    from suffice.files import check_writable

    if report is not None:
        require("--report", "matplotlib", "jinja2")
    read = options.read_config(config, required=use_config)
    setting = options.setting_of(choice, read)
    for path in (csv, out, report):
        if path is not None:
            check_writable(path)
    methods = _methods(method or read.verifier.adaptive_sampling.method)
    if samples is None:
        given = _generated(source, records, measurements, setting, methods)
    else:
        if source is not None or records is not None or measurements is not None or choice.n is not None:
            raise DataError("--samples stands alone: not with --source, --records, --measurements or --n")
        given = _recorded(samples, order, setting, methods)
    used_seed = read.determinism.seed if seed is None or deterministic else seed
    wanted = _Wanted(csv, out, examples=report is not None)
    progress = _run(given, setting, methods, used_seed, wanted, workers, cluster)
    if progress.comparison.sizes and report is not None:
        from suffice.reports.comparison_report import write_report

        write_report(progress.comparison, report, source=given.name)
    gate = read.verifier.adaptive_sampling.regression_gate
    return answer(progress, given.name, gate.max_disagreement_rate, gate.min_cases if use_config else 1, report)


@dataclass(frozen=True, slots=True)
class _Given:
    """Cases with a name, the plans for each N, and how far they were taken, 0 to 1, when so many are done."""

    name: str
    cases: "Iterable[Case | Unusable]"
    plans: "Plans"
    share: Callable[[int], float]


@dataclass(frozen=True, slots=True)
class _Wanted:
    csv: Path | None
    out: Path | None
    examples: bool


def _generated(
    source: str | None, records: Path | None, measurements: Path | None, setting: options.Setting, methods: list[str]
) -> _Given:
    from suffice.cli.sources import cases_of

    plans = [setting.plan(method) for method in methods]
    name, cases = cases_of(source, records, measurements, setting.rule, setting.n)
    return _Given(name, cases, lambda _: plans, lambda done: done / max(len(cases), 1))


def _recorded(path: Path, order: str, setting: options.Setting, methods: list[str]) -> _Given:
    from suffice.sources.recorded import ORDERS, Samples

    if order not in ORDERS:
        raise DataError(f"--order is {order!r}; allowed: {', '.join(ORDERS)}")
    samples = Samples(path, setting.rule, given_order=order == "given")
    # Nobody knows the shape of recorded draws.
    return _Given(
        path.name,
        samples,
        lambda n: [setting.plan(method, n, guarded=True) for method in methods],
        lambda _: samples.share,
    )


def _run(
    given: _Given,
    setting: options.Setting,
    methods: list[str],
    seed: int,
    wanted: _Wanted,
    workers: int,
    cluster: str | None,
) -> "Progress":
    from suffice.comparison.chunks import Progress, compare_in_chunks
    from suffice.comparison.compare import Comparison
    from suffice.comparison.workers import pool
    from suffice.terminal import progress

    done = Progress(Comparison(setting.rule, seed))
    with _writing(wanted, methods) as write, pool(workers, cluster) as hands, progress(given.name) as tell:
        for done in compare_in_chunks(
            given.cases, setting.rule, setting.n, given.plans, seed, hands, rows=write, examples=wanted.examples
        ):
            tell(done.cases, given.share(done.cases))
        if not done.comparison.sizes and not done.failed:
            # Here, where what was written so far is still thrown away.
            reasons = ", ".join(f"{reason} ({count})" for reason, count in sorted(done.comparison.left_out.items()))
            raise MissingDataError(f"{given.name}: has no case that can be decided: {reasons or 'it is empty'}")
    return done


@contextmanager
def _writing(wanted: _Wanted, methods: Sequence[str]) -> "Iterator[Callable[[list[CaseResult]], None] | None]":
    """What takes the results of a chunk; None when no file of them is wanted."""
    from suffice.comparison.rows import csv_rows, parquet_rows

    with ExitStack() as open_:
        writers = [
            open_.enter_context(rows(path, methods))
            for rows, path in ((csv_rows, wanted.csv), (parquet_rows, wanted.out))
            if path is not None
        ]

        def write(results: "list[CaseResult]") -> None:
            for writer in writers:
                writer(results)

        yield write if writers else None


def _methods(given: str) -> list[str]:
    names = [name.strip() for name in given.split(",")]
    if len(set(names)) < len(names):
        raise PlanError(f"--method is {given!r}; each method may stand once")
    return names
