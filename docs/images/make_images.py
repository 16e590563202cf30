"""Makes the pictures of the README and the docs, from the same comparison as `make run`.

Run from the repository root: .venv/bin/python docs/images/make_images.py
"""

from pathlib import Path

from suffice.comparison.compare import compare
from suffice.decision.proportion import Proportion
from suffice.reports.comparison_plots import disagreement_figure, draws_figure, paths_figure
from suffice.reports.plots import plan_figure, save_figure
from suffice.sources import pdg
from suffice.stopping.make import plan

N, SEED, FOLDER = 256, 42, Path(__file__).parent


def main() -> None:
    rule = Proportion(at_least=0.8)
    plans = [plan(rule, N, 0.01, method=name, look_every=8) for name in ("optimal", "curtailed-exact", "margin")]
    comparison = compare((correction.case() for correction in pdg.corrections()), rule, N, plans, SEED)
    save_figure(draws_figure(comparison), FOLDER / "draws.svg")
    save_figure(disagreement_figure(comparison), FOLDER / "disagreement.svg")
    save_figure(paths_figure(comparison), FOLDER / "paths.svg")
    save_figure(plan_figure(plans[0]), FOLDER / "plan.svg")


if __name__ == "__main__":
    main()
