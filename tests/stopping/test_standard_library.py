"""A saved count plan is read and run on the standard library alone; a plan from the cache needs no solver."""

import subprocess
import sys
from pathlib import Path

import pytest

import suffice

RULES = (suffice.Proportion(0.8), suffice.MonteCarloP(0.1))

RUN_ALONE = """
import sys
sys.modules.update(dict.fromkeys(("numpy", "scipy", "numba", "pydantic", "platformdirs")))
import suffice
run = suffice.Plan.load(sys.argv[1]).start()
while run.open:
    run.observe([int(sys.argv[2])] * run.need)
again = type(run).from_dict(run.to_dict())
assert again.verdict == run.verdict
print(run.verdict.decision.value, run.verdict.n)
"""

FROM_CACHE = """
import sys
from suffice.cli.main import main
sys.argv = ["suffice", "plan", "--rule", "proportion", "--n", "40"]
try:
    main()
finally:
    print(*sorted({"scipy", "numba", "pydantic"} & set(sys.modules)), file=sys.stderr)
"""


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
@pytest.mark.parametrize("draw", [0, 1])
def test_a_saved_count_plan_runs_without_numpy_and_scipy(rule, draw: int, tmp_path: Path) -> None:
    plan = suffice.plan(rule, 60, 0.01)
    plan.save(tmp_path / "plan.json")
    run = plan.start()
    run.observe([draw] * 60)
    done = subprocess.run(
        [sys.executable, "-c", RUN_ALONE, tmp_path / "plan.json", str(draw)], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"{run.verdict.decision.value} {run.verdict.n}\n"


def test_a_mean_plan_asks_for_scipy_only_where_its_rule_does(tmp_path: Path) -> None:
    suffice.plan(suffice.PairedMean(), 60, 0.01, method="margin").save(tmp_path / "plan.json")
    code = "import sys, suffice; suffice.Plan.load(sys.argv[1]); print('scipy' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "plan.json"], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"


def test_a_plan_from_the_cache_loads_no_solver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUFFICE_CACHE_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    first, second = (
        subprocess.run([sys.executable, "-c", FROM_CACHE], capture_output=True, text=True, check=True) for _ in range(2)
    )
    assert first.stdout == second.stdout
    assert "scipy" in first.stderr
    assert "scipy" not in second.stderr
    assert "numba" not in second.stderr
