"""`suffice rollout roles`: who may do what with a store on PostgreSQL."""

from typing import Annotated

import typer

from suffice.answer import Answer
from suffice.cli import options
from suffice.terminal import print_lines


def roles(
    where: options.StoreOptions,
    decide: Annotated[
        str | None, typer.Option(metavar="ROLE", help="The role of processes that decide.", show_default=False)
    ] = None,
    run: Annotated[
        str | None, typer.Option(metavar="ROLE", help="The role of runner and operator.", show_default=False)
    ] = None,
    read: Annotated[
        str | None, typer.Option(metavar="ROLE", help="The role of whoever looks.", show_default=False)
    ] = None,
    dry_run: options.DryRun = False,
) -> Answer:
    """Give roles of the database server their rights on the store, after bringing it to the current schema.

    Said by the role that owns the tables, and again after each migration. The roles exist already: CREATE ROLE.

    Example: suffice rollout roles --decide app --run runner --read viewer
    """
    from suffice.errors import RolloutError
    from suffice.store.database import open_store
    from suffice.store.roles import Right, grant

    named = {right: role for right, role in zip(Right, (decide, run, read), strict=True) if role is not None}
    if not named:
        raise RolloutError("no role was named; allowed: --decide, --run, --read, each with a role of the server")
    with open_store(where.address, create=not dry_run, upgrade=not dry_run) as store, store.write() as connection:
        statements = grant(connection, named)
        if dry_run:
            connection.rollback()
    lines = [f"{statement};" for statement in statements]
    return Answer({"dry_run": dry_run, "statements": statements}, lambda: print_lines(*lines))
