"""The flag gate: the file says what is wanted, buckets stay, and targets get the arm of their bucket."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from suffice.errors import OutputError
from suffice.flag.bucketing import Sample, record
from suffice.flag.client import FlagClient
from suffice.flag.document import Exposure
from suffice.flag.file import publish, published
from suffice.gates import flag as gate
from suffice.gates.outcome import GateResult, Outcome

WANTED = Exposure(50, "r1", ("eu",))
SAMPLE = record("r1", [f"t{i}" for i in range(20)])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    publish(tmp_path / "flag.json", WANTED)
    return tmp_path / "flag.json"


@pytest.fixture
def client(path: Path) -> Iterator[FlagClient]:
    with FlagClient.from_file(path) as client:
        yield client


def judged(path: Path, client: FlagClient, wanted: Exposure | None = WANTED, sample: Sample = SAMPLE) -> GateResult:
    return gate.judge(path, wanted, sample, client, lambda: publish(path, wanted))


@pytest.mark.parametrize("wanted", [None, Exposure(100, "r1"), Exposure(100, "r1", ("eu", "us"))])
def test_the_baseline_and_every_region_are_asked_about_as_well(path: Path, wanted: Exposure | None) -> None:
    publish(path, wanted)
    with FlagClient.from_file(path) as client:
        assert judged(path, client, wanted).outcome is Outcome.SUCCESSFUL


def test_a_file_that_says_what_is_wanted_is_successful(path: Path, client: FlagClient) -> None:
    result = judged(path, client)
    assert (result.outcome, result.value, result.limit) == (Outcome.SUCCESSFUL, 0.0, 0.0)
    assert result.sentence == "20 of 20 recorded targets get the arm of their bucket (50 % adaptive in eu)"


def test_a_file_that_says_something_else_is_an_error_and_published_again(path: Path, client: FlagClient) -> None:
    publish(path, replace(WANTED, weight=51))
    result = judged(path, client)
    assert result.outcome is Outcome.ERROR
    assert result.sentence == (
        f"{path}: says 51 % adaptive in eu, the rollout wants 50 % adaptive in eu; published again"
    )
    assert published(path) == WANTED


def test_a_file_that_cannot_be_repaired_says_why(path: Path, client: FlagClient) -> None:
    path.unlink()

    def full() -> None:
        raise OutputError("the disk is full")

    result = gate.judge(path, None, SAMPLE, client, full)
    assert result.outcome is Outcome.ERROR
    assert result.sentence.endswith("there is no flag file; it cannot be published again: the disk is full")


def test_a_recorded_target_in_another_bucket_is_an_error(path: Path, client: FlagClient) -> None:
    moved = replace(SAMPLE, buckets={**SAMPLE.buckets, "t3": (SAMPLE.buckets["t3"] + 1) % 100})
    result = judged(path, client, sample=moved)
    assert (result.outcome, result.value) == (Outcome.ERROR, 1.0)
    assert "1 of 20 recorded targets have moved to another bucket (limit 0), the first is t3" in result.sentence


def test_a_provider_that_answers_otherwise_is_an_error(path: Path, client: FlagClient) -> None:
    publish(path.with_name("other.json"), None)
    with FlagClient.from_file(path.with_name("other.json")) as baseline:
        result = judged(path, baseline)
    inside = sum(bucket < WANTED.weight for bucket in SAMPLE.buckets.values())
    assert inside > 0
    assert (result.outcome, result.value, result.limit) == (Outcome.ERROR, float(inside), 0.0)
    assert result.sentence.startswith(f"{20 - inside} of 20 recorded targets get the arm of their bucket")
    first = next(target for target, bucket in SAMPLE.buckets.items() if bucket < WANTED.weight)
    assert result.sentence.endswith(f"; not {first}")
