"""Promotion: a branch with one change and its evidence, or a refusal that leaves the tree as it was."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from command_words import resolved
from suffice.cli.main import run
from suffice.config import load
from suffice.errors import RolloutError
from suffice.rollout.monitoring_commands import monitoring, posix, powershell
from suffice.rollout.promotion import Promotion, Wanted, promote
from suffice.sources.correction import Correction, Estimate
from suffice.verifier.case import Case

ROOT = Path(__file__).parents[2]

CONFIG = """{
  "host": {"ratio": 0.10},
  "verifier": {"rule": "proportion", "n_samples": 32,
    "adaptive_sampling": {"enabled": false, "max_disagreement": 0.01, "regression_gate": {"min_cases": 100}}}
}
"""


def git(tree: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=tree, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    tree = tmp_path / "tree"
    tree.mkdir()
    git(tree, "init", "--quiet", "--initial-branch", "main")
    git(tree, "config", "user.name", "Ann")
    git(tree, "config", "user.email", "ann@example.org")
    (tree / "config.json").write_text(CONFIG, encoding="utf-8")
    git(tree, "add", ".")
    git(tree, "commit", "--quiet", "-m", "as it was")
    return tree


def cases(change: float = 9.0) -> list[Case]:
    was, measured = Estimate(0.0, 1.0, 1.0), Estimate(change, 1.0, 1.0)
    return [Correction(f"c{i}", f"t{i}", was, measured).case() for i in range(100)]


def promoted(tree: Path, **wanted: object) -> Promotion:
    asked = Wanted(tree / "config.json", tree.parent / "body.md", **wanted)  # type: ignore[arg-type]
    return promote(asked, "these", cases())


def test_the_branch_holds_the_change_and_the_note_and_nothing_else(tree: Path) -> None:
    done = promoted(tree)
    assert git(tree, "rev-parse", "--abbrev-ref", "HEAD") == done.branch
    assert git(tree, "status", "--porcelain") == ""
    plan = done.branch.removeprefix("suffice/promote-")
    assert git(tree, "diff", "--name-only", "main").splitlines() == [
        "config.json",
        f"release-notes/adaptive-sampling-{plan}.md",
    ]
    assert (tree / "config.json").read_text(encoding="utf-8") == CONFIG.replace("false", "true")
    assert load(tree / "config.json").verifier.adaptive_sampling.enabled
    assert git(tree, "rev-parse", "HEAD") == done.commit


def test_draws_that_the_plan_does_not_hold_for_are_refused_until_it_is_guarded(tree: Path) -> None:
    """Under a t rule a sampler of one's own takes the fixed arm, so nothing would be saved."""
    config, less = tree / "config.json", '{"acceptance": {"min_sample_reduction": 0.1}}'
    config.write_text(
        CONFIG.replace("proportion", "paired_mean").replace('"host"', f'"rollout": {less}, "host"'), encoding="utf-8"
    )
    git(tree, "commit", "--quiet", "-am", "t")
    own = [*cases()[1:], Case("own", "own", lambda rng, n: rng.exponential(9.0, n))]
    asked = Wanted(config, tree.parent / "body.md")
    with pytest.raises(
        RolloutError, match=r"source own: .* those of 1 of 100 cases may be any, and .*--guarded --save FILE"
    ):
        promote(asked, "own", own)
    assert run(["plan", "--config", str(config), "--use-config", "--guarded", "--save", str(tree / "plan.json")]) == 0
    pinned = config.read_text("utf-8").replace('"enabled"', '"plan_file": "plan.json", "enabled"')
    config.write_text(pinned, encoding="utf-8")
    git(tree, "add", ".")
    git(tree, "commit", "--quiet", "-m", "guarded")
    assert promote(asked, "own", own).evidence[1].summary["cases"] == 100


def test_the_body_says_what_with_which_evidence_and_how_to_undo_it(tree: Path) -> None:
    done = promoted(tree)
    body = done.body.read_text(encoding="utf-8")
    even, these = (measured.summary for measured in done.evidence)
    assert f"`{even['plan_id']}`" in body
    for summary, name in ((even, "even"), (these, "these")):
        assert f"| {name} | {summary['cases']:,} | {100 * summary['sample_reduction']:.1f} % |" in body
    for needed in ("## Thresholds", "## Rollback", "suffice rollout rollback --reason", "suffice rollout status"):
        assert needed in body
    note = (tree / done.changed[1]).read_text(encoding="utf-8")
    assert "SUFFICE_FORCE_FIXED=1" in note


def block(body: str, language: str) -> list[str]:
    """The commands of the monitoring section in this language."""
    section = body.split("## Monitoring")[1]
    return section.split(f"```{language}\n")[1].split("```")[0].splitlines()


def test_the_body_has_the_monitoring_commands_of_a_repository_without_our_scripts(tree: Path) -> None:
    body = promoted(tree).body.read_text(encoding="utf-8")
    lines = [line.split(" | ")[0] for line in block(body, "sh")]
    assert lines[0] == "python -m pytest --pyargs suffice.runbook.adversarial -q"
    for line in lines[1:]:
        program, *words = line.split()
        context, words = resolved(words)
        assert program == "suffice"
        context.command.parse_args(context, words)
    assert [line.split(" | ")[0] for line in block(body, "powershell")] == lines
    kept = ["pytest_adversarial.out", "run_eval.out", "metrics_summary.out", "verify_sweep.out"]
    assert [line.split(" | tee ")[1] for line in block(body, "sh") if "|" in line] == kept
    assert [line.split(" | Tee-Object ")[1] for line in block(body, "powershell") if "|" in line] == kept
    assert all(f"`{name}`" in body.split("## Artifacts to retain")[1] for name in kept)


def test_the_runbooks_page_has_the_same_commands_for_both_shells() -> None:
    """Our own parse of PowerShell: in these lines no letter has a meaning of its own but the pipe."""
    page, lines = (ROOT / "docs" / "runbook.md").read_text("utf-8"), monitoring(ROOT, "config.json")
    assert re.findall(r"```sh\n(.*?)```", page, re.DOTALL)[0].splitlines() == posix(lines)
    assert re.findall(r"```powershell\n(.*?)```", page, re.DOTALL)[0].splitlines() == powershell(lines)
    plain = re.compile(r"python (-m pytest )?[\w./]+( -{1,2}[\w-]+( [\w./]+)?)*( \| Tee-Object \w+\.out)?")
    assert [line for line in powershell(lines) if not plain.fullmatch(line)] == []


def test_where_the_scripts_are_the_body_has_the_lines_of_the_runbook(tree: Path) -> None:
    (page,) = re.findall(r"```sh\n(.*?)```", (ROOT / "docs" / "runbook.md").read_text("utf-8"), re.DOTALL)[:1]
    for path in re.findall(r"python (\S+\.py)|pytest (\S+\.py)", page):
        script = tree / next(filter(None, path))
        script.parent.mkdir(exist_ok=True)
        script.write_text("", encoding="utf-8")
    git(tree, "add", ".")
    git(tree, "commit", "--quiet", "-m", "the runbook's scripts")
    assert block(promoted(tree).body.read_text(encoding="utf-8"), "sh") == page.splitlines()


def test_a_public_source_is_no_evidence_about_the_service_and_the_body_says_so(tree: Path) -> None:
    public = promote(Wanted(tree / "config.json", tree.parent / "body.md"), "codata", cases())
    assert "`codata` is a public source, not this service's" in public.body.read_text(encoding="utf-8")
    git(tree, "switch", "--quiet", "main")
    own = promoted(tree, branch="own").body.read_text(encoding="utf-8")
    assert "public source" not in own
    assert "| these | 100 |" in own


def assert_untouched(tree: Path) -> None:
    assert git(tree, "rev-parse", "--abbrev-ref", "HEAD") == "main"
    assert git(tree, "branch", "--list").split() == ["*", "main"]
    assert (tree / "config.json").read_text(encoding="utf-8") == CONFIG
    assert not (tree / "release-notes").exists()


def test_what_commands_left_in_the_default_folder_is_no_change(tree: Path) -> None:
    """Seen: after a rollout the next promotion was refused, with the advice to stash a live store."""
    for folder in (tree, tree / "part"):
        (folder / "TemporaryQueue" / "checks").mkdir(parents=True)
        (folder / "TemporaryQueue" / "store.db").write_bytes(b"live")
        (folder / "TemporaryQueue" / "checks" / "a.out").write_text("said", encoding="utf-8")
    promoted(tree)
    assert (tree / "TemporaryQueue" / "store.db").read_bytes() == b"live"


def test_a_dirty_tree_is_refused(tree: Path) -> None:
    (tree / "stray.txt").write_text("x", encoding="utf-8")
    with pytest.raises(RolloutError, match=r"the work tree is dirty \(\?\? stray.txt\); commit or stash first"):
        promoted(tree)
    assert_untouched(tree)


def test_failing_gates_are_refused_with_both_numbers(tree: Path) -> None:
    bad = CONFIG.replace('"max_disagreement": 0.01', '"method": "margin", "early_stop_margin": 0.0, "n0": 1')
    (tree / "config.json").write_text(bad, encoding="utf-8")
    git(tree, "commit", "--quiet", "-a", "-m", "bad")
    with pytest.raises(RolloutError, match=r"source even: [\d.]+ % of decisions differ; allowed: 1 %"):
        promoted(tree)
    assert git(tree, "branch", "--list").split() == ["*", "main"]


def test_a_plan_that_cannot_pay_is_refused(tree: Path) -> None:
    costly = CONFIG.replace('"adaptive_sampling": {', '"adaptive_sampling": {"method": "fixed", ')
    (tree / "config.json").write_text(costly, encoding="utf-8")
    git(tree, "commit", "--quiet", "-a", "-m", "fixed")
    with pytest.raises(RolloutError, match="can save 0 % of the draws"):
        promoted(tree)


def test_what_is_enabled_already_is_refused(tree: Path) -> None:
    promoted(tree)
    with pytest.raises(RolloutError, match="enabled is true already; nothing to promote"):
        promoted(tree)


def test_outside_of_git_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(CONFIG, encoding="utf-8")
    with pytest.raises(RolloutError, match="a promotion needs a git work tree"):
        promote(Wanted(tmp_path / "config.json", tmp_path / "body.md"), "these", cases())


def test_when_git_refuses_the_commit_the_tree_is_as_it_was(tree: Path) -> None:
    hook = tree / ".git" / "hooks" / "pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho not on a Friday >&2\nexit 1\n", encoding="utf-8")
    hook.chmod(0o755)
    with pytest.raises(RolloutError, match="git commit: not on a Friday"):
        promoted(tree)
    assert_untouched(tree)


def test_a_branch_that_exists_is_not_overwritten(tree: Path) -> None:
    git(tree, "branch", "taken")
    with pytest.raises(RolloutError, match="branch taken exists already"):
        promoted(tree, branch="taken")


def test_it_is_pushed_when_asked_and_only_then(tree: Path, tmp_path: Path) -> None:
    remote = tmp_path / "remote.git"
    git(tmp_path, "init", "--quiet", "--bare", str(remote))
    git(tree, "remote", "add", "origin", str(remote))
    done = promoted(tree, push="origin")
    assert git(remote, "rev-parse", done.branch) == done.commit


def test_a_pull_request_is_opened_with_gh_where_it_is(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os

    tools, received = tmp_path / "tools", tmp_path / "said"
    tools.mkdir()
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    if not (tools / "gh").exists():
        gh = tools / "gh"
        gh.write_text(
            f'#!/bin/sh\nprintf "%s\\n" "$@" > {received}\necho https://example.org/pull/7\n', encoding="utf-8"
        )
        gh.chmod(0o755)
    done = promoted(tree, pull_request=True)
    assert done.pull_request == "https://example.org/pull/7"
    arguments = received.read_text(encoding="utf-8").splitlines()
    assert arguments[:2] == ["pr", "create"]
    assert arguments[-4:] == ["--base", "main", "--head", done.branch]


def test_it_tells_those_who_review_what_the_start_would_be_refused_for(
    tree: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tree)
    words = ["promote", "--source", "codata", "--body", "../body.md", "--accept-slow", "nobody is in a hurry", "--json"]
    assert run(words) == 0
    few = "the source has 353 targets, and the gate targets needs 367 that agree for a proof of 1 % (--waive targets)"
    plain = json.loads(capsys.readouterr().out)
    assert plain["start_refused_for"] == [few]
    # What start tells of traffic, and what it would be refused for without the source.
    assert [note.partition(":")[0] for note in plain["notes"]] == [
        "how long the stages take is not known",
        "a rollout start that names no source would be refused",
    ]
    assert plain["notes"][1].endswith("(--waive determinism)")
    body = (tree.parent / "body.md").read_text("utf-8")
    assert "- accepted at the start: slow, for nobody is in a hurry\n\nThe first command would be refused" in body
    assert f"- {few}\n" in body
    assert run(["rollout", "start", "--dry-run", "--source", "codata"]) == 2
    assert capsys.readouterr().err == f"suffice: start is refused: {few}\n"


def test_a_plan_whose_own_worst_case_is_above_the_limit_is_not_promoted_unless_that_is_accepted(
    tree: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tree)
    config = CONFIG.replace('"max_disagreement": 0.01', '"max_disagreement": 0.01, "method": "margin", "n0": 8')
    (tree / "config.json").write_text(config, encoding="utf-8")
    words = ["promote", "--source", "codata", "--dry-run"]
    assert run(words) == 2
    refused = "promote is refused: the plan's own worst case is a disagreement of 47.7 %, and the stages allow 1 %"
    assert capsys.readouterr().err == f"suffice: {refused} (--accept-worst-case REASON)\n"
    assert run([*words, "--accept-worst-case", "we want to see it"]) == 2
    assert "of decisions differ; allowed: 1 %" in capsys.readouterr().err
