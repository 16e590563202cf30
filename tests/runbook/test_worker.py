"""The checks in a process of their own: its standard input is its life line, and it ends cleanly."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from suffice.config import shipped
from suffice.errors import ExitCode
from suffice.runbook.worker import command


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.json"
    path.write_text(shipped().model_dump_json(), encoding="utf-8")
    return path


def test_a_process_whose_standard_input_stays_open_ends_with_its_own_code() -> None:
    code = "from suffice.runbook.worker import end_with_standard_input; end_with_standard_input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        # The pipe is open until the process has ended, as in a rehearsal that waits for its checks.
        assert process.wait(60) == 0
        assert process.stderr is not None
        assert process.stderr.read() == b""


def test_it_ends_as_failed_when_its_standard_input_does(tmp_path: Path, config: Path) -> None:
    folder = tmp_path / "checks"
    with subprocess.Popen(command(folder, config, 12), stdin=subprocess.PIPE) as process:
        while not (folder / "pytest_adversarial.out").exists() and process.poll() is None:
            time.sleep(0.01)
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(60) == ExitCode.FAILS
    assert not (folder / "runbook.json").exists()


def test_what_keeps_the_checks_from_running_is_one_line(tmp_path: Path, config: Path) -> None:
    config.write_text("{", encoding="utf-8")
    with subprocess.Popen(
        command(tmp_path / "checks", config, 12), stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.wait(60) == ExitCode.FAILS
        assert process.stderr is not None
        (line,) = process.stderr.read().splitlines()
    assert line.startswith(f"suffice: {config}: line 1")
