"""A rollout whose adaptive path, or whose sampler, fails: the operator is told what it was, and how often."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.random import Generator
from numpy.typing import NDArray
from production import corrections, producing, situation_in

from suffice.cli.main import run
from suffice.cli.rollout_view import print_explanation
from suffice.rollout.phases import Phase
from suffice.rollout.status import plain_status, status_of
from suffice.serving.verifier import Verifier
from suffice.verifier.case import Case


class Breaks:
    """A fault of the adaptive path, with a message of its own each time."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self, observed: list[float]) -> list[float]:
        self.times += 1
        if self.times % 10 == 0:
            raise KeyError(f"k{self.times}")
        raise TimeoutError(f"no answer within {self.times} ms")


class TimesOut:
    """A simulator that times out in one call in a hundred, whoever asks."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(5)

    def __call__(self, rng: Generator, n: int) -> NDArray[np.float64]:
        if self.rng.random() < 0.01:
            raise TimeoutError("the simulator has not answered")
        return np.ones(n)


def test_a_simulator_that_times_out_now_and_then_rolls_nothing_back_and_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    simulator, undecided = TimesOut(), 0
    with producing(tmp_path) as production:
        production.until("canary")
        with production.process(situation_in(production.store)) as process:
            for i in range(400):
                try:
                    process.verify(Case(f"timed{i}", f"t{i}", simulator, "eu"))
                except TimeoutError:
                    undecided += 1
        assert production.cycle().phase is Phase.PROGRESSING
        status = status_of(production.operator)
        print_explanation(status, production.clock())
        told = f"cases without a decision, because their sampler raised: {undecided} (TimeoutError {undecided})"
        assert undecided > 3 and f"note: {told}\n" in capsys.readouterr().out
        assert plain_status(status)["undecided"] == {"TimeoutError": undecided}
        assert plain_status(status)["failures"] == {}


def test_why_the_adaptive_path_failed_is_told_most_often_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fault = Breaks()
    with producing(tmp_path) as production:
        production.until("canary")
        broken = replace(situation_in(production.store), feed=fault)
        with production.process(broken) as process:
            for correction in corrections(production.sent, 200):
                process.verify(correction.case())
        keys = fault.times // 10
        told = {"TimeoutError: no answer within 1 ms": fault.times - keys, "KeyError: 'k10'": keys}
        first, second = (f"{count} × {message}" for message, count in told.items())
        assert production.cycle().phase is Phase.ROLLED_BACK
        assert production.judged("health")["sentence"].endswith(f"(limit 1 %), most often: {first}")
        status = status_of(production.operator)
        assert list(plain_status(status)["failures"].items()) == list(told.items())
        print_explanation(status, production.clock())
        listed = f"most often first:\n- {first}\n- {second}\n"
        assert f"the adaptive path failed with, {listed}" in capsys.readouterr().out
        queue = ["--queue", str(production.place.queue)]
        assert run(["triage", "show", status.rollout, *queue]) == 0
        assert f"The adaptive path failed with, {listed}" in capsys.readouterr().out
        for command in (["list"], ["show", status.rollout]):
            assert run(["triage", *command, "--json", *queue]) == 0
            answer = json.loads(capsys.readouterr().out)
            (item,) = answer if isinstance(answer, list) else [answer]
            assert list(item["failures"].items()) == list(told.items())


def test_one_fallback_in_the_shadow_is_a_fallback_and_no_adaptive_target(tmp_path: Path) -> None:
    with producing(tmp_path) as production:
        production.cycle()
        production.traffic(300)
        with production.process(replace(situation_in(production.store), feed=Breaks())) as process:
            assert process.verify(corrections(300, 1)[0].case()).fallback
        production.sent = 301
        assert production.cycle().phase is Phase.PROGRESSING
        health = production.judged("health")
        (arms,) = (part for part in health["parts"] if part["gate"] == "arms")
        assert arms["sentence"] == "0 of 301 targets are adaptive, 0 % (weight 0 %)"
        assert health["sentence"].startswith("1 of 300 adaptive decisions fell back")


class RaisesLate:
    """Its first draws all hold; the simulation of what comes then does not end in time."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, rng: Generator, n: int) -> NDArray[np.float64]:
        self.calls += 1
        if self.calls > 2:
            raise TimeoutError("no answer within 30 s")
        return np.ones(n)


@pytest.mark.parametrize("told", [False, True], ids=["verify", "begin"])
def test_audits_that_never_end_hold_the_stage_and_roll_nothing_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], *, told: bool
) -> None:
    with producing(tmp_path) as production:
        production.cycle()
        for _ in range(3):
            production.traffic(200)
            with production.process() as process:
                for i in range(production.sent, production.sent + 50):
                    case = Case(f"hard{i}", f"t{i}", RaisesLate(), "eu")
                    with pytest.raises(TimeoutError):
                        decide(process, case) if told else process.verify(case)
            production.cycle()
        assert (production.state.phase, production.state.current.name) == (Phase.PROGRESSING, "staging")
        gate = production.judged("disagreement")
        sentence = "150 audits were not finished, since their sampler raised (set Case(retries=…))"
        assert gate["outcome"] == "Inconclusive" and gate["sentence"].endswith(sentence)
        print_explanation(status_of(production.operator), production.clock())
        assert sentence in capsys.readouterr().out


def decide(process: Verifier, case: Case) -> None:
    """Tell the draws of the case's sampler."""
    simulate, rng = case.sampler, np.random.default_rng(1)
    assert callable(simulate)
    with process.begin(case) as run:
        while run.open:
            run.observe(simulate(rng, 8).tolist())


def test_a_sampler_that_raises_before_any_decision_leaves_no_unfinished_audit(tmp_path: Path) -> None:
    late = RaisesLate()
    late.calls = 2
    with producing(tmp_path) as production:
        production.cycle()
        production.traffic(200)
        with production.process() as process, pytest.raises(TimeoutError):
            process.verify(Case("hard", "t", late, "eu"))
        production.cycle()
        assert "not finished" not in production.judged("disagreement")["sentence"]
