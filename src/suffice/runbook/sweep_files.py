"""The files of a sweep: their names, the rows of sweep_results.csv and the reports."""

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

RESULTS = "sweep_results.csv"
REPORTS = "reports"
METRICS = "metrics.json"
COLUMNS = (
    "run_id",
    "scenario_id",
    "cell_id",
    "repeat",
    "params",
    "global_seed",
    "deterministic_mode",
    "expectation",
    "passed",
    "n",
    "fixed_n",
    "agrees",
    "report_file",
)
REPORT_KEYS = (
    "scenario_id",
    "deterministic_mode",
    "seed_obj",
    "result",
    "provenance_snapshot",
    "start_ts",
    "end_ts",
    "report_file",
)


@dataclass(frozen=True, slots=True)
class Name:
    """What names a run: the same in every sweep, whatever else is in its grid."""

    scenario: str
    cell: str
    repeat: int

    @property
    def run_id(self) -> str:
        return f"{self.scenario}_{self.cell}_r{self.repeat}"

    @property
    def scope(self) -> str:
        """What stands before the keys of its cases, so that each run has streams of its own."""
        return f"{self.scenario}/{self.cell}/r{self.repeat}"

    @property
    def report_file(self) -> str:
        """Within the sweep's folder."""
        return f"{REPORTS}/adversarial_report_{self.run_id}.json"


def cell_id(params: Mapping[str, Any]) -> str:
    """The first eight hex digits of the SHA-256 of the parameters: independent of their order and of the grid."""
    return sha256(canonical(params).encode()).hexdigest()[:8]


def canonical(params: Mapping[str, Any]) -> str:
    """The parameters as they stand in the table; a number is spelt the same whether it was written 1 or 1.0."""
    plain = {name: float(value) if isinstance(value, int) else value for name, value in params.items()}
    return json.dumps(plain, sort_keys=True, separators=(", ", ": "), allow_nan=False)


def seed_object(name: Name, seed: int) -> dict[str, Any]:
    """What reproduces the draws of a run."""
    return {"global_seed": seed, "scope": name.scope, "repeat": name.repeat}


def row_of(report: Mapping[str, Any]) -> dict[str, str]:
    """The row that a report belongs to."""
    result, seeds = report["result"], report["seed_obj"]
    name = Name(report["scenario_id"], result["cell_id"], seeds["repeat"])
    cells = (
        name.run_id,
        name.scenario,
        name.cell,
        str(name.repeat),
        canonical(result["params"]),
        str(seeds["global_seed"]),
        _word(report["deterministic_mode"]),
        result["expectation"],
        _word(result["passed"]),
        str(result["n"]),
        str(result["fixed_n"]),
        _word(result["agrees"]),
        report["report_file"],
    )
    return dict(zip(COLUMNS, cells, strict=True))


def table_text(rows: list[dict[str, str]]) -> str:
    """The content of sweep_results.csv."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def report_text(report: Mapping[str, Any]) -> str:
    """The content of a report: equal reports are equal bytes."""
    return json.dumps(report, indent=2, sort_keys=True, allow_nan=False) + "\n"


def report_paths(folder: Path) -> list[Path]:
    """Everything in the sweep's folder of reports, by name."""
    reports = folder / REPORTS
    return sorted(reports.iterdir()) if reports.is_dir() else []


def _word(value: bool) -> str:  # noqa: FBT001
    return "true" if value else "false"
