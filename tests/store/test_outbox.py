"""The outbox: each event that is told of waits there once, until it was delivered."""

from collections.abc import Iterator

import pytest

from store_places import Place
from suffice.store.actions import Action
from suffice.store.database import Store, insert_new, open_store
from suffice.store.journal import JournalEvent, append_journal, last_event
from suffice.store.outbox import drop_overtaken, due, enqueue_events, put_off, sent, waiting
from suffice.store.rollouts import StoredRollout, create_rollout
from suffice.store.schema import outbox

WAITS = {"attempts": 0, "next_at": 1.0, "done_at": None}


@pytest.fixture
def store(place: Place) -> Iterator[Store]:
    with open_store(place) as opened:
        told(opened, "start", "judge", "roll back")
        yield opened


def told(store: Store, *actions: str) -> None:
    with store.write() as connection:
        append_journal(
            connection,
            [JournalEvent(1.0, "r", "ann", Action(action), f"{action}: 5 %", {"upper": 0.01}) for action in actions],
        )


def enqueued(store: Store, *actions: str) -> int:
    with store.write() as connection:
        return enqueue_events(connection, map(Action, actions), 10.0)


def ready(store: Store, now: float) -> list[tuple[str, str, int]]:
    with store.read() as connection:
        return [
            (message.kind, message.idempotency_key, message.attempts) for message in due(connection, now, horizon=900.0)
        ]


def test_each_event_of_these_actions_is_put_there_once_in_order(store: Store) -> None:
    assert enqueued(store, "start", "roll back") == 2
    assert enqueued(store, "start", "roll back") == 0
    told(store, "start")
    assert enqueued(store, "start", "roll back") == 1
    assert ready(store, 10.0) == [("start", "audit/1", 0), ("roll back", "audit/3", 0), ("start", "audit/4", 0)]


def test_what_is_told_is_what_the_event_says(store: Store) -> None:
    enqueued(store, "roll back")
    with store.read() as connection:
        (message,) = due(connection, 10.0, 900.0)
        event = last_event(connection, "r", Action.ROLL_BACK)
    assert event is not None
    assert (message.rollout, message.payload["why"], message.payload["numbers"]) == ("r", event.why, event.numbers)


def test_it_waits_until_its_moment_and_is_gone_when_it_was_sent(store: Store) -> None:
    enqueued(store, "start")
    with store.write() as connection:
        put_off(connection, 1, 100.0)
    assert ready(store, 99.0) == []
    assert ready(store, 100.0) == [("start", "audit/1", 1)]
    with store.write() as connection:
        sent(connection, 1, 100.0)
    assert ready(store, 200.0) == []
    with store.read() as connection:
        assert waiting(connection) == 0


def test_what_was_put_off_before_the_clock_went_back_is_due(store: Store) -> None:
    enqueued(store, "start")
    with store.write() as connection:
        put_off(connection, 1, 1e9)
    assert ready(store, 10.0) == [("start", "audit/1", 1)]


def test_what_a_later_rollout_of_the_service_has_overtaken_is_not_told(store: Store) -> None:
    with store.write() as connection:
        for rollout, service in (("a-000001", "a"), ("a-000002", "a"), ("a-b-000001", "a-b"), ("a_b-000001", "a_b")):
            create_rollout(connection, StoredRollout(rollout, service, "Progressing", {}, {}, 1.0, 1.0))
            append_journal(connection, [JournalEvent(1.0, rollout, "ann", Action.PAUSE, "", {})])
        insert_new(
            connection,
            outbox,
            ["idempotency_key"],
            [
                {"rollout": "a-000001", "kind": kind, "payload": "{}", "idempotency_key": kind, **WAITS}
                for kind in ("pause", "kept")
            ],
        )
        assert drop_overtaken(connection, "kept", 10.0) == 1
    assert ready(store, 10.0) == [("kept", "kept", 0)]
    assert enqueued(store, "pause") == 3
    with store.read() as connection:
        told_of = [message.rollout for message in due(connection, 10.0, 900.0) if message.kind == "pause"]
    assert told_of == ["a-000002", "a-b-000001", "a_b-000001"]
