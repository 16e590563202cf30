"""The flag through the real OpenFeature client and its real file provider."""

import os
import threading
from contextlib import contextmanager

import pytest
from flag_waiting import EVERYBODY, POLL_MS, becomes, within_reason
from openfeature import api
from openfeature.contrib.provider.flagd import FlagdProvider
from openfeature.contrib.provider.flagd.config import ResolverType
from openfeature.evaluation_context import EvaluationContext
from openfeature.flag_evaluation import Reason
from openfeature.provider import ProviderStatus
from openfeature.provider.in_memory_provider import InMemoryFlag, InMemoryProvider
from openfeature.provider.no_op_provider import NoOpProvider

from suffice.flag.answer import FlagAnswer
from suffice.flag.bucketing import inside, misplaced, record
from suffice.flag.client import FlagClient
from suffice.flag.document import FLAG, Exposure, to_text
from suffice.flag.file import publish
from suffice.verifier.arm import Arm

TARGETS = [f"pump-{i}" for i in range(200)]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "flag.json"


@contextmanager
def domain_of(provider, domain):
    api.set_provider_and_wait(provider, domain)
    try:
        yield api.get_client(domain)
    finally:
        api.set_provider_and_wait(NoOpProvider(), domain)


def test_any_provider_can_be_asked():
    flag = InMemoryFlag("on", {"on": "adaptive"}), InMemoryFlag("adaptive", {"adaptive": "adaptive"})
    for one, resolved in zip(flag, (False, True), strict=True):
        with domain_of(InMemoryProvider({FLAG: one}), "memory") as bound:
            answer = FlagClient(bound).ask("pump-1")
            assert answer == FlagAnswer(Arm.ADAPTIVE, resolved=resolved, reason=Reason.STATIC)
    with domain_of(InMemoryProvider({}), "memory") as bound:
        assert FlagClient(bound).ask("pump-1").reason.startswith("FLAG_NOT_FOUND")


def test_a_client_of_the_host_application_stays_its_own_when_ours_is_closed():
    with domain_of(InMemoryProvider({FLAG: InMemoryFlag("adaptive", {"adaptive": "adaptive"})}), "theirs") as bound:
        with FlagClient(bound) as client:
            assert client.arm("pump-1") is Arm.ADAPTIVE
        assert client.arm("pump-1") is Arm.FIXED
        assert FlagClient(bound).arm("pump-1") is Arm.ADAPTIVE


class Hiding:
    """A client that fails as OpenFeature 0.10 does, with what it hides behind its own error."""

    def __init__(self, hidden):
        self.hidden = hidden

    def get_provider_status(self):
        return ProviderStatus.READY

    def get_string_details(self, *_):
        try:
            if self.hidden is not None:
                raise self.hidden
        finally:
            raise UnboundLocalError("details")


@pytest.mark.parametrize(
    "hidden, raised",
    [(KeyboardInterrupt(), KeyboardInterrupt), (ValueError(), UnboundLocalError), (None, UnboundLocalError)],
)
def test_an_interrupt_comes_out_from_behind_openfeatures_own_error(hidden, raised):
    with pytest.raises(raised):
        FlagClient(Hiding(hidden)).ask("pump-1")


def test_nobody_answers_fixed_and_is_not_taken_for_the_flag():
    assert FlagClient(api.get_client("nobody")).ask("pump-1") == FlagAnswer(Arm.FIXED, resolved=False, reason="DEFAULT")


def test_an_answer_says_where_it_comes_from(path):
    publish(path, EVERYBODY)
    with FlagClient.from_file(path) as client:
        assert client.ask("pump-1") == FlagAnswer(Arm.ADAPTIVE, resolved=True, reason="TARGETING_MATCH")
    publish(path, None)
    with FlagClient.from_file(path) as client:
        assert client.ask("pump-1") == FlagAnswer(Arm.FIXED, resolved=True, reason="STATIC")


def test_without_a_target_the_answer_is_fixed_even_if_the_host_application_has_one(path):
    publish(path, EVERYBODY)
    with FlagClient.from_file(path) as client:
        api.set_evaluation_context(EvaluationContext("somebody", {"region": "eu-west-1"}))
        try:
            assert client.ask("") == FlagAnswer(Arm.FIXED, resolved=False, reason="there is no target to choose by")
        finally:
            api.set_evaluation_context(EvaluationContext())


def test_the_region_of_a_case_is_not_taken_from_the_host_application(path):
    publish(path, Exposure(100, "s1", ("eu-west-1",)))
    with FlagClient.from_file(path) as client:
        api.set_evaluation_context(EvaluationContext(None, {"region": "eu-west-1"}))
        try:
            assert client.arm("pump-1") is Arm.FIXED
            assert client.arm("pump-1", "eu-west-1") is Arm.ADAPTIVE
        finally:
            api.set_evaluation_context(EvaluationContext())


def test_clients_do_not_touch_one_another_nor_the_default_provider(tmp_path):
    default = api.get_provider_metadata().name
    publish(tmp_path / "a.json", EVERYBODY)
    publish(tmp_path / "b.json", None)
    with FlagClient.from_file(tmp_path / "b.json") as b:
        with FlagClient.from_file(tmp_path / "a.json") as a:
            assert (a.arm("pump-1"), b.arm("pump-1")) == (Arm.ADAPTIVE, Arm.FIXED)
        assert b.ask("pump-1").resolved
        assert api.get_provider_metadata().name == default


def test_a_closed_client_answers_fixed_and_leaves_no_thread(path):
    publish(path, EVERYBODY)
    before = set(threading.enumerate())
    client = FlagClient.from_file(path)
    assert set(threading.enumerate()) != before
    client.close()
    assert not [thread for thread in set(threading.enumerate()) - before if "FileWatcher" in thread.name]
    client.close()
    assert within_reason(lambda: set(threading.enumerate()) <= before)
    assert client.ask("pump-1") == FlagAnswer(Arm.FIXED, resolved=False, reason="the flag client is closed")


def test_a_forked_process_has_no_watcher_and_answers_fixed(path):
    publish(path, EVERYBODY)
    with FlagClient.from_file(path) as client:
        pid = os.fork()
        if pid == 0:
            answer = client.ask("pump-1")
            os._exit(0 if answer.arm is Arm.FIXED and "not watched" in answer.reason else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert client.arm("pump-1") is Arm.ADAPTIVE


def test_a_client_that_never_had_a_file_leaves_no_thread_either(path):
    before = set(threading.enumerate())
    FlagClient.from_file(path).close()
    assert within_reason(lambda: set(threading.enumerate()) <= before)


def test_arms_are_those_of_the_document(path):
    exposure = Exposure(30, "s1", ("eu-west-1",))
    publish(path, exposure)
    with FlagClient.from_file(path) as client:
        adaptive = {target for target in TARGETS if client.arm(target, "eu-west-1") is Arm.ADAPTIVE}
        assert adaptive == set(inside(exposure, TARGETS))
        assert 0 < len(adaptive) < len(TARGETS)
        assert misplaced(record("s1", TARGETS), exposure, client, "eu-west-1") == ()
        assert {client.arm(target, "us-east-1") for target in TARGETS} == {Arm.FIXED}
        assert {client.arm(target) for target in TARGETS} == {Arm.FIXED}


def test_publications_are_seen_in_both_directions(path):
    publish(path, None)
    with FlagClient.from_file(path, poll_ms=POLL_MS) as client:
        for _ in range(3):
            publish(path, EVERYBODY)
            assert becomes(client, Arm.ADAPTIVE)
            publish(path, None)
            assert becomes(client, Arm.FIXED)


def test_a_publication_is_seen_when_the_clock_went_back(path):
    publish(path, EVERYBODY)
    with FlagClient.from_file(path, poll_ms=POLL_MS) as client:
        assert client.arm("pump-1") is Arm.ADAPTIVE
        publish(path, None, now_ns=lambda: 0)
        assert becomes(client, Arm.FIXED)


def test_without_a_file_the_answer_is_fixed_until_one_appears(path):
    with FlagClient.from_file(path, poll_ms=POLL_MS) as client:
        answer = client.ask("pump-1")
        assert (answer.arm, answer.resolved) == (Arm.FIXED, False)
        publish(path, EVERYBODY)
        assert becomes(client, Arm.ADAPTIVE)


def write_garbage(path):
    path.write_text("{")


def empty(path):
    path.write_text("")


def drop_the_flag(path):
    path.write_text('{"flags": {}}')


def give_another_value(path):
    path.write_text(to_text(EVERYBODY).replace('"adaptive": "adaptive"', '"adaptive": "sometimes"'))


def disable(path):
    path.write_text(to_text(EVERYBODY).replace("ENABLED", "DISABLED"))


def give_no_flags(path):
    path.write_text("[]")


def delete(path):
    path.unlink()


@pytest.mark.parametrize(
    "damage", [write_garbage, empty, drop_the_flag, give_another_value, disable, give_no_flags, delete]
)
def test_damage_answers_fixed_and_a_publication_heals_it(path, damage):
    last = publish(path, EVERYBODY)
    with FlagClient.from_file(path, poll_ms=POLL_MS) as client:
        assert client.arm("pump-1") is Arm.ADAPTIVE
        damage(path)
        if path.exists():
            os.utime(path, ns=(last.mtime_ns + 10**9, last.mtime_ns + 10**9))
        assert becomes(client, Arm.FIXED)
        assert not client.ask("pump-1").resolved
        publish(path, EVERYBODY, newer_than_ns=last.mtime_ns + 10**9)
        assert becomes(client, Arm.ADAPTIVE)


def test_the_trap_the_bare_provider_keeps_its_last_state(path):
    """Why `FlagClient` asks for the provider's status too."""
    publish(path, EVERYBODY)
    provider = FlagdProvider(resolver_type=ResolverType.FILE, offline_flag_source_path=str(path), deadline_ms=POLL_MS)
    with domain_of(provider, "bare") as bare:
        path.unlink()
        assert within_reason(lambda: bare.get_provider_status() is ProviderStatus.ERROR)
        assert bare.get_string_value(FLAG, "fixed", EvaluationContext("pump-1")) == "adaptive"
        assert FlagClient(bare).ask("pump-1").reason == "the flag's provider is not ready: ERROR"
