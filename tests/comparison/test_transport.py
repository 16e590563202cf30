"""A chunk that was handed over is the chunk that was sent."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import suffice
from suffice.comparison.chunks import Chunk, Question
from suffice.sampling.distributions import Empirical
from suffice.sampling.recorded import Recorded
from suffice.sources.recorded import Unusable
from suffice.sources.recording import LeftOut
from suffice.verifier.case import Case

numbers = st.floats(-1e300, 1e300)
scales = st.floats(0.001, 1e9)
distributions = st.one_of(
    st.builds(suffice.Normal, numbers, scales),
    st.builds(suffice.SplitNormal, numbers, scales, scales),
    st.builds(Empirical, st.tuples(numbers, numbers)),
)
recorded = st.builds(
    Recorded,
    st.one_of(
        st.lists(st.integers(0, 1), min_size=2, max_size=9).map(lambda x: np.array(x, dtype=float)),
        st.lists(numbers, min_size=2, max_size=9).map(np.array),
        st.lists(st.tuples(numbers, numbers), min_size=2, max_size=9).map(np.array),
    ),
    st.booleans(),
)
cases = st.builds(
    Case,
    st.text(max_size=5),
    st.text(max_size=5),
    st.one_of(recorded, distributions, st.builds(suffice.Pair, distributions, distributions)),
    st.one_of(st.none(), st.text(max_size=3)),
    st.sampled_from((-1, 0, 1)),
    st.one_of(st.none(), st.floats(-9, 9)),
)
left_out = st.builds(Unusable, st.text(max_size=5), st.sampled_from(LeftOut))


@given(st.lists(st.one_of(cases, left_out), max_size=12))
def test_cases_arrive_as_they_were(sent: list[Case | Unusable]) -> None:
    rule = suffice.Proportion(0.5)
    chunk = Chunk(tuple(sent), {}, Question(rule, 100, 3, rows=True), decisions=7)
    back = pickle.loads(pickle.dumps(chunk))
    assert (back.plans, back.question, back.decisions) == ({}, Question(rule, 100, 3, rows=True, examples=False), 7)
    for one, other in zip(sent, back.cases, strict=True):
        if isinstance(one, Case) and isinstance(one.sampler, Recorded):
            assert np.array_equal(other.sampler.values, one.sampler.values)
            assert other.sampler.values.dtype == np.float64
            assert other.sampler.given_order == one.sampler.given_order
            assert (other.key, other.target, other.region) == (one.key, one.target, one.region)
            assert (other.direction, other.effect) == (one.direction, one.effect)
        else:
            assert other == one


@pytest.mark.parametrize("value", [0.5, 255.0, 256.0, -1.0])
def test_only_zeros_and_ones_are_narrowed(value: float) -> None:
    case = Case("a", "a", Recorded(np.array([0.0, 1.0, value])))
    (back,) = pickle.loads(pickle.dumps(Chunk((case,), {}, Question(suffice.PairedMean(), 0, 1)))).cases
    assert back.sampler.values.tolist() == [0.0, 1.0, value]
