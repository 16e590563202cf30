"""The guide for a service of one's own holds the example as it is, names every field, and its other code runs."""

import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

import suffice
from suffice.telemetry.counters import Counter

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "integrate.md").read_text(encoding="utf-8")
SERVICE = ROOT / "examples" / "service"
BLOCKS = re.findall(r"^```(?:python|json)\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL)


def section(title: str) -> str:
    return GUIDE[GUIDE.index(f"\n## {title}\n") :].partition("\n## ")[2].partition("\n## ")[0]


@pytest.mark.parametrize("name", ["cases.py", "serve.py", "config.json"])
def test_the_service_stands_in_it_word_for_word(name: str) -> None:
    assert (SERVICE / name).read_text(encoding="utf-8") in BLOCKS


def test_the_service_has_forty_lines() -> None:
    code = [line for name in ("cases.py", "serve.py") for line in (SERVICE / name).read_text("utf-8").splitlines()]
    assert len([line for line in code if line.strip()]) <= 40


@pytest.mark.parametrize("kind", [suffice.Case, suffice.Served])
def test_every_field_has_a_line(kind: type) -> None:
    named = re.findall(r"^\| (`.*?) \|", section(kind.__name__), re.MULTILINE)
    named = [name for cell in named for name in re.findall(r"`(\w+)`", cell)]
    assert named == [field.name for field in fields(kind)]


def test_the_counters_are_counters() -> None:
    named = re.findall(r"`(\w+_total)`", section("What to watch"))
    assert len(named) >= 5 and set(named) <= {counter.value for counter in Counter}


def test_the_rest_of_its_code_runs(tmp_path: Path) -> None:
    code = "".join(block for block in BLOCKS if ".begin(" in block)
    for name in ("cases.py", "config.json"):
        (tmp_path / name).write_bytes((SERVICE / name).read_bytes())
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "accepted 100\n" * 2, "")


def test_every_example_has_a_line_on_their_page() -> None:
    examples = {path.name for path in (ROOT / "examples").iterdir() if not path.name.startswith(("README", "_"))}
    page = (ROOT / "examples" / "README.md").read_text(encoding="utf-8")
    assert {name.rstrip("/") for name in re.findall(r"\| \[([\w./]+)\]\(", page)} == examples
