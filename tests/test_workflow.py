"""The workflow is one that GitHub takes, gives nobody rights that it does not need, and names tests that there are."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
WORKFLOW = ROOT / ".github" / "workflows" / "check.yml"
TOOLS = {
    "check-jsonschema": ("--builtin-schema", "vendor.github-workflows"),
    "zizmor": ("--offline", "--persona", "pedantic"),
}


def code_of(tool: str, workflow: Path) -> int:
    command = [str(Path(sys.executable).with_name(tool)), *TOOLS[tool], str(workflow)]
    return subprocess.run(command, capture_output=True, check=False).returncode


@pytest.mark.parametrize("tool", TOOLS)
def test_the_workflow_holds(tool: str) -> None:
    assert code_of(tool, WORKFLOW) == 0


@pytest.mark.parametrize(
    ("tool", "line", "mistake"),
    [
        ("check-jsonschema", "    runs-on: ${{ matrix.os }}\n", ""),
        ("check-jsonschema", "    timeout-minutes: 90", "    timeout-minuts: 90"),
        ("zizmor", "        with:\n          persist-credentials: false\n", ""),
        ("zizmor", "@08c6903cd8c0fde910a37f88322edcfb5dd907a8", "@v5"),
        ("zizmor", "  contents: read", "  contents: write"),
    ],
)
def test_a_mistake_would_be_found(tool: str, line: str, mistake: str, tmp_path: Path) -> None:
    text = WORKFLOW.read_text(encoding="utf-8")
    assert text.count(line) == 1
    wrong = tmp_path / ".github" / "workflows" / "check.yml"
    wrong.parent.mkdir(parents=True)
    wrong.write_text(text.replace(line, mistake), encoding="utf-8")
    assert code_of(tool, wrong) != 0


def test_three_systems_have_each_python_that_we_promise() -> None:
    text = WORKFLOW.read_text(encoding="utf-8")
    (systems,) = re.findall(r"os: \[(.*)\]", text)
    assert [name.partition("-")[0] for name in systems.split(", ")] == ["ubuntu", "macos", "windows"]
    (pythons,) = re.findall(r"python: \[(.*)\]", text)
    classified = re.findall(r'"Programming Language :: Python :: (3\.\d+)"', (ROOT / "pyproject.toml").read_text())
    assert re.findall(r'"(.*?)"', pythons) == classified


def test_the_tests_that_it_names_are_there() -> None:
    named = re.findall(r"tests/\S+", WORKFLOW.read_text(encoding="utf-8"))
    assert len(named) > 8 and all((ROOT / name).exists() for name in named)


def test_the_set_up_without_make_installs_extras_that_there_are() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```powershell\n(py -3 .*?)```", readme, re.DOTALL)
    first, second = block.splitlines()
    assert first == "py -3 -m venv .venv" and second.startswith("py -3 -m pip --python .venv install -e ")
    (extras,) = re.findall(r"\[(.*)\]", second)
    names = re.findall(r"^(\w+) = \[", (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
    assert set(extras.split(",")) <= set(names)
