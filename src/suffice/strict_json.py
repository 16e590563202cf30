"""JSON read one way everywhere: what another reader would understand differently is refused, with its place.

Python's reader takes the second of two equal keys, NaN, and any depth; others take the first, or none of it. Two
programs that judge by the same file would then judge by different numbers.
"""

import json
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NoReturn

from suffice.errors import name_shown, shown

DEPTH = 100
"""How deep objects and lists may be nested."""

LENGTH = 2**28
"""How many characters or bytes one text may have."""

_SHOWN = 60
_PUNCTUATION = frozenset("{}[],:")
_COLON = re.compile(r"\s*:\s*")
_CONSTANT = re.compile(r"NaN|-?Infinity")
_HALF = re.compile(r"\\u[dD](?:[89abAB]..(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB]..\\u[dD])[c-fC-F])")
"""Half of a surrogate pair as JSON writes it, or what looks like one."""
_WHOLE = re.compile(r"-?(?:0|[1-9][0-9]*+)(?!\.[0-9]|[eE][-+]?[0-9])")
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+')


class NotStrict(ValueError):
    """The text is JSON to some readers. Says the place, what stands there, and what is allowed."""


def loads(text: str | bytes, *, decimal: Callable[[str], Any] | None = None) -> Any:
    """What the text says. Bytes are UTF-8; a byte order mark is passed over. `decimal` makes a value
    of each number with a point or an exponent, a double where it is not given.

    Raises NotStrict for a key that stands twice, NaN, a whole number beyond Python's limit of digits, half of a
    surrogate pair (which no file in UTF-8 can hold), too much text and too much depth; JSONDecodeError for what is no
    JSON, UnicodeDecodeError for what is no UTF-8: each is a ValueError.
    """
    if len(text) > LENGTH:
        raise NotStrict(f"is longer than {LENGTH} characters")
    if isinstance(text, bytes):
        text = text.decode()
    text = text.removeprefix("\ufeff")
    if text.count("{") + text.count("[") > DEPTH:
        _check_depth(text)
    try:
        content = _decoder(decimal).decode(text)
    except json.JSONDecodeError:
        raise
    except ValueError:
        # The reader does not know where it is. A number with too many digits is such an error of Python's own.
        flaw = _first_flaw(text)
        assert flaw, "the reader saw one"
        raise NotStrict(flaw) from None
    if ("\\ud" in text or "\\uD" in text) and _HALF.search(text) and (flaw := _first_flaw(text)):
        raise NotStrict(flaw)
    return content


def wrong_with(error: ValueError) -> str:
    """What `loads` found wrong, in a sentence."""
    return str(error) if isinstance(error, NotStrict) else f"not JSON: {error}"


@lru_cache(maxsize=8)
def _decoder(decimal: Callable[[str], Any] | None) -> json.JSONDecoder:
    # Made once: for a line, making it would take as long as reading it.
    return json.JSONDecoder(object_pairs_hook=_object, parse_constant=_refused, parse_float=decimal)


class _Flaw(ValueError):
    """Something is wrong; where, the reader does not know."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise _Flaw
    return values


def _refused(_: str) -> NoReturn:
    raise _Flaw


def _check_depth(text: str) -> None:
    depth = 0
    for token in _TOKEN.finditer(text):
        depth += (token[0] in "{[") - (token[0] in "}]")
        if depth > DEPTH:
            raise NotStrict(f"{_line(text, token.start())}is nested too deeply to be read; allowed: {DEPTH} levels")


@dataclass(slots=True)
class _Inside:
    """An object or a list that the walk is in, and the place in it."""

    keys: set[str] | None
    at: str | int


def _first_flaw(text: str) -> str:
    """The sentence of the first flaw of a text, which is JSON as far as that; "" where there is none."""
    inside: list[_Inside] = []
    before = ""
    for token in _TOKEN.finditer(text):
        word, here = token[0], inside[-1] if inside else None
        if here is not None and here.keys is not None and before in ("{", ",") and word not in _PUNCTUATION:
            key = str(json.loads(word))
            here.at = key
            if sentence := _half_in(key):
                return f"{_line(text, token.start())}{_path(inside)} {sentence}"
            if key in here.keys:
                found = f"stands twice, the second time as {_value_after(text, token.end())}; allowed: each key once"
                return f"{_line(text, token.start())}{_path(inside)} {found}"
            here.keys.add(key)
        elif word not in _PUNCTUATION:
            if sentence := _flaw_of(word):
                return f"{_line(text, token.start())}{_path(inside)} {sentence}"
        elif word in "{[":
            inside.append(_Inside(set() if word == "{" else None, 0))
        elif word in "}]":
            inside.pop()
        elif word == "," and here is not None and here.keys is None:
            here.at = int(here.at) + 1
        before = word
    return ""


def _value_after(text: str, at: int) -> str:
    """The value of a key that ends at `at`, cut where it is long."""
    between = _COLON.match(text, at)
    assert between is not None
    try:
        end = json.JSONDecoder(parse_int=float).raw_decode(text, between.end())[1]
    except ValueError:
        end = between.end() + _SHOWN + 1  # The text ends, or is no JSON any more, within it.
    shown = " ".join(text[between.end() : end].split())
    return shown if len(shown) <= _SHOWN else f"{shown[: _SHOWN - 1]}…"


def _flaw_of(word: str) -> str:
    # The reader refuses what it has read of a word, before it sees what else may stand there.
    if word[0] == '"':
        return _half_in(json.loads(word)) if "\\u" in word else ""
    if constant := _CONSTANT.match(word):
        return f"is {constant[0]}, which JSON does not have; allowed: finite numbers"
    number, limit = _WHOLE.match(word), sys.get_int_max_str_digits()
    digits = len(number[0].lstrip("-")) if number else 0
    return f"has {digits} digits; allowed: at most {limit}" if 0 < limit < digits else ""


def _half_in(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        return f"is not valid Unicode: {shown(text)} has half of a surrogate pair; allowed: whole characters"
    return ""


def _path(inside: list[_Inside]) -> str:
    steps = "".join(f"[{one.at}]" if one.keys is None else f".{name_shown(str(one.at))}" for one in inside)
    return steps.removeprefix(".") or "the file"


def _line(text: str, at: int) -> str:
    """In which line a place is, "" where there is but one."""
    return f"line {text.count(chr(10), 0, at) + 1}: " if "\n" in text.strip() else ""
