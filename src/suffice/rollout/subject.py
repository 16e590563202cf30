"""What a rollout is about: its configuration and its plan. Whatever changes them makes another rollout."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from suffice import strict_json
from suffice.config import Config, load, parse
from suffice.errors import StoreError
from suffice.stopping.cache import default_cache
from suffice.stopping.make import configured_plan
from suffice.stopping.plan import Plan

_ABSENT = object()


@dataclass(frozen=True, slots=True)
class Subject:
    """A configuration and the plan that it names."""

    config: Config
    plan: Plan

    @classmethod
    def read(cls, path: Path) -> "Subject":
        """What the file says now. Raises ConfigError, PlanError."""
        config = load(path)
        return cls(config, configured_plan(config.verifier, default_cache(), path.parent))

    def identity(self) -> dict[str, Any]:
        """All that decisions and gates depend on, as plain JSON values."""
        return {"plan": self.plan.id, "config": _plain(self.config)}


def stored_config(identity: Mapping[str, Any], where: str) -> Config:
    """The configuration that a rollout was started with. Raises ConfigError; StoreError when none is stored."""
    if "config" not in identity:
        raise StoreError(f"{where}: its configuration is not in the store")
    return parse(json.dumps(identity["config"]), where)


def changes(identity: Mapping[str, Any], subject: Subject) -> list[str]:
    """What is not as it was when the rollout started, a sentence each; empty when nothing changed."""
    now = subject.identity()
    # Parsed again: a key that this version has and the one that stored it had not is at its default, and no change.
    then = _plain(stored_config(identity, "the rollout"))
    sentences = [
        f"{path} is {_shown(value)}, the rollout was started with {_shown(was)}"
        for path, was, value in _differences(then, now["config"], "")
    ]
    if identity["plan"] != now["plan"]:
        sentences.append(f"the plan is {now['plan'][:12]}, the rollout was started with {identity['plan'][:12]}")
    return sentences


def _plain(config: Config) -> dict[str, Any]:
    sections = dict(strict_json.loads(config.model_dump_json()))
    sections["determinism"] = {"seed": config.determinism.seed}
    return sections


def _differences(was: Any, now: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(was, dict) and isinstance(now, dict):
        for key in sorted({*was, *now}):
            yield from _differences(was.get(key, _ABSENT), now.get(key, _ABSENT), f"{path}.{key}".lstrip("."))
    elif isinstance(was, list) and isinstance(now, list):
        for index, pair in enumerate(zip_longest(was, now, fillvalue=_ABSENT)):
            yield from _differences(*pair, f"{path}[{index}]")
    elif was != now:
        yield path, was, now


def _shown(value: Any) -> str:
    text = "missing" if value is _ABSENT else json.dumps(value)
    return text if len(text) <= 60 else f"{text[:59]}…"
