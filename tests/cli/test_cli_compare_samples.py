"""`suffice compare --samples` as a user meets it: in every format, and with the work in one process or many."""

import csv
import json
from collections import deque
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from benchmarks.cluster import Cluster

import suffice
from suffice.cli.main import run
from suffice.cli.options import RuleOptions, setting_of
from suffice.comparison import chunks
from suffice.comparison.chunks import compare_in_chunks, decide_chunk
from suffice.comparison.workers import pool
from suffice.config import shipped
from suffice.errors import ExecutionError
from suffice.sources.recorded import Samples
from suffice.stopping.plan import Plan

ROOT = Path(__file__).parents[2]
FORMATS = ("jsonl", "csv", "parquet")
SIZES = (24, 40, 60)
COUNT = 300
JUDGED = ("--rule", "proportion", "--at-least", "0.5", "--max-disagreement", "0.01")


@pytest.fixture(autouse=True)
def _in_the_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def draws(i: int, pairs: bool) -> np.ndarray:
    rng = np.random.default_rng(i)
    n = SIZES[i % 3]
    if pairs:
        return np.stack([rng.normal(0, 1, n), rng.normal(1.5 * i / COUNT, 1, n)], axis=1)
    return (rng.random(n) < 0.2 + 0.6 * i / COUNT).astype(float)


def write(folder: Path, form: str, *, pairs: bool = False, count: int = COUNT) -> Path:
    """`count` cases of three N in two regions, one case without draws, and one with a single draw."""
    path = folder / f"samples.{form}"
    names = ("before", "after") if pairs else ("samples" if form == "jsonl" else "value",)
    cases = [(f"case {i}", f"t{i % 7}", ("eu", "us")[i % 2], draws(i, pairs)) for i in range(count)]
    cases.append(("single", "t", "eu", draws(0, pairs)[:1]))
    columns = {key: [value[:, j] if pairs else value for *_, value in cases] for j, key in enumerate(names)}
    if form == "jsonl":
        lines = [
            {"case": key, "target": target, "region": region, **{name: columns[name][i].tolist() for name in names}}
            for i, (key, target, region, _) in enumerate(cases)
        ]
        lines.append({"case": "empty", **{name: [] for name in names}})
        path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
        return path
    table: dict[str, list[Any]] = {
        name: [one[j] for one in cases for _ in one[3]] + ["empty"]
        for j, name in enumerate(("case", "target", "region"))
    }
    table |= {name: [*np.concatenate(columns[name]).tolist(), None] for name in names}
    if form == "parquet":
        pq.write_table(pa.table(table), path, row_group_size=5000)
        return path
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(table)
        writer.writerows(zip(*table.values(), strict=True))
    return path


def answer(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    assert run(("compare", *arguments, "--json")) == 0
    return json.loads(capsys.readouterr().out)


def test_every_format_gives_the_same_result_and_the_keys_of_compare(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    answers = [answer(capsys, "--samples", str(write(tmp_path, form)), *JUDGED) for form in FORMATS]
    assert [answered.pop("source") for answered in answers] == [f"samples.{form}" for form in FORMATS]
    assert answers[0] == answers[1] == answers[2]
    first = answers[0]
    assert {"source", *first} == set(answer(capsys, "--source", "even", *JUDGED))
    assert (first["cases"], first["invalid"], first["failed_cases"]) == (COUNT, 0, 0)
    assert first["left_out"] == {"no draws": 1, "one draw: nothing can be saved": 1}
    assert (first["guarantee"], first["n"]) == ("exact", None)
    assert first["sample_reduction"] > 0.2
    assert first["worst_disagreement"] <= 0.01
    assert {part["n"]: part["cases"] for part in first["by_n"]} == dict.fromkeys(SIZES, COUNT // 3)
    assert {part["region"]: part["cases"] for part in first["by_region"]} == {"eu": COUNT // 2, "us": COUNT // 2}
    assert sum(part["cases"] for part in first["bands"]) == COUNT


@pytest.mark.parametrize(
    "rule", [JUDGED, ("--rule", "paired_mean", "--max-disagreement", "0.05")], ids=["counts", "means"]
)
def test_the_paired_form_works_on_every_format(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, rule: tuple[str, ...]
) -> None:
    answers = [answer(capsys, "--samples", str(write(tmp_path, form, pairs=True)), *rule) for form in FORMATS]
    assert len({answered["checksum"] for answered in answers}) == 1
    assert (answers[0]["cases"], answers[0]["disagreement_rate"] <= 0.01) == (COUNT, True)


def test_the_decisions_are_those_of_the_recorded_draws(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The baseline counted by hand from the file, and the adaptive decision from a run over the keyed order."""
    out = tmp_path / "rows.parquet"
    answer(capsys, "--samples", str(write(tmp_path, "csv")), *JUDGED, "--method", "margin", "--out", str(out))
    rows = pq.read_table(out).to_pylist()
    assert len(rows) == COUNT
    for i, row in enumerate(rows):
        values = draws(i, False)
        assert (row["key"], row["target"], row["fixed_n"]) == (f"case {i}", f"t{i % 7}", len(values))
        assert row["baseline"] == ("accepted" if 2 * values.sum() >= len(values) else "rejected")
        assert row["baseline_estimate"] == values.mean()
        assert row["margin_agrees"] == (row["margin_decision"] == row["baseline"])
        assert row["margin_n"] <= len(values)


def test_several_methods_give_a_list_and_disagreeing_cases_with_their_seed(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = write(tmp_path, "parquet")
    several = answer(
        capsys, "--samples", str(path), *JUDGED, "--method", "optimal,curtailed,margin,fixed", "--seed", "9"
    )
    assert [compared["method"] for compared in several] == ["optimal", "curtailed", "margin", "fixed"]
    assert several[3]["sample_reduction"] == 0
    assert len({compared["checksum"] for compared in several}) == 1
    for compared in several:
        assert len(compared["disagreeing_cases"]) == min(20, compared["disagreements"])
        assert all(case["seed"] == 9 for case in compared["disagreeing_cases"])


def test_the_order_is_keyed_by_the_seed_unless_it_is_given(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = str(write(tmp_path, "jsonl"))
    one, again, other = (answer(capsys, "--samples", path, *JUDGED, "--seed", seed) for seed in ("1", "1", "2"))
    assert one == again
    assert one["checksum"] != other["checksum"]
    given = [answer(capsys, "--samples", path, *JUDGED, "--order", "given", "--seed", seed) for seed in ("1", "2")]
    assert given[0]["checksum"] == given[1]["checksum"] != one["checksum"]


def test_sorted_draws_are_safe_in_the_keyed_order_and_not_in_the_given_one(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """All successes first: the given order is not random, whatever its user claims."""
    lines = [{"case": f"c{i}", "samples": [1] * (i % 41) + [0] * (60 - i % 41)} for i in range(400)]
    path = tmp_path / "sorted.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    assert answer(capsys, "--samples", str(path), *JUDGED)["disagreement_rate"] <= 0.01
    assert run(("compare", "--samples", str(path), *JUDGED, "--order", "given")) == 2
    assert "optimal disagrees in" in capsys.readouterr().err


def test_tables_csv_and_report_are_made(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    rows, report = tmp_path / "rows.csv", tmp_path / "report.html"
    path = str(write(tmp_path, "jsonl"))
    assert run(("compare", "--samples", path, *JUDGED, "--csv", str(rows), "--report", str(report))) == 0
    printed = capsys.readouterr().out
    for expected in ("By N", "By region", "1 cases were not decided: no draws", "Checksum of all decisions: "):
        assert expected in printed
    assert len(rows.read_text(encoding="utf-8").splitlines()) == COUNT + 1
    assert "only the 100 cases of N = 60" in report.read_text(encoding="utf-8")


BAD = [
    ("x.jsonl", b'{"case": "a", "samples": [1, 0]}\n{"case": "b", "sam', "line 2: is not JSON", 2),
    ("x.jsonl", b'{"case": "a", "samples": [1, "maybe"]}\n', "line 1, column samples: entry 2 is 'maybe'", 2),
    ("x.jsonl", b'{"case": "a", "samples": [1, NaN]}\n', "line 1: samples[1] is NaN, which JSON does not have", 2),
    ("x.jsonl", b'{"case": "a", "sampels": [1, 0]}\n', "line 1: column 'sampels' is not known", 2),
    ("x.csv", b"case,value\na,1\na,maybe\n", "line 3, column value: is 'maybe'", 2),
    ("x.csv", b"case,value\na,1\na,nan\n", "line 3, column value: is 'nan'", 2),
    ("x.csv", b"case,worth\na,1\n", "line 1: found no draws; allowed: value, or before and after", 2),
    ("x.parquet", b"PAR1 and then nothing", "no row of it can be read", 2),
    ("x.jsonl", b'{"case": "a", "samples": [1]}\n', "has no case that can be decided: one draw", 3),
    ("x.txt", b"1\n", "ends in '.txt'", 2),
]  # fmt: skip


@pytest.mark.parametrize(("name", "content", "culprit", "code"), BAD)
def test_bad_input_gets_one_line_and_nothing_is_written(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str, content: bytes, culprit: str, code: int
) -> None:
    (tmp_path / name).write_bytes(content)
    outputs = [argument for option in ("csv", "out", "report") for argument in (f"--{option}", str(tmp_path / option))]
    assert run(("compare", "--samples", str(tmp_path / name), *JUDGED, *outputs)) == code
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert name in printed.err
    assert culprit in printed.err
    assert [path.name for path in tmp_path.iterdir() if path.name != name] == []


def test_a_row_that_is_bad_late_in_the_file_leaves_an_older_result_as_it_was(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path, out = write(tmp_path, "jsonl"), tmp_path / "rows.parquet"
    out.write_text("older", encoding="utf-8")
    with path.open("a", encoding="utf-8") as file:
        file.write("{")
    assert run(("compare", "--samples", str(path), *JUDGED, "--out", str(out))) == 2
    assert f"line {COUNT + 3}: is not JSON" in capsys.readouterr().err
    assert out.read_text(encoding="utf-8") == "older"


@pytest.mark.parametrize(
    ("arguments", "culprit"),
    [
        (("--order", "sorted"), "--order is 'sorted'; allowed: keyed, given"),
        (("--source", "pdg"), "--samples stands alone"),
        (("--n", "100"), "--samples stands alone"),
        (("--workers", "0"), "workers is 0; allowed: at least 1"),
        (("--method", "guess"), "method is 'guess'"),
        (("--cluster", "nowhere"), "cluster nowhere: cannot be reached"),
    ],
)
def test_impossible_requests_get_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, arguments: tuple[str, ...], culprit: str
) -> None:
    assert run(("compare", "--samples", str(write(tmp_path, "csv", count=5)), *arguments)) == 2
    printed = capsys.readouterr()
    assert (printed.out, printed.err.count("\n")) == ("", 1)
    assert culprit in printed.err


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with Cluster(tmp_path / "cluster") as started:
        yield started


def test_one_process_two_processes_and_a_cluster_give_the_same_and_a_killed_worker_changes_nothing(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cluster: Cluster
) -> None:
    monkeypatch.setattr(chunks, "MOST_CASES", 10)
    monkeypatch.setattr(chunks, "FIRST_CASES", 10)
    path, rule = write(tmp_path, "parquet"), suffice.Proportion(0.5)
    asked = ("--samples", str(path), *JUDGED, "--method", "optimal,margin")
    alone = answer(capsys, *asked, "--workers", "1")
    assert answer(capsys, *asked, "--workers", "2") == alone
    assert answer(capsys, *asked, "--cluster", cluster.address) == alone
    with pool(cluster=cluster.address) as workers:
        done = compare_in_chunks(Samples(path, rule), rule, 0, partial(plans, rule), 42, workers)
        first = [next(done) for _ in range(3)][-1]
        assert first.cases < COUNT / 2
        cluster.workers[0].kill()
        last = deque(done, maxlen=1).pop()
    assert [worker.poll() is None for worker in cluster.workers] == [False, True]
    assert (last.failed, last.cases, last.checksum) == (0, COUNT + 2, alone[0]["checksum"])
    for i, expected in enumerate(alone):
        summary = json.loads(json.dumps(last.comparison.summary(i) | last.comparison.slices(i)))
        assert summary == {name: expected[name] for name in summary}
    with pool(cluster=cluster.address) as workers, pytest.raises(ExecutionError, match="the workers are gone"):
        for i, _ in enumerate(compare_in_chunks(Samples(path, rule), rule, 0, partial(plans, rule), 42, workers)):
            if i == 2:
                cluster.processes[0].kill()


@pytest.mark.parametrize("group", [10_000, 64])
def test_files_of_rows_are_equal_to_the_byte_however_cases_are_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, group: int
) -> None:
    monkeypatch.setattr("suffice.comparison.rows.ROW_GROUP", group)
    path, files = write(tmp_path, "csv"), []
    for size in (500, 7):
        monkeypatch.setattr(chunks, "FIRST_CASES", size)
        monkeypatch.setattr(chunks, "MOST_CASES", size)
        out, lines = tmp_path / f"{size}.parquet", tmp_path / f"{size}.csv"
        assert run(("compare", "--samples", str(path), *JUDGED, "--out", str(out), "--csv", str(lines))) == 0
        files.append((out.read_bytes(), lines.read_bytes()))
        assert pq.ParquetFile(out).metadata.num_row_groups == -(-COUNT // group)
    assert files[0] == files[1]


def plans(rule: suffice.Proportion, n: int) -> list[Plan]:
    choice = RuleOptions(rule="proportion", at_least=rule.at_least, max_disagreement="0.01")
    setting = setting_of(choice, shipped())
    return [setting.plan(method, n, guarded=True) for method in ("optimal", "margin")]


def test_a_chunk_that_fails_twice_is_named_and_the_rest_is_printed(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The work breaks at one case, as if its chunk did not fit the memory of a worker."""

    def breaking(chunk: Any) -> Any:
        if "case 7" in [case.key for case in chunk.cases]:
            raise MemoryError("no room")
        return decide_chunk(chunk)

    monkeypatch.setattr(chunks, "decide_chunk", breaking)
    monkeypatch.setattr(chunks, "MOST_CASES", 10)
    monkeypatch.setattr(chunks, "FIRST_CASES", 10)
    assert run(("compare", "--samples", str(write(tmp_path, "jsonl")), *JUDGED, "--json")) == 2
    printed = capsys.readouterr()
    answered = json.loads(printed.out)
    assert (answered["failed_cases"], answered["cases"]) == (10, COUNT - 10)
    assert printed.err.count("\n") == 1
    assert "10 cases were not decided, their chunk failed twice (MemoryError: no room): case 0, case 1" in printed.err


def test_ties_up_to_rounding_count_where_it_is_asked_for(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """0.3 beside 0.1 + 0.2, 99 times: the least p-value there is, or 1."""
    path, out = tmp_path / "ties.jsonl", tmp_path / "rows.parquet"
    path.write_text(json.dumps({"case": "a", "before": [0.1 + 0.2] * 99, "after": [0.3] * 99}), encoding="utf-8")
    for ties, decision, p in (((), "accepted", 0.01), (("--ties-within", "1e-9"), "rejected", 1.0)):
        compared = answer(capsys, "--samples", str(path), "--rule", "monte_carlo_p", *ties, "--out", str(out))
        assert compared["parameters"] == {"alpha": 0.05, **({"ties_within": 1e-9} if ties else {})}
        (row,) = pq.read_table(out).to_pylist()
        assert (row["baseline"], row["baseline_estimate"]) == (decision, p)
