"""What a correction looks like: two features, where they are finite numbers."""

import pytest

from suffice.sources.correction import Correction, Estimate
from suffice.verifier.case import features_text


@pytest.mark.parametrize(
    ("record", "measurement", "features"),
    [
        (Estimate(10, 3, 3), Estimate(15, 4, 4), {"effect": 1.0, "uncertainty_ratio": 4 / 3}),
        (Estimate(15, 3, 3), Estimate(10, 4, 4), {"effect": 1.0, "uncertainty_ratio": 4 / 3}),
        (Estimate(0, 2, 4), Estimate(5, 5, 3), {"effect": 1.0, "uncertainty_ratio": 4 / 3}),
        (Estimate(1, 0, 0), Estimate(3, 2, 2), {"effect": 1.0}),
        (Estimate(1, 2, 2), Estimate(1, 0, 0), {"effect": 0.0, "uncertainty_ratio": 0.0}),
        (Estimate(1, 0, 0), Estimate(2, 0, 0), {}),
        (Estimate(-1e308, 1, 1), Estimate(1e308, 1, 1), {"uncertainty_ratio": 1.0}),
        (Estimate(0, 5e-324, 5e-324), Estimate(0, 1e308, 1e308), {"effect": 0.0}),
    ],
)
def test_size_of_the_change_and_ratio_of_the_uncertainties(
    record: Estimate, measurement: Estimate, features: dict[str, float]
) -> None:
    case = Correction("k", "t", record, measurement).case()
    assert case.features == pytest.approx(features)
    features_text(case)
