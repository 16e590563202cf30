"""What a start loads: a command pays for no library that it does not use."""

import subprocess
import sys
from pathlib import Path
from time import time

import pytest

from permitted import OF_VERIFIER, written_at
from suffice.telemetry.counters import Counters
from suffice.telemetry.metrics_file import flush

LOADED = """
import sys
before = set(sys.modules)
{program}
loaded = {{name.partition(".")[0] for name in set(sys.modules) - before}}
print(*sorted(loaded - set(sys.stdlib_module_names) - {{"suffice"}}), file=sys.stderr)
"""
COMMAND = "from suffice.cli.main import run\nassert run({words}) == 0"


def loaded(program: str, folder: Path) -> set[str]:
    """The packages beside the standard library that a fresh process has loaded when the program ends."""
    command = [sys.executable, "-c", LOADED.format(program=program)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return set(done.stderr.splitlines()[-1].split())


def test_importing_the_package_loads_the_standard_library_alone(tmp_path: Path) -> None:
    assert loaded("import suffice", tmp_path) == set()


@pytest.mark.parametrize("words", [["--help"], ["--version"]])
def test_help_loads_what_reads_a_command_line(tmp_path: Path, words: list[str]) -> None:
    heavy = {"numpy", "scipy", "numba", "fastapi", "pydantic", "matplotlib", "sqlalchemy", "openfeature", "grpc"}
    there = loaded(COMMAND.format(words=words), tmp_path)
    assert "typer" in there
    assert not there & heavy


def test_a_plan_that_was_made_before_is_printed_without_the_solvers_libraries(tmp_path: Path) -> None:
    words = ["plan", "--n", "37", "--max-disagreement", "0.02"]
    assert loaded(COMMAND.format(words=words), tmp_path) >= {"numpy", "scipy"}
    assert not loaded(COMMAND.format(words=words), tmp_path) & {"numpy", "scipy"}


@pytest.mark.parametrize("command", ["metrics", "gate"])
def test_reading_the_counters_takes_no_numbers_library(tmp_path: Path, command: str) -> None:
    words = [command, "--reports-dir", str(tmp_path)]
    counters = Counters()
    counters.decided(3)
    flush(counters, tmp_path / "metrics.json")
    assert not loaded(COMMAND.format(words=words), tmp_path) & {"numpy", "scipy", "sqlalchemy"}


def test_a_service_that_asks_for_the_word_waits_for_no_gate(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    written_at(tmp_path / "TemporaryQueue" / "store.db", OF_VERIFIER, time())
    words = ["rollout", "word"]
    assert not loaded(COMMAND.format(words=words), tmp_path) & {"scipy"}


@pytest.mark.parametrize("module", ["suffice.runbook.sweep", "suffice.rehearsal.rehearse", "suffice.serving.verifier"])
def test_a_process_of_workers_or_production_loads_none_of_scipys_large_parts(tmp_path: Path, module: str) -> None:
    # From 1.18 on `scipy.special` needs `scipy.linalg` itself.
    program = (
        f"import scipy.special\nneeded = set(sys.modules)\nimport {module}\n"
        "large = {'scipy.stats', 'scipy.optimize', 'scipy.linalg'}\n"
        "assert not large & (set(sys.modules) - needed), large & set(sys.modules)\n"
        "assert not {'scipy.stats', 'scipy.optimize'} & needed"
    )
    assert "numpy" in loaded(program, tmp_path)
