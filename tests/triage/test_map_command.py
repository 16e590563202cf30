"""`suffice triage map`, on the bundle of a service whose sampler warms up in a part of its features."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from audited import LARGE
from warm_service import shadow

from suffice.cli.main import run
from suffice.store.decision_row import plain_row
from suffice.triage.manifest import freeze

HERE = Path(__file__).parent
Frozen = Callable[..., Path]


@pytest.fixture(scope="module")
def rows() -> list[dict[str, object]]:
    return [plain_row(row) for row in shadow(1_200, 5)]


@pytest.fixture
def frozen(tmp_path: Path, rows: list[dict[str, object]], monkeypatch: pytest.MonkeyPatch) -> Frozen:
    """A bundle with these audits, and a configuration whose function builds such cases."""
    monkeypatch.chdir(tmp_path)
    config = {"verifier": {"rule": "proportion", "cases": "warm_service:build"}}
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    monkeypatch.syspath_prepend(HERE)

    def freeze_it(name: str = "bundle", audits: object = None, **files: str) -> Path:
        lines = "".join(json.dumps(row) + "\n" for row in rows) if audits is None else str(audits)
        plain = {"audits.jsonl": lines, "plan.json": json.dumps(LARGE.to_dict()), "disagreements.jsonl": ""}
        return freeze(tmp_path / name, plain | {file.replace("_", "."): text for file, text in files.items()})

    return freeze_it


def test_the_region_is_told_in_words_and_drawn(
    frozen: Frozen, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = frozen()
    words = ["triage", "map", str(bundle), "--budget", "60", "--plot", "region.svg"]
    assert run([*words, "--json"]) == 0
    seen = json.loads(capsys.readouterr().out)
    rules = {rule["feature"]: rule for rule in seen["region"]}
    assert rules["model"]["values"] == ["b"]
    assert 66 <= rules["heat"]["low"] <= 72
    assert 0.38 <= rules["load"]["high"] <= 0.45
    assert (seen["resolved"], seen["audits"], seen["decisions"], seen["seed"]) == (True, 1_200, 60, 5)
    assert (tmp_path / "region.svg").read_text("utf-8").startswith("<?xml")
    assert run(words) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert out.startswith(f"The region: {' and '.join(seen['rules'])}. In it {seen['marked']} of {seen['cases']} cases")


def test_the_audits_alone_need_no_builder(frozen: Frozen, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundle = frozen()
    (tmp_path / "config.json").write_text('{"verifier": {"rule": "proportion"}}', encoding="utf-8")
    assert run(["triage", "map", str(bundle), "--budget", "0"]) == 0
    capsys.readouterr()
    assert run(["triage", "map", str(bundle)]) == 2
    assert "verifier.cases, which is null; --budget 0 uses" in capsys.readouterr().err
    assert run(["triage", "map", str(bundle), "--cases", "warm_service:build", "--budget", "1"]) == 0


def test_what_cannot_be_told_exits_with_3(
    frozen: Frozen, rows: list[dict[str, object]], capsys: pytest.CaptureFixture[str]
) -> None:
    few = frozen("few", "".join(json.dumps(row) + "\n" for row in rows[:50]))
    assert run(["triage", "map", str(few), "--budget", "0"]) == 3
    assert capsys.readouterr().out.startswith("Not resolved: ")
    blind = frozen("blind", json.dumps({**rows[0], "features": None}) + "\n")
    assert run(["triage", "map", str(blind), "--budget", "0"]) == 3
    assert "no feature tells the stage's audits apart" in capsys.readouterr().err
    assert run(["triage", "map", str(frozen("none", "")), "--budget", "0"]) == 3
    assert "has no audits of the stage" in capsys.readouterr().err


ESCAPE = "\x1b[31m<b>$x_"

HOSTILE = {
    "deep": "[" * 100_000,
    "no object": "7",
    "missing field": {"key": None},
    "unknown field": {ESCAPE: 1},
    "key of another type": {"key": [ESCAPE]},
    "features that are nested": {"features": '{"a": {"b": 1}}'},
    "features that are deep": {"features": '{"a":' * 5_000},
    "features that are none": {"features": "[1]"},
    "a truth value": {"features": '{"a": true}'},
    "an infinite feature": {"features": '{"a": 1e999}'},
    "a feature without a name": {"features": '{"": 1}'},
    "a long feature": {"features": json.dumps({"a": "x" * 300})},
    "not finite": {"halves": 1e999},
    "no decision": {"baseline_decision": ESCAPE},
}


@pytest.mark.parametrize("command", [("map", "--budget", "0"), ("explain",)])
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_bundle_is_refused_in_one_line(
    frozen: Frozen,
    rows: list[dict[str, object]],
    capsys: pytest.CaptureFixture[str],
    name: str,
    command: tuple[str, ...],
) -> None:
    change = HOSTILE[name]
    line = change if isinstance(change, str) else json.dumps({**rows[0], **change})
    bundle = frozen("hostile", line + "\n")
    assert run(["triage", command[0], str(bundle), *command[1:]]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert "audits.jsonl, line 1: lacks or garbles " in err
    assert "\x1b" not in err


@pytest.mark.parametrize("plan", ["../../plan", ESCAPE])
def test_a_plan_with_a_path_is_none(
    frozen: Frozen, rows: list[dict[str, object]], capsys: pytest.CaptureFixture[str], plan: str
) -> None:
    bundle = frozen("hostile", json.dumps({**rows[0], "plan_id": plan}) + "\n")
    assert run(["triage", "map", str(bundle), "--budget", "0"]) == 2
    err = capsys.readouterr().err
    assert "; allowed: the hash of a plan" in err
    assert err.count("\n") == 1
    assert "\x1b" not in err


def test_markup_and_escapes_in_names_are_shown_and_not_obeyed(
    frozen: Frozen, rows: list[dict[str, object]], capsys: pytest.CaptureFixture[str]
) -> None:
    renamed = [
        {
            **row,
            "key": ESCAPE,
            "features": json.dumps(
                {ESCAPE: json.loads(str(row["features"]))["heat"], "model": ESCAPE * (row["agrees"] is False)}
            ),
        }
        for row in rows
    ]
    bundle = frozen("named", "".join(json.dumps(row) + "\n" for row in renamed))
    assert run(["triage", "map", str(bundle), "--budget", "0", "--plot", "named.svg"]) in (0, 3)
    out, err = capsys.readouterr()
    assert "\x1b" not in out + err


def test_a_tampered_bundle_is_refused(frozen: Frozen, capsys: pytest.CaptureFixture[str]) -> None:
    bundle = frozen()
    with (bundle / "audits.jsonl").open("a", encoding="utf-8") as file:
        file.write("\n")
    for command in (["map", str(bundle), "--budget", "0"], ["explain", str(bundle)]):
        assert run(["triage", *command]) == 2
        assert "audits.jsonl: is not what the manifest vouches for" in capsys.readouterr().err
