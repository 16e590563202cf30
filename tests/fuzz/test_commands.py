"""Every command refuses JSON in which a key stands twice, with the file and the place, whatever it reads it for."""

from pathlib import Path

import pytest
from readers import BY_NAME

from suffice.cli.main import run

CONFIG = ("config.json", '{"verifier": {"rule": "proportion", "n_samples": 64, "n_samples": 100}}')
COMMANDS = ("plan", "compare", "resolve", "eval", "sweep", "gate", "rehearse", "runbook")
"""Those that read it first, in a folder where nothing else is."""
WORDS = {
    **{name: ((name, "--config", "config.json"), *CONFIG, 2) for name in COMMANDS},
    "rollout start": (("rollout", "start", "--config", "config.json"), *CONFIG, 2),
    "samples": (
        ("compare", "--samples", "x.jsonl", "--at-least", "0.5"),
        *("x.jsonl", '{"case": "a", "samples": [1, 0], "samples": [0, 0]}'),
        2,
    ),
    "metrics of a dashboard": (
        ("metrics", "--reports-dir", ".", "--metrics-file", "m.json"),
        *("m.json", '{"format": 1, "decisions": 9, "counters": {}, "counters": {}}'),
        2,
    ),
    "metrics of the gate": (
        ("gate", "--reports-dir", ".", "--metrics-file", "m.json"),
        *("m.json", '{"format": 1, "decisions": 9, "counters": {}, "counters": {}}'),
        3,
    ),
    "grid": (
        ("sweep", "--grid-file", "grid.json"),
        *("grid.json", '{"small_noise": {"noise": [0.1], "noise": [0.2]}}'),
        2,
    ),
}


@pytest.mark.parametrize(("words", "file", "content", "code"), WORDS.values(), ids=WORDS)
def test_a_command_refuses_a_key_that_stands_twice(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    file: str,
    content: str,
    code: int,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(file).write_text(content)
    assert run(words) == code
    [line] = capsys.readouterr().err.splitlines()
    assert file in line
    assert "stands twice" in line
    assert [path.name for path in tmp_path.iterdir()] == [file]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("sweep: report", ("verify-sweep", "--sweep-dir", ".")),
        ("bundle: decisions", ("triage", "reproduce", "bundle")),
        ("bundle: audits", ("triage", "explain", "bundle")),
        ("bundle: plan", ("triage", "reproduce", "bundle")),
        ("manifest", ("triage", "check", "bundle")),
    ],
)
def test_a_command_refuses_it_in_a_folder(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    words: tuple[str, ...],
) -> None:
    monkeypatch.chdir(tmp_path)
    reader = BY_NAME[name]
    reader.example(tmp_path)
    path = reader.path(tmp_path)
    text = path.read_text()
    path.write_text(text * 2 if name == "manifest" else text.replace("{", '{"key": 1, "key": 2, ', 1))
    if reader.seal is not None:
        reader.seal(path)
    assert run(words) == 2
    told = "".join(capsys.readouterr())
    assert path.name in told
    assert "stands twice" in told
