"""The migrations of the CRM's tables: our bookkeeping, and the business tables where the CRM has none.

Run by `ecw migrate`. A business table that is already there belongs to the CRM and is left as it is.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, inspect, text

from ecw.crm.db.errors import working
from ecw.errors import CrmSchemaError

if TYPE_CHECKING:
    from alembic.config import Config

# Alembic is imported where something is migrated: whoever only asks for the version need not wait for it.

VERSION_TABLE = "ecw_alembic_version"
# Any number, as long as every process that migrates takes the same one.
_LOCK = 0x65_63_77


def migrate(engine: Engine) -> list[str]:
    """Bring the database to the newest version in one transaction; return what was done, a sentence each.

    Safe when two processes run it at once: the second waits, and finds nothing to do. Raises what ecw.crm.db.errors
    says.
    """
    from alembic import command

    config = _config()
    done: list[str] = []
    config.attributes["done"] = done
    with working("The migration of the CRM's tables"), engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    return done


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
        what = f"The CRM's database is at version {found}, this code needs {newest()}."
    raise CrmSchemaError(what, next_move="run `ecw migrate` with the newest code, then run the task again.")


def version(connection: Connection) -> str | None:
    """Return the version that the database is at, None before the first migration."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    return connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()  # noqa: S608 - a constant


@cache
def newest() -> str:
    """Return the newest version among the migration files, which are named v<version>_<what>.py."""
    versions = sorted(path.name[1:].split("_")[0] for path in (Path(__file__).parent / "versions").glob("v*_*.py"))
    if not versions:
        raise CrmSchemaError("The package holds no migrations.", next_move="install the package again.")
    return versions[-1]


def _config() -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    return config
