"""Notifications: each reaches the webhook, a retry carries the same key, and nothing is lost in between."""

import json
import shlex
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import typer
from production import AGAIN, STAGES, content, producing

from suffice.cli.main import app, run
from suffice.config import set_enabled
from suffice.errors import RolloutError
from suffice.flag.document import Exposure
from suffice.flag.file import publish, published
from suffice.rollout import baseline, notify
from suffice.rollout.notify import FIRST_WAIT, LONGEST_WAIT, TELLING, Webhook, deliver, wait
from suffice.rollout.phases import Phase
from suffice.store.actions import Action
from suffice.store.database import Store
from suffice.store.journal import journal_head
from suffice.store.outbox import Message, waiting
from suffice.store.triage import receipt_of


@contextmanager
def webhook(*answers: int) -> Iterator[tuple[str, list[tuple[str, dict[str, Any]]]]]:
    """A server that gives these answers and then 200; what it was sent, with the key of each request."""
    got: list[tuple[str, dict[str, Any]]] = []
    left = list(answers)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            got.append((self.headers["Idempotency-Key"], body))
            anybody = self.path != "/hugo" or self.headers["Authorization"] == "Basic aHVnbzpwOkBzcw=="
            self.send_response((left.pop(0) if left else 200) if anybody else 401)
            if self.path == "/moved":
                self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/hook?token=secret", got
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_every_event_is_sent_once_when_the_webhook_answers(tmp_path: Path) -> None:
    with producing(tmp_path) as production, webhook() as (url, got):
        production.operator.tell("pause", "ann", "lunch")
        with production.store.read() as connection:
            head = journal_head(connection)
        assert deliver(production.store, production.clock, [Webhook(url)]) == (2, [])
        production.operator.tell("rollback", "ann", "no appetite")
        deliver(production.store, production.clock, [Webhook(url)])
        assert deliver(production.store, production.clock, [Webhook(url)]) == (0, [])
        assert [body["action"] for _, body in got] == ["start", "pause", "roll back", "receipt"]
        assert got[1][1] == {
            "rollout": "verifier-000001",
            "action": "pause",
            "who": "ann",
            "why": "lunch",
            "at": production.clock(),
            "numbers": {},
            "idempotency_key": got[1][0],
            "service": "verifier",
            "stage": "staging",
            "severity": "warning",
            "sentence": "verifier-000001 is paused in stage staging: lunch (ann)",
            "command": "suffice rollout explain",
            "journal_head": head,
        }
        assert len({key for key, _ in got}) == 4


def test_each_sentence_says_a_thing_once(tmp_path: Path) -> None:
    """Seen: `is approved in stage canary: ann approved stage canary (ann)`, and four messages of one rollback."""
    stages = [{**stage, "approval": stage["name"] == "staging"} for stage in STAGES]
    with producing(tmp_path, content(stages=stages)) as production, webhook() as (url, got):
        operator = production.operator
        operator.tell("pause", "ann")
        operator.tell("resume", "ann")
        while production.state.phase is not Phase.AWAITING_APPROVAL:
            production.traffic()
            production.cycle()
        operator.tell("approve", "ann")
        production.until("full")
        production.cycle()
        operator.tell("release", "ann")
        operator.tell("rollback", "ann", "ann saw it, too")
        deliver(production.store, production.clock, [Webhook(url)])
        *sentences, last = [body["sentence"].removeprefix("verifier-000001 ") for _, body in got]
    assert last.startswith("is rolled back: observed by 0 of 1 processes: ")
    assert sentences == [
        "was started in stage staging (ann)",
        "is paused in stage staging (ann)",
        "was resumed in stage staging (ann)",
        "waits for approval in stage staging, which has passed (runner)",
        "is approved in stage staging (ann)",
        "goes on in stage canary: stage staging has passed (runner)",
        "goes on in stage full: stage canary has passed (runner)",
        "is completed: stage full has passed; adaptive everywhere (runner)",
        "is released (ann)",
        "is being rolled back in stage full: ann saw it, too (ann)",
    ]


def test_the_command_of_a_notification_finds_the_rollout(tmp_path: Path) -> None:
    """Seen: of a service with a queue of its own each command said that there is no store."""
    with producing(tmp_path) as production, webhook() as (url, got):
        production.operator.tell("rollback", "ann", "no appetite")
        deliver(production.store, production.clock, [Webhook(url)], place=production.place)
        commands = [shlex.split(body["command"]) for _, body in got]
    assert [words[1:3] for words in commands] == [["rollout", "status"]] * 2 + [["triage", "show"]]
    for words in commands:
        assert run(words[1:]) in (0, 2), words


def test_a_notification_names_the_stage_of_its_moment_however_late_it_is_sent(tmp_path: Path) -> None:
    with producing(tmp_path) as production, webhook() as (url, got):
        production.operator.tell("pause", "ann", "lunch")
        production.operator.tell("resume", "ann")
        production.until("canary")
        production.operator.tell("rollback", "ann", "no appetite")
        deliver(production.store, production.clock, [Webhook(url)])
        stages = {body["action"]: body["stage"] for _, body in got}
        assert (stages["start"], stages["pause"], stages["advance"]) == ("staging", "staging", "canary")
        (asked,) = [body for _, body in got if body["action"] == "roll back"]
        assert (asked["severity"], asked["stage"]) == ("critical", "canary")
        assert asked["sentence"] == "verifier-000001 is being rolled back in stage canary: no appetite (ann)"
        assert got[-1][1]["command"] == "suffice triage show verifier-000001"


def test_each_event_that_people_are_told_of_has_a_command_that_the_program_takes() -> None:
    untold = {Action.JUDGE, Action.OBSERVED, Action.TRIAGE, Action.SETTLE, Action.CLOSE}
    assert set(Action) - set(TELLING) == untold
    groups = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    for _, _, command in TELLING.values():
        group, name, *_ = command.split()
        assert name in groups[group].commands


def test_without_a_webhook_nothing_piles_up_and_the_first_one_is_told_what_happened(tmp_path: Path) -> None:
    with producing(tmp_path) as production, webhook() as (url, got):
        for _ in range(3):
            production.operator.tell("pause", "ann", "lunch")
            production.operator.tell("resume", "ann")
            assert deliver(production.store, production.clock, []) == (0, [])
        assert waiting_in(production.store) == 0
        assert deliver(production.store, production.clock, [Webhook(url)]) == (7, [])
        assert [body["action"] for _, body in got] == ["start", *["pause", "resume"] * 3]


def test_nobody_is_told_of_what_is_older_than_the_rollout_that_counts(tmp_path: Path) -> None:
    with producing(tmp_path) as production, webhook(500) as (url, got):
        deliver(production.store, production.clock, [Webhook(url)])
        assert waiting_in(production.store) == 1
        production.operator.tell("rollback", "ann", "no appetite")
        set_enabled(production.place.config, enabled=True)
        production.operator.start("ann", AGAIN)
        got.clear()
        production.clock.now += LONGEST_WAIT
        assert deliver(production.store, production.clock, [Webhook(url)]) == (1, [])
        assert [(body["rollout"], body["action"]) for _, body in got] == [("verifier-000002", "start")]
        assert waiting_in(production.store) == 0


@contextmanager
def deleting(path: Path) -> Iterator[None]:
    """Somebody who deletes a file whenever it is there."""
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            path.unlink(missing_ok=True)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def test_a_rollback_whose_flag_is_deleted_again_and_again_stays_and_is_told_in_every_cycle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(baseline, "ATTEMPTS", 20)
    with producing(tmp_path) as production, webhook() as (url, got):
        production.until("canary")
        with deleting(production.place.flag):
            report = production.operator.tell("rollback", "ann", "enough")
            assert report.phase is Phase.ROLLING_BACK
            assert report.notes[0].startswith("the baseline is not observed yet: ")
            assert production.cycle().phase is Phase.ROLLING_BACK
        deliver(production.store, production.clock, [Webhook(url)])
        assert [body["action"] for _, body in got][-3:] == ["roll back", "not observed", "not observed"]
        with production.store.read() as connection:
            assert receipt_of(connection, "verifier-000001") is None
        assert '"enabled": true' in production.place.config.read_text(encoding="utf-8")
        assert production.cycle().phase is Phase.ROLLED_BACK
        deliver(production.store, production.clock, [Webhook(url)])
        assert [body["action"] for _, body in got][-2:] == ["not observed", "receipt"]


def test_a_flag_that_somebody_raises_after_a_rollback_is_put_back_and_told(tmp_path: Path) -> None:
    with producing(tmp_path) as production, webhook() as (url, got):
        production.operator.tell("rollback", "ann", "enough")
        publish(production.place.flag, Exposure(100, "mine"))
        assert "says 100 % adaptive" in production.operator.cycle().notes[0]
        assert published(production.place.flag) is None
        deliver(production.store, production.clock, [Webhook(url)])
        assert got[-1][1]["action"] == "repair"


def test_a_retry_waits_longer_each_time_and_has_the_same_key(tmp_path: Path) -> None:
    with producing(tmp_path) as production, webhook(500, 302, 404) as (url, got):
        moved = url.replace("/hook", "/moved")
        for pause in (FIRST_WAIT, 2 * FIRST_WAIT, 4 * FIRST_WAIT):
            taken, (problem,) = deliver(production.store, production.clock, [Webhook(moved)])
            assert taken == 0
            assert "answered" in problem and "secret" not in problem
            production.clock.now += pause - 1
            assert deliver(production.store, production.clock, [Webhook(moved)]) == (0, [])
            production.clock.now += 1
        with production.store.read() as connection:
            assert waiting(connection) == 1
        assert deliver(production.store, production.clock, [Webhook(moved)]) == (1, [])
        assert len(got) == 4 and len({key for key, _ in got}) == 1


def test_a_webhook_that_is_not_there_loses_nothing(tmp_path: Path) -> None:
    with producing(tmp_path) as production:
        with webhook() as (gone, _):
            pass
        _, (problem,) = deliver(production.store, production.clock, [Webhook(gone)])
        assert "cannot be reached" in problem and "secret" not in problem
        assert deliver(production.store, production.clock, []) == (0, [])
        production.clock.now += LONGEST_WAIT
        with webhook() as (url, got):
            assert deliver(production.store, production.clock, [Webhook(url)]) == (1, [])
        assert got[0][1]["action"] == "start"


@contextmanager
def answering(*pieces: bytes, pause: float = 0.0) -> Iterator[str]:
    """A server that says these bytes whatever it is asked, with a pause between, and then closes."""
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def work() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    with connection, suppress(OSError):
                        connection.recv(65536)
                        for piece in pieces:
                            connection.sendall(piece)
                            if stop.wait(pause):
                                return

        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}/hook?token=secret"
        finally:
            stop.set()
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 many\r\n\r\n", b"\x00" * 70_000])
def test_a_webhook_that_answers_no_http_is_tried_again(tmp_path: Path, answer: bytes) -> None:
    """Seen: the runner crashed, was started anew, and crashed again."""
    with producing(tmp_path) as production, answering(answer) as url:
        taken, (problem,) = deliver(production.store, production.clock, [Webhook.of(url)])
        assert taken == 0
        assert problem.startswith("http://127.0.0.1:")
        assert "secret" not in problem
        assert "secret" not in repr(Webhook.of(url))
        assert waiting_in(production.store) == 1


def test_a_webhook_that_drips_is_given_up_and_not_asked_again_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen: it hung with the lease."""
    monkeypatch.setattr(notify, "WEBHOOK_SECONDS", 0.5)
    with producing(tmp_path) as production, answering(*[b"H"] * 10_000, pause=0.1) as url:
        production.operator.tell("pause", "ann", "lunch")
        sink = Webhook.of(url)
        assert deliver(production.store, production.clock, [sink]) == (
            0,
            [f"{url.split('/hook')[0]} did not answer within 0.5 s"],
        )
        production.clock.now += LONGEST_WAIT
        assert "still answering an earlier" in deliver(production.store, production.clock, [sink])[1][0]
        assert waiting_in(production.store) == 2


def test_what_waits_has_a_limit_and_what_is_dropped_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notify, "MOST_WAITING", 2)
    with producing(tmp_path) as production, webhook() as (url, got):
        for _ in range(2):
            production.operator.tell("pause", "ann", "lunch")
            production.operator.tell("resume", "ann")
        taken, (problem,) = deliver(production.store, production.clock, [Webhook(url)])
        assert (taken, problem) == (2, "3 notifications were dropped: more than 2 waited")
        assert [body["action"] for _, body in got] == ["pause", "resume"]


def waiting_in(store: Store) -> int:
    with store.read() as connection:
        return waiting(connection)


def test_a_clock_that_goes_back_does_not_put_off_for_ever(tmp_path: Path) -> None:
    with producing(tmp_path) as production, webhook(500) as (url, got):
        deliver(production.store, production.clock, [Webhook(url)])
        production.clock.now -= 30 * 86_400
        assert deliver(production.store, production.clock, [Webhook(url)]) == (1, [])
        assert len(got) == 2


def test_killed_between_the_answer_and_its_note_it_is_sent_again_with_the_same_key(tmp_path: Path) -> None:
    keys: list[str] = []

    class Killed(Webhook):
        def send(self, message: Message) -> str | None:
            keys.append(message.idempotency_key)
            raise KeyboardInterrupt

    with producing(tmp_path) as production:
        with pytest.raises(KeyboardInterrupt):
            deliver(production.store, production.clock, [Killed("http://x")])
        with webhook() as (url, got):
            deliver(production.store, production.clock, [Webhook(url)])
        assert [key for key, _ in got] == keys


def test_the_pause_grows_to_a_limit() -> None:
    assert [wait(n) for n in range(4)] == [5.0, 10.0, 20.0, 40.0]
    assert wait(1_000_000) == LONGEST_WAIT


def test_user_and_password_of_an_address_are_sent_and_not_shown() -> None:
    message = Message(1, "verifier-000001", "event", {}, "key", 0, 0.0)
    with webhook() as (url, got):
        host = url.removeprefix("http://").partition("/")[0]
        sink, other = Webhook.of(f"http://hugo:p%3A%40ss@{host}/hugo"), Webhook.of(f"http://hugo:other@{host}/hugo")
        assert (sink.send(message), other.send(message)) == (None, f"http://{host} answered 401")
        assert len(got) == 2
    assert "cannot be reached" in (sink.send(message) or "")
    assert not any(word in f"{sink.send(message)} {sink!r}" for word in ("p%3A", "p:@ss", "hugo"))


def test_what_is_no_address_is_refused() -> None:
    for url in ("ftp://secret/x", "secret", "http://", "http://host:secret/x", "http://[secret"):
        with pytest.raises(RolloutError, match="allowed: an http or https address") as refused:
            Webhook.of(url)
        assert "secret" not in str(refused.value)
