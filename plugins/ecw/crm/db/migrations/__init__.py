"""Migrate the CRM's database: create the bookkeeping tables, and the business tables that the CRM lacks.

`ecw migrate` runs it. An existing business table belongs to the CRM and is not changed.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import cache
from io import StringIO
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, inspect, text

from ecw.crm.db.errors import working
from ecw.errors import ConfigurationError, CrmSchemaError, DatabaseUnavailable

if TYPE_CHECKING:
    from alembic.config import Config
    from alembic.script import Script, ScriptDirectory

# Alembic is imported only to migrate, because its import is slow and other commands only check the version.

VERSION_TABLE = "ecw_alembic_version"
# The key of the advisory lock: any number, but the same for every process that migrates.
_LOCK = 0x65_63_77
WAIT = 600  # seconds that one migration waits for another
VERSIONS = (str(Path(__file__).parent / "versions"),)


def migrate(
    engine: Engine, versions: Sequence[str] = VERSIONS, tables: Mapping[str, str] = MappingProxyType({})
) -> list[str]:
    """Migrate the database to the newest version in one transaction; return what was done, one sentence for each step.

    `tables` are the names in the mapping files, by resource: a business table of another name is the CRM's own. Two
    processes may run it at once: the second waits, and has nothing to do. Raises CrmSchemaError if the database is
    newer than this code, DatabaseUnavailable if another migration does not end, and the errors of ecw.crm.db.errors.
    """
    from alembic import command

    with working("The migration of the CRM's tables"), engine.begin() as connection:
        _begin_exclusive(connection)
        require_known(connection, versions)
        config = _config(versions, connection, tables)
        command.upgrade(config, "head")
        done: list[str] = config.attributes["done"]
    return done


def migrate_back(engine: Engine, versions: Sequence[str] = VERSIONS) -> str:
    """Downgrade the database by one release, in one transaction; return its version afterwards.

    Raises CrmSchemaError with the reason if that is not possible: the database is at the first release, or the
    downgrade would lose data.
    """
    from alembic import command

    with working("The migration back"), engine.begin() as connection:
        _begin_exclusive(connection)
        script = require_known(connection, versions)
        found = version(connection)
        if script is None or script.down_revision is None:
            state = "has none of the project's tables" if found is None else f"is at {found}, the first release"
            raise CrmSchemaError(
                f"There is no earlier release to go back to: the CRM's database {state}.",
                next_step="go on with this release; to remove the project, drop the tables that begin with ecw_.",
            )
        reason = getattr(script.module, "not_reversible", None)
        if reason or not hasattr(script.module, "downgrade"):
            raise CrmSchemaError(
                f"The release {found} cannot be taken back: {reason or 'its migration has no downgrade'}.",
                next_step="restore the backup from before `ecw migrate`, or go on with this release.",
            )
        command.downgrade(_config(versions, connection), "-1")
        return str(script.down_revision)


def sql(engine: Engine, versions: Sequence[str] = VERSIONS, tables: Mapping[str, str] = MappingProxyType({})) -> str:
    """Return the SQL that `migrate` would execute on this database, '' for none; the database is only read.

    It is for a database administrator: one transaction that writes the version at its end.
    """
    from alembic import command

    with working("The migration of the CRM's tables"), engine.connect() as connection:
        connection.execution_options(crm_read=True)
        require_known(connection, versions)
        found = version(connection)
        if found == newest(tuple(versions)):
            return ""
        config = _config(versions, connection, tables)
        config.output_buffer = StringIO()
        command.upgrade(config, f"{found}:head" if found else "head", sql=True)
        return config.output_buffer.getvalue()


def require_migrated(connection: Connection) -> None:
    """Raise CrmSchemaError if the database does not have the version that this code needs."""
    found = version(connection)
    if found == newest():
        return
    if found is None:
        what = "The CRM's database has none of the project's tables yet."
    else:
        require_known(connection)
        what = f"The CRM's database is at version {found}, and this code needs {newest()}."
    raise CrmSchemaError(what, next_step="run `ecw migrate` with the newest code, then run the task again.")


def require_known(connection: Connection, versions: Sequence[str] = VERSIONS) -> Script | None:
    """Return the migration of the database's version, None before the first migration.

    Raises CrmSchemaError if this code does not have that version: a newer release has migrated the database.
    """
    found = version(connection)
    if found is None:
        return None
    scripts = {script.revision: script for script in _scripts(tuple(versions)).walk_revisions()}
    if found not in scripts:
        raise CrmSchemaError(
            f"The CRM's database is at version {found}, which this code does not have (its newest is "
            f"{newest(tuple(versions))}): a newer release has migrated it.",
            next_step="install that release on every worker; or downgrade with it first (`ecw migrate --back`).",
        )
    return scripts[found]


def version(connection: Connection) -> str | None:
    """Return the version that the database is at, None before the first migration."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    return connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()  # noqa: S608 - a constant


@cache
def newest(versions: tuple[str, ...] = VERSIONS) -> str:
    """Return the newest version of the migration files, which are named v<version>_<name>.py."""
    found = sorted(path.name[1:].split("_")[0] for folder in versions for path in Path(folder).glob("v*_*.py"))
    if not found:
        raise CrmSchemaError("The package holds no migrations.", next_step="install the package again.")
    return found[-1]


def _begin_exclusive(connection: Connection) -> None:
    """Wait until no other migration runs, and check the right to create tables; on SQLite writers always wait."""
    if connection.dialect.name != "postgresql":
        return
    end = time.monotonic() + WAIT
    while not connection.scalar(text("SELECT pg_try_advisory_xact_lock(:lock)"), {"lock": _LOCK}):
        if time.monotonic() > end:
            raise DatabaseUnavailable(
                f"Another migration of this database has not ended within {WAIT} s.",
                next_step="wait until it ends, and try again; if nobody runs one, end the session that "
                "`SELECT pid FROM pg_locks WHERE locktype = 'advisory'` names.",
                who="database administrator",
            )
        time.sleep(0.2)
    if not connection.scalar(text("SELECT has_schema_privilege(current_schema(), 'CREATE')")):
        user, schema = connection.execute(text("SELECT quote_ident(current_user), quote_ident(current_schema())")).one()
        raise ConfigurationError(
            f"{user} may not create tables in the schema {schema}.",
            next_step="run `ecw migrate` as the owner of the tables, in a connection of its own, or have the database "
            f"administrator run `GRANT CREATE ON SCHEMA {schema} TO {user};`, or what `ecw migrate --sql` prints.",
            who="database administrator",
        )


def _scripts(versions: tuple[str, ...]) -> ScriptDirectory:
    from alembic.script import ScriptDirectory

    return ScriptDirectory.from_config(_config(versions))


def _config(
    versions: Sequence[str], connection: Connection | None = None, tables: Mapping[str, str] = MappingProxyType({})
) -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("path_separator", "newline")
    config.set_main_option("version_locations", "\n".join(versions).replace("%", "%%"))
    config.attributes |= {"done": [], "made": {}, "connection": connection, "tables": dict(tables)}
    return config
