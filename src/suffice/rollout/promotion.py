"""Promotion: the change that lets a service become adaptive, as a branch with its evidence, for people to review."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from suffice.comparison.compare import compare
from suffice.config import set_enabled
from suffice.errors import MissingDataError, OutputError, RolloutError
from suffice.files import write_atomically
from suffice.gates.sample_reduction import check_net
from suffice.rollout.promotion_text import pull_request, release_note, title
from suffice.rollout.subject import Subject
from suffice.serving.served import fits
from suffice.sources.even import even_cases
from suffice.verifier.case import Case

NOTES = Path("release-notes")
"""The folder of release notes, below the top of the work tree."""


@dataclass(frozen=True, slots=True)
class SourceSummary:
    """What the comparison on one source came to."""

    source: str
    summary: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Promotion:
    """A promotion that was made: where it is, and what it says."""

    branch: str
    commit: str
    base: str
    changed: tuple[str, ...]
    body: Path
    evidence: tuple[SourceSummary, ...]
    pushed: bool = False
    pull_request: str | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked of a promotion; `push` names a remote. `accepted` and `start_refused_for` are sentences about the
    start that follows, for those who review."""

    config: Path
    body: Path
    branch: str | None = None
    push: str | None = None
    pull_request: bool = False
    accepted: Sequence[str] = ()
    start_refused_for: Sequence[str] = ()


def promote(wanted: Wanted, source: str, cases: Sequence[Case]) -> Promotion:
    """Measure, and if every gate holds, commit the change on a new branch; push and open a pull request when asked.

    The work tree ends on the new branch. Raises RolloutError, with the tree as it was, when the tree is dirty, a gate
    fails, or git refuses; MissingDataError when there is too little to judge by.
    """
    tree = _Tree.of(wanted.config)
    tree.check_clean(wanted.config)
    if wanted.pull_request and shutil.which("gh") is None:
        raise RolloutError("a pull request needs the command gh, which is not here; leave out --pr and use the body")
    subject = Subject.read(wanted.config)
    if subject.config.verifier.adaptive_sampling.enabled:
        raise RolloutError(f"{wanted.config}: verifier.adaptive_sampling.enabled is true already; nothing to promote")
    evidence = measure(subject, source, cases)
    branch = wanted.branch or f"suffice/promote-{subject.plan.id[:12]}"
    note = tree.top / NOTES / f"adaptive-sampling-{subject.plan.id[:12]}.md"
    summaries = [(measured.source, measured.summary) for measured in evidence]
    base = tree.branch()
    with tree.on_branch(branch, note):
        set_enabled(wanted.config, enabled=True)
        write_atomically(note, release_note(subject, summaries))
        changed = tuple(tree.relative(path) for path in (wanted.config, note))
        tree.git("add", "--", *changed)
        tree.git("commit", "--quiet", "-m", f"{title(subject)}\n\nPlan {subject.plan.id}")
    write_atomically(
        wanted.body, pull_request(subject, summaries, wanted.config, wanted.accepted, wanted.start_refused_for)
    )
    commit = tree.git("rev-parse", "HEAD")
    if wanted.push:
        tree.git("push", "--quiet", "--set-upstream", wanted.push, branch)
    opened = _open_pull_request(tree, subject, wanted, base, branch) if wanted.pull_request else None
    return Promotion(branch, commit, base, changed, wanted.body, evidence, bool(wanted.push), opened)


def measure(subject: Subject, source: str, cases: Sequence[Case]) -> tuple[SourceSummary, ...]:
    """Compare on the even set and on a source, now. Raises RolloutError when a gate fails, with both numbers."""
    config, plan = subject.config, subject.plan
    last = config.rollout.stages[-1]
    check_net(last.audit_fraction, 1 - plan.uniform_asn / plan.n, config.rollout.acceptance.min_sample_reduction)
    unfit = sum(not fits(plan, case) for case in cases)
    if unfit:
        raise RolloutError(
            f"source {source}: the plan holds for normal draws; those of {unfit:,} of {len(cases):,} cases may be any, "
            "and would take the fixed arm; allowed: verifier.adaptive_sampling.plan_file with a plan of "
            "`suffice plan --use-config --guarded --save FILE`"
        )
    sets = [("even", even_cases(plan.rule, plan.n)), (source, cases)]
    measured = tuple(
        SourceSummary(name, compare(these, plan.rule, plan.n, [plan], config.determinism.seed).summary(0))
        for name, these in sets
    )
    for comparison in measured:
        _check(comparison, subject)
    return measured


def _check(measured: SourceSummary, subject: Subject) -> None:
    gate = subject.config.verifier.adaptive_sampling.regression_gate
    least = subject.config.rollout.acceptance.min_sample_reduction
    judged = measured.summary["judged"]
    if judged < (gate.min_cases if measured.source == "even" else 1):
        raise MissingDataError(
            f"source {measured.source}: {judged} cases with a valid baseline; needed: {gate.min_cases}"
        )
    rate, saved = measured.summary["disagreement_rate"], measured.summary["sample_reduction"]
    if rate > gate.max_disagreement_rate:
        allowed = f"{100 * gate.max_disagreement_rate:g} %"
        raise RolloutError(f"source {measured.source}: {100 * rate:.3g} % of decisions differ; allowed: {allowed}")
    if saved < least:
        raise RolloutError(
            f"source {measured.source}: {100 * saved:.3g} % of draws are saved; needed: {100 * least:g} %"
        )


def _open_pull_request(tree: "_Tree", subject: Subject, wanted: Wanted, base: str, branch: str) -> str:
    body = str(wanted.body.resolve())
    return tree.run(
        "gh", "pr", "create", "--title", title(subject), "--body-file", body, "--base", base, "--head", branch
    )


@dataclass(frozen=True, slots=True)
class _Tree:
    """A git work tree."""

    top: Path

    @classmethod
    def of(cls, config: Path) -> "_Tree":
        if shutil.which("git") is None:
            raise RolloutError("a promotion needs the command git, which is not here")
        folder = config.resolve().parent
        try:
            return cls(Path(cls(folder).git("rev-parse", "--show-toplevel")).resolve())
        except RolloutError as error:
            raise RolloutError(f"{folder}: a promotion needs a git work tree: {error}") from error

    def check_clean(self, config: Path) -> None:
        """Raises RolloutError when anything is changed or unknown here, or the configuration is not in git."""
        # What commands leave in the default folder is no change of hers, and a stash would take a live store away.
        dirty = self.git("status", "--porcelain", "--", ".", ":(exclude,top,glob)**/TemporaryQueue/**").splitlines()
        if dirty:
            more = f" and {len(dirty) - 1} more" if dirty[1:] else ""
            raise RolloutError(f"{self.top}: the work tree is dirty ({dirty[0].strip()}{more}); commit or stash first")
        if not self.git("ls-files", "--", self.relative(config)):
            raise RolloutError(f"{config}: is not tracked by git, so its change cannot be reviewed")

    def branch(self) -> str:
        name = self.git("rev-parse", "--abbrev-ref", "HEAD")
        if name == "HEAD":
            raise RolloutError(f"{self.top}: no branch is checked out; switch to the one to promote from")
        return name

    @contextmanager
    def on_branch(self, branch: str, note: Path) -> Iterator[None]:
        """Work on a new branch; when that fails, go back and leave no trace of it."""
        base = self.branch()
        if self.git("branch", "--list", branch):
            raise RolloutError(f"branch {branch} exists already; delete it, or name another with --branch")
        new_folder = not note.parent.exists()
        self.git("checkout", "--quiet", "-b", branch)
        try:
            yield
        except BaseException:
            self.git("checkout", "--quiet", "--force", base)
            self.git("branch", "--quiet", "-D", branch)
            note.unlink(missing_ok=True)
            if new_folder and note.parent.exists() and not any(note.parent.iterdir()):
                note.parent.rmdir()
            raise

    def relative(self, path: Path) -> str:
        return path.resolve().relative_to(self.top).as_posix()

    def git(self, *arguments: str) -> str:
        return self.run("git", *arguments)

    def run(self, *command: str) -> str:
        """What it prints. Raises RolloutError with the last thing that it says."""
        environment = {**os.environ, "LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0"}
        try:
            done = subprocess.run(
                command, cwd=self.top, env=environment, capture_output=True, text=True, encoding="utf-8", check=False
            )
        except OSError as error:
            raise OutputError(f"{command[0]}: cannot be run: {error.strerror or error}") from error
        if done.returncode != 0:
            lines = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()
            raise RolloutError(f"{' '.join(command[:2])}: {lines[-1]}")
        return done.stdout.strip()
