"""What host code imports: `module_metrics` and `module_error_resolution`, in a process of its own."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from suffice.errors import DataError
from suffice.telemetry.shared import increment

ROOT = Path(__file__).parents[2]

HOST = """
import module_metrics
from module_metrics import Counter
module_metrics.increment("resolution_rollbacks_total")
module_metrics.increment(Counter.FIXED_SAMPLES, 256)
module_metrics.decided()
module_metrics.flush()
module_metrics.increment("resolution_rollbacks_total", 2)
module_metrics.flush("TemporaryQueue/metrics.json")

from module_error_resolution import StormPolicy, StormState, replay
policy, state = StormPolicy(max_rollbacks=3), StormState()
for _ in range(3):
    state = policy.after(state, accepted=False)
print(state.needs_review, dict(replay([("pump", False)] * 4, 3)))
"""


def test_host_code_counts_and_escalates_under_the_names_that_it_knows(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{HOST}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("True {'pump': 1}\n", "")
    written = json.loads((tmp_path / "TemporaryQueue" / "metrics.json").read_text(encoding="utf-8"))
    assert written["decisions"] == 1
    assert {name: count for name, count in written["counters"].items() if count} == {
        "resolution_fixed_samples_total": 256,
        "resolution_rollbacks_total": 3,
    }


@pytest.mark.parametrize(("name", "amount"), [("rollbacks", 1), ("resolution_rollbacks_total", -1)])
def test_what_is_no_count_is_refused(name: str, amount: int) -> None:
    with pytest.raises(DataError, match="allowed"):
        increment(name, amount)
