"""Reading config.json: one line of error that says the path of the key, what was found and what is allowed.

What is nothing to refuse, and yet worth a look, is a note: a warning of this module's logger, once a process.
"""

import json
import logging
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, PydanticUndefined

from suffice import strict_json
from suffice.config.retired import without_retired
from suffice.config.sections import Config, DeterminismConfig
from suffice.config.types import Allowed
from suffice.errors import ConfigError
from suffice.files import read_whole

NEAR_MISS = 0.85
"""How like one of our names (difflib's ratio) a foreign name must be to be taken for a slip of the pen.

Catches one wrong, doubled, lost or swapped letter in a section's name (`rolluot` is 0.857) and leaves alone what hosts
do have: `verification` is 0.6, `rollback` 0.53, `deterministic` 0.83.
"""

CONFIG = Path("config.json")

_log = logging.getLogger(__name__)


def config_file(path: Path | None) -> Path | None:
    """The file to read: `path`, else ./config.json where there is one; None stands for what we ship."""
    return CONFIG if path is None and CONFIG.exists() else path


def load(path: Path) -> Config:
    """The configuration in this file.

    Raises ConfigError, one line, when there is no such file, it cannot be read, or anything in it is refused.
    """
    return parse(read(path), str(path))


def parse(text: str, where: str) -> Config:
    """The configuration in this JSON text; `where` says in errors what was read.

    Guarantees that no key of ours is misspelt, twice, of another type than asked for, or impossible. A key that older
    systems had, and a key of the host in `determinism` that looks like one of ours, are passed over with a note.
    Raises ConfigError with one line: `where`, the path of the key, what was found, what is allowed.
    """
    return _validated(_decoded(text, where), where)


def read(path: Path) -> str:
    try:
        return read_whole(path).decode()
    except FileNotFoundError:
        raise ConfigError(f"{path}: there is no such file") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: byte {error.start + 1} is not UTF-8; allowed: JSON in UTF-8") from None


def _decoded(text: str, where: str) -> dict[str, Any]:
    try:
        data = strict_json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigError(f"{where}: line {error.lineno}, column {error.colno}: not JSON: {error.msg}") from None
    except strict_json.NotStrict as error:
        raise ConfigError(f"{where}: {error}") from None
    if not isinstance(data, dict):
        raise ConfigError(f"{where}: the file holds {_shown(data)}; allowed: an object")
    return data


def _validated(data: dict[str, Any], where: str) -> Config:
    data, left = without_retired(data)
    for path, instead in left:
        _note(f"{where}: {path} is not used any more: {instead}")
    for key, _ in _near_misses(data, Config):
        raise ConfigError(f"{where}: {_unknown_key((key,), data[key], list(Config.model_fields))}")
    sections = _ours(data, Config)
    determinism = sections.get("determinism")
    if isinstance(determinism, dict):
        for key, meant in _near_misses(determinism, DeterminismConfig):
            _note(f"{where}: determinism.{json.dumps(key)[1:-1]} is taken for the host's own; ours is {meant}")
        sections["determinism"] = _ours(determinism, DeterminismConfig)
    try:
        return Config.model_validate(sections)
    except ValidationError as error:
        raise ConfigError(f"{where}: {_sentence(error.errors(include_url=False)[0])}") from None


@lru_cache(maxsize=256)
def _note(sentence: str) -> None:
    """Say it once: a runner reads its configuration in every cycle."""
    _log.warning(sentence)


def _near_misses(data: dict[str, Any], model: type[BaseModel]) -> Iterator[tuple[str, str]]:
    """The keys that look like one of ours with a slip of the pen, and which."""
    known = list(model.model_fields)
    for key in data:
        if key not in known and (meant := _meant(key, known, NEAR_MISS)):
            yield key, meant


def _ours(data: dict[str, Any], model: type[BaseModel]) -> dict[str, Any]:
    """Only our keys: the others are the host's business."""
    return {key: data[key] for key in model.model_fields if key in data}


def _sentence(error: ErrorDetails) -> str:
    loc, context = error["loc"], error.get("ctx", {})
    match error["type"]:
        case "extra_forbidden":
            return _unknown_key(loc, error["input"], _known_keys(loc[:-1]))
        case "unknown":
            return _unknown_key((*loc, context["key"]), error["input"][context["key"]], context["known"])
        case "refused":
            return f"{_dotted((*loc, *context['keys']))} is {_shown(context['found'])}; allowed: {context['allowed']}"
    field = _field(loc)
    shown = "missing" if error["type"] == "missing" else _shown(error["input"])
    return f"{_dotted(loc)} is {shown}; {_did_you_mean(error['input'], field)}allowed: {_allowed(field)}"


def _unknown_key(loc: Sequence[str | int], value: Any, known: Sequence[str]) -> str:
    meant = _meant(str(loc[-1]), known, 0.6)
    hint = f"did you mean {meant}? " if meant else ""
    return f"{_dotted(loc)} is {_shown(value)}, but there is no such key; {hint}allowed: {', '.join(known)}"


def _did_you_mean(value: Any, field: FieldInfo | None) -> str:
    choices = [choice for choice in get_args(field.annotation) if isinstance(choice, str)] if field else []
    meant = _meant(value, choices, 0.6) if isinstance(value, str) else None
    return f"did you mean {meant}? " if meant else ""


def _meant(name: str, names: Sequence[str], cutoff: float) -> str | None:
    plain = name.casefold().replace("-", "_").replace(" ", "_")
    spelt = {known.replace("-", "_"): known for known in names}
    return next((spelt[close] for close in get_close_matches(plain, spelt, n=1, cutoff=cutoff)), None)


def _field(loc: Sequence[str | int]) -> FieldInfo | None:
    """The field at this place; None for an element of a list."""
    model: type[BaseModel] = Config
    field = None
    for part in loc:
        field = model.model_fields[part] if isinstance(part, str) else None
        if field is not None:
            model = _model(field) or model
    return field


def _model(field: FieldInfo) -> type[BaseModel] | None:
    """The model that a field holds, itself or in a tuple."""
    kinds = (field.annotation, *get_args(field.annotation))
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)


def _known_keys(loc: Sequence[str | int]) -> list[str]:
    field = _field([part for part in loc if isinstance(part, str)])
    model = _model(field) if field else None
    return list((model or Config).model_fields)


def _allowed(field: FieldInfo | None) -> str:
    texts = (note.text for note in (field.metadata if field else ()) if isinstance(note, Allowed))
    return next(texts, "an object")


def _dotted(loc: Sequence[str | int]) -> str:
    dotted = ""
    for part in loc:
        dotted += f"[{part}]" if isinstance(part, int) else f".{part if part.isprintable() else json.dumps(part)}"
    return dotted.removeprefix(".")


def _shown(value: Any) -> str:
    """A value as the file spells it, on one line and not long."""
    if value is PydanticUndefined:
        return "missing"
    if isinstance(value, (dict, list)) and len(str(value)) > 60:
        return "an object" if isinstance(value, dict) else "a list"
    text = json.dumps(value, ensure_ascii=False, default=str)
    text = text if text.isprintable() else json.dumps(value, default=str)
    return text if len(text) <= 80 else f"{text[:79]}…"
