"""The receipt of a rollback."""

import threading
import time

import pytest

from suffice.flag.answer import FlagAnswer
from suffice.flag.bucketing import inside
from suffice.flag.client import FlagClient
from suffice.flag.document import Exposure
from suffice.flag.file import publish
from suffice.flag.probes import Probe, Receipt, observe
from suffice.verifier.arm import Arm

FIXED = FlagAnswer(Arm.FIXED, resolved=True, reason="STATIC")
ADAPTIVE = FlagAnswer(Arm.ADAPTIVE, resolved=True, reason="TARGETING_MATCH")
UNKNOWN = FlagAnswer(Arm.FIXED, resolved=False, reason="the flag client is closed")


class Scripted:
    """Answers in turn; its clock advances only by sleeping."""

    def __init__(self, *answers: FlagAnswer) -> None:
        self.answers = list(answers)
        self.now = 100.0

    def ask(self, target: str, region: str | None = None) -> FlagAnswer:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    def sleep(self, seconds: float) -> None:
        self.now = round(self.now + seconds, 9)

    def observe(self, probes, attempts, settle_seconds=0.0, **changes):
        return observe(
            self,
            probes,
            attempts=attempts,
            sleep=self.sleep,
            clock=lambda: self.now,
            pause_seconds=0.25,
            settle_seconds=settle_seconds,
            **changes,
        )


ONE = [Probe("pump-1", "eu-west-1")]


def test_observed_once_every_probe_answers_fixed():
    receipt = Scripted(FIXED, ADAPTIVE, FIXED, FIXED).observe([*ONE, Probe("pump-2")], attempts=10)
    assert (receipt.observed, receipt.asked, receipt.fixed, receipt.attempts, receipt.seconds) == (True, 2, 2, 2, 0.25)


def test_not_observed_when_the_attempts_are_used_up():
    flag = Scripted(ADAPTIVE)
    receipt = flag.observe(ONE, attempts=4)
    assert (receipt.observed, receipt.fixed, receipt.attempts, receipt.seconds) == (False, 0, 4, 0.75)
    assert flag.now == 100.75, "nobody waits after the last attempt"


def test_fixed_for_want_of_an_answer_is_no_observation():
    assert not Scripted(UNKNOWN).observe(ONE, attempts=4).observed


def test_where_the_flag_was_removed_fixed_is_what_every_client_answers():
    assert Scripted(UNKNOWN).observe(ONE, attempts=4, missing_is_fixed=True).observed
    assert not Scripted(ADAPTIVE).observe(ONE, attempts=4, missing_is_fixed=True).observed


def test_whoever_has_no_patience_left_gives_up():
    patience = iter([True, False])
    receipt = Scripted(ADAPTIVE).observe(ONE, attempts=9, patience=lambda: next(patience))
    assert (receipt.observed, receipt.attempts, receipt.seconds) == (False, 2, 0.25)
    assert receipt.sentence == "0 of 1 probes answer fixed"


def test_every_probe_must_answer_fixed_in_the_same_attempt():
    receipt = Scripted(FIXED, ADAPTIVE, ADAPTIVE, FIXED, FIXED).observe([*ONE, Probe("pump-2")], attempts=2)
    assert (receipt.observed, receipt.fixed) == (False, 1)


def test_it_looks_twenty_times_a_second_and_settles_for_half_a_second():
    flag = Scripted(FIXED)
    receipt = observe(flag, ONE, attempts=99, sleep=flag.sleep, clock=lambda: flag.now)
    assert (receipt.observed, receipt.attempts) == (True, 11)
    assert receipt.seconds == 0.5


def test_no_probes_and_no_attempts_are_no_observation():
    assert not Scripted(FIXED).observe([], attempts=4).observed
    assert Scripted(FIXED).observe(ONE, attempts=0) == Receipt(
        observed=False, asked=1, fixed=0, attempts=0, seconds=0.0
    )


def test_a_single_adaptive_answer_starts_the_settling_anew():
    receipt = Scripted(FIXED, FIXED, ADAPTIVE, FIXED).observe(ONE, attempts=20, settle_seconds=1.0)
    assert (receipt.observed, receipt.attempts, receipt.seconds) == (True, 8, 1.75)


@pytest.mark.parametrize("answer", [ADAPTIVE, UNKNOWN])
def test_settling_that_is_broken_off_is_no_observation(answer):
    assert not Scripted(FIXED, FIXED, FIXED, answer).observe(ONE, attempts=4, settle_seconds=1.0).observed


def test_a_real_rollback_is_observed_in_the_old_slice(tmp_path):
    path, exposure = tmp_path / "flag.json", Exposure(30, "s1", ("eu-west-1",))
    publish(path, exposure)
    probes = [Probe(target, "eu-west-1") for target in inside(exposure, (f"pump-{i}" for i in range(100)))]
    with FlagClient.from_file(path, poll_ms=20) as client:
        before = observe(client, probes, attempts=3, sleep=time.sleep, clock=time.monotonic)
        assert (before.observed, before.fixed) == (False, 0)
        later = threading.Timer(0.2, publish, (path, None))
        later.start()
        after = observe(client, probes, attempts=1_000, sleep=time.sleep, clock=time.monotonic, settle_seconds=0.1)
        later.join()
        assert (after.observed, after.asked, after.fixed) == (True, len(probes), len(probes))
        assert after.attempts > 1
