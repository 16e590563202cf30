"""config.json as a specification: what is refused and how it is said, what is left alone, what the defaults are."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticUndefined

from suffice.config import (
    AcceptanceConfig,
    Allowed,
    Config,
    MethodName,
    RuleName,
    Stage,
    VerifierConfig,
    format_duration,
    load,
    parse,
    parse_duration,
    set_enabled,
    shipped,
)
from suffice.errors import ConfigError, OutputError

ROOT = Path(__file__).parents[1]
LAST = {"name": "full", "weight": 100}
FIRST = {"name": "canary", "weight": 5, "hold": "24h", "min_audits": 500}


def at(path: str, value: Any) -> str:
    """A file that says only this."""
    for key in reversed(path.split(".")):
        value = {key: value}
    return json.dumps(value)


def refusal(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse(text, "config.json")
    message = str(caught.value)
    assert message.startswith("config.json: ")
    assert len(message.splitlines()) == 1
    return message.removeprefix("config.json: ")


# What is read


def test_the_shipped_file_loads_with_the_values_it_shows() -> None:
    config = load(ROOT / "config.json")
    assert config == shipped()
    assert config.determinism.deterministic_mode is True
    assert config.determinism.seed == 42
    assert config.determinism.fixed_timestamp == datetime(2025, 1, 1, tzinfo=UTC)
    verifier = config.verifier
    assert (verifier.rule, verifier.n_samples, verifier.confidence_threshold) == ("proportion", 256, 0.8)
    assert (verifier.p_threshold, verifier.min_effect_size) == (0.05, 1e-6)
    sampling = verifier.adaptive_sampling
    assert (sampling.enabled, sampling.method, sampling.max_disagreement) == (False, "optimal", 0.01)
    assert (sampling.n_min, sampling.look_every, sampling.n_max, sampling.n0) == (8, 8, 256, 64)
    assert (sampling.multiplier, sampling.early_stop_margin, sampling.plan_file) == (2, 0.01, None)
    gate = sampling.regression_gate
    assert (gate.enabled, gate.max_disagreement_rate, gate.min_cases) == (True, 0.01, 1000)
    policy = config.error_resolution.rollback_storm_policy
    assert (policy.enabled, policy.max_rollbacks) == (True, 3)
    assert (policy.ci_gate.enabled, policy.ci_gate.max_escalations) == (True, 0)
    rollout = config.rollout
    assert rollout.acceptance == AcceptanceConfig(
        min_sample_reduction=0.30, max_disagreement_rate=0.01, max_excess_escalations=0.0, confidence=0.95
    )
    assert rollout.cycle == timedelta(minutes=15)
    assert (rollout.failure_limit, rollout.inconclusive_limit, rollout.consecutive_error_limit) == (0, 4, 4)
    day = timedelta(days=1)
    assert rollout.stages == (
        Stage(name="staging", weight=0, shadow=True, hold=day, audit_fraction=1.0, min_audits=1000),
        Stage(name="canary", weight=5, regions=("eu-west-1",), hold=day, audit_fraction=1.0, min_audits=500),
        Stage(name="expand", weight=50, hold=2 * day, audit_fraction=0.1, min_audits=500),
        Stage(name="full", weight=100, audit_fraction=0.02),
    )


def test_no_rule_means_paired_mean_and_all_else_is_as_shipped() -> None:
    assert parse("{}", "x") == Config()
    assert Config().verifier.rule == "paired_mean"
    assert Config() == shipped().model_copy(update={"verifier": VerifierConfig(rule="paired_mean")})
    assert parse('{"verifier": {"adaptive_sampling": {"enabled": true}}}', "x").verifier.rule == "paired_mean"


@pytest.mark.parametrize(
    ("verifier", "expected"),
    [
        ({"n_samples": 1000}, (8, 64, 1000)),
        ({"n_samples": 50}, (8, 50, 50)),
        ({"n_samples": 5}, (5, 5, 5)),
        ({"n_samples": 32, "adaptive_sampling": {"method": "margin", "n_max": 32}}, (8, 32, 32)),
    ],
)
def test_n_max_and_the_first_looks_follow_n_samples_where_they_are_not_given(
    verifier: dict[str, Any], expected: tuple[int, int, int]
) -> None:
    sampling = parse(at("verifier", verifier), "x").verifier.adaptive_sampling
    assert (sampling.n_min, sampling.n0, sampling.n_max) == expected


def test_the_bound_may_be_split_by_direction() -> None:
    text = at("verifier.adaptive_sampling.max_disagreement", {"accept": 0.001, "reject": 0.01})
    assert parse(text, "x").verifier.adaptive_sampling.max_disagreement == {"accept": 0.001, "reject": 0.01}


@pytest.mark.parametrize("method", get_args(MethodName))
@pytest.mark.parametrize("rule", get_args(RuleName))
def test_every_rule_and_method_that_may_be_named_exists(rule: str, method: str) -> None:
    from suffice.decision.rules import RULES
    from suffice.stopping.make import METHODS

    verifier = {"rule": rule, "adaptive_sampling": {"method": method}}
    assert parse(at("verifier", verifier), "x").verifier.rule == rule
    assert rule in RULES
    assert method in METHODS


@pytest.mark.parametrize(
    "config",
    [Config(), shipped(), parse(at("verifier.adaptive_sampling.max_disagreement", {"accept": 0, "reject": 0.5}), "x")],
)
def test_a_configuration_written_as_json_reads_back_equal(config: Config) -> None:
    assert parse(config.model_dump_json(), "x") == config


def test_a_configuration_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        Config().verifier.adaptive_sampling.enabled = True  # type: ignore[misc]


# What is refused, and how it is said

SAMPLING = "verifier.adaptive_sampling"
BAD_VALUES: list[tuple[str, Any, str, str]] = [
    ("verifier", 3, "3", "an object"),
    ("verifier", None, "null", "an object"),
    ("rollout.acceptance", [], "[]", "an object"),
    ("determinism.seed", "42", '"42"', "a whole number of at most 63 bits"),
    ("determinism.seed", 2**63, str(2**63), "a whole number of at most 63 bits"),
    ("determinism.seed", True, "true", "a whole number of at most 63 bits"),
    ("determinism.deterministic_mode", 1, "1", "true or false"),
    ("determinism.fixed_timestamp", "2025-01-01", '"2025-01-01"', "like"),
    ("determinism.fixed_timestamp", "2025-01-01T00:00:00+01:00", "+01:00", "in UTC"),
    ("determinism.fixed_timestamp", "2025-13-01T00:00:00Z", "2025-13", "in UTC"),
    ("determinism.fixed_timestamp", 1735689600, "1735689600", "in UTC"),
    ("verifier.rule", "proportoin", '"proportoin"; did you mean proportion?', "proportion or paired_mean"),
    ("verifier.rule", "Proportion", '"Proportion"; did you mean proportion?', "proportion or paired_mean"),
    ("verifier.rule", "mean", '"mean"; ', "proportion or paired_mean"),
    ("verifier.rule", None, "null", "proportion or paired_mean"),
    ("verifier.n_samples", "256", '"256"', "a whole number from 1"),
    ("verifier.n_samples", 256.0, "256.0", "a whole number from 1"),
    ("verifier.n_samples", True, "true", "a whole number from 1"),
    ("verifier.n_samples", 0, "0", "a whole number from 1"),
    ("verifier.n_samples", 10**10, "10000000000", "to 1000000000"),
    ("verifier.confidence_threshold", 80, "80", "a number from 0 to 1"),
    ("verifier.confidence_threshold", -0.1, "-0.1", "a number from 0 to 1"),
    ("verifier.confidence_threshold", False, "false", "a number from 0 to 1"),
    ("verifier.p_threshold", 0, "0", "a number above 0 and below 1"),
    ("verifier.p_threshold", 1, "1", "a number above 0 and below 1"),
    ("verifier.min_effect_size", -1e-9, "-1e-09", "a number, at least 0"),
    (f"{SAMPLING}.enabled", "false", '"false"', "true or false"),
    (f"{SAMPLING}.method", "curtailed_exact", "did you mean curtailed-exact?", "optimal, curtailed, curtailed-exact"),
    (f"{SAMPLING}.max_disagreement", 1, "1", "a number from 0 to below 1"),
    (f"{SAMPLING}.max_disagreement", True, "true", "a number from 0 to below 1"),
    (f"{SAMPLING}.max_disagreement", {"accept": 0.1}, '{"accept": 0.1}', "accept and reject, both"),
    (f"{SAMPLING}.n_min", 257, "257", "at most n_max = 256"),
    (f"{SAMPLING}.n0", 257, "257", "at most n_max = 256"),
    (f"{SAMPLING}.n_max", 128, "128", "n_samples = 256, or no n_max"),
    (f"{SAMPLING}.look_every", 0, "0", "a whole number from 1"),
    (f"{SAMPLING}.multiplier", 1, "1", "a number above 1"),
    (f"{SAMPLING}.early_stop_margin", 1, "1", "a number from 0 to below 1"),
    (f"{SAMPLING}.plan_file", "", '""', "a text that is not empty, or null"),
    (f"{SAMPLING}.regression_gate.max_disagreement_rate", 1.5, "1.5", "a number from 0 to 1"),
    (f"{SAMPLING}.regression_gate.min_cases", 0, "0", "a whole number from 1"),
    ("error_resolution.rollback_storm_policy.max_rollbacks", 0, "0", "a whole number from 1"),
    ("error_resolution.rollback_storm_policy.ci_gate.max_escalations", -1, "-1", "a whole number from 0"),
    ("rollout.acceptance.min_sample_reduction", 30, "30", "a number from 0 to 1"),
    ("rollout.acceptance.confidence", 1, "1", "a number above 0 and below 1"),
    ("rollout.failure_limit", -1, "-1", "a whole number from 0"),
    ("rollout.cycle", 900, "900", '"15m"'),
    ("rollout.cycle", "366d", '"366d"', "at most 365 days"),
    ("rollout.stages", [], "[]", "a list of at least one stage"),
    ("rollout.stages", LAST, '{"name": "full", "weight": 100}', "a list of at least one stage"),
]


@pytest.mark.parametrize(("path", "value", "shown", "allowed"), BAD_VALUES)
def test_a_bad_value_is_refused_with_its_path_what_was_found_and_what_is_allowed(
    path: str, value: Any, shown: str, allowed: str
) -> None:
    message = refusal(at(path, value))
    told, hint = message.split("allowed: ")
    assert told.startswith(f"{path} is ")
    assert shown in told
    assert allowed in hint


def test_the_bound_of_one_direction_is_refused_at_its_key() -> None:
    path = f"{SAMPLING}.max_disagreement"
    message = refusal(at(path, {"accept": 2, "reject": 0}))
    assert message == f"{path}.accept is 2; allowed: a number from 0 to below 1"
    message = refusal(at(path, {"acept": 0, "reject": 0}))
    assert message == (f"{path}.acept is 0, but there is no such key; did you mean accept? allowed: accept, reject")


@pytest.mark.parametrize("method", get_args(MethodName))
def test_every_method_needs_n_max_at_n_samples(method: str) -> None:
    message = refusal(at(SAMPLING, {"method": method, "n_max": 128}))
    assert message == f"{SAMPLING}.n_max is 128; allowed: n_samples = 256, or no n_max"
    assert parse(at(SAMPLING, {"method": method, "n_max": 256}), "x").verifier.adaptive_sampling.n_max == 256


@pytest.mark.parametrize(
    ("stages", "expected"),
    [
        (["full"], 'stages[0] is "full"; allowed: an object'),
        ([{"weight": 5}], "stages[0].name is missing; allowed: a text that is not empty"),
        ([{"name": "full"}], "stages[0].weight is missing; allowed: a whole number from 0 to 100"),
        ([{**LAST, "name": ""}], 'stages[0].name is ""; allowed: a text that is not empty'),
        ([{**LAST, "weight": 101}], "stages[0].weight is 101; allowed: a whole number from 0 to 100"),
        ([{**LAST, "weight": 5.5}], "stages[0].weight is 5.5; allowed: a whole number from 0 to 100"),
        ([{**LAST, "audit_fraction": 2}], "stages[0].audit_fraction is 2; allowed: a number from 0 to 1"),
        ([{**LAST, "regions": "eu"}], 'stages[0].regions is "eu"; allowed: a list of different names'),
        ([{**LAST, "regions": ["eu", "eu"]}], 'stages[0].regions is ["eu", "eu"]; allowed: a list of different names'),
        ([{**LAST, "regions": [""]}], 'stages[0].regions is [""]; allowed: a list of different names'),
        ([{**LAST, "approval": "yes"}], 'stages[0].approval is "yes"; allowed: true or false'),
        ([FIRST, {**LAST, "wieght": 3}], "stages[1].wieght is 3, but there is no such key; did you mean weight? "),
        ([FIRST, {**LAST, "weight": 4}], "stages[1].weight is 4; allowed: 5 to 100, weights do not fall"),
        ([FIRST, {**LAST, "name": "canary"}], 'stages[1].name is "canary"; allowed: a name that no other stage has'),
        ([{**FIRST, "hold": None}, LAST], 'stages[0].hold is null; allowed: a duration like "90s"'),
        ([{"name": "canary", "weight": 5}, LAST], "stages[0].hold is missing; allowed: a duration like"),
        (
            [{"name": "canary", "weight": 5, "hold": "24h"}, LAST],
            "stages[0].min_audits is missing; allowed: at least 1",
        ),
        ([{**FIRST, "min_audits": 0}, LAST], "stages[0].min_audits is 0; allowed: at least 1; only the last"),
        ([{**FIRST, "audit_fraction": 0}, LAST], "stages[0].audit_fraction is 0.0; allowed: above 0"),
        ([{**FIRST, "weight": 0}, LAST], "stages[0].weight is 0; allowed: above 0 unless shadow is true"),
    ],
)
def test_stages_that_could_not_lead_on_are_refused(stages: list[Any], expected: str) -> None:
    assert refusal(at("rollout.stages", stages)).startswith(f"rollout.{expected}")


def test_only_the_last_stage_may_be_without_hold_and_audits() -> None:
    assert len(parse(at("rollout.stages", [FIRST, LAST]), "x").rollout.stages) == 2
    assert len(parse(at("rollout.stages", [LAST]), "x").rollout.stages) == 1


@pytest.mark.parametrize(
    ("path", "meant"),
    [
        ("verifier.n_sample", "n_samples"),
        ("verifier.confidence_treshold", "confidence_threshold"),
        ("verifier.adaptive-sampling", "adaptive_sampling"),
        ("verifier.adaptive_sampling.Enabled", "enabled"),
        ("verifier.adaptive_sampling.regression_gate.min_case", "min_cases"),
        ("error_resolution.rollback_storm_polcy", "rollback_storm_policy"),
        ("error_resolution.rollback_storm_policy.ci_gate.max_escalation", "max_escalations"),
        ("rollout.acceptence", "acceptance"),
        ("rollout.acceptance.confidense", "confidence"),
        ("rollout.heatlh", "health"),
        ("rollout.health.max_silense", "max_silence"),
        ("rollout.health.fallback", "fallbacks"),
    ],
)
def test_an_unknown_key_is_refused_with_the_one_that_was_meant(path: str, meant: str) -> None:
    message = refusal(at(path, 1))
    assert message.startswith(f"{path} is 1, but there is no such key; did you mean {meant}? allowed: ")
    assert meant in message.split("allowed: ")[1].split(", ")


def test_an_unknown_key_like_none_is_refused_with_all_that_are_allowed() -> None:
    assert refusal(at("error_resolution.zzz", {})) == (
        "error_resolution.zzz is {}, but there is no such key; allowed: rollback_storm_policy"
    )


def test_what_was_found_stays_on_one_short_line() -> None:
    assert refusal(at("verifier.rule", "a\nb\u2028c")).startswith('verifier.rule is "a\\nb\\u2028c"; ')
    assert refusal(at("rollout.line\nbreak", 1)).startswith('rollout."line\\nbreak" is 1, ')
    assert len(refusal(at("verifier.rule", "x" * 1000))) < 200
    assert refusal(at("verifierr", {"a": "x" * 1000})).startswith("verifierr is an object, but ")


# What belongs to the host


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("verifierr", "verifier"),
        ("verifer", "verifier"),
        ("verfiier", "verifier"),
        ("Verifier", "verifier"),
        ("verifiers", "verifier"),
        ("roll_out", "rollout"),
        ("roll-out", "rollout"),
        ("rollOut", "rollout"),
        ("rolluot", "rollout"),
        ("error-resolution", "error_resolution"),
        ("error_resolutions", "error_resolution"),
        ("determinsm", "determinism"),
    ],
)
def test_a_near_miss_of_our_names_is_refused(name: str, meant: str) -> None:
    message = refusal(at(name, 7))
    assert message.startswith(f"{name} is 7, but there is no such key; did you mean {meant}? allowed: ")
    beside = json.dumps({**json.loads(shipped().model_dump_json()), **json.loads(at(name, 7))})
    assert refusal(beside) == message


@pytest.mark.parametrize(
    "name",
    [
        *("logging", "version", "verification", "verify", "versions", "rollback", "rollup", "resolution", "errors"),
        *("error_handling", "error_resolver", "deterministic", "deterministic_mode", "seed", "database", "$schema", ""),
        *("determinism.numpy_seed", "determinism.seed_source", "determinism.timestamp", "determinism.deterministic"),
        *("determinism.timezone", "determinism.threads", "determinism.hash", "determinism.fixed", "determinism.mode"),
    ],
)
def test_names_that_hosts_do_have_are_left_alone(name: str) -> None:
    assert parse(at(name, {"anything": [None, "256"]}), "x") == Config()


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("sed", "seed"),
        ("Seed", "seed"),
        ("3d_fixed_timestamps", "fixed_timestamp"),
        ("fixed_timestmp", "fixed_timestamp"),
        ("determinstic_mode", "deterministic_mode"),
    ],
)
def test_a_near_miss_in_determinism_is_the_hosts_and_noted_once(
    name: str, meant: str, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        assert parse(at(f"determinism.{name}", 7), f"{name}.json") == Config()
    assert caplog.messages == [f"{name}.json: determinism.{name} is taken for the host's own; ours is {meant}"]


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("verifier.adaptive_sampling.ci_gate", "regression_gate"),
        ("verifier.adaptive_sampling.decision_multiplier", "max_disagreement"),
        ("error_resolution.adaptive_sampling", "verifier.adaptive_sampling"),
        ("error_resolution.ci_gate", "rollback_storm_policy.ci_gate"),
        ("adaptive_sampling", "verifier.adaptive_sampling"),
    ],
)
@pytest.mark.parametrize("value", [{"enabled": True, "max_disagreement_rate": 0}, 2, None])
def test_a_retired_key_is_passed_over_with_one_note_of_what_replaced_it(
    name: str, instead: str, value: object, caplog: pytest.LogCaptureFixture
) -> None:
    where = f"{name} {value}.json"
    for _ in range(2):
        assert parse(at(name, value), where) == Config()
    [message] = caplog.messages
    assert message.startswith(f"{where}: {name} is not used any more: ") and instead in message


def test_beside_a_retired_key_everything_is_read_and_checked() -> None:
    text = json.dumps({"error_resolution": {"adaptive_sampling": {}, "rollback_storm_policy": {"max_rollbacks": 5}}})
    assert parse(text, "x").error_resolution.rollback_storm_policy.max_rollbacks == 5
    with pytest.raises(ConfigError, match="there is no such key"):
        parse(json.dumps({"error_resolution": {"adaptive_sampling": {}, "storms": 1}}), "x")


HOST_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
# A name that begins so is like none of ours, whatever follows.
HOST_NAMES = st.text(max_size=6).map(lambda text: "x_host_section_" + text)
HOST_SECTIONS = st.dictionaries(HOST_NAMES, HOST_JSON, max_size=4)


@given(HOST_SECTIONS, HOST_SECTIONS, st.booleans())
def test_whatever_the_host_keeps_in_the_file_changes_nothing(
    sections: dict[str, Any], keys: dict[str, Any], ascii_only: bool
) -> None:
    ours = json.loads((ROOT / "config.json").read_text("utf-8"))
    ours["determinism"] |= keys
    assert parse(json.dumps({**sections, **ours}, ensure_ascii=ascii_only), "x") == shipped()


# Files


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "line 1, column 1: not JSON: Expecting value"),
        (b'{\n  "verifier": {,}\n}', "line 2, column 16: not JSON: "),
        (b'{"a": 1,}', "not JSON: "),
        (b"{} {}", "line 1, column 4: not JSON: Extra data"),
        (b"[]", "the file holds []; allowed: an object"),
        (b"null", "the file holds null; allowed: an object"),
        (b'{"a": "\xff"}', "byte 8 is not UTF-8"),
        ('{"a": 1}'.encode("utf-16"), "byte 1 is not UTF-8"),
        (b'{"verifier": {"p_threshold": NaN}}', "verifier.p_threshold is NaN, which JSON does not have; allowed: "),
        (b'{"host": [1, {"a": -Infinity}]}', "host[1].a is -Infinity, which JSON does not have; allowed: "),
        (b"NaN", "the file is NaN, which JSON does not have; allowed: "),
        (b'{"verifier": {"p_threshold": 1e400}}', "verifier.p_threshold is Infinity; allowed: "),
        (b'{"verifier": {"min_effect_size": 1e400}}', "verifier.min_effect_size is Infinity; allowed: "),
        (
            b'{"verifier": {"rule": "proportion", "rule": "paired_mean"}}',
            'verifier.rule stands twice, the second time as "paired_mean"; allowed: each key once',
        ),
        (b'{"rollout": {}, "rollout": {}}', "rollout stands twice, the second time as {}; allowed: each key once"),
        (b'{"host": [{"a": 1, "a": 1}]}', "host[0].a stands twice, the second time as 1; allowed: each key once"),
        (b'{"a": ' + b"[" * 100_000, "nested too deeply to be read"),
        (b'{"a": ' + b"9" * 5_000 + b"}", "a has 5000 digits; allowed: at most 4300"),
    ],
    ids=range(18),
)
def test_a_broken_file_is_refused_with_one_line(tmp_path: Path, content: bytes, expected: str) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(content)
    for read in (load, lambda path: set_enabled(path, True)):
        with pytest.raises(ConfigError) as caught:
            read(path)
        message = str(caught.value)
        assert message.startswith(f"{path}: ")
        assert expected in message
        assert len(message.splitlines()) == 1
    assert path.read_bytes() == content


@pytest.mark.parametrize("depth", [100, 500, 900, 950, 990, 1000, 2000])
def test_deep_nesting_where_an_object_belongs_is_refused_and_never_crashes(depth: int) -> None:
    assert refusal('{"verifier": ' + "[" * depth + "]" * depth + "}")


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.json: there is no such file$"):
        load(tmp_path / "none.json")
    with pytest.raises(ConfigError, match="cannot be read: "):
        load(tmp_path)


def test_a_byte_order_mark_is_no_error(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(b"\xef\xbb\xbf" + (ROOT / "config.json").read_bytes())
    assert load(path) == shipped()


# Switching


def switched(path: Path, content: bytes, enabled: bool) -> bytes:
    path.write_bytes(content)
    set_enabled(path, enabled)
    assert load(path).verifier.adaptive_sampling.enabled is enabled
    return path.read_bytes()


def test_switching_changes_one_word_and_back(tmp_path: Path) -> None:
    content = (ROOT / "config.json").read_bytes()
    on = switched(tmp_path / "config.json", content, True)
    assert on == content.replace(b'"enabled": false', b'"enabled": true')
    assert switched(tmp_path / "config.json", on, False) == content


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("{}", '{"verifier": {"adaptive_sampling": {"enabled": true}}}'),
        ('{"a":1}', '{"verifier": {"adaptive_sampling": {"enabled": true}}, "a":1}'),
        ('{\n\t"verifier": { }\n}\n', '{\n\t"verifier": {"adaptive_sampling": {"enabled": true} }\n}\n'),
        (
            '\ufeff{"verifier": {\r\n  "adaptive_sampling": {\r\n    "n0": 32\r\n  }\r\n}}',
            '\ufeff{"verifier": {\r\n  "adaptive_sampling": {\r\n    "enabled": true,\r\n    "n0": 32\r\n  }\r\n}}',
        ),
        (
            '{"enabled": false, "h": {"verifier": {"adaptive_sampling": {"enabled": false}}}, '
            '"verifier" : {"adaptive_sampling": {"enabled" :false}}, "x": 1.50e400, "y": "\\u00e4 \\" }"}',
            '{"enabled": false, "h": {"verifier": {"adaptive_sampling": {"enabled": false}}}, '
            '"verifier" : {"adaptive_sampling": {"enabled" :true}}, "x": 1.50e400, "y": "\\u00e4 \\" }"}',
        ),
    ],
)
def test_switching_keeps_every_other_character(tmp_path: Path, before: str, after: str) -> None:
    assert switched(tmp_path / "config.json", before.encode(), True).decode() == after


@settings(deadline=None)  # every example waits for the disk
@given(
    st.permutations(["determinism", "verifier", "error_resolution", "rollout"]),
    st.lists(st.tuples(HOST_NAMES, HOST_JSON), max_size=3, unique_by=lambda item: item[0]),
    st.sampled_from([None, 0, 1, 4, "\t"]),
    st.booleans(),
    st.sampled_from([True, False, None]),
)
def test_switching_keeps_all_other_content_and_order(
    tmp_path_factory: pytest.TempPathFactory,
    order: list[str],
    host: list[tuple[str, Any]],
    indent: int | str | None,
    enabled: bool,
    written: bool | None,
) -> None:
    ours = json.loads((ROOT / "config.json").read_text("utf-8"))
    sampling = ours["verifier"]["adaptive_sampling"]
    sampling.pop("enabled") if written is None else sampling.update(enabled=written)
    data = dict([*host[:1], *((name, ours[name]) for name in order), *host[1:]])
    content = json.dumps(data, indent=indent).encode()
    after = switched(tmp_path_factory.mktemp("switch") / "config.json", content, enabled)
    expected, answered = json.loads(content), json.loads(after)
    assert answered["verifier"]["adaptive_sampling"].pop("enabled", False) is enabled
    expected["verifier"]["adaptive_sampling"].pop("enabled", None)
    assert json.dumps(answered) == json.dumps(expected)
    if bool(written) is enabled:
        assert after == content


def test_a_file_that_says_so_already_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text("{ }")
    before = path.stat()
    set_enabled(path, False)
    after = path.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_links_and_permissions_survive_and_nothing_is_left_behind(tmp_path: Path) -> None:
    real, link = tmp_path / "real.json", tmp_path / "config.json"
    real.write_text("{}")
    real.chmod(0o640)
    link.symlink_to(real)
    set_enabled(link, True)
    assert link.is_symlink()
    assert load(real).verifier.adaptive_sampling.enabled
    assert real.stat().st_mode & 0o777 == 0o640
    assert sorted(p.name for p in tmp_path.iterdir()) == ["config.json", "real.json"]


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(handle: int) -> None:
        raise OSError("disk full")

    path = tmp_path / "config.json"
    path.write_text("{}")
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OutputError, match="disk full"):
        set_enabled(path, True)
    assert path.read_text() == "{}"
    assert list(tmp_path.iterdir()) == [path]


# Durations


@pytest.mark.parametrize(
    ("text", "seconds"), [("1s", 1), ("90s", 90), ("15m", 900), ("24h", 86400), ("48h", 172800), ("2d", 172800)]
)
def test_durations(text: str, seconds: int) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


BAD_DURATIONS = [
    "",
    "15",
    "m",
    "0s",
    "-1h",
    "+1h",
    "1.5h",
    "1h30m",
    "15 m",
    " 15m",
    "15m\n",
    "15M",
    "1w",
    "015m",
    "٣h",
    "1e3s",
]


@pytest.mark.parametrize("text", [*BAD_DURATIONS, "9" * 10 + "d", "9" * 5000 + "s"])
def test_other_texts_are_no_durations(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration(text)
    assert "allowed: a duration like" in refusal(at("rollout.cycle", text))


@given(st.integers(1, 999_999_999))
def test_durations_read_back_as_written(seconds: int) -> None:
    duration = timedelta(seconds=seconds)
    assert parse_duration(format_duration(duration)) == duration


@pytest.mark.parametrize("duration", [timedelta(), timedelta(seconds=-1), timedelta(milliseconds=1)])
def test_what_no_text_means_is_not_written(duration: timedelta) -> None:
    with pytest.raises(ValueError, match="not whole seconds"):
        format_duration(duration)


# The page and the costs


def documented() -> dict[str, list[str]]:
    """The rows of docs/configuration.md by their first cell."""
    lines = (ROOT / "docs" / "configuration.md").read_text("utf-8").splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| `")]
    return {row[0].strip("`"): row[1:] for row in rows}


def keys_of(model: type[BaseModel], path: str = "") -> Iterator[tuple[str, Any, str]]:
    """Path, default and allowed text of every key that is no object itself."""
    for name, field in model.model_fields.items():
        kinds = [kind for kind in (field.annotation, *get_args(field.annotation)) if isinstance(kind, type)]
        inner = next((kind for kind in kinds if issubclass(kind, BaseModel)), None)
        if inner is None:
            allowed = next(note.text for note in field.metadata if isinstance(note, Allowed))
            yield f"{path}{name}", field.default, allowed
        else:
            yield from keys_of(inner, f"{path}{name}." if inner is field.annotation else f"{path}{name}[].")


def test_the_page_documents_every_key_and_no_other() -> None:
    assert sorted(documented()) == sorted(path for path, _, _ in keys_of(Config))


@pytest.mark.parametrize(("path", "default", "allowed"), list(keys_of(Config)))
def test_the_page_says_the_default_and_what_is_allowed(path: str, default: Any, allowed: str) -> None:
    _, default_cell, allowed_cell = documented()[path]
    assert allowed_cell.split(";")[0] == allowed
    if default is PydanticUndefined:
        assert default_cell == "none, must be given"
        return
    written = {timedelta: lambda: format_duration(default), datetime: lambda: f"{default:%Y-%m-%dT%H:%M:%SZ}"}
    value = written.get(type(default), lambda: default)()
    assert default_cell.split(", or ")[0] == f"`{json.dumps(value)}`"


def test_importing_it_loads_no_numerics() -> None:
    code = "import sys, suffice.config; print([m for m in ('numpy', 'scipy', 'fcntl') if m in sys.modules])"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert child.stdout.strip() == "[]"


@given(st.integers(1, 90), st.integers(1, 90), st.lists(st.integers(1, 90), max_size=3))
def test_a_limit_of_silence_that_no_hold_reaches_is_named_with_the_holds(
    age: int, silence: int, holds: list[int]
) -> None:
    stages = [{"name": f"s{i}", "weight": 1, "hold": f"{hold}m", "min_audits": 1} for i, hold in enumerate(holds)]
    rollout = {
        "health": {"max_age": f"{age}m", "max_silence": f"{silence}m"},
        "stages": [*stages, {"name": "full", "weight": 100}],
    }
    told = parse(json.dumps({"rollout": rollout}), "config.json").rollout.unnoticed
    expected = {
        name: [f"s{i}" for i, hold in enumerate(holds) if hold < limit]
        for name, limit in (("max_age", age), ("max_silence", silence))
    }
    assert len(told) == sum(map(bool, expected.values()))
    for sentence, (name, stages_named) in zip(told, [e for e in expected.items() if e[1]], strict=True):
        assert sentence.startswith(f"rollout.health.{name} is ")
        assert re.findall(r"\bs\d\b", sentence) == stages_named


def test_what_we_ship_has_limits_that_its_holds_reach() -> None:
    assert shipped().rollout.unnoticed == ()
