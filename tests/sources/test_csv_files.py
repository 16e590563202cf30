"""The csv source: what two files become, and each way in which they can be wrong."""

import csv
import io
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suffice.errors import DataError, MissingDataError, SufficeError
from suffice.sampling.distributions import Normal, SplitNormal
from suffice.sampling.sampler import Pair
from suffice.sources import csv_files
from suffice.sources.correction import Correction, Estimate

ROOT = Path(__file__).parents[2]
RECORDS = "key,value,u\npump-17,1.5,0.1\npump-18,2.5,0.2\n"
MEASUREMENTS = "key,target,value,u\nm1,pump-17,1.8,0.1\n"


class Files:
    """records.csv and measurements.csv in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        self.records, self.measurements = folder / "records.csv", folder / "measurements.csv"

    def read(self, records: str | bytes = RECORDS, measurements: str | bytes = MEASUREMENTS) -> list[Correction]:
        for path, content in ((self.records, records), (self.measurements, measurements)):
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return csv_files.corrections(self.records, self.measurements)

    def refusal(self, error: type[SufficeError] = DataError, **contents: str | bytes) -> str:
        with pytest.raises(error) as raised:
            self.read(**contents)
        assert type(raised.value) is error
        message = str(raised.value)
        assert "\n" not in message
        return message


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


# What two files become


def test_a_measurement_corrects_the_record_that_is_its_target(files: Files) -> None:
    assert files.read() == [
        Correction("m1", "pump-17", record=Estimate(1.5, 0.1, 0.1), measurement=Estimate(1.8, 0.1, 0.1))
    ]


def test_without_a_target_it_corrects_the_record_of_the_same_key(files: Files) -> None:
    (correction,) = files.read(measurements="key,value,u\npump-18,2.4,0.1\n")
    assert (correction.key, correction.target, correction.record.value) == ("pump-18", "pump-18", 2.5)


def test_the_records_target_is_what_the_correction_is_about(files: Files) -> None:
    (correction,) = files.read(records="key,value,u,target\npump-17,1.5,0.1,hall-3\n")
    assert (correction.key, correction.target) == ("m1", "hall-3")


def test_several_measurements_correct_the_same_record_in_the_order_of_their_file(files: Files) -> None:
    corrections = files.read(measurements="key,target,value,u\nb,pump-17,2,0.1\na,pump-17,1,0.1\n")
    assert [(c.key, c.record.value) for c in corrections] == [("b", 1.5), ("a", 1.5)]


def test_records_that_nothing_measured_are_no_corrections(files: Files) -> None:
    assert [c.target for c in files.read()] == ["pump-17"]


def test_asymmetric_uncertainties_make_a_split_normal(files: Files) -> None:
    (correction,) = files.read(records="key,value,u_plus,u_minus\npump-17,1.5,0.3,0.1\n")
    assert correction.record == Estimate(1.5, u_plus=0.3, u_minus=0.1)
    assert correction.case().sampler == Pair(SplitNormal(1.5, sd_lower=0.1, sd_upper=0.3), Normal(1.8, 0.1))


def test_context_region_and_time_are_taken_over(files: Files) -> None:
    (correction,) = files.read(
        "key,value,u,context,region,time\npump-17,1.5,0.1,20 °C,eu,2024\n",
        "key,target,value,u,context,region,time\nm1,pump-17,1.8,0.1,40 °C,us,2026-11-23\n",
    )
    assert (correction.record_context, correction.measurement_context) == ("20 °C", "40 °C")
    assert (correction.region, correction.time) == ("us", "2026-11-23")


def test_a_measurement_without_a_region_is_in_that_of_its_record(files: Files) -> None:
    (correction,) = files.read(
        "key,value,u,region\npump-17,1.5,0.1,eu\n", "key,target,value,u,region\nm1,pump-17,1.8,0.1,\n"
    )
    assert correction.region == "eu"


def test_empty_cells_of_optional_columns_mean_that_they_are_not_given(files: Files) -> None:
    records = "key,value,u,target,context,region,time\npump-17,1.5,0.1,,,,\n"
    (correction,) = files.read(records, "key,target,value,u,context\nm1,pump-17,1.8,0.1,\n")
    assert (correction.target, correction.region, correction.time) == ("pump-17", None, "")
    assert (correction.record_context, correction.measurement_context) == (None, None)


@pytest.mark.parametrize(
    "records",
    [
        RECORDS.encode("utf-8-sig"),
        RECORDS.replace("\n", "\r\n"),
        RECORDS.replace("\n", "\r"),
        RECORDS.replace("\n", "\n\n"),
        RECORDS.replace(",", " , "),
        RECORDS.removesuffix("\n"),
        'u,"key",value\n0.1,"pump-17","1.5"\n',
        "key,value,u\npump-17,15e-1,+.1\n",
    ],
    ids=["mark", "crlf", "cr", "blank lines", "spaces", "no last line end", "order and quotes", "spelling of numbers"],
)
def test_spelling_does_not_matter(files: Files, records: str | bytes) -> None:
    assert files.read(records) == files.read()


NAME = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1).map(str.strip).filter(bool)
NUMBER = st.floats(allow_nan=False, allow_infinity=False)
SPREAD = st.floats(min_value=0, allow_infinity=False)
OPTIONAL = st.none() | NAME
ROW = st.fixed_dictionaries(
    {
        "value": NUMBER,
        "u_plus": SPREAD,
        "u_minus": SPREAD,
        "context": OPTIONAL,
        "region": OPTIONAL,
        "time": OPTIONAL,
    }
)


@given(st.dictionaries(NAME, ROW, min_size=1, max_size=4), st.data())
def test_what_was_written_is_what_is_read(
    tmp_path_factory: pytest.TempPathFactory, records: dict[str, Any], data: st.DataObject
) -> None:
    aims = st.tuples(st.sampled_from(sorted(records)), ROW)
    measurements = data.draw(st.dictionaries(NAME, aims, min_size=1, max_size=4))
    corrections = Files(tmp_path_factory.mktemp("csv")).read(
        written({"key": key, **row} for key, row in records.items()),
        written({"key": key, "target": aim, **row} for key, (aim, row) in measurements.items()),
    )
    assert corrections == [
        Correction(
            key=key,
            target=aim,
            record=estimate(records[aim]),
            measurement=estimate(row),
            time=row["time"] or "",
            region=row["region"] or records[aim]["region"],
            record_context=records[aim]["context"],
            measurement_context=row["context"],
            record_time=records[aim]["time"] or "",
        )
        for key, (aim, row) in measurements.items()
    ]


def estimate(row: dict[str, Any]) -> Estimate:
    return Estimate(row["value"], row["u_plus"], row["u_minus"])


def written(rows: Any) -> str:
    rows = list(rows)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


@pytest.mark.parametrize("mark", [";", "\t"])
def test_semicolons_and_tabs_are_told_from_commas_by_the_header(files: Files, mark: str) -> None:
    plain = files.read(records='key,value,u,context\np,1,1,"a, b"\n', measurements="key,value,u,target\nm,2,1,p\n")
    other = files.read(
        records=f"key{mark}value{mark}u{mark}context\np{mark}1{mark}1{mark}a, b\n",
        measurements=f"key{mark}value{mark}u{mark}target\nm{mark}2{mark}1{mark}p\n",
    )
    told = files.read(
        records=f'sep={mark}\r\nkey{mark}value{mark}u{mark}context\r\np{mark}1{mark}1{mark}"a, b"\r\n',
        measurements=f'"note, more"{mark}key{mark}value{mark}u{mark}target\n"x, y"{mark}m{mark}2{mark}1{mark}p\n',
    )
    assert plain == other == told


def test_columns_of_somebody_else_are_passed_over_with_one_line(files: Files, caplog: pytest.LogCaptureFixture) -> None:
    plain = files.read(records="key,value,u\np,1,1\n", measurements="key,value,u\np,2,1\n")
    caplog.clear()
    assert files.read(records="key,colour,value,u\np,red,1,1\n", measurements="key,value,u\np,2,1\n") == plain
    (told,) = caplog.messages
    assert told.endswith("records.csv: passed over: column colour")


def test_the_example_of_the_docs_is_read_as_the_docs_say(files: Files) -> None:
    page = (ROOT / "docs" / "sources.md").read_text(encoding="utf-8")
    records, measurements = re.findall(r"```csv\n(.*?)```", page, re.DOTALL)
    first, second = files.read(records, measurements)
    assert (first.key, first.target, first.region, first.case().direction) == (
        "2026-11-23/1",
        "pump-17",
        "eu-west-1",
        1,
    )
    assert (first.record, first.measurement) == (Estimate(4.2, 0.1, 0.1), Estimate(4.5, 0.2, 0.1))
    assert (second.key, second.target, second.region) == ("2026-11-23/2", "pump-18", "us-east-1")


def test_the_docs_name_every_column() -> None:
    page = (ROOT / "docs" / "sources.md").read_text(encoding="utf-8")
    named = re.findall(r"^\| `(\w+)`", page.split("## Your own")[1], re.MULTILINE)
    assert sorted(named) == sorted(csv_files.COLUMNS)


# Bad input

HEADER = "key,value,u"
BAD_RECORDS: list[tuple[str, str, str]] = [
    # Columns
    ("key,value", "p,1", "line 1: found no uncertainty; allowed: either column u, or both u_plus and u_minus"),
    ("key,value,u_plus", "p,1,1", "line 1: found u_plus; allowed: either column u, or both u_plus and u_minus"),
    ("key,value,u_minus", "p,1,1", "line 1: found u_minus; allowed: either column u, or both u_plus and u_minus"),
    ("key,value,u,u_plus", "p,1,1,1", "line 1: found u, u_plus; allowed: either column u, or both u_plus and u_minus"),
    ("value,u", "1,1", "line 1: column 'key' is missing"),
    ("key,u", "p,1", "line 1: column 'value' is missing"),
    ("", "p,1,1", "line 1: column 'key' is missing"),
    ("key,value,u,value", "p,1,1,1", "line 1: column 'value' stands twice"),
    ("key,valeu,u", "p,1,1", "line 1: column 'valeu' is not known; did you mean value?"),
    ("Key,value,u", "p,1,1", "line 1: column 'Key' is not known; did you mean key?"),
    # Cells
    (HEADER, "p,1", "line 2, column u: found 2 cells; allowed: 3, one for each column"),
    (HEADER, "p,1,1,1", "line 2, after column u: found 4 cells; allowed: 3, one for each column"),
    (HEADER, "p,1,1\n\nq,1", "line 4, column u: found 2 cells; allowed: 3, one for each column"),
    (HEADER, ",1,1", "line 2, column key: is empty; each row needs a key"),
    (HEADER, "p,,1", "line 2, column value: '' is not a number"),
    (HEADER, "p,one,1", "line 2, column value: 'one' is not a number"),
    (HEADER, 'p,"1,5",1', "line 2, column value: '1,5' is not a number"),
    (HEADER, "p,1_000,1", "line 2, column value: '1_000' is not a number"),
    (HEADER, "p,\u0661,1", "line 2, column value: '\u0661' is not a number"),
    (f"sep=,\n{HEADER}", "p,1_000,1", "line 3, column value: '1_000' is not a number"),
    ("sep=,\nkey,u", "p,1", "line 2: column 'value' is missing"),
    (HEADER, "p,nan,1", "line 2, column value: 'nan'; allowed: a finite number"),
    (HEADER, "p,-inf,1", "line 2, column value: '-inf'; allowed: a finite number"),
    (HEADER, "p,1e999,1", "line 2, column value: '1e999'; allowed: a finite number"),
    (HEADER, "p,1,nan", "line 2, column u: 'nan'; allowed: a finite number"),
    (HEADER, "p,1,inf", "line 2, column u: 'inf'; allowed: a finite number"),
    (HEADER, "p,1,-0.5", "line 2, column u: '-0.5'; allowed: 0 (exact), or greater"),
    (HEADER, "p,1,1e-999", "line 2, column u: '1e-999'; allowed: 0 (exact), or greater"),
    (
        HEADER,
        "p,1,1E-9999999999999999999",
        "line 2, column u: '1E-9999999999999999999'; allowed: 0 (exact), or greater",
    ),
    (HEADER, "p,1,-1e-999", "line 2, column u: '-1e-999'; allowed: 0 (exact), or greater"),
    ("key,value,u_plus,u_minus", "p,1,1,-1", "line 2, column u_minus: '-1'; allowed: 0 (exact), or greater"),
    ("key,value,u_plus,u_minus", "p,1,-1,1", "line 2, column u_plus: '-1'; allowed: 0 (exact), or greater"),
    # Rows
    (HEADER, 'p,1,1\nq,1,"1', "line 3: is not CSV: unexpected end of data"),
    (HEADER, 'p,1,1\nq,1,"1"1', "line 3: is not CSV: ',' expected after '\"'"),
]


@pytest.mark.parametrize(("header", "rows", "message"), BAD_RECORDS)
def test_records_that_cannot_be_used(files: Files, header: str, rows: str, message: str) -> None:
    assert files.refusal(records=f"{header}\n{rows}\n") == f"{files.records}, {message}"


@pytest.mark.parametrize(("header", "rows", "message"), BAD_RECORDS)
def test_measurements_that_cannot_be_used(files: Files, header: str, rows: str, message: str) -> None:
    assert files.refusal(measurements=f"{header}\n{rows}\n") == f"{files.measurements}, {message}"


def test_a_line_break_in_a_cell_moves_the_lines_below_it(files: Files) -> None:
    message = files.refusal(records='key,value,u,context\np,1,1,"two\nlines"\nq,1,-1,"two\nlines"\n')
    assert message == f"{files.records}, line 4, column u: '-1'; allowed: 0 (exact), or greater"


def test_a_key_that_stands_twice(files: Files) -> None:
    message = files.refusal(records="key,value,u\np,1,1\nq,1,1\np,2,1\n")
    assert message == f"{files.records}, line 4, column key: 'p' stands in {files.records}, line 2 already"


def test_a_measurement_of_no_record(files: Files) -> None:
    message = files.refusal(measurements="key,target,value,u\nm1,pump-71,1,1\n")
    assert message == f"{files.measurements}, line 2, column target: there is no record 'pump-71' in {files.records}"
    message = files.refusal(measurements="key,value,u\npump-71,1,1\n")
    assert message == f"{files.measurements}, line 2, column key: there is no record 'pump-71' in {files.records}"


@pytest.mark.parametrize(("content", "line"), [(b"key,value,u\np,1,\xff\n", 2), (RECORDS.encode("utf-16"), 1)])
def test_a_file_that_is_not_utf8(files: Files, content: bytes, line: int) -> None:
    message = files.refusal(records=content)
    assert message == f"{files.records}, line {line}: is not UTF-8; allowed: CSV in UTF-8"


def test_a_folder(files: Files, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read: "):
        csv_files.corrections(tmp_path, files.measurements)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty; needed: a header line and at least one row"),
        (HEADER, "has no rows below its header"),
        (HEADER + "\n\n\n", "has no rows below its header"),
    ],
)
def test_files_without_rows_are_missing_data(files: Files, content: str, message: str) -> None:
    assert files.refusal(MissingDataError, records=content) == f"{files.records}: {message}"
    assert files.refusal(MissingDataError, measurements=content) == f"{files.measurements}: {message}"


def test_files_that_are_not_there_are_missing_data(files: Files) -> None:
    with pytest.raises(MissingDataError) as raised:
        csv_files.corrections(files.records, files.measurements)
    assert str(raised.value) == f"{files.records}: there is no such file"
    files.records.write_text(RECORDS, encoding="utf-8")
    with pytest.raises(MissingDataError) as raised:
        csv_files.corrections(files.records, files.measurements)
    assert str(raised.value) == f"{files.measurements}: there is no such file"
