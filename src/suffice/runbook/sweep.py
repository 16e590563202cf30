"""The sweep: many cells of many scenarios, each run once or more, each with a report of its own."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from math import isfinite
from pathlib import Path
from pickle import PicklingError
from typing import Any, TypeAlias

from suffice import __version__, strict_json
from suffice.comparison.workers import Failed, Pool, in_order
from suffice.decision.rule import Decision
from suffice.errors import DataError, OutputError, SufficeError, shown
from suffice.files import read_whole, remove_leftovers, write_atomically
from suffice.resolution.storm import StormPolicy
from suffice.runbook import sweep_files as files
from suffice.runbook.scenarios.catalogue import SCENARIOS, named
from suffice.runbook.scenarios.run import run
from suffice.runbook.scenarios.scenario import Scenario
from suffice.runbook.scenarios.setting import Check, Params, Setting, Value
from suffice.runbook.scenarios.worlds import World, Worlds
from suffice.runbook.sweep_files import METRICS, RESULTS, Name
from suffice.stopping.plan import Plan
from suffice.telemetry.counters import Counter, Counters
from suffice.telemetry.metrics_file import flush

SHOWN_TARGETS = 3
"""Targets whose events a report shows; the head of the chain stands for all of them."""

RUNS = 6
"""Runs of a chunk: together they take about as long as a chunk of a comparison, a quarter of a second, and much longer
than handing them over."""

Grid = Mapping[str, Mapping[str, tuple[Value, ...]]]
Report: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Task:
    """One run that is to be made. Only scenarios of the catalogue can be made by another process."""

    scenario: Scenario
    params: Params
    name: Name

    def __reduce__(self) -> tuple[Any, ...]:
        if self.scenario not in SCENARIOS:
            raise PicklingError(f"scenario {self.scenario.id} is not in the catalogue, which is all that workers know")
        return _task, (self.scenario.id, self.params, self.name)


def _task(scenario: str, params: Params, name: Name) -> Task:
    return Task(named([scenario])[0], params, name)


@dataclass(frozen=True, slots=True)
class Conditions:
    """What all runs of a sweep have in common. `at` is the time that all reports carry, in deterministic mode; None is
    the time when a run is made."""

    plan: Plan
    seed: int
    policy: StormPolicy
    at: datetime | None

    @property
    def deterministic(self) -> bool:
        return self.at is not None

    def now(self) -> datetime:
        return self.at or datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Chunk:
    """Runs that are made together."""

    tasks: tuple[Task, ...]
    conditions: Conditions


def tasks(
    scenarios: Sequence[Scenario], repeats: int = 1, budget: int | None = None, grid: Grid | None = None
) -> list[Task]:
    """The runs of a sweep, scenario by scenario: every cell `repeats` times, or at most `budget` runs in all.

    A budget is shared out equally among the scenarios, what one does not need going to the others, and within a
    scenario the runs that are made are spread evenly over all of them. Raises DataError when repeats or budget is below
    1, or there is no scenario.
    """
    for name, value in (("repeats", repeats), ("budget", budget)):
        if value is not None and value < 1:
            raise DataError(f"{name} is {value}; allowed: at least 1")
    if not scenarios:
        raise DataError("there is no scenario to run")
    every = [_tasks(scenario, repeats, (grid or {}).get(scenario.id)) for scenario in scenarios]
    shares = _shares([len(of) for of in every], budget)
    return [of[i * len(of) // share] for of, share in zip(every, shares, strict=True) for i in range(share)]


def _tasks(scenario: Scenario, repeats: int, grid: Mapping[str, tuple[Value, ...]] | None) -> list[Task]:
    cells = {files.cell_id(params): params for params in scenario.cells(grid)}
    return [
        Task(scenario, params, Name(scenario.id, cell, repeat))
        for repeat in range(repeats)
        for cell, params in cells.items()
    ]


def _shares(sizes: list[int], budget: int | None) -> list[int]:
    """How many runs each scenario gets. Where the budget is below their number, those that get one are spread too."""
    if budget is None or budget >= sum(sizes):
        return sizes
    if budget < len(sizes):
        chosen = {i * len(sizes) // budget for i in range(budget)}
        return [int(i in chosen) for i in range(len(sizes))]
    shares = [0] * len(sizes)
    while budget:
        for i, size in enumerate(sizes):
            if budget and shares[i] < size:
                shares[i] += 1
                budget -= 1
    return shares


def read_grid(path: Path, scenarios: Sequence[Scenario]) -> Grid:
    """The grid in a JSON file, {scenario: {parameter: [values]}}; what it leaves out keeps the declared values.

    Raises DataError, with file, scenario and parameter, for anything that is not known or of another type.
    """
    try:
        content = strict_json.loads(read_whole(path))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read as a grid: {error}") from error
    known = {scenario.id: scenario for scenario in scenarios}
    if not isinstance(content, dict) or not all(isinstance(part, dict) for part in content.values()):
        raise DataError(f'{path}: a grid is an object like {{"small_noise": {{"noise": [0.1, 0.2]}}}}')
    for name in content:
        if name not in known:
            raise DataError(f"{path}: scenario {shown(name)} is not in this sweep; allowed: {', '.join(known)}")
    return {name: _parameters(f"{path}: {name}", known[name], given) for name, given in content.items()}


def _parameters(where: str, scenario: Scenario, given: Mapping[str, Any]) -> dict[str, tuple[Value, ...]]:
    for name, values in given.items():
        if name not in scenario.grid:
            raise DataError(f"{where}: parameter {shown(name)} is not known; allowed: {', '.join(scenario.grid)}")
        if not isinstance(values, list) or not values:
            raise DataError(f"{where}.{name} is {shown(values)}; allowed: a list of at least one value")
        for value in values:
            _check_value(f"{where}.{name}", scenario.grid[name], value)
    return {name: tuple(values) for name, values in given.items()}


def _check_value(where: str, declared: tuple[Value, ...], value: Any) -> None:
    if isinstance(declared[0], str):
        if value not in declared:
            raise DataError(f"{where} has {shown(value)}; allowed: {', '.join(map(str, declared))}")
    elif isinstance(value, bool) or not isinstance(value, (int, float)) or not isfinite(value):
        raise DataError(f"{where} has {shown(value)}; allowed: finite numbers")


def sweep(
    folder: Path, wanted: Sequence[Task], conditions: Conditions, workers: Pool
) -> Iterator[Report | Failed[Chunk]]:
    """Make the runs, writing each report as a whole; the table and the counters follow at the end.

    Yields the reports in the order of the runs, and what is written is the same whatever the workers. A chunk that
    failed twice is yielded in place of its reports; the rest is made, but there is no table then: the sweep is not
    finished. A folder that has no table yet was interrupted: reports in it that this sweep would write again are kept.
    Where there is a table everything is made anew, and reports that are not of this sweep are removed. Raises
    OutputError, and DataError when a scenario cannot be run with its parameters.
    """
    _clear(folder, wanted)
    kept = {task.name: report for task in wanted if (report := _kept(folder, task, conditions)) is not None}
    missing = [task for task in wanted if task.name not in kept]
    chunks = in_order(make_chunk, _chunks(missing, conditions), workers)
    reports: list[Report] = []
    for one in _in_turn(wanted, kept, _written(folder, chunks)):
        yield one
        if not isinstance(one, Failed):
            reports.append(one)
    if len(reports) == len(wanted):
        _write_metrics(folder / METRICS, reports)
        write_atomically(folder / RESULTS, files.table_text([files.row_of(report) for report in reports]))


def _chunks(wanted: Iterable[Task], conditions: Conditions) -> Iterator[Chunk]:
    source = iter(wanted)
    while some := tuple(islice(source, RUNS)):
        yield Chunk(some, conditions)


def _written(
    folder: Path, chunks: Iterable[list[Report] | DataError | Failed[Chunk]]
) -> Iterator[Report | Failed[Chunk]]:
    for chunk in chunks:
        if isinstance(chunk, DataError):
            raise chunk
        if isinstance(chunk, Failed):
            yield chunk
            continue
        for report in chunk:
            write_atomically(folder / report["report_file"], files.report_text(report))
        yield from chunk


def _in_turn(
    wanted: Iterable[Task], kept: Mapping[Name, Report], fresh: Iterator[Report | Failed[Chunk]]
) -> Iterator[Report | Failed[Chunk]]:
    lost: set[Name] = set()
    for task in wanted:
        if task.name in kept:
            yield kept[task.name]
        elif task.name not in lost:
            one = next(fresh)
            if isinstance(one, Failed):
                lost.update(other.name for other in one.chunk.tasks)
            yield one


def make_chunk(chunk: Chunk) -> list[Report] | DataError:
    """The reports of a chunk's runs. A scenario that cannot be run is the user's error, and no failure of the chunk."""
    try:
        return [make(task, chunk.conditions) for task in chunk.tasks]
    except DataError as error:
        return error


def make(task: Task, conditions: Conditions) -> Report:
    """Run one task and report on it. Raises DataError when the scenario cannot be run with its parameters.

    Any other exception is a failure of the product: the report says so, and the sweep goes on.
    """
    start = conditions.now()
    setting = Setting(conditions.plan, conditions.seed, conditions.policy, start.timestamp(), task.name.scope)
    worlds, checks = None, list[Check]()
    try:
        worlds, checks = run(task.scenario, task.params, setting)
    except SufficeError as error:
        raise DataError(f"scenario {task.scenario.id}, {files.canonical(task.params)}: {error}") from error
    except Exception as error:
        checks = [Check(f"it raised {type(error).__name__}: {error}", holds=False)]
    return {
        "scenario_id": task.scenario.id,
        "deterministic_mode": conditions.deterministic,
        "seed_obj": files.seed_object(task.name, conditions.seed),
        "result": {**_identity(task, conditions), **_result(worlds, checks)},
        "provenance_snapshot": _snapshot(worlds),
        "start_ts": _text(start),
        "end_ts": _text(conditions.now()),
        "report_file": task.name.report_file,
    }


def _identity(task: Task, conditions: Conditions) -> dict[str, Any]:
    plan = conditions.plan
    return {
        "cell_id": task.name.cell,
        "params": strict_json.loads(files.canonical(task.params)),
        "models": task.scenario.models,
        "expectation": task.scenario.expectation,
        "rule": plan.rule.name,
        "parameters": dict(plan.rule.parameters),
        "method": plan.method,
        "plan_id": plan.id,
        "max_rollbacks": conditions.policy.max_rollbacks,
        "version": __version__,
    }


def _result(worlds: Worlds | None, checks: Sequence[Check]) -> dict[str, Any]:
    decided = list(worlds.adaptive.served.values()) if worlds else []
    return {
        "passed": bool(checks) and all(check.holds for check in checks),
        "checks": [{"what": check.what, "holds": check.holds} for check in checks],
        "n": sum(served.n for served in decided),
        "fixed_n": sum(served.fixed_n for served in decided),
        "agrees": worlds is not None and worlds.agree,
        "worlds": {world.arm.value: _world(world) for world in worlds.both} if worlds else {},
    }


def _world(world: World) -> dict[str, Any]:
    decided = [served.decision for served in world.served.values()]
    return {
        "decisions": {decision.value: decided.count(decision) for decision in Decision},
        "counters": {counter.value: value for counter, value in world.counts.counters.items()},
    }


def _snapshot(worlds: Worlds | None) -> dict[str, Any]:
    return {world.arm.value: _chain(world) for world in worlds.both} if worlds else {}


def _chain(world: World) -> dict[str, Any]:
    return {
        "events": world.chain.verified,
        "head": world.chain.head,
        "intact": world.chain.intact,
        "targets": {
            target: [{"event": e.event, "correction_key": e.correction_key, "payload": e.payload} for e in events]
            for target, events in list(world.events.items())[:SHOWN_TARGETS]
        },
    }


def _clear(folder: Path, wanted: Sequence[Task]) -> None:
    names = {Path(task.name.report_file).name for task in wanted}
    results = folder / RESULTS
    finished = results.exists()
    try:
        for path in files.report_paths(folder):
            if path.name.startswith(("adversarial_report_", ".adversarial_report_")) and (
                finished or path.name not in names
            ):
                path.unlink(missing_ok=True)
        # Last, so that a kill in between leaves a finished sweep, which the next start clears again.
        results.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"{error.filename}: cannot be removed: {error.strerror or error}") from error
    remove_leftovers(results)


def _kept(folder: Path, task: Task, conditions: Conditions) -> Report | None:
    """The report of an interrupted sweep, if it is what would be made now."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        report = strict_json.loads(read_whole(folder / task.name.report_file))
        expected = {
            "scenario_id": task.scenario.id,
            "deterministic_mode": conditions.deterministic,
            "seed_obj": files.seed_object(task.name, conditions.seed),
            "report_file": task.name.report_file,
        }
        same = all(report[key] == value for key, value in expected.items())
        identity = _identity(task, conditions)
        same = same and all(report["result"][key] == value for key, value in identity.items())
        same = same and conditions.at in (None, datetime.fromisoformat(report["start_ts"]))
        if same and set(report) == set(files.REPORT_KEYS) and files.row_of(report):
            return dict(report)
    return None


def _write_metrics(path: Path, reports: Iterable[Mapping[str, Any]]) -> None:
    """The counters of the sweep, in a file of its own: what a scenario expects is no news for production."""
    counters = Counters()
    for report in reports:
        for world in report["result"]["worlds"].values():
            counters.decided(sum(world["decisions"].values()))
            for name, value in world["counters"].items():
                counters.add(Counter(name), value)
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"{path}: cannot be removed: {error.strerror or error}") from error
    flush(counters, path)


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
