"""libFuzzer, led by the branches of the package, finds no input that a reader neither reads nor refuses in one line."""

import platform
import subprocess
import sys
from pathlib import Path

import pytest
from readers import BY_NAME

pytestmark = pytest.mark.skipif(
    (sys.platform, platform.machine()) != ("linux", "x86_64"), reason="atheris has wheels for Linux on x86-64 only"
)

RUNNER = Path(__file__).with_name("coverage_guided.py")

CONTROL = """
from pathlib import Path
import atheris
from coverage_guided import fuzz
from readers import Reader, content

@atheris.instrument_func
def read(path):
    text = path.read_bytes()
    if text[:1] == b"k":
        if text[1:2] == b"e":
            raise KeyError(text[2:])

fuzz(Reader("control", "x", "bytes", content("x", "nothing"), read), Path("found"), runs=100_000, seed=1)
"""
"""A reader with a fault behind two bytes, each of which is a branch."""


def guided(program: list[str], folder: Path) -> tuple[int, str]:
    """The exit code, and what libFuzzer and Python say."""
    done = subprocess.run(
        [sys.executable, *program], cwd=folder, capture_output=True, text=True, errors="replace", check=False
    )
    return done.returncode, done.stdout + done.stderr


def test_a_fault_that_two_branches_lead_to_is_found(tmp_path: Path) -> None:
    (tmp_path / "control.py").write_text(f"import sys\nsys.path.append({str(RUNNER.parent)!r})\n{CONTROL}")
    code, told = guided(["control.py"], tmp_path)
    assert code != 0
    assert "KeyError" in told
    (finding,) = (tmp_path / "found" / "findings").iterdir()
    assert finding.read_bytes().startswith(b"ke")


@pytest.mark.campaign
@pytest.mark.parametrize("name", BY_NAME)
def test_no_input_is_found_that_is_neither_read_nor_refused(name: str, tmp_path: Path) -> None:
    runs = 500 if name.startswith("sweep") else 20_000  # A sweep is checked as a whole, which takes long.
    code, told = guided([str(RUNNER), name, "found", "--runs", str(runs)], tmp_path)
    assert code == 0, told
    assert f"Done {runs} runs" in told
