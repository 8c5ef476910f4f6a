"""Check the CRM connection's user: rights on tables, and policies that hide rows from the user."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sqlalchemy import Connection, Table, text

from ecw.crm.db.schema.problems import Problem
from ecw.crm.db.schema.reflection import key_of, quoted
from ecw.crm.db.tables import metadata
from ecw.errors import CrmSchemaError

_LACKED = """
SELECT need FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE']) need
WHERE EXISTS (
    SELECT FROM pg_attribute a WHERE a.attrelid = CAST(:name AS regclass) AND a.attname = ANY(:columns)
    AND NOT has_column_privilege(a.attrelid, a.attnum, need)
)
"""
# The sequence that numbers new rows, and the temporary tables of a load.
_NO_SEQUENCE = """
SELECT found.sequence FROM (SELECT pg_get_serial_sequence(:name, :key) AS sequence) found
WHERE found.sequence IS NOT NULL AND NOT has_sequence_privilege(found.sequence, 'USAGE')
"""
_NO_TEMPORARY = """
SELECT quote_ident(current_database()) WHERE NOT has_database_privilege(current_database(), 'TEMPORARY')
"""
_BOOKKEEPING = """
SELECT name, string_agg(need, ', ' ORDER BY place) AS needs
FROM unnest(CAST(:names AS text[])) name,
    unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) WITH ORDINALITY AS needs(need, place)
WHERE NOT has_table_privilege(to_regclass(quote_ident(name)), need)
GROUP BY name ORDER BY name
"""
# A policy that allows every row is harmless, unless a restrictive one exists.
_HIDES = """
SELECT row_security_active(t.oid) AND (
    NOT EXISTS (
        SELECT FROM pg_policy p WHERE p.polrelid = t.oid AND p.polpermissive AND p.polcmd = '*'
        AND pg_get_expr(p.polqual, p.polrelid) = 'true'
        AND coalesce(pg_get_expr(p.polwithcheck, p.polrelid), 'true') = 'true'
        AND (p.polroles = '{0}' OR EXISTS (
            SELECT FROM unnest(p.polroles) role WHERE pg_has_role(current_user, role, 'USAGE')))
    ) OR EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = t.oid AND NOT p.polpermissive)
)
FROM (SELECT CAST(:name AS regclass)::oid AS oid) t
"""


def table_rights(connection: Connection, table: Table, columns: Iterable[str]) -> Iterator[Problem]:
    """Yield the rights that the user lacks on these columns of a table, and a problem if policies may hide rows.

    Yields none on SQLite: a user who can open the file may do everything.
    """
    if connection.dialect.name != "postgresql":
        return
    name, user = quoted(connection, table), _user(connection)
    try:
        keys = [key_of(table).name]
    except CrmSchemaError:  # `problems` reports it
        keys = []
    parameters = {"name": name, "columns": [*columns, *keys]}
    lacked = list(connection.scalars(text(_LACKED), parameters))
    if lacked:
        yield Problem(
            "",
            f"{user} lacks a right on the table {table.fullname}: {', '.join(lacked)}",
            f"GRANT {', '.join(lacked)} ON {name} TO {user};",
        )
    for key in keys:
        for sequence in connection.scalars(text(_NO_SEQUENCE), {"name": name, "key": key}).all():
            yield Problem(
                "",
                f"{user} may not use the sequence {sequence}, which numbers new rows",
                f"GRANT USAGE ON SEQUENCE {sequence} TO {user};",
            )
    for database in connection.scalars(text(_NO_TEMPORARY)).all():
        grant = f"GRANT TEMPORARY ON DATABASE {database} TO {user};"
        yield Problem("", f"{user} may not create temporary tables, in which a load stages its rows", grant)
    if connection.scalar(text(_HIDES), {"name": name}):
        yield Problem(
            "",
            f"row-level security of the table {table.fullname} applies to {user}: a hidden row would be inserted again",
            f"CREATE POLICY ecw_sync ON {name} TO {user} USING (true) WITH CHECK (true);",
        )


def bookkeeping_rights(connection: Connection) -> Iterator[Problem]:
    """Yield the rights that the user lacks on the project's own tables, one problem for each set of rights.

    Missing tables are left out: `require_migrated` reports them.
    """
    if connection.dialect.name != "postgresql":
        return
    user, parameters = _user(connection), {"names": sorted(metadata.tables)}
    lacked: dict[str, list[str]] = {}
    for row in connection.execute(text(_BOOKKEEPING), parameters):
        lacked.setdefault(row.needs, []).append(row.name)
    for needs, names in lacked.items():
        listed = ", ".join(names)
        yield Problem(
            "",
            f"{user} lacks a right on the bookkeeping tables {listed}: {needs}",
            f"GRANT {needs} ON {listed} TO {user};",
        )


def _user(connection: Connection) -> str:
    return str(connection.scalar(text("SELECT quote_ident(current_user)")))
