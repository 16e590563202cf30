"""Real servers in the place of one: a standby that lags, and a copy in another database. No old word counts there."""

import itertools
import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from links import Proxy

from postgres_server import Server, running
from suffice.errors import StoreError
from suffice.rollout.operator import Operator, Start
from suffice.rollout.phases import Phase
from suffice.rollout.world import Place
from suffice.serving.verifier import Verifier
from suffice.sources.correction import Correction, Estimate
from suffice.verifier.arm import Arm

PATIENCE = 60.0
CONFIG = {
    "verifier": {"rule": "proportion", "n_samples": 32, "adaptive_sampling": {"enabled": True}},
    "rollout": {
        "cycle": "1s",
        "checks": {"run": []},
        "acceptance": {"min_sample_reduction": 0.05},
        "stages": [{"name": "full", "weight": 100, "audit_fraction": 0.0}],
    },
}
_numbers = itertools.count()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """One of our own: it is stopped."""
    with running() as server:
        yield server


@contextmanager
def process(folder: Path, host: str, url: str) -> Iterator[Verifier]:
    """A process of a host whose folder remembers, or is new."""
    with Verifier.from_config(folder / "config.json", queue=folder / host, store=url) as verifier:
        yield verifier


def arms(verifier: Verifier) -> set[Arm]:
    """Of some clear cases."""
    estimates = Estimate(0.0, 1.0, 1.0), Estimate(9.0, 1.0, 1.0)
    numbers = itertools.islice(_numbers, 40)
    return {verifier.verify(Correction(f"c{i}", f"t{i}", *estimates).case()).arm for i in numbers}


def until(verifier: Verifier, obstacle: str) -> None:
    """Wait for what is against the word, "" when nothing is."""
    deadline = time.monotonic() + PATIENCE
    while verifier.obstacle != obstacle if not obstacle else obstacle not in verifier.obstacle:
        assert time.monotonic() < deadline, verifier.obstacle
        time.sleep(0.05)


def completed(operator: Operator, verifier: Verifier) -> None:
    operator.start("ann", Start(waived=("determinism",)))
    deadline = time.monotonic() + PATIENCE
    while operator.state.phase is not Phase.COMPLETED:
        assert time.monotonic() < deadline, operator.state.why
        arms(verifier)
        verifier.flush()
        operator.cycle()


def test_a_word_that_a_lagging_standby_still_has_is_none_when_it_takes_over(server: Server, tmp_path: Path) -> None:
    """Released, then rolled back with a receipt; the standby never heard of the rollback. Nobody is adaptive by its
    word, neither who lived through the failover, nor who starts on a host that remembers nothing."""
    (tmp_path / "config.json").write_text(json.dumps(CONFIG), encoding="utf-8")
    with ExitStack() as opened:
        proxy = Proxy(server.port)
        opened.callback(proxy.close)
        url = server.url().replace(f":{server.port}/", f":{proxy.port}/")
        place = Place(tmp_path / "config.json", tmp_path / "runner", url=url)
        with Operator(place) as operator, process(tmp_path, "first", url) as lasting:
            completed(operator, lasting)
            operator.tell("release", "ann", "it is good")
            assert arms(lasting) == {Arm.ADAPTIVE}
            standby = opened.enter_context(server.standby())
            assert standby.execute("SELECT phase, valid_until FROM words") == [("Released", None)]
            reading = process(tmp_path, "reading", standby.url())
            with pytest.raises(StoreError, match="read-only"), reading as on_standby:
                until(on_standby, "read-only")
                assert arms(on_standby) == {Arm.FIXED}
            standby.stop()
            assert operator.tell("rollback", "ann", "it is bad").phase is Phase.ROLLED_BACK
            assert arms(lasting) == {Arm.FIXED}
            server.stop()
            opened.callback(server.start)
            standby.start()
            standby.promote()
            proxy.server_port = standby.port
            until(lasting, "the word was written in another incarnation of the store")
            with process(tmp_path, "new", url) as starting:
                until(starting, "the word was written in another incarnation of the store")
                assert arms(lasting) | arms(starting) == {Arm.FIXED}
                with Operator(place) as there:
                    assert there.cycle().phase is Phase.HELD_BACK
                    assert there.state.old_primary
                    until(starting, "")
                    assert arms(lasting) | arms(starting) == {Arm.FIXED}


@pytest.mark.parametrize("by", ["dump", "template"])
def test_a_copy_in_another_database_permits_nothing_and_is_held_back(server: Server, tmp_path: Path, by: str) -> None:
    """A rollout is in force; whoever is pointed at the copy is fixed, and the original goes on."""
    (tmp_path / "config.json").write_text(json.dumps(CONFIG), encoding="utf-8")
    first, second = f"first_{by}", f"second_{by}"
    server.execute(f"CREATE DATABASE {first}")
    url = server.url(first)
    place = Place(tmp_path / "config.json", tmp_path / "runner", url=url)
    with Operator(place) as operator:
        operator.start("ann", Start(waived=("determinism",)))
    if by == "template":
        server.execute(f"CREATE DATABASE {second} TEMPLATE {first}")
    else:
        server.execute(f"CREATE DATABASE {second}")
        server.run("pg_dump", "--file", tmp_path / "dump.sql", first)
        server.run("psql", "--quiet", "--dbname", second, "--file", tmp_path / "dump.sql")
    with process(tmp_path, "one", url) as on_original, process(tmp_path, "two", server.url(second)) as on_copy:
        until(on_original, "")
        until(on_copy, "the word was written in another incarnation of the store")
        assert (arms(on_original), arms(on_copy)) == ({Arm.ADAPTIVE}, {Arm.FIXED})
        with Operator(Place(tmp_path / "config.json", tmp_path / "other", url=server.url(second))) as there:
            assert there.cycle().phase is Phase.HELD_BACK
            until(on_copy, "")
            assert (arms(on_original), arms(on_copy)) == ({Arm.ADAPTIVE}, {Arm.FIXED})
