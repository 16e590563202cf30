"""Streams: a function of (seed, case key) only, and prefix-stable."""

import os
import subprocess
import sys

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.random import Generator, Philox
from scipy import stats

from suffice.sampling.streams import Stream, philox_key

SPLITS = st.lists(st.integers(0, 40), min_size=1, max_size=12)


@given(SPLITS, st.integers(0, 2**63), st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
def test_values_do_not_depend_on_block_sizes(splits: list[int], seed: int, key: str) -> None:
    whole, parts = Stream(seed, key), Stream(seed, key)
    for lane in ("normals", "uniforms"):
        together = getattr(whole, lane)(sum(splits))
        assert np.array_equal(together, np.concatenate([getattr(parts, lane)(n) for n in splits]))


@given(st.integers(0, 100), st.integers(0, 100))
def test_the_first_values_do_not_depend_on_how_many_follow(k: int, more: int) -> None:
    assert np.array_equal(Stream(1, "a").normals(k), Stream(1, "a").normals(k + more)[:k])


def test_lanes_do_not_disturb_each_other() -> None:
    quiet, busy = Stream(42, "case"), Stream(42, "case")
    busy.uniforms(7), busy.block(0).random(9), busy.block(5).random(3)
    assert np.array_equal(quiet.normals(20), busy.normals(20))
    busy.normals(11)
    assert np.array_equal(quiet.block(5).random(4), busy.block(5).random(4))


def test_normals_are_those_of_numpy_for_the_documented_key() -> None:
    key = philox_key(42, "pump-17")
    assert np.array_equal(Stream(42, "pump-17").normals(1000), Generator(Philox(key=key)).standard_normal(1000))


def test_every_lane_is_that_of_numpy_for_the_documented_key_and_counter() -> None:
    stream, key = Stream(7, "pump-17"), philox_key(7, "pump-17")
    for number, of_lane in enumerate((stream.normals, stream.uniforms)):
        witness = Generator(Philox(key=key, counter=number << 192))
        assert np.array_equal(of_lane(50), (witness.standard_normal if number == 0 else witness.random)(50))
    for index in (0, 1, 500):
        witness = Generator(Philox(key=key, counter=(2 + index) << 192))
        assert np.array_equal(stream.block(index).random(50), witness.random(50))


def test_lanes_start_at_counters_whose_highest_word_is_their_number() -> None:
    stream = Stream(3, "case")
    stream.normals(1), stream.uniforms(1)
    generators = [stream._normals, stream._uniforms, stream.block(0), stream.block(1), stream.block(977)]
    highest = [int(g.bit_generator.state["state"]["counter"][3]) for g in generators if g is not None]
    assert highest == [0, 1, 2, 3, 979]


def test_lanes_and_blocks_have_no_value_in_common() -> None:
    stream = Stream(3, "case")
    raw = [stream._lane(number).bit_generator.random_raw(500) for number in range(20)]
    assert len(np.unique(np.concatenate(raw))) == 20 * 500


def test_seeds_and_keys_separate_streams() -> None:
    pairs = [(seed, key) for seed in (0, 1, 11) for key in ("", "1", "1:1", "a", "A", "é")]
    assert len({philox_key(*pair) for pair in pairs}) == len(pairs)


def test_values_do_not_depend_on_the_order_of_cases() -> None:
    keys = [f"case-{i}" for i in range(20)]
    forth = {key: Stream(5, key).normals(3).tolist() for key in keys}
    back = {key: Stream(5, key).normals(3).tolist() for key in reversed(keys)}
    assert forth == back


def test_values_do_not_depend_on_process_and_hash_seed() -> None:
    code = "from suffice.sampling.streams import Stream as S; s = S(42, 'é'); print(s.normals(3).tobytes().hex(), "
    code += "s.uniforms(3).tobytes().hex(), s.block(4).random(3).tobytes().hex())"

    def printed(hash_seed: str) -> str:
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        return subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True).stdout

    assert printed("0") == printed("1234")


def test_streams_of_different_cases_are_uncorrelated_standard_normals() -> None:
    values = np.stack([Stream(42, f"case-{i}").normals(2000) for i in range(30)])
    assert stats.kstest(values.ravel(), "norm").pvalue > 1e-3
    correlation = np.corrcoef(values)[np.triu_indices(30, 1)]
    assert np.abs(correlation).max() < 5 / np.sqrt(2000)
