"""What a case brings beside its draws: kept with its decision, or refused before the first draw."""

from decimal import Decimal
from fractions import Fraction
from math import inf, nan
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from suffice import Case, DataError, Verifier
from suffice.sampling.distributions import Normal
from suffice.serving.ledger_rows import check_storable
from suffice.telemetry.counters import Counter
from suffice.verifier.case import features_text


def case_with(**fields: Any) -> Case:
    return Case("a", "a", Normal(0, 1), **fields)


def test_features_are_sorted_json() -> None:
    assert features_text(case_with(features={"model": "b", "µ": 2, "heat": np.float32(0.5)})) == (
        '{"heat":0.5,"model":"b","\\u00b5":2}'
    )
    assert features_text(case_with()) is None
    numbers = {"a": np.float64(0.25), "b": Decimal("0.5"), "c": Fraction(3, 4), "d": 2**60}
    assert features_text(case_with(features=numbers)) == '{"a":0.25,"b":0.5,"c":0.75,"d":1152921504606846976}'


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"features": {"heat": nan}}, "feature heat is nan; allowed: a finite number, or a text"),
        ({"features": {"heat": inf}}, "feature heat is inf"),
        ({"features": {"heat": True}}, "feature heat is True"),
        ({"features": {"heat": None}}, "feature heat is None"),
        ({"features": {"heat": "x" * 257}}, "at most 256 characters"),
        ({"features": {"heat": "\0"}}, "feature heat is"),
        ({"features": {"heat": "\ud800"}}, "feature heat is"),
        ({"features": {"": 1}}, "names a feature; allowed: text of 1 to 64 characters"),
        ({"features": {"x" * 65: 1}}, "names a feature"),
        ({"features": {3: 1}}, "3 names a feature"),
        ({"features": {3: 1, "a": 2}}, "3 names a feature"),
        ({"features": {str(n): n for n in range(21)}}, "has 21 features; allowed: at most 20"),
        ({"features": [1]}, "allowed: names to"),
        ({"cost": -1.0}, "a draw costs -1.0; allowed: a number from 0 to 1e+15"),
        ({"cost": nan}, "a draw costs nan"),
        ({"cost": 10**400}, "a draw costs a whole number beyond all bounds"),
        ({"cost": Fraction(10**400, 3)}, "a draw costs Fraction("),
        ({"cost": Decimal("1e400")}, "a draw costs Decimal('1E+400')"),
        ({"cost": Decimal("sNaN")}, "a draw costs Decimal('sNaN')"),
        ({"cost": 1e16}, "a draw costs 1e+16; allowed: a number from 0 to 1e+15"),
        ({"features": {"heat": 10**400}}, "feature heat is a whole number beyond all bounds; allowed: a finite number"),
        ({"features": {"heat": Decimal("-1e400")}}, "feature heat is Decimal('-1E+400')"),
        ({"cost": "1"}, "a draw costs '1'"),
        ({"retries": -1}, "retries are -1; allowed: a whole number, at least 0"),
        ({"retries": 1.5}, "retries are 1.5"),
        ({"direction": 3}, "direction is 3; allowed: 1, −1, or 0 for none"),
        ({"eligible": 1}, "eligible is 1; allowed: true or false"),
    ],
)
def test_what_cannot_be_kept_is_refused(fields: dict[str, Any], named: str) -> None:
    with pytest.raises(DataError, match="case 'a'") as refused:
        check_storable(case_with(**fields))
    assert named in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_value_that_no_arm_can_decide_on_names_its_case_and_is_counted_as_the_samplers(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"verifier": {"rule": "proportion", "n_samples": 32}}', encoding="utf-8")
    with Verifier.from_config(tmp_path / "config.json", queue=tmp_path / "queue") as verifier:
        with pytest.raises(DataError, match=r"^case 'half': draw 1 is 0.5; a success is 1"):
            verifier.verify(Case("half", "t", lambda _, n: [0.5] * n))
        assert verifier.counters.snapshot().counters[Counter.SAMPLER_ERRORS] == 1
        assert verifier.counters.snapshot().counters[Counter.FALLBACKS] == 0
