"""What docs/triage.md shows is what its commands print."""

import json
import re
import shlex
from pathlib import Path

import pytest
from audited import LARGE
from warm_service import shadow

from suffice.cli.main import run
from suffice.store.decision_row import plain_row
from suffice.triage.manifest import freeze

PAGE = (Path(__file__).parents[2] / "docs" / "triage.md").read_text(encoding="utf-8")
SHOWN = re.findall(r"```sh\n(.*?)```\n```text\n(.*?)```", PAGE, re.DOTALL)
REHEARSED = [pair for pair in SHOWN if "rehearse" in pair[0]]
BUILT = [pair for pair in SHOWN if "rehearse" not in pair[0]]


def words(text: str) -> list[str]:
    return text.split()


def test_the_page_shows_both_causes_and_the_map() -> None:
    assert (len(REHEARSED), len(BUILT)) == (2, 2)


@pytest.mark.campaign
@pytest.mark.parametrize(("commands", "printed"), REHEARSED, ids=["plan", "draws"])
def test_a_rehearsed_failure_has_its_cause(
    commands: str, printed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    rehearse, explain = (shlex.split(line)[1:] for line in commands.splitlines())
    assert run(rehearse) == 2
    capsys.readouterr()
    assert run(explain) == 0
    assert words(capsys.readouterr().out) == words(printed)


def test_the_region_of_a_warm_up_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(Path(__file__).parent)
    config = {"verifier": {"rule": "proportion", "cases": "warm_service:build"}}
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    audits = "".join(json.dumps(plain_row(row)) + "\n" for row in shadow(1_200, 5))
    files = {"audits.jsonl": audits, "plan.json": json.dumps(LARGE.to_dict()), "disagreements.jsonl": ""}
    freeze(tmp_path / "bundle", files)
    for command, printed in BUILT:
        assert run(shlex.split(command)[1:]) == 0
        assert words(capsys.readouterr().out) == words(printed)
    assert run(["triage", "explain", "bundle"]) == 0
    assert words(capsys.readouterr().out)[:2] == ["Cause:", "draws."]
