"""Migrations of the CRM's database: our bookkeeping, and the business tables where the CRM has none.

Run by `ecw migrate`. A business table that is already there belongs to the CRM and is left as it is.
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

# Alembic is imported where something is migrated: whoever only asks for the version need not wait for it.

VERSION_TABLE = "ecw_alembic_version"
# Any number, as long as every process that migrates takes the same one.
_LOCK = 0x65_63_77
WAIT = 600  # seconds that one migration waits for another
VERSIONS = (str(Path(__file__).parent / "versions"),)


def migrate(
    engine: Engine, versions: Sequence[str] = VERSIONS, tables: Mapping[str, str] = MappingProxyType({})
) -> list[str]:
    """Bring the database to the newest version in one transaction; return what was done, a sentence each.

    `tables` are those that the mapping files name, by resource: a business table of another name is the CRM's own.
    Safe when two processes run it at once: the second waits, and finds nothing to do. Raises CrmSchemaError where the
    database is newer than this code, DatabaseUnavailable where another migration does not end, and what
    ecw.crm.db.errors says.
    """
    from alembic import command

    with working("The migration of the CRM's tables"), engine.begin() as connection:
        _alone(connection)
        require_known(connection, versions)
        config = _config(versions, connection, tables)
        command.upgrade(config, "head")
        done: list[str] = config.attributes["done"]
    return done


def migrate_back(engine: Engine, versions: Sequence[str] = VERSIONS) -> str:
    """Take the newest release's changes back, in one transaction; return the version that the database is at then.

    Raises CrmSchemaError where that is not possible, with the reason: the database is at the first release, or the
    release cannot be taken back without losing data.
    """
    from alembic import command

    with working("The migration back"), engine.begin() as connection:
        _alone(connection)
        script = require_known(connection, versions)
        found = version(connection)
        if script is None or script.down_revision is None:
            at = "has none of our tables" if found is None else f"is at {found}, the first release"
            raise CrmSchemaError(
                f"There is no release to go back to: the CRM's database {at}.",
                next_step="go on with this release; to remove the project, drop the tables that begin with ecw_.",
            )
        kept = getattr(script.module, "not_reversible", None)
        if kept or not hasattr(script.module, "downgrade"):
            raise CrmSchemaError(
                f"The release {found} cannot be taken back: {kept or 'its migration has no way back'}.",
                next_step="restore the backup from before `ecw migrate`, or go on with this release.",
            )
        command.downgrade(_config(versions, connection), "-1")
        return str(script.down_revision)


def sql(engine: Engine, versions: Sequence[str] = VERSIONS, tables: Mapping[str, str] = MappingProxyType({})) -> str:
    """Return the statements that `migrate` would execute on this database, which is only read; '' for none.

    They are for a database administrator: one transaction, with the version noted at its end.
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
    """Do nothing where the database has the version that this code needs.

    Raises CrmSchemaError.
    """
    found = version(connection)
    if found == newest():
        return
    if found is None:
        what = "The CRM's database has none of our tables yet."
    else:
        require_known(connection)
        what = f"The CRM's database is at version {found}, this code needs {newest()}."
    raise CrmSchemaError(what, next_step="run `ecw migrate` with the newest code, then run the task again.")


def require_known(connection: Connection, versions: Sequence[str] = VERSIONS) -> Script | None:
    """Return the migration that the database is at, None before the first.

    Raises CrmSchemaError where this code does not know it: a newer release has migrated the database.
    """
    found = version(connection)
    if found is None:
        return None
    scripts = {script.revision: script for script in _scripts(tuple(versions)).walk_revisions()}
    if found not in scripts:
        raise CrmSchemaError(
            f"The CRM's database is at version {found}, which this code does not know (it has up to "
            f"{newest(tuple(versions))}): a newer release has migrated it.",
            next_step="install that release on every worker; or take the migration back with it first "
            "(`ecw migrate --back`).",
        )
    return scripts[found]


def version(connection: Connection) -> str | None:
    """Return the version that the database is at, None before the first migration."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    return connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()  # noqa: S608 - a constant


@cache
def newest(versions: tuple[str, ...] = VERSIONS) -> str:
    """Return the newest version among the migration files, which are named v<version>_<what>.py."""
    found = sorted(path.name[1:].split("_")[0] for folder in versions for path in Path(folder).glob("v*_*.py"))
    if not found:
        raise CrmSchemaError("The package holds no migrations.", next_step="install the package again.")
    return found[-1]


def _alone(connection: Connection) -> None:
    """Let one migration go on at a time; on SQLite all that write are alone."""
    if connection.dialect.name != "postgresql":
        return
    end = time.monotonic() + WAIT
    while not connection.scalar(text("SELECT pg_try_advisory_xact_lock(:lock)"), {"lock": _LOCK}):
        if time.monotonic() > end:
            raise DatabaseUnavailable(
                f"Another migration has been at work on this database for {WAIT} s.",
                next_step="wait until it ends and try again; where nobody runs one, end the session that "
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
