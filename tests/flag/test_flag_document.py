"""The flag document, asked of flagd's own evaluator."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from openfeature.contrib.tools.flagd.core import FlagdCore
from openfeature.evaluation_context import EvaluationContext

from suffice.errors import DataError
from suffice.flag.document import FLAG, Exposure, document, epoch_of, from_text, in_words, to_text
from suffice.verifier.arm import Arm

names = st.text(min_size=1, max_size=12)
exposures = st.builds(
    Exposure,
    weight=st.integers(0, 100),
    salt=names,
    regions=st.lists(names, max_size=3, unique=True).map(tuple),
)


def evaluator(exposure: Exposure | None) -> FlagdCore:
    core = FlagdCore()
    core.set_flags(to_text(exposure))
    return core


def arm(core: FlagdCore, target: str | None, region: str = "") -> str:
    return core.resolve_string_value(FLAG, "code default", EvaluationContext(target, {"region": region})).value


def on_adaptive(exposure: Exposure | None, targets: list[str], region: str = "") -> set[str]:
    core = evaluator(exposure)
    return {target for target in targets if arm(core, target, region) == Arm.ADAPTIVE}


TARGETS = [f"pump-{i}" for i in range(2_000)]


def test_the_baseline_has_no_targeting_and_answers_fixed():
    assert "targeting" not in document(None)["flags"][FLAG]
    assert on_adaptive(None, TARGETS) == set()


def test_weight_0_is_nobody_and_weight_100_everybody():
    assert on_adaptive(Exposure(0, "s"), TARGETS) == set()
    assert on_adaptive(Exposure(100, "s"), TARGETS) == set(TARGETS)


def test_a_weight_is_a_percentage_of_the_targets():
    share = len(on_adaptive(Exposure(30, "s"), TARGETS)) / len(TARGETS)
    standard_error = (0.3 * 0.7 / len(TARGETS)) ** 0.5
    assert abs(share - 0.3) < 4 * standard_error


@given(salt=names, weights=st.lists(st.integers(0, 100), min_size=2, max_size=2).map(sorted))
def test_raising_the_weight_moves_no_target_out_of_adaptive(salt, weights):
    targets = TARGETS[:60]
    low, high = (on_adaptive(Exposure(weight, salt), targets) for weight in weights)
    assert low <= high


def test_a_new_salt_does_move_targets_out():
    """The control to the test above: it would notice."""
    assert not on_adaptive(Exposure(30, "s"), TARGETS) <= on_adaptive(Exposure(60, "t"), TARGETS)


def test_salt_and_target_do_not_run_together():
    ones = [f"1{target}" for target in TARGETS]
    assert {f"1{target}" for target in on_adaptive(Exposure(50, "s1"), TARGETS)} != on_adaptive(Exposure(50, "s"), ones)


def test_only_the_named_regions_are_exposed():
    exposure = Exposure(100, "s", ("eu-west-1", "eu-west-2"))
    assert on_adaptive(exposure, TARGETS, "eu-west-1") == set(TARGETS)
    assert on_adaptive(exposure, TARGETS, "eu-west-2") == set(TARGETS)
    for elsewhere in ("us-east-1", "eu-west", "", "eu-west-1 "):
        assert on_adaptive(exposure, TARGETS, elsewhere) == set()


def test_a_target_keeps_its_place_when_a_region_is_added():
    before = on_adaptive(Exposure(40, "s", ("a",)), TARGETS, "a")
    assert on_adaptive(Exposure(40, "s", ("a", "b")), TARGETS, "a") == before
    assert on_adaptive(Exposure(40, "s"), TARGETS) == before


@pytest.mark.parametrize("target", ["", None])
def test_without_a_target_the_answer_is_fixed_at_any_weight(target):
    assert arm(evaluator(Exposure(100, "s")), target) == Arm.FIXED


@given(st.none() | exposures)
def test_what_is_written_reads_back(exposure):
    text = to_text(exposure)
    assert text.isascii()
    assert from_text(text) == exposure


@pytest.mark.parametrize("weight", [-1, 101, 5.0, "5", True, None])
def test_an_impossible_weight_is_refused(weight):
    with pytest.raises(DataError, match=r"flag: the weight is .*; allowed: a whole number from 0 to 100"):
        Exposure(weight, "s")


BASELINE = """{
  "metadata": {
    "suffice_format": 1,
    "suffice_epoch": 3
  },
  "flags": {
    "adaptive-sampling": {
      "state": "ENABLED",
      "variants": {
        "fixed": "fixed",
        "adaptive": "adaptive"
      },
      "defaultVariant": "fixed"
    }
  }
}
"""


def test_the_baselines_document_to_the_letter():
    assert to_text(None, 3) == BASELINE


@given(st.none() | exposures, st.none() | st.integers(0, 2**40))
@example(None, 0)
def test_the_epoch_of_the_word_reads_back_and_changes_nothing_else(exposure, epoch):
    text = to_text(exposure, epoch)
    assert epoch_of(text) == epoch
    assert from_text(text) == exposure


@pytest.mark.parametrize("epoch", ["-1", "true", '"3"', "3.0", "null"])
def test_an_epoch_that_no_word_has_is_none_and_refused(epoch):
    text = BASELINE.replace('"suffice_epoch": 3', f'"suffice_epoch": {epoch}')
    assert epoch_of(text) is None
    with pytest.raises(DataError, match=r"metadata\.suffice_epoch is .*; allowed: nothing"):
        from_text(text)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"metadata": 3}'])
def test_what_is_no_document_has_no_epoch(text):
    assert epoch_of(text) is None


def test_an_exposure_in_words():
    assert in_words(None) == "baseline, 0 % adaptive"
    assert in_words(Exposure(5, "s")) == "5 % adaptive in all regions"
    assert in_words(Exposure(5, "s", ("eu", "us"))) == "5 % adaptive in eu, us"


def test_an_empty_salt_and_impossible_regions_are_refused():
    with pytest.raises(DataError, match="salt"):
        Exposure(5, "")
    with pytest.raises(DataError, match="the salt is 7; allowed"):
        Exposure(5, 7)
    with pytest.raises(DataError, match="names that are not empty"):
        Exposure(5, "s", ("a", 7))
    with pytest.raises(DataError, match="names that are not empty"):
        Exposure(5, "s", ("",))
    with pytest.raises(DataError, match="each name once"):
        Exposure(5, "s", ("a", "a"))


EDITS = {
    "metadata.suffice_format is 2; allowed: 1": lambda d: d["metadata"].update(suffice_format=2),
    "flags.other is {}; allowed: nothing": lambda d: d["flags"].update(other={}),
    r"defaultVariant is \"adaptive\"; allowed: \"fixed\"": lambda d: d["flags"][FLAG].update(defaultVariant="adaptive"),
    r"state is \"DISABLED\"; allowed: \"ENABLED\"": lambda d: d["flags"][FLAG].update(state="DISABLED"),
    r"variants.adaptive is nothing; allowed: \"adaptive\"": lambda d: d["flags"][FLAG]["variants"].pop("adaptive"),
    r"fractional\[2\]\[1\] is 96; allowed: 95": lambda d: fraction(d)[2].__setitem__(1, 96),
    r"targeting.if\[0\].and\[2\] is \[\]; allowed: nothing": lambda d: d["flags"][FLAG]["targeting"]["if"][0][
        "and"
    ].append([]),
    "metadata.suffice_format is true; allowed: 1": lambda d: d["metadata"].update(suffice_format=True),
    "not a document of the flag 'adaptive-sampling' as": lambda d: fraction(d)[0].update(cat=[]),
    "document of the flag 'adaptive-sampling' as Suffice writes it": lambda d: fraction(d).append([]),
    r"state is 1; allowed: \"ENABLED\"": lambda d: d["flags"][FLAG].update(state=1),
    "the weight is 105; allowed": lambda d: fraction(d)[1].__setitem__(1, 105),
    "the weight is True; allowed": lambda d: fraction(d)[1].__setitem__(1, True),
    r"fractional\[1\]\[0\] is \"fixed\"; allowed: \"adaptive\"": lambda d: fraction(d)[1].__setitem__(0, "fixed"),
    r"if\[2\] is \"adaptive\"; allowed: \"fixed\"": lambda d: d["flags"][FLAG]["targeting"]["if"].__setitem__(
        2, "adaptive"
    ),
    "not a document of the flag": lambda d: d["flags"].pop(FLAG),
    "not a document of the flag 'adaptive-sampling'": lambda d: d["flags"][FLAG].update(targeting={}),
}


def fraction(content):
    return content["flags"][FLAG]["targeting"]["if"][1]["fractional"]


@pytest.mark.parametrize("sentence", EDITS)
def test_any_edit_is_refused_with_its_place(sentence):
    content = document(Exposure(5, "s", ("eu-west-1",)))
    EDITS[sentence](content)
    with pytest.raises(DataError, match=sentence):
        from_text(json.dumps(content), "flag.json")


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"flags": []}', '{"flags": {}}'])
def test_what_is_no_document_is_refused(text):
    with pytest.raises(DataError, match=r"^flag\.json: not"):
        from_text(text, "flag.json")
