"""The plot of the benchmark."""

from pathlib import Path

import matplotlib

from benchmarks import counts
from benchmarks.cases import DELTAS
from benchmarks.tables import Row

LEFT_OUT = ("ask/tell", "bare draws", "fixed", "SciPy", "statsmodels")


def plot(for_means: list[Row], for_counts: list[Row], path: Path) -> None:
    """Disagreement and draws over the truth, for each method that stops early."""
    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "suffice"
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, 2, figsize=(11, 7), sharex="col", layout="constrained")
    for column, (rows, truths, label) in enumerate(
        ((for_means, DELTAS, "true mean difference δ"), (for_counts, counts.TRUTHS, "true pass rate"))
    ):
        for row in rows:
            if any(word in row.method for word in LEFT_OUT):
                continue
            axes[0][column].plot(truths, [100 * x for x in row.disagreement_by_truth], label=row.method)
            axes[1][column].plot(truths, row.n_by_truth, label=row.method)
        axes[0][column].set_yscale("symlog", linthresh=0.1)
        axes[0][column].set_ylim(bottom=0)
        axes[0][column].axhline(1, color="grey", linewidth=0.7, linestyle="--")
        axes[1][column].set_xlabel(label)
        axes[0][column].legend(fontsize=7)
    axes[0][0].set_ylabel("decisions that differ from fixed, %")
    axes[1][0].set_ylabel("mean draws")
    axes[0][0].set_title("means, N = 256")
    axes[0][1].set_title("counts, N = 100")
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)
