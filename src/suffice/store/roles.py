"""Rights on PostgreSQL: what a process that decides, a runner, and somebody who looks may do with a store.

Who decides writes its decisions, its own row and the records that it corrects. It cannot promote, since it writes
neither rollout nor word nor journal, and it deletes nothing but the rows of silent processes. Who owns the tables makes
and migrates them; none of the three can.
"""

from enum import Enum

from sqlalchemy import Connection

from suffice.errors import StoreAddressError
from suffice.store.schema import metadata

_DECIDES = {
    "decisions": "INSERT, UPDATE",
    "irregularities": "INSERT, UPDATE",
    "processes": "INSERT, UPDATE, DELETE",
    "provenance": "INSERT",
    "record_versions": "INSERT",
    "records": "INSERT, UPDATE",
    "resolutions": "INSERT, UPDATE",
    "store_meta": "INSERT, UPDATE",
}


class Right(Enum):
    """What a role may do; the value says who it is for."""

    DECIDE = "processes that decide: the Verifier and suffice resolve"
    RUN = "the runner and the operator: suffice rollout"
    READ = "whoever looks: status, history, reports"


def grants(right: Right, role: str, schema: str) -> list[str]:
    """The statements that give a role this right in the schema of a store, and take what it had there before."""
    who, where = _quoted(role), _quoted(schema)
    tables = sorted(metadata.tables)
    every = ", ".join(f"{where}.{_quoted(table)}" for table in (*tables, "alembic_version"))
    given = {Right.DECIDE: _DECIDES, Right.RUN: dict.fromkeys(tables, "INSERT, UPDATE, DELETE"), Right.READ: {}}[right]
    numbered = [table.name for table in metadata.sorted_tables if table.autoincrement_column is not None]
    return [
        f"REVOKE ALL ON {every} FROM {who}",
        f"GRANT USAGE ON SCHEMA {where} TO {who}",
        f"GRANT SELECT ON {every} TO {who}",
        *(f"GRANT {rights} ON {where}.{_quoted(table)} TO {who}" for table, rights in given.items()),
        *(
            f"GRANT USAGE ON SEQUENCE {where}.{_quoted(f'{table}_id_seq')} TO {who}"
            for table in sorted(numbered)
            if table in given
        ),
    ]


def grant(connection: Connection, roles: dict[Right, str]) -> list[str]:
    """Give roles that exist their rights, in a write transaction of who owns the tables; returns what was said.

    Raises StoreAddressError on SQLite, where who may read the file may do all.
    """
    if connection.dialect.name != "postgresql":
        raise StoreAddressError("rights are PostgreSQL's; on SQLite those of the store's file and folder decide")
    schema = connection.exec_driver_sql("SELECT current_schema()").scalar_one()
    statements = [statement for right, role in roles.items() for statement in grants(right, role, schema)]
    for statement in statements:
        connection.exec_driver_sql(statement)
    return statements


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
