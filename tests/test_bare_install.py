"""The wheel without extras, in an environment of its own: it is light, and every command works or names the extra."""

import json
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import pytest
import typer
from packaging.utils import canonicalize_name

from installed_wheel import ROOT, Bare, built, linked
from runbook_table import CHECKS, Row, until_answered, wait_for_checks
from suffice.cli.main import app
from suffice.extras import EXTRA_OF

MEGABYTES = 400

HOLDS, FAILS, CANNOT_TELL = 0, 2, 3


@dataclass(frozen=True)
class Asked:
    """A command line, its exit code without extras, and what it then says."""

    line: str
    code: int
    said: str = ""


COMMANDS = (
    Asked("plan --save plan.json", HOLDS, "worst disagreement"),
    Asked("plan --rule paired_mean --n 64", HOLDS, "worst disagreement"),
    Asked("plan --plot plan.svg", FAILS, "suffice[report]"),
    Asked("compare", HOLDS, "Checksum of all decisions"),
    Asked("compare --source codata --csv rows.csv", HOLDS, "Checksum of all decisions"),
    Asked("compare --source pdg", FAILS, "suffice[data]"),
    Asked("compare --report report.html", FAILS, "suffice[report]"),
    Asked("compare --out rows.parquet", FAILS, "suffice[parquet]"),
    Asked("compare --samples rows.parquet", FAILS, "suffice[parquet]"),
    Asked("compare --cluster tcp://127.0.0.1:1", FAILS, "suffice[dask]"),
    Asked("resolve --source codata", HOLDS),
    Asked("resolve --source pdg", FAILS, "suffice[data]"),
    Asked("resolve --source codata --store postgresql://a@127.0.0.1/b", FAILS, "suffice[postgres]"),
    Asked("eval --only agreement_pdg", FAILS, "suffice[data]"),
    Asked("eval --only agreement_even", HOLDS, "PASS"),
    Asked("sweep --budget 1 --out-dir sweep", HOLDS),
    Asked("verify-sweep --sweep-dir sweep", HOLDS),
    Asked("metrics", HOLDS),
    Asked("gate", FAILS, "rollback-storm escalations"),
    Asked("runbook", FAILS, "suffice[data]"),
    Asked("rehearse", FAILS, "suffice[data,report]"),
    Asked("rehearse --source codata --no-checks", FAILS, "suffice[report]"),
    Asked("promote", FAILS, "suffice[data]"),
    Asked("rollout start --enable --source codata --waive targets", HOLDS, "stage staging began"),
    Asked("rollout status", HOLDS),
    Asked("rollout explain", HOLDS),
    Asked("rollout cycle", HOLDS),
    Asked("rollout history", HOLDS),
    Asked("rollout pause --reason why", HOLDS),
    Asked("rollout resume", HOLDS),
    Asked("rollout approve", FAILS, "not possible"),
    Asked("rollout advance", FAILS, "is not over"),
    Asked("rollout fleet", HOLDS),
    Asked("rollout release --reason why", FAILS, "not possible"),
    Asked("rollout rollback --reason why", HOLDS, "RolledBack"),
    Asked("rollout run --until-done", FAILS, "RolledBack"),
    Asked("rollout word", HOLDS, "nobody: the configuration says enabled: false"),
    Asked("rollout prune --older-than 90d", HOLDS),
    Asked("rollout roles --read ann", FAILS, "rights are PostgreSQL's"),
    Asked("triage list", HOLDS, "verifier-000001"),
    Asked("triage show verifier-000001", HOLDS),
    Asked("triage check verifier-000001", HOLDS),
    Asked("triage explain verifier-000001", HOLDS, "a person"),
    Asked("triage map verifier-000001 --budget 0", CANNOT_TELL, "has no audits of the stage"),
    Asked("triage map verifier-000001 --plot map.svg", FAILS, "suffice[report]"),
    Asked("triage affected verifier-000001", CANNOT_TELL),
    Asked("triage reproduce verifier-000001", FAILS),
    Asked("triage close verifier-000001 --note why", HOLDS),
    Asked("ingest rows.csv", FAILS, "0 new, 0 known already"),
)

LINES = [asked.line for asked in COMMANDS]

ASK = """
import contextlib, io, json, shlex, sys, traceback
from suffice.cli.main import run

answers = []
for line in json.load(sys.stdin):
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            code = run(shlex.split(line))
        except BaseException:
            code = traceback.print_exc()
    answers.append((code, said.getvalue()))
json.dump(answers, sys.stdout)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module", params=["linked", pytest.param("downloaded", marks=pytest.mark.campaign)])
def bare(request: pytest.FixtureRequest, wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Bare:
    """What the wheel needs is linked from this environment, without a network; the campaign downloads it."""
    folder = tmp_path_factory.mktemp("bare")
    if request.param == "linked":
        return linked(folder, wheel)
    venv.create(folder)
    pip = [sys.executable, "-m", "pip", "--python", folder / "bin/python", "install", "--quiet", wheel]
    subprocess.run(pip, check=True)
    return Bare(folder)


def commands(group: Any, words: tuple[str, ...] = ()) -> Iterator[str]:
    for name, command in getattr(group, "commands", {}).items():
        yield from commands(command, (*words, name)) if hasattr(command, "commands") else [" ".join((*words, name))]


def test_it_is_light(bare: Bare) -> None:
    taken = sum(file.stat().st_blocks * 512 for file in bare.folder.rglob("*") if file.is_file())
    assert taken <= MEGABYTES << 20


def test_it_has_no_package_of_an_extra(bare: Bare) -> None:
    there = {canonicalize_name(package.name) for package in distributions(path=[str(bare.packages)])}
    assert {"suffice", "numpy", "scipy", "typer"} <= there
    assert not there & set(EXTRA_OF)


def test_every_command_works_or_names_the_extra(bare: Bare, tmp_path: Path) -> None:
    every = set(commands(typer.main.get_command(app)))
    assert every == {" ".join(words[: 1 + (words[0] in ("rollout", "triage"))]) for words in map(str.split, LINES)}
    config = json.loads((ROOT / "config.json").read_text("utf-8"))
    config["rollout"]["checks"] = {"run": []}
    (tmp_path / "config.json").write_text(json.dumps(config), "utf-8")
    answers = json.loads(bare.run(ASK, tmp_path, input=json.dumps(LINES)))
    wrong = [
        (asked, code, stderr)
        for asked, (code, stderr) in zip(COMMANDS, answers, strict=True)
        if code != asked.code or asked.said not in stderr or "Traceback" in stderr
    ]
    assert wrong == []


@pytest.fixture
def stranger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with our configuration and nothing else of ours."""
    tree = tmp_path / "stranger"
    tree.mkdir()
    for name, value in {"GLOBAL": str(tmp_path / "gitconfig"), "NOSYSTEM": "1"}.items():
        monkeypatch.setenv(f"GIT_CONFIG_{name}", value)
    shutil.copy(ROOT / "config.json", tree)
    for words in (
        ("init", "--quiet", "--initial-branch", "main"),
        ("config", "user.name", "Ann"),
        ("config", "user.email", "ann@example.org"),
        ("add", "."),
        ("commit", "--quiet", "-m", "as it was"),
    ):
        subprocess.run(["git", *words], cwd=tree, check=True)
    return tree


def test_the_runbook_sentence_by_sentence_in_a_strangers_repository(bare: Bare, stranger: Path) -> None:
    """The checks beside the cycles come from the wheel, and say what they leave out without an extra."""
    wrong, printed = list[tuple[Row, int | None, str]](), dict[str, str]()
    for part in until_answered():
        lines = [row.command for row in part if row.command.startswith("suffice ")]
        answers = iter(json.loads(bare.run(ASK, stranger, input=json.dumps([line[8:] for line in lines]))))
        for row in part:
            is_file = row.command.startswith("cat ")
            code, said = (HOLDS, (stranger / row.command[4:]).read_text("utf-8")) if is_file else next(answers)
            printed[row.command] = said
            if code != HOLDS or not row.is_shown(said):
                wrong.append((row, code, said))
        wait_for_checks(stranger)
    assert wrong == []
    assert (
        "without agreement_pdg, which needs pdg: pip install 'suffice[data]'" in printed[f"cat {CHECKS}/run_eval.out"]
    )
    bundle = stranger / "TemporaryQueue" / "triage" / "verifier-000001" / "checks"
    assert {path.name for path in bundle.iterdir()} == {path.name for path in (stranger / CHECKS).glob("*.out")}


def test_a_sentence_that_is_not_shown_would_be_found() -> None:
    row = Row("x", "suffice x", ("runbook", "Successful"))
    assert row.is_shown("gate\nthe runbook is Successful, really")
    assert not row.is_shown("runbook\nSuccessful")
    assert not row.is_shown("Successful runbook")
