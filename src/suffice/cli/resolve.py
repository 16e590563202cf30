"""`suffice resolve`: corrections are applied to a store, each validated before it is committed."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from suffice.answer import Answer
from suffice.cli import options
from suffice.cli.sources import SourceOptions
from suffice.errors import ExitCode
from suffice.terminal import print_error, print_lines, print_table

if TYPE_CHECKING:
    from suffice.resolution.resolve import Summary

_TOLD = 5
"""Corrections that are not applied, though somebody may have meant them to be, a line each; the others are counted."""


def resolve(
    *,
    source: SourceOptions,
    verify_chain: Annotated[
        bool, typer.Option("--verify-chain", help="Check the store's provenance chain instead.")
    ] = False,
    where: options.StoreOptions,
    config: options.ConfigFile = None,
) -> Answer:
    """Correct records by measurements: classify, validate with the verifier, commit or roll back, escalate storms.

    You can stop it at any moment and start it again: it applies each correction once. It tells of measurements that it
    does not apply: one older than what the record holds, and one whose key another had before. With --verify-chain it
    exits 0 when the chain is intact, and 2 when it is not.

    Example: suffice resolve --records records.csv --measurements new.csv
    """
    if verify_chain:
        return _verified(where)
    from suffice.resolution.judge import Outcome
    from suffice.resolution.resolve import Resolver, Summary
    from suffice.resolution.storm import StormPolicy
    from suffice.serving.verifier import Verifier
    from suffice.store.database import open_store
    from suffice.terminal import track

    path = config or options.CONFIG
    policy = StormPolicy.of(options.read_config(path, required=True))
    name, corrections = source.corrections()
    summary, not_applied = Summary(), list[str]()
    # A service may start without its store; a command that writes records says at once that there is none.
    open_store(where.address).close()
    with Verifier.from_config(path, queue=where.queue, store=where.store) as verifier:
        resolutions = Resolver.of(verifier, policy).resolve(corrections)
        for resolution in track(resolutions, len(corrections), f"resolving {name}"):
            summary = summary.plus(resolution)
            if resolution.outcome in (Outcome.STALE, Outcome.REUSED):
                not_applied.append(f"{resolution.correction.key}: {resolution.reason}")
    for sentence in not_applied[:_TOLD]:
        print_error(sentence)
    if len(not_applied) > _TOLD:
        print_error(f"and {len(not_applied) - _TOLD:,} more that are stale, or whose key another measurement had")
    return Answer({"source": name, **asdict(summary)}, lambda: _print(name, summary))


def _print(source: str, summary: "Summary") -> None:
    rows = ((name.replace("_", " "), f"{count:,}") for name, count in asdict(summary).items())
    print_table(f"Corrections of {source}", ("what became of them", "count"), rows)


def _verified(where: options.StoreOptions) -> Answer:
    from suffice.store.events import verify_provenance

    with where.existing() as store, store.read() as connection:
        chain = verify_provenance(connection)
    plain = {"intact": chain.intact, "verified": chain.verified, "broken": chain.broken_seq, "what": chain.what}
    if chain.intact:
        return Answer(plain, lambda: print_lines(f"{chain.verified:,} events, the chain is intact"))
    broken = f"the provenance chain is broken at event {chain.broken_seq}: {chain.what}"
    return Answer(plain, print_lines, ExitCode.FAILS, broken)
