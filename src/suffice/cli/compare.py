"""`suffice compare`: every case both ways on the same draws."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from suffice.answer import Answer
from suffice.cli import options, sources
from suffice.errors import DataError, MissingDataError, PlanError

if TYPE_CHECKING:
    from suffice.comparison.chunks import Plans, Progress
    from suffice.comparison.workers import Pool
    from suffice.sources.recorded import Unusable
    from suffice.verifier.case import Case


@dataclass(frozen=True, slots=True)
class Cases:
    """The options that say where the cases come from."""

    source: Annotated[
        Literal["pdg", "codata", "even", "ledger"] | None,
        typer.Option(
            help="Known cases; ledger: the service's newest decisions, built again by verifier.cases [default: even]."
        ),
    ] = None
    records: sources.Records = None
    measurements: sources.Measurements = None
    samples: sources.SamplesFile = None
    column: sources.Column = None
    order: Annotated[
        Literal["keyed", "given"],
        typer.Option(help="How recorded draws are taken: keyed, in a random permutation, or as given."),
    ] = "keyed"


@dataclass(frozen=True, slots=True)
class Outputs:
    """The options that name files to write."""

    csv: options.Csv = None
    csv_raw: Annotated[
        bool,
        typer.Option("--csv-raw", help="Leave texts that look like formulas as they are in the CSV."),
    ] = False
    out: Annotated[Path | None, typer.Option(help="Write a row for each case, as Parquet.")] = None
    report: Annotated[Path | None, typer.Option(help="Write a self-contained HTML report.")] = None

    def check(self) -> None:
        """Raises OutputError for a file that cannot be written."""
        from suffice.files import check_writable

        for path in (self.csv, self.out, self.report):
            if path is not None:
                check_writable(path)


@sources.service_code()
def compare(
    cases: Cases,
    choice: options.RuleOptions,
    outputs: Outputs,
    where: options.StoreOptions,
    method: Annotated[
        str | None,
        typer.Option(metavar="METHOD,METHOD", help="One or more methods, like optimal,margin; the first is judged."),
    ] = None,
    seed: options.Seed = None,
    workers: options.Workers = 1,
    cluster: options.Cluster = None,
    use_config: options.UseConfig = False,
    deterministic: Annotated[
        bool, typer.Option("--deterministic", help="Take the seed from the configuration.")
    ] = False,
    config: options.ConfigFile = None,
) -> Answer:
    """Decide every case by the fixed rule and adaptively on the same draws; show what was saved and what differs.

    --csv has a row for each case and method.
    Exits 2 when the first method disagrees in a larger share than regression_gate.max_disagreement_rate, 3 when there
    is no case to judge (with --use-config: fewer than regression_gate.min_cases). With regression_gate.enabled false
    nothing is judged.

    Example: suffice compare --source pdg --method optimal,margin
    """
    from suffice.comparison.view import answer
    from suffice.comparison.workers import pool
    from suffice.extras import require

    if outputs.report is not None:
        require("--report", "matplotlib", "jinja2")
    read = options.read_config(config, required=use_config)
    setting = options.setting_of(choice, read)
    outputs.check()
    methods = _methods(method or read.verifier.adaptive_sampling.method)
    if cases.samples is None:
        if cases.column:
            raise DataError("--column says what --samples calls a column; it needs --samples")
        given = _generated(cases, setting, methods, config, where)
    elif (cases.source, cases.records, cases.measurements, choice.n) != (None,) * 4:
        raise DataError("--samples stands alone: not with --source, --records, --measurements or --n")
    else:
        given = _recorded(cases, cases.samples, setting, methods)
    used_seed = read.determinism.seed if seed is None or deterministic else seed
    with pool(workers, cluster) as hands:
        progress = _compared(given, setting, methods, used_seed, outputs, hands)
    if progress.comparison.sizes and outputs.report is not None:
        from suffice.reports.comparison_report import write_report

        write_report(progress.comparison, outputs.report, source=given.name)
    gate = read.verifier.adaptive_sampling.regression_gate
    return answer(progress, given.name, gate, from_file=use_config, report=outputs.report)


@dataclass(frozen=True, slots=True)
class _Given:
    """Cases with a name, the plans for each N, and how far they were taken, 0 to 1, when so many are done."""

    name: str
    cases: "Iterable[Case | Unusable]"
    plans: "Plans"
    share: Callable[[int], float]


def _generated(
    given: Cases, setting: options.Setting, methods: list[str], config: Path | None, where: options.StoreOptions
) -> _Given:
    plans = [setting.plan(method) for method in methods]
    if given.source == "ledger":
        from suffice.sources.built import Builder

        sources.check_alone("ledger", given.records, given.measurements)
        known = sources.decided(Builder.of(setting.config.verifier.cases, config or options.CONFIG), where)
        built = (case.case() for case in known)
        return _Given("ledger", built, lambda _: plans, lambda done: done / len(known))
    name, cases = sources.cases_of(given.source, given.records, given.measurements, setting.rule, setting.n)
    return _Given(name, cases, lambda _: plans, lambda done: done / max(len(cases), 1))


def _recorded(given: Cases, path: Path, setting: options.Setting, methods: list[str]) -> _Given:
    samples = sources.samples_of(path, given.column or (), setting.rule, given_order=given.order == "given")
    # Nobody knows the shape of recorded draws.
    return _Given(
        samples.name,
        samples,
        lambda n: [setting.plan(method, n, guarded=True) for method in methods],
        lambda _: samples.share,
    )


def _compared(
    given: _Given, setting: options.Setting, methods: list[str], seed: int, outputs: Outputs, hands: "Pool"
) -> "Progress":
    from suffice.comparison.chunks import Progress, compare_in_chunks
    from suffice.comparison.compare import Comparison
    from suffice.comparison.rows import rows_to
    from suffice.terminal import progress

    done, examples = Progress(Comparison(setting.rule, seed)), outputs.report is not None
    with rows_to(outputs.csv, outputs.out, methods, raw=outputs.csv_raw) as write, progress(given.name) as tell:
        for done in compare_in_chunks(
            given.cases, setting.rule, setting.n, given.plans, seed, hands, rows=write, examples=examples
        ):
            tell(done.cases, given.share(done.cases))
        if not done.comparison.sizes and not done.failed:
            # Here, where what was written so far is still thrown away.
            reasons = ", ".join(f"{reason} ({count})" for reason, count in sorted(done.comparison.left_out.items()))
            raise MissingDataError(f"{given.name}: has no case that can be decided: {reasons or 'it is empty'}")
    return done


def _methods(given: str) -> list[str]:
    names = [name.strip() for name in given.split(",")]
    if len(set(names)) < len(names):
        raise PlanError(f"--method is {given!r}; each method may stand once")
    return names
