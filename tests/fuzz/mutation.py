"""Damages the content of a file, as a choice of numbers says: bytes, cells and columns of a table, nodes of JSON."""

import csv
import io
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

Choose = Callable[[int], int]
"""A number from 0 to below the given one."""

BYTES = [
    b"",
    b"\x00",
    b"\n",
    b"\r",
    b"\xef\xbb\xbf",
    b"\xff",
    b"\xed\xa0\x80",
    b'"',
    b"{",
    b"]",
    b",",
    b"NaN",
    b"9" * 40,
]
CELLS = [
    "",
    " ",
    "x",
    "NaN",
    "inf",
    "-1",
    "1e999",
    "1_0",
    "9" * 5_000,
    "0.1",
    "²",
    "١",
    '"',
    "a,b",
    "a\nb",
    "\x00",
    "\ufeff",
    "é" * 2_000,
    "/etc/passwd",
    "../x",
    "=1+1",
    "true",
]
LITERALS = [
    "null",
    "true",
    "false",
    "0",
    "-1",
    "1",
    "1.5",
    "-0.0",
    "1e308",
    "1e999",
    "NaN",
    "-Infinity",
    "9" * 30,
    "9" * 5_000,
    '""',
    '"x"',
    '"0"',
    '"\\ud800"',
    '"\\u0000"',
    '"a\\nb"',
    '"' + "x" * 2_000 + '"',
    "[]",
    "{}",
    "[1]",
    '["x", null]',
    '{"a": 1}',
    '{"a": 1, "a": 2}',
    "[" * 101 + "]" * 101,
    "[" * 60 + "]" * 60,
    "",
]


class Literal(str):
    """Text that stands in JSON as it is."""


def damaged(content: bytes, kind: str, choose: Choose) -> bytes:
    """The content with one to three mistakes; `kind` is json, jsonl, csv, parquet or bytes."""
    for _ in range(1 + choose(3)):
        as_text = kind != "bytes" and choose(4) > 0
        try:
            content = KINDS[kind](content, choose) if as_text else _bytes(content, choose)
        except (OSError, ValueError, csv.Error, pa.ArrowException):
            content = _bytes(content, choose)  # It is no such text any more.
    return content


def _bytes(content: bytes, choose: Choose) -> bytes:
    at = choose(len(content) + 1)
    end = min(len(content), at + 1 + choose(40))
    match choose(5):
        case 0:
            return content[:at] + BYTES[choose(len(BYTES))] + content[at:]
        case 1:
            return content[:at] + bytes(b ^ 1 << choose(8) for b in content[at : at + 1]) + content[at + 1 :]
        case 2:
            return content[:at] + content[end:]
        case 3:
            return content[:end] + content[at:]
        case _:
            return content[:at]


def _json(text: str, choose: Choose) -> str:
    tree = json.loads(text, object_pairs_hook=lambda pairs: [list(pair) for pair in pairs] or Literal("{}"))
    return _written(_mistaken(tree, choose))


def _jsonl(text: str, choose: Choose) -> str:
    lines = text.splitlines() or [""]
    at = choose(len(lines))
    match choose(4):
        case 0:
            lines.insert(choose(len(lines) + 1), lines[at])
        case 1:
            lines[at] = LITERALS[choose(len(LITERALS))]
        case _:
            lines[at] = _json(lines[at], choose)
    return "\n".join(lines) + "\n"


def _csv(text: str, choose: Choose) -> str:
    rows = list(csv.reader(io.StringIO(text))) or [[""]]
    row = rows[choose(len(rows))] if choose(3) else rows[0]
    at = choose(len(row) or 1)
    match choose(6):
        case 0:
            row[at:at] = [CELLS[choose(len(CELLS))]]
        case 1:
            row[at : at + 1] = []
        case 2:
            rows.insert(choose(len(rows) + 1), rows[choose(len(rows))])
        case 3:
            for each in rows:
                each[at : at + 1] = each[at : at + 1] * 2
        case _:
            row[at : at + 1] = [CELLS[choose(len(CELLS))]]
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=";" if choose(8) == 0 else ",").writerows(rows)
    return out.getvalue()


def _text(mistake: Callable[[str, Choose], str]) -> Callable[[bytes, Choose], bytes]:
    return lambda content, choose: mistake(content.decode(), choose).encode()


def _parquet(content: bytes, choose: Choose) -> bytes:
    table = pq.read_table(io.BytesIO(content))
    at = choose(max(table.num_columns, 1))
    name = table.column_names[at] if table.num_columns else "case"
    odd = COLUMNS[choose(len(COLUMNS))](table.num_rows)
    match choose(6):
        case 0 if table.num_columns:
            table = table.remove_column(at)
        case 1:
            table = table.append_column(name, odd)
        case 2 if table.num_columns:
            table = table.rename_columns([*table.column_names[:at], name + "x", *table.column_names[at + 1 :]])
        case 3:
            table = table.slice(choose(table.num_rows + 1))
        case _ if table.num_columns:
            table = table.set_column(at, name, odd)
    out = io.BytesIO()
    pq.write_table(
        table,
        out,
        row_group_size=1 + choose(4),
        use_dictionary=choose(2) == 0,
        compression=["none", "snappy"][choose(2)],
    )
    return out.getvalue()


COLUMNS: list[Callable[[int], pa.Array]] = [
    lambda n: pa.array(["x", None, "", "é", "9" * 4_000][:n] * n)[:n],
    lambda n: pa.array([True, False, None] * n)[:n],
    lambda n: pa.array([float("nan"), 1.0, 0.0, float("-inf"), 1e308] * n)[:n],
    lambda n: pa.array([2**63 - 1, 0, 1, None] * n)[:n],
    lambda n: pa.array([2**64 - 1, 0, 1] * n, pa.uint64())[:n],
    lambda n: pa.nulls(n),
    lambda n: pa.array([b"\xff\x00", b"x"] * n)[:n],
    lambda n: pa.array([Decimal("9" * 30 + ".5"), Decimal(1), None] * n, pa.decimal128(38, 1))[:n],
    lambda n: pa.array([Decimal("9" * 60), Decimal(1)] * n, pa.decimal256(70, 0))[:n],
    lambda n: pa.array([0, 10**15] * n, pa.timestamp("us"))[:n],
    lambda n: pa.array([{"a": 1}, None] * n)[:n],
    lambda n: pa.array([[1, 0], [], None, [None]] * n)[:n],
    lambda n: pa.array([[[1.5]], []] * n)[:n],
    lambda n: pa.array([["x"], None] * n)[:n],
    lambda n: pa.array([[("a", 1)], []] * n, pa.map_(pa.string(), pa.int64()))[:n],
    lambda n: pa.array(["a", "b"] * n).dictionary_encode()[:n],
    lambda n: pa.array([1.5, 2.0] * n, pa.float16())[:n],
    lambda n: pa.array([[1.0, 2.0]] * n, pa.list_(pa.float64(), 2))[:n],
]

KINDS = {"json": _text(_json), "jsonl": _text(_jsonl), "csv": _text(_csv), "parquet": _parquet}


def _is_object(tree: Any) -> bool:
    """A list of pairs; a JSON list is a tuple here once it is mistaken, else a list of anything else."""
    return (
        isinstance(tree, list)
        and bool(tree)
        and all(isinstance(p, list) and len(p) == 2 and isinstance(p[0], str) for p in tree)
    )


def _mistaken(tree: Any, choose: Choose) -> Any:
    """The tree with a mistake at one of its nodes."""
    inside = isinstance(tree, list) and tree and choose(4) > 0
    if not inside:
        return Literal(LITERALS[choose(len(LITERALS))])
    at = choose(len(tree))
    if not _is_object(tree):
        return [*tree[:at], _mistaken(tree[at], choose), *tree[at + 1 :]]
    key, value = tree[at]
    match choose(7):
        case 0:
            return tree[:at] + tree[at + 1 :]
        case 1:
            return [*tree, [key, _mistaken(value, choose)]]
        case 2:
            return [*tree[:at], [key + "x", value], *tree[at + 1 :]]
        case 3:
            return [*tree, ["more", Literal(LITERALS[choose(len(LITERALS))])]]
        case _:
            return [*tree[:at], [key, _mistaken(value, choose)], *tree[at + 1 :]]


def _written(tree: Any) -> str:
    if isinstance(tree, Literal):
        return tree
    if _is_object(tree):
        return "{" + ", ".join(f"{json.dumps(key)}: {_written(value)}" for key, value in tree) + "}"
    if isinstance(tree, list):
        return "[" + ", ".join(map(_written, tree)) + "]"
    return json.dumps(tree)
