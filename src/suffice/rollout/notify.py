"""Telling people what happened, from an outbox in the store until each message was taken.

Two sinks: a webhook, and a command that opens triage items in an issue tracker.
"""

import json
import os
import subprocess
import time
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from http import HTTPStatus
from pathlib import Path
from string import Formatter
from threading import Thread
from typing import Protocol
from urllib.error import HTTPError, URLError
from urllib.parse import unquote, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from sqlalchemy import Connection

from suffice import strict_json
from suffice.errors import RolloutError
from suffice.rollout.saved_state import state_of
from suffice.rollout.world import Place
from suffice.store.actions import Action
from suffice.store.chain import canonical
from suffice.store.database import Store, insert_new
from suffice.store.journal import JournalEvent, count_before, journal_head
from suffice.store.outbox import Message, drop_oldest, drop_overtaken, due, enqueue_events, put_off, sent
from suffice.store.rollouts import load_rollout
from suffice.store.schema import outbox
from suffice.store.triage import TriageItem, items


class Severity(StrEnum):
    """How much of a hurry there is."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


STATUS, EXPLAIN, FLEET, SHOW = "rollout status", "rollout explain", "rollout fleet", "triage show {rollout}"

TELLING: Mapping[Action, tuple[Severity, str, str]] = {
    Action.START: (Severity.INFO, "{rollout} was started{stage}", STATUS),
    Action.ADVANCE: (Severity.INFO, "{rollout} goes on{stage}{why}", STATUS),
    Action.PAUSE: (Severity.WARNING, "{rollout} is paused{stage}{why}", EXPLAIN),
    Action.AWAIT: (Severity.WARNING, "{rollout} waits for approval{stage}, which has passed", "rollout approve"),
    Action.APPROVE: (Severity.INFO, "{rollout} is approved{stage}", STATUS),
    Action.RESUME: (Severity.INFO, "{rollout} was resumed{stage}", STATUS),
    Action.COMPLETE: (Severity.INFO, "{rollout} is completed{why}", STATUS),
    Action.UNWELL: (Severity.WARNING, "{rollout} is completed, and not well{why}", EXPLAIN),
    Action.ROLL_BACK: (Severity.CRITICAL, "{rollout} is being rolled back{stage}{why}", STATUS),
    Action.NOT_OBSERVED: (Severity.CRITICAL, "{rollout} is not seen at the baseline by all{why}", FLEET),
    Action.RECEIPT: (Severity.INFO, "{rollout} is rolled back{why}", SHOW),
    Action.REOPEN: (Severity.CRITICAL, "{rollout} is being rolled back again{why}", FLEET),
    Action.HOLD_BACK: (Severity.CRITICAL, "{rollout} is held back{stage}{why}", EXPLAIN),
    Action.RELEASE: (Severity.INFO, "{rollout} is released{why}", STATUS),
    Action.OLD_PRIMARY_GONE: (Severity.INFO, "{rollout} waits for no old primary any more", STATUS),
    Action.REPAIR: (Severity.WARNING, "the flag of {rollout} was not its own{why}", EXPLAIN),
}
"""The journal events that people are told of: how bad each is, what it says, and the command to run next.

Of a rollback these are two: it has begun, and everybody is back. What settles it is in the journal, and `triage show`
says it. The pass of a cycle is none of them.
"""

_UNREASONED = ("{who} paused it", "{who} released it", "{who} rolled it back")
"""What the journal has as the reason of whoever gave none."""

KIND = "triage command"
"""Of messages that the triage command is for, not the webhook."""

PLACEHOLDERS = ("title", "body_file", "item", "stage", "reason", "bundle")

FIRST_WAIT, LONGEST_WAIT = 5.0, 900.0
"""Seconds before the second attempt, doubled with each further one, and the longest pause between two."""

WEBHOOK_SECONDS, COMMAND_SECONDS, DELIVERY_SECONDS = 10.0, 60.0, 60.0
"""How long the answer of each is waited for, and how long one pass over all messages may take before its last one."""

MOST_WAITING = 1_000
"""Messages that wait, at most."""


class Sink(Protocol):
    """Where messages go."""

    def takes(self, message: Message) -> bool:
        """Whether a message is for this sink."""
        ...

    def send(self, message: Message) -> str | None:
        """Try once; the sentence of what went wrong, None when the message was taken."""
        ...


@dataclass(frozen=True, slots=True)
class Webhook:
    """Messages are sent to an address by POST as JSON, with their idempotency key.

    Whatever goes wrong is a sentence, and the message waits. No sentence holds more of the address than its host.
    """

    url: str = field(repr=False)
    _unanswered: list[Thread] = field(default_factory=list, repr=False, compare=False)

    @classmethod
    def of(cls, text: str) -> "Webhook":
        """The webhook at this address. Raises RolloutError when it is none."""
        try:
            parts = urlsplit(text)
            known = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        except ValueError:
            known = False
        if not known:
            raise RolloutError("--webhook is none; allowed: an http or https address")
        return cls(text)

    def takes(self, message: Message) -> bool:
        return message.kind != KIND

    def send(self, message: Message) -> str | None:
        body = json.dumps({**message.payload, "idempotency_key": message.idempotency_key}).encode()
        headers = {"Content-Type": "application/json; charset=utf-8", "Idempotency-Key": message.idempotency_key}
        self._unanswered[:] = [thread for thread in self._unanswered if thread.is_alive()]
        if self._unanswered:
            return f"{self._shown} is still answering an earlier notification"
        came: list[str | None] = []
        # A time-out of sockets begins anew with each byte; only another thread can give up on one that drips.
        thread = Thread(target=lambda: came.append(self._post(body, headers)), daemon=True)
        thread.start()
        thread.join(WEBHOOK_SECONDS)
        if came:
            return came[0]
        self._unanswered.append(thread)
        return f"{self._shown} did not answer within {WEBHOOK_SECONDS:g} s"

    def _post(self, body: bytes, headers: Mapping[str, str]) -> str | None:
        try:
            address, own = self._without_user()
            request = Request(address, body, {**headers, **own}, method="POST")
            with build_opener(_NoRedirect).open(request, timeout=WEBHOOK_SECONDS) as answer:
                status = answer.status
        except HTTPError as error:
            with error:
                return f"{self._shown} answered {error.code}"
        except (URLError, OSError) as error:
            return f"{self._shown} cannot be reached: {getattr(error, 'reason', error)}"
        except Exception as error:
            # Its text may hold the address.
            return f"{self._shown} answered no HTTP ({type(error).__name__})"
        return None if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES else f"{self._shown} answered {status}"

    def _without_user(self) -> tuple[str, dict[str, str]]:
        """The address that a request goes to, and the header for the user and password that stand in ours."""
        parts = urlsplit(self.url)
        user, at, host = parts.netloc.rpartition("@")
        header = {"Authorization": f"Basic {b64encode(unquote(user).encode()).decode('ascii')}"} if at else {}
        return parts._replace(netloc=host).geturl(), header

    @property
    def _shown(self) -> str:
        """Without path and query, where secrets are kept."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")


@dataclass(frozen=True, slots=True)
class TriageCommand:
    """A command is run for each triage item, without a shell, its words filled in.

    Its environment has SUFFICE_IDEMPOTENCY_KEY, the same in every attempt.
    """

    words: tuple[str, ...]

    @classmethod
    def of(cls, text: str) -> "TriageCommand":
        """The command of a JSON list of words. Raises RolloutError, naming what is wrong in it."""
        allowed = 'a JSON list like ["gh", "issue", "create", "--title", "{title}", "--body-file", "{body_file}"]'
        try:
            words = strict_json.loads(text)
        except ValueError:
            words = None
        if not (isinstance(words, list) and words and all(isinstance(word, str) and word for word in words)):
            raise RolloutError(f"--triage-command is {text!r}; allowed: {allowed}")
        for word in words:
            _check_placeholders(word)
        return cls(tuple(words))

    def takes(self, message: Message) -> bool:
        return message.kind == KIND

    def send(self, message: Message) -> str | None:
        # A value stays within its word, whatever it holds.
        words = [word.format_map(message.payload) for word in self.words]
        environment = {**os.environ, "SUFFICE_IDEMPOTENCY_KEY": message.idempotency_key}
        try:
            done = subprocess.run(
                words,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                encoding="utf-8",
                errors="replace",
                timeout=COMMAND_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return f"triage command {words[0]} did not end within {COMMAND_SECONDS:,.0f} s"
        except (OSError, ValueError) as error:
            return f"triage command {words[0]} cannot be run: {getattr(error, 'strerror', None) or error}"
        last_line = (done.stdout.strip().splitlines() or ["nothing"])[-1]
        return None if done.returncode == 0 else f"triage command {words[0]} ended with {done.returncode}: {last_line}"


def deliver(
    store: Store,
    clock: Callable[[], float],
    sinks: Sequence[Sink],
    stopping: Callable[[], bool] = lambda: False,
    place: Place | None = None,
) -> tuple[int, list[str]]:
    """Send what is due; returns how many were taken, and what went wrong with the others, which are tried again.

    The commands that messages name find what is at `place`.

    It ends after `DELIVERY_SECONDS` with what remains waiting, and a sink that failed is asked no more in this pass. Of
    more than `MOST_WAITING` messages the oldest are dropped, which is said; the journal has what they told.
    Without a webhook no event is put into the outbox, nor an open triage item without a command; the first pass with
    one tells what happened to the rollout until then. What is older than the rollout that counts is told to nobody.
    Killed between
    the answer and the note of it, a message is sent, or the command run, twice, with the same key. Raises StoreError.
    """
    now, where = clock(), place or Place()
    with store.write() as connection:
        drop_overtaken(connection, KIND, now)
        if any(isinstance(sink, Webhook) for sink in sinks):
            enqueue_events(connection, TELLING, now, lambda seq, event: _for_people(connection, seq, event, where))
        if any(isinstance(sink, TriageCommand) for sink in sinks):
            _enqueue_items(connection, now)
        dropped = drop_oldest(connection, MOST_WAITING, now)
        messages = due(connection, now, LONGEST_WAIT) if sinks else []
    taken, wrong = 0, [f"{dropped:,} notifications were dropped: more than {MOST_WAITING:,} waited"] if dropped else []
    until, failed = time.monotonic() + DELIVERY_SECONDS, list[Sink]()
    for message in messages:
        sink = next((sink for sink in sinks if sink.takes(message)), None)
        if sink is None or sink in failed:
            continue
        if time.monotonic() >= until or stopping():
            break
        problem = sink.send(message)
        if problem:
            failed.append(sink)
        with store.write() as connection:
            if problem is None:
                sent(connection, message.id, clock())
            else:
                put_off(connection, message.id, clock() + wait(message.attempts))
        taken += problem is None
        wrong += [problem] if problem else []
    return taken, wrong


def wait(attempts: int) -> float:
    """Seconds to wait after this many earlier attempts and one more."""
    return float(min(FIRST_WAIT * 2.0 ** min(attempts, 30), LONGEST_WAIT))


class _NoRedirect(HTTPRedirectHandler):
    """A moved webhook is a wrong address, not a place to send evidence to."""

    def redirect_request(self, *_: object) -> None:
        return None


def _for_people(connection: Connection, seq: int, event: JournalEvent, place: Place) -> Mapping[str, str]:
    """Whose rollout an event is about, in which stage, how bad it is, a sentence, and the command to run next; and the
    head that the journal has now, which nobody can rewrite any more once it was sent."""
    stored = load_rollout(connection, event.rollout)
    service, stage = event.rollout.rpartition("-")[0], ""
    if stored is not None:
        stages = state_of(stored.state).rollout.stages
        begun = count_before(connection, event.rollout, Action.ADVANCE, seq)
        service, stage = stored.service, stages[min(begun, len(stages) - 1)].name
    severity, says, command = TELLING[event.action]
    reasons = event.why and event.why not in [unreasoned.format(who=event.who) for unreasoned in _UNREASONED]
    said = says.format(
        rollout=event.rollout,
        stage=f" in stage {stage}" if stage else "",
        why=f": {event.why}" if reasons else "",
    )
    return {
        "service": service,
        "stage": stage,
        "severity": severity.value,
        "sentence": f"{said} ({event.who})",
        "command": replace(place, service=service).command(command.format(rollout=event.rollout)),
        "journal_head": journal_head(connection),
    }


def _enqueue_items(connection: Connection, now: float) -> None:
    rows = [
        {
            "rollout": item.id,
            "kind": KIND,
            "payload": canonical(_values(item)),
            "idempotency_key": f"triage/{item.id}",
            "attempts": 0,
            "next_at": now,
            "done_at": None,
        }
        for item in items(connection)
    ]
    insert_new(connection, outbox, ["idempotency_key"], rows)


def _values(item: TriageItem) -> Mapping[str, str]:
    return {
        "title": f"Triage: {item.id} was rolled back in stage {item.stage}",
        "body_file": str(Path(item.bundle) / "TRIAGE.md"),
        "item": item.id,
        "stage": item.stage,
        "reason": item.reason,
        "bundle": item.bundle,
    }


def _check_placeholders(word: str) -> None:
    allowed = f"{', '.join(f'{{{name}}}' for name in PLACEHOLDERS)}, and {{{{ for a brace"
    try:
        fields = list(Formatter().parse(word))
    except ValueError as error:
        raise RolloutError(f"--triage-command: {word!r}: {error}; allowed: {allowed}") from None
    for _, name, spec, conversion in fields:
        if name is not None and (name not in PLACEHOLDERS or spec or conversion):
            raise RolloutError(f"--triage-command: {word!r} has no such placeholder; allowed: {allowed}")
