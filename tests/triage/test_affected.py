"""What went out wrong under a failed stage, counted by a run that was fixed from the beginning, and case by case."""

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from numpy.random import Generator
from sqlalchemy import Connection, delete, select, update

from store_places import Place
from suffice import Case, Verifier
from suffice.cli.main import run
from suffice.decision.rule import Decision
from suffice.resolution.resolve import Resolver, summarise
from suffice.resolution.review import add_records, close_review
from suffice.resolution.storm import StormPolicy
from suffice.sampling.distributions import Floats
from suffice.sources import pdg
from suffice.sources.correction import Correction, Estimate
from suffice.store.database import Store, open_store
from suffice.store.ledger import Ledger
from suffice.store.records import Record
from suffice.store.schema import decisions, records, resolutions
from suffice.triage.affected import Wrong
from suffice.verifier.arm import Arm
from suffice.verifier.loop import decide_fixed, observations

ROLLOUT = "verifier-000001"
STAGES = [{"name": "full", "weight": 100, "audit_fraction": 0.05}]
ACCEPTED, REJECTED, INVALID = Decision.ACCEPTED, Decision.REJECTED, Decision.INVALID

cut = pytest.mark.parametrize(
    "count", [pytest.param(700, id="cut"), pytest.param(None, id="whole", marks=pytest.mark.campaign)]
)


def configured(folder: Path, method: str = "margin", n: int = 256, **verifier: Any) -> Path:
    sampling = {"enabled": True, "method": method, **({} if method == "margin" else {"n_min": 8})}
    rule = {"rule": "proportion", "n_samples": n, "adaptive_sampling": sampling, **verifier}
    config = {"determinism": {"seed": 42}, "verifier": rule, "rollout": {"checks": {"run": []}, "stages": STAGES}}
    path = folder / "config.json"
    path.write_text(json.dumps(config), encoding="utf-8")
    return path


def options(folder: Path, place: Place) -> list[str]:
    return ["--queue", str(folder / "queue"), *(["--store", place] if isinstance(place, str) else [])]


def in_force(folder: Path, place: Place, act: Callable[[Verifier], object], more: Sequence[str] = ()) -> None:
    """A rollout that puts everybody on the adaptive arm; something is decided under it, and it is rolled back."""
    where = options(folder, place)
    start = ["--waive", "determinism", "--accept-worst-case", "a test", "--config", str(folder / "config.json")]
    assert run(["rollout", "start", *start, *where, *more]) == 0
    with verifier(folder, place) as process:
        act(process)
    assert run(["rollout", "rollback", "--reason", "a test", "--config", str(folder / "config.json"), *where]) == 0


def verifier(folder: Path, place: Place) -> Verifier:
    url = place if isinstance(place, str) else None
    return Verifier.from_config(folder / "config.json", queue=folder / "queue", store=url)


def resolve(claims: Sequence[Correction]) -> Callable[[Verifier], object]:
    return lambda process: summarise(Resolver.of(process, StormPolicy(3)).resolve(claims))


def opened(folder: Path, place: Place) -> Store:
    return open_store(place if isinstance(place, str) else folder / "queue" / "store.db")


def affected(
    capsys: pytest.CaptureFixture[str], folder: Path, place: Place, *more: str, item: str = ROLLOUT
) -> tuple[int, dict[str, Any]]:
    capsys.readouterr()
    config = ["--config", str(folder / "config.json")]
    code = run(["triage", "affected", item, "--json", *config, *options(folder, place), *more])
    return code, json.loads(capsys.readouterr().out)


def held(connection: Connection) -> dict[str, tuple[tuple[float, ...], str]]:
    c = records.c
    query = select(c.target, c.value, c.u_plus, c.u_minus, c.status)
    return {target: (tuple(value), status) for target, *value, status in connection.execute(query)}


def outcomes(connection: Connection) -> dict[str, str]:
    c = resolutions.c
    return {row.correction_key: row.outcome for row in connection.execute(select(c.correction_key, c.outcome))}


@cut
def test_it_is_what_a_fixed_run_decides_and_holds_otherwise(
    new_place: Callable[[], Place], tmp_path: Path, capsys: pytest.CaptureFixture[str], count: int | None
) -> None:
    """The witness decides each case by itself, and resolves the same corrections under no rollout."""
    claims, place = pdg.corrections()[:count], new_place()
    configured(tmp_path)
    in_force(tmp_path, place, resolve(claims))
    fixed_folder, fixed_place = tmp_path / "fixed", new_place()
    fixed_folder.mkdir()
    configured(fixed_folder)
    with verifier(fixed_folder, fixed_place) as process:
        resolve(claims)(process)
    plan_rule, size = process.plan.rule, process.plan.n

    wrong = tmp_path / "wrong.csv"
    code, seen = affected(capsys, tmp_path, place, "--source", "pdg", "--csv", str(wrong))

    by_key = {claim.key: claim for claim in claims}
    with opened(tmp_path, place) as store, opened(fixed_folder, fixed_place) as fixed:
        rows = Ledger(store).rows(ROLLOUT)
        with store.read() as ours, fixed.read() as theirs:
            (holds, should), (ends, should_end) = (held(ours), held(theirs)), (outcomes(ours), outcomes(theirs))
    assert {row.arm for row in rows} == {Arm.ADAPTIVE}
    baseline = {
        row.key: decide_fixed(observations(by_key[row.key].case(), plan_rule, size, 42), plan_rule).decision
        for row in rows
    }
    expected = [
        (row.key, row.target, row.decision.value, baseline[row.key].value)
        for row in rows
        if row.decision is not baseline[row.key]
    ]
    with wrong.open(encoding="utf-8", newline="") as file:
        listed = [(line["key"], line["target"], line["decision"], line["baseline"]) for line in csv.DictReader(file)]
    assert listed == expected
    assert len(expected) > 10
    assert code == 2
    assert (seen["exposed"], seen["wrong"]) == (len(rows), len(expected))
    assert seen["audited"] == sum(row.audited for row in rows) > 0
    assert seen["decided_again"] == len(rows) - seen["audited"]
    assert seen["kinds"] == {
        "accepted": sum(decision == "accepted" for _, _, decision, _ in expected),
        "rejected": sum(decision == "rejected" for _, _, decision, _ in expected),
    }
    assert seen["targets"] == seen["replayed"] == len({target for _, target, _, _ in expected})
    assert (seen["undecidable"], seen["unreplayable"]) == ({}, {})
    differing = {target for target in holds if holds[target][0] != should[target][0]}
    assert {record["target"] for record in seen["records"]} == differing != set()
    assert {record["target"]: (tuple(record["held"]), tuple(record["baseline"])) for record in seen["records"]} == {
        target: (holds[target][0], should[target][0]) for target in differing
    }
    reviews = {target for target in holds if holds[target][1] != should[target][1]}
    assert set(seen["reviews_missing"]) == {target for target in reviews if holds[target][1] == "active"}
    assert set(seen["reviews_wrong"]) == {target for target in reviews if holds[target][1] == "needs_review"}
    keys = {key for key, *_ in expected}
    assert {each["key"]: (each["outcome"], each["baseline"]) for each in seen["follow_on"]} == {
        key: (ends[key], should_end[key]) for key in ends if ends[key] != should_end[key] and key not in keys
    }


def chain(count: int) -> list[Correction]:
    """Claims around the rule's threshold, a few for each target: hasty decisions differ on some."""
    pairs = ((i, 0.0 if i % 2 else 3.0, 1.1 + 0.03 * (i % 10)) for i in range(count))
    return [
        Correction(f"c{i}", f"t{i % 40}", Estimate(was, 1.0, 1.0), Estimate(was + shift, 1.0, 1.0), f"{1900 + i}")
        for i, was, shift in pairs
    ]


def test_a_plan_that_never_differs_left_nothing_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    configured(tmp_path, "curtailed-exact", 64)
    in_force(tmp_path, tmp_path, resolve(chain(40)))
    code, seen = affected(capsys, tmp_path, tmp_path)
    assert (code, seen["exposed"], seen["wrong"], seen["records"]) == (0, 40 - skipped(tmp_path), 0, [])


def skipped(folder: Path) -> int:
    with opened(folder, folder) as store, store.read() as connection:
        return list(outcomes(connection).values()).count("skipped")


@pytest.fixture
def hasty(tmp_path: Path) -> Path:
    """The folder of a service that took the margin plan's word for corrections near the threshold."""
    configured(tmp_path)
    in_force(tmp_path, tmp_path, resolve(chain(160)))
    return tmp_path


def test_an_item_and_its_bundle_are_the_same(hasty: Path, capsys: pytest.CaptureFixture[str]) -> None:
    by_id = affected(capsys, hasty, hasty)
    assert by_id[0] == 2
    assert affected(capsys, hasty, hasty, item=str(hasty / "queue" / "triage" / ROLLOUT)) == by_id
    config = ["--config", str(hasty / "config.json")]
    assert run(["triage", "affected", ROLLOUT, *config, *options(hasty, hasty)]) == 2
    shown = dict(line.rsplit(maxsplit=1) for line in capsys.readouterr().out.splitlines()[1:])
    assert shown["exposed: adaptive decisions in force"] == str(by_id[1]["exposed"])
    assert shown["records whose value differs"] == str(len(by_id[1]["records"]))


def test_what_a_skipped_correction_measured_is_not_known_without_its_source(
    hasty: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, seen = affected(capsys, hasty, hasty)
    write_csv(hasty, chain(160))
    own = ["--records", str(hasty / "records.csv"), "--measurements", str(hasty / "measurements.csv")]
    _, named = affected(capsys, hasty, hasty, *own)
    assert set(seen["unreplayable"].values()) == {"measurement"}
    assert (named["wrong"], named["unreplayable"]) == (seen["wrong"], {})


def write_csv(folder: Path, claims: Sequence[Correction]) -> None:
    lines = [f"r{c.key},{c.target},{c.record.value},1" for c in claims]
    (folder / "records.csv").write_text("\n".join(["key,target,value,u", *lines]) + "\n", encoding="utf-8")
    lines = [f"{c.key},r{c.key},{c.measurement.value},1,{c.time}" for c in claims]
    (folder / "measurements.csv").write_text("\n".join(["key,target,value,u,time", *lines]) + "\n", encoding="utf-8")


def test_a_record_that_something_else_changed_is_not_told(hasty: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, before = affected(capsys, hasty, hasty)
    told = {record["target"] for record in before["records"]}
    assert told
    with opened(hasty, hasty) as store, store.write() as connection:
        connection.execute(update(records).values(value=records.c.value + 1.0))
    _, seen = affected(capsys, hasty, hasty)
    assert seen["records"] == []
    assert {seen["unreplayable"][target] for target in told} == {"history"}


def test_what_is_derived_from_an_affected_record_is_not_told(hasty: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, before = affected(capsys, hasty, hasty)
    with opened(hasty, hasty) as store:
        for target, source in (("sum", before["records"][0]["target"]), ("sum of sums", "sum")):
            add_records(store, [Record(target, 1.0, 1.0, 1.0, derived_from=((source, 2.0),))], 1.0)
    _, seen = affected(capsys, hasty, hasty)
    assert seen["unreplayable"] == {**before["unreplayable"], "sum": "derived", "sum of sums": "derived"}


def test_a_review_that_a_person_closed_is_part_of_the_history(hasty: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is closed where the baseline asks for it, too; one that is missing was never there to be closed."""
    write_csv(hasty, chain(160))
    own = ["--records", str(hasty / "records.csv"), "--measurements", str(hasty / "measurements.csv")]
    _, before = affected(capsys, hasty, hasty, *own)
    with opened(hasty, hasty) as store:
        with store.read() as connection:
            waiting = [target for target, (_, status) in held(connection).items() if status == "needs_review"]
        for target in waiting:
            close_review(store, target, "ann", "looked", 2.0)
    _, seen = affected(capsys, hasty, hasty, *own)
    assert len(waiting) > len(before["reviews_wrong"]) > 0
    assert (seen["reviews_missing"], seen["reviews_wrong"]) == (before["reviews_missing"], [])
    assert seen["unreplayable"] == {}
    assert seen["records"] == before["records"]


SERVICE = """
from suffice import Case

def build(*, key, target, region, features):
    {body}
"""


def drawn(rng: Generator, n: int) -> Floats:
    return (rng.random(n) < 0.81).astype(float)


@pytest.mark.parametrize(
    ("body", "why", "code"),
    [
        (None, {"case": 40}, 3),
        ("raise ValueError('no')", {"raised": 40}, 3),
        ("return Case(key, target, lambda rng, n: 1 / 0)", {"raised": 40}, 3),
        ("return Case(key, target, lambda rng, n: (rng.random(n) < 0.0).astype(float))", {"other": 40}, 3),
        ("return Case(key, target, lambda rng, n: (rng.random(n) < 0.81).astype(float))", {}, 2),
    ],
    ids=["nobody builds it", "building raises", "drawing raises", "another case", "the same case"],
)
def test_what_cannot_be_decided_again_is_told_apart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], body: str | None, why: dict[str, int], code: int
) -> None:
    configured(tmp_path)
    name = f"taps_{abs(hash(body))}"
    in_force(tmp_path, tmp_path, lambda process: [process.verify(Case(f"k{i}", f"t{i}", drawn)) for i in range(40)])
    with opened(tmp_path, tmp_path) as store, store.write() as connection:
        connection.execute(update(decisions).values(audited=False, baseline_decision=None, agrees=None))
    if body is not None:
        (tmp_path / f"{name}.py").write_text(SERVICE.format(body=body), encoding="utf-8")
        configured(tmp_path, cases=f"{name}:build")
    answered, seen = affected(capsys, tmp_path, tmp_path)
    assert (answered, seen["undecidable"]) == (code, why)
    assert (seen["decided_again"], seen["replayed"]) == (0 if why else 40, 0)


def test_where_the_ledger_has_no_decision_nobody_can_tell(hasty: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with opened(hasty, hasty) as store, store.write() as connection:
        connection.execute(delete(decisions))
    assert run(["triage", "affected", ROLLOUT, *options(hasty, hasty)]) == 3
    assert "the ledger has no decision of verifier-000001 in stage full" in capsys.readouterr().err


def test_a_bundle_that_was_changed_or_is_of_another_store_is_refused(
    hasty: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert run(["triage", "affected", str(hasty), *options(hasty, hasty)]) == 2
    assert "is the bundle of no item of" in capsys.readouterr().err
    plan = hasty / "queue" / "triage" / ROLLOUT / "plan.json"
    plan.write_bytes(plan.read_bytes() + b"\n")
    assert run(["triage", "affected", ROLLOUT, *options(hasty, hasty)]) == 2
    assert "plan.json: is not what the manifest vouches for" in capsys.readouterr().err


def test_a_key_that_looks_like_a_formula_is_text_in_the_csv(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    configured(tmp_path)
    in_force(tmp_path, tmp_path, lambda process: process.verify(Case("=1+1", "\r", drawn)))
    with opened(tmp_path, tmp_path) as store, store.write() as connection:
        connection.execute(update(decisions).values(baseline_decision="invalid", audited=True, agrees=False))
    code, seen = affected(capsys, tmp_path, tmp_path, "--csv", str(tmp_path / "wrong.csv"))
    assert (code, seen["kinds"]) == (2, {"invalid": 1})
    assert (tmp_path / "wrong.csv").read_bytes().splitlines(keepends=True)[1].startswith(b'"\'=1+1","\'\r')


@pytest.mark.parametrize(
    ("in_force", "baseline", "kind"),
    [
        (ACCEPTED, ACCEPTED, None),
        (INVALID, INVALID, None),
        (ACCEPTED, REJECTED, Wrong.ACCEPTED),
        (REJECTED, ACCEPTED, Wrong.REJECTED),
        (ACCEPTED, INVALID, Wrong.INVALID),
        (INVALID, REJECTED, Wrong.UNDECIDED),
    ],
)
def test_invalid_is_an_answer(in_force: Decision, baseline: Decision, kind: Wrong | None) -> None:
    assert Wrong.of(in_force, baseline) is kind
