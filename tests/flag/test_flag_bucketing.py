"""Buckets against an independent implementation; salts against each other."""

from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from suffice.errors import DataError
from suffice.flag.answer import FlagAnswer
from suffice.flag.bucketing import Sample, audited, buckets, drift, inside, misplaced, record
from suffice.flag.document import Exposure
from suffice.verifier.arm import Arm

TARGETS = [f"pump-{i}" for i in range(10_000)]
CRITICAL = stats.chi2.isf(1e-4, 1)


def rotated(value: int, by: int) -> int:
    return (value << by | value >> 32 - by) & 0xFFFFFFFF


def murmur3(data: bytes) -> int:
    """MurmurHash3_x86_32 with seed 0, from Austin Appleby's reference."""
    value, whole = 0, len(data) // 4 * 4
    for at in range(0, whole, 4):
        value ^= rotated(int.from_bytes(data[at : at + 4], "little") * 0xCC9E2D51 & 0xFFFFFFFF, 15) * 0x1B873593
        value = rotated(value & 0xFFFFFFFF, 13) * 5 + 0xE6546B64 & 0xFFFFFFFF
    if tail := int.from_bytes(data[whole:], "little"):
        value ^= rotated(tail * 0xCC9E2D51 & 0xFFFFFFFF, 15) * 0x1B873593 & 0xFFFFFFFF
    value ^= len(data)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        value = (value ^ value >> shift) * factor & 0xFFFFFFFF
    return value ^ value >> 16


def cbor_text(text: str) -> bytes:
    """A CBOR text string (RFC 8949) of fewer than 256 bytes."""
    data = text.encode()
    return (bytes([0x60 + len(data)]) if len(data) < 24 else bytes([0x78, len(data)])) + data


def chi_square(first: list[bool], second: list[bool]) -> float:
    table = [[0, 0], [0, 0]]
    for one, other in zip(first, second, strict=True):
        table[one][other] += 1
    return stats.chi2_contingency(table, correction=False).statistic


class OnPaper:
    """A flag that answers from buckets, as a provider of another make would."""

    def __init__(self, adaptive: set[str]) -> None:
        self.adaptive = adaptive

    def ask(self, target: str, region: str | None = None) -> FlagAnswer:
        return FlagAnswer(Arm.ADAPTIVE if target in self.adaptive else Arm.FIXED, resolved=True, reason="STATIC")


def test_buckets_are_the_murmur3_hash_of_salt_and_target_scaled_to_100():
    targets = [*TARGETS[:300], "π/ρ⁺", "x" * 200]
    assert buckets("s1", targets) == {t: murmur3(cbor_text(f"s1/{t}")) * 100 >> 32 for t in targets}


def test_buckets_are_evenly_filled():
    filled = np.bincount(list(buckets("s1", TARGETS).values()), minlength=100)
    assert len(filled) == 100
    assert stats.chisquare(filled).pvalue > 1e-4


def test_a_recorded_sample_keeps_its_buckets():
    sample = record("s1", TARGETS[:100])
    assert sample.evaluator.startswith("openfeature-flagd-core ")
    assert drift(Sample(**asdict(sample))) == ()


def test_a_rotated_salt_is_drift():
    moved = drift(replace(record("s1", TARGETS[:1000]), salt="s2"))
    assert len(moved) > 1000 * 0.99 - 4 * (1000 * 0.99 * 0.01) ** 0.5
    assert all(0 <= m.was < 100 and 0 <= m.now < 100 and m.was != m.now for m in moved)


def test_one_moved_target_is_drift():
    sample = record("s1", TARGETS[:100])
    was = (sample.buckets["pump-7"] + 1) % 100
    [moved] = drift(replace(sample, buckets={**sample.buckets, "pump-7": was}))
    assert (moved.target, moved.was, moved.now) == ("pump-7", was, sample.buckets["pump-7"])


def test_a_flag_that_answers_as_recorded_misplaces_nobody():
    exposure = Exposure(30, "s1")
    sample = record("s1", TARGETS[:200])
    assert misplaced(sample, exposure, OnPaper(set(inside(exposure, TARGETS[:200])))) == ()
    assert misplaced(sample, None, OnPaper(set())) == ()
    assert misplaced(sample, Exposure(30, "s1", ("eu",)), OnPaper(set()), region="us") == ()


def test_a_target_is_adaptive_from_the_weight_above_its_bucket_on():
    sample = record("s1", ["pump-7"])
    bucket = sample.buckets["pump-7"]
    for weight, adaptive in ((bucket, ()), (bucket + 1, ("pump-7",))):
        assert inside(Exposure(weight, "s1"), ["pump-7"]) == adaptive
        assert misplaced(sample, Exposure(weight, "s1"), OnPaper(set(adaptive))) == ()
        assert misplaced(sample, Exposure(weight, "s1", ("eu", "us")), OnPaper(set(adaptive)), region="us") == ()


def test_a_flag_that_buckets_otherwise_is_noticed():
    sample = record("s1", TARGETS[:200])
    others = set(inside(Exposure(30, "s2"), TARGETS[:200]))
    assert set(misplaced(sample, Exposure(30, "s1"), OnPaper(others))) == others ^ set(
        inside(Exposure(30, "s1"), TARGETS[:200])
    )
    assert set(misplaced(sample, None, OnPaper(others))) == others


def test_a_sample_of_another_salt_cannot_be_compared():
    with pytest.raises(DataError, match="recorded with the salt 's1', the exposure has 's2'"):
        misplaced(record("s1", TARGETS[:5]), Exposure(30, "s2"), OnPaper(set()))


def test_arms_of_two_salts_are_independent():
    first, second = ([bucket < 50 for bucket in buckets(salt, TARGETS).values()] for salt in ("s1", "s2"))
    assert chi_square(first, second) < CRITICAL
    assert chi_square(first, first) > 100 * CRITICAL, "the test would notice"


def test_audits_are_independent_of_the_arm_and_of_other_salts():
    arm = [bucket < 50 for bucket in buckets("s1", TARGETS).values()]
    here, there = ([audited(target, salt, 0.1) for target in TARGETS] for salt in ("s1", "s2"))
    assert chi_square(arm, here) < CRITICAL, "even with the arm's own salt"
    assert chi_square(arm, there) < CRITICAL
    assert chi_square(here, there) < CRITICAL


@pytest.mark.parametrize("fraction", [0.02, 0.1, 0.5])
def test_the_fraction_of_audited_targets(fraction):
    share = sum(audited(target, "audit", fraction) for target in TARGETS) / len(TARGETS)
    assert abs(share - fraction) < 4 * (fraction * (1 - fraction) / len(TARGETS)) ** 0.5


def test_which_targets_are_audited_is_the_same_in_every_version():
    """A stage that began under one version goes on under the next one with the same targets."""
    chosen = [number for number in range(40) if audited(f"pump-{number}", "pump-000001/audit", 0.2)]
    assert chosen == [0, 9, 11, 25, 32, 35, 39]


@given(target=st.text(), salt=st.text(max_size=200), fractions=st.tuples(st.floats(0, 1), st.floats(0, 1)).map(sorted))
def test_a_larger_fraction_audits_all_that_a_smaller_one_does(target, salt, fractions):
    low, high = (audited(target, salt, fraction) for fraction in fractions)
    assert low <= high
    assert audited(target, salt, 1.0)
    assert not audited(target, salt, 0.0)


@pytest.mark.parametrize("fraction", [-0.1, 1.1, float("nan"), float("inf")])
def test_an_impossible_fraction_is_refused(fraction):
    with pytest.raises(DataError, match="allowed: 0 to 1"):
        audited("pump-1", "s", fraction)
