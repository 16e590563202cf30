"""`suffice resolve`: corrections applied to a store, each validated before it is committed."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from suffice.cli import options

if TYPE_CHECKING:
    from suffice.resolution.resolve import Summary


def resolve(
    source: Annotated[str | None, typer.Option(help="pdg or codata.")] = None,
    records: Annotated[Path | None, typer.Option(help="Your records, as in suffice compare.")] = None,
    measurements: Annotated[Path | None, typer.Option(help="Your measurements of them.")] = None,
    queue: Annotated[Path, typer.Option(help="The folder of store.db, flag.json and metrics.json.")] = Path(
        "TemporaryQueue"
    ),
    store: options.StoreUrl = None,
    verify_chain: Annotated[
        bool, typer.Option("--verify-chain", help="Check the store's provenance chain instead.")
    ] = False,
    config: options.ConfigFile = None,
    json: options.Json = False,
) -> int:
    """Correct records by measurements: classify, validate with the verifier, commit or roll back, escalate storms.

    Can be stopped at any moment and started again: a correction is applied once, whatever happens. With --verify-chain,
    exits 0 when the chain is intact and 2 when it is not.
    """
    from suffice.store.address import store_of

    if verify_chain:
        return _verify(store_of(queue, store), json=json)
    from suffice.cli.console import track
    from suffice.cli.sources import corrections_of
    from suffice.resolution.resolve import Resolver, Summary
    from suffice.resolution.storm import StormPolicy
    from suffice.serving.verifier import Verifier
    from suffice.telemetry.counters import Counter

    path = config or Path("config.json")
    read = options.read_config(path, required=True)
    name, corrections = corrections_of(source, records, measurements)
    storms = read.error_resolution.rollback_storm_policy
    summary = Summary()
    with Verifier.from_config(path, queue=queue, store=store) as verifier:
        resolver = Resolver(
            verifier.store,
            verifier.verify,
            StormPolicy(storms.max_rollbacks if storms.enabled else None),
            verifier.clock,
            flush=verifier.flush,
        )
        for resolution in track(resolver.resolve(corrections), len(corrections), f"resolving {name}"):
            summary = summary.plus(resolution)
            verifier.counters.add(Counter.ROLLBACKS, int(resolution.outcome.name == "ROLLED_BACK"))
            verifier.counters.add(Counter.ESCALATIONS, int(resolution.escalated))
    _print(name, summary, json=json)
    return 0


def _print(source: str, summary: "Summary", *, json: bool) -> None:
    from dataclasses import asdict

    from suffice.cli.console import print_json, print_table

    counted = {"source": source, **asdict(summary)}
    if json:
        print_json(counted)
    else:
        rows = ((key.replace("_", " "), f"{value:,}") for key, value in counted.items() if key != "source")
        print_table(f"Corrections of {source}", ("what became of them", "count"), rows)


def _verify(where: str | Path, *, json: bool) -> int:
    from suffice.cli.console import print_json
    from suffice.store.database import open_store
    from suffice.store.events import verify_provenance

    with open_store(where, create=False) as store, store.read() as connection:
        found = verify_provenance(connection)
    if json:
        print_json({"intact": found.intact, "verified": found.verified, "broken": found.broken_seq, "what": found.what})
    elif found.intact:
        sys.stdout.write(f"{found.verified:,} events, the chain is intact\n")
    if not found.intact:
        sys.stderr.write(f"suffice: the provenance chain is broken at event {found.broken_seq}: {found.what}\n")
    return 0 if found.intact else 2
