"""Upgrade to the next release and downgrade, with existing rows; `--sql`; a newer database; two migrations at once;
missing rights."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, inspect, text

from ecw.crm.db import migrations
from ecw.crm.db.engine import engine_from_url
from ecw.crm.db.migrations import VERSIONS, migrate, migrate_back, require_migrated, sql, version
from ecw.crm.db.tables import ecw_cursor
from ecw.errors import ConfigurationError, CrmSchemaError, DatabaseUnavailable
from tests.fixtures.crm import on_postgresql

NEXT = '''
"""The next release adds a column, and fills it from the existing rows."""

import sqlalchemy as sa
from alembic import op

revision = "9999"
down_revision = {before!r}
{more}

def upgrade():
    op.add_column("ecw_cursor", sa.Column("colour", sa.String(16)))
    op.execute("UPDATE ecw_cursor SET colour = 'of ' || resource")
'''
DOWNGRADE = """

def downgrade():
    op.drop_column("ecw_cursor", "colour")
"""


@pytest.fixture
def engine(empty_crm_url: str) -> Iterator[Engine]:
    engine = engine_from_url(empty_crm_url)
    yield engine
    engine.dispose()


def next_release(folder: Path, *, downgrade: str = DOWNGRADE, more: str = "") -> tuple[str, ...]:
    """Return the folders of migrations of a release after this one."""
    (folder / "v9999_next.py").write_text(NEXT.format(before=migrations.newest(), more=more) + downgrade)
    return (*VERSIONS, str(folder))


def a_cursor(engine: Engine) -> None:
    now = datetime(2026, 11, 22, 10, tzinfo=UTC)
    with engine.begin() as connection:
        row = {"practice": "P1", "resource": "patient", "position": now, "run_id": "r1", "moved_at": now}
        connection.execute(ecw_cursor.insert().values(row))


def cursors(engine: Engine) -> list[dict[str, object]]:
    with engine.connect() as connection:
        return [dict(row) for row in connection.execute(text("SELECT * FROM ecw_cursor")).mappings()]


def test_the_next_release_upgrades_existing_rows_and_can_be_taken_back(engine: Engine, tmp_path: Path) -> None:
    migrate(engine)
    a_cursor(engine)
    before = cursors(engine)
    releases = next_release(tmp_path)
    migrate(engine, releases)
    assert cursors(engine) == [row | {"colour": "of patient"} for row in before]
    with engine.connect() as connection, pytest.raises(CrmSchemaError, match=r"at version 9999.* newer release"):
        require_migrated(connection)
    assert migrate_back(engine, releases) == migrations.newest()
    assert cursors(engine) == before
    with engine.connect() as connection:
        require_migrated(connection)


@pytest.mark.parametrize(
    ("downgrade", "more", "reason"),
    [
        ("", "", "its migration has no downgrade"),
        (DOWNGRADE, 'not_reversible = "it drops what old code needs"', "it drops what old code needs"),
    ],
)
def test_the_error_about_a_release_that_cannot_be_taken_back_gives_the_reason(
    engine: Engine, tmp_path: Path, downgrade: str, more: str, reason: str
) -> None:
    releases = next_release(tmp_path, downgrade=downgrade, more=more)
    migrate(engine, releases)
    with pytest.raises(CrmSchemaError, match=reason):
        migrate_back(engine, releases)
    with engine.connect() as connection:
        assert version(connection) == "9999"


def test_the_first_release_cannot_be_taken_back(engine: Engine) -> None:
    with pytest.raises(CrmSchemaError, match="has none of the project's tables"):
        migrate_back(engine)
    migrate(engine)
    with pytest.raises(CrmSchemaError, match="the first release"):
        migrate_back(engine)


def test_an_older_release_does_not_touch_a_newer_database(engine: Engine, tmp_path: Path) -> None:
    migrate(engine, next_release(tmp_path))
    for command in (migrate, sql, migrate_back):
        with pytest.raises(CrmSchemaError, match="which this code does not have"):
            command(engine)


def schema(engine: Engine) -> dict[str, object]:
    inspector = inspect(engine)
    tables = {
        name: (
            [(column["name"], str(column["type"]), column["nullable"]) for column in inspector.get_columns(name)],
            sorted(str(index["name"]) for index in inspector.get_indexes(name)),
        )
        for name in [*inspector.get_table_names(), *inspector.get_view_names()]
    }
    with engine.connect() as connection:
        triggers = (
            "SELECT name FROM sqlite_master WHERE type = 'trigger'"
            if engine.dialect.name == "sqlite"
            else "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal"
        )
        return tables | {"triggers": sorted(connection.scalars(text(triggers)))}


def run_script(engine: Engine, script: str) -> None:
    """Execute a script as the database's own shell would."""
    if engine.dialect.name == "sqlite":
        connection = sqlite3.connect(str(engine.url.database))
        connection.executescript(script)
        connection.close()
        return
    plain = create_engine(engine.url)
    with plain.connect() as alchemy:
        driver = alchemy.connection.driver_connection
        assert driver is not None
        driver.autocommit = True
        driver.execute(script)
    plain.dispose()


@pytest.mark.parametrize("own", [False, True])
def test_the_sql_for_an_administrator_creates_the_same_schema_as_migrate(engine: Engine, own: bool) -> None:
    """Test also with a table of the CRM's own, which both leave unchanged."""
    if own:
        with engine.begin() as connection:
            connection.execute(text("CREATE TABLE practitioner (id INTEGER PRIMARY KEY, surname TEXT)"))
    before = schema(engine)
    script = sql(engine)
    assert schema(engine) == before, "printing the SQL changes nothing"
    run_script(engine, script)
    by_hand = schema(engine)
    assert sql(engine) == ""
    assert migrate(engine) == []
    with engine.begin() as connection:
        for name in inspect(connection).get_view_names():
            connection.execute(text(f"DROP VIEW {name}"))
        for name in [one for one in inspect(connection).get_table_names() if one != "sqlite_sequence"]:
            if not (own and name == "practitioner"):
                cascade = " CASCADE" if engine.dialect.name == "postgresql" else ""
                connection.execute(text(f"DROP TABLE {name}{cascade}"))
        if engine.dialect.name == "postgresql":
            connection.execute(text("DROP FUNCTION ecw_touched, ecw_fields_changed"))
    migrate(engine)
    assert schema(engine) == by_hand


@on_postgresql
def test_a_migration_that_waits_too_long_for_another_one_fails(
    crm_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrations, "WAIT", 0)
    with crm_engine.begin() as other:
        other.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": migrations._LOCK})
        with pytest.raises(DatabaseUnavailable, match="Another migration"):
            migrate(crm_engine)
    assert migrate(crm_engine) == []


@on_postgresql
def test_the_error_about_a_user_who_may_not_create_tables_names_the_sql_option(
    crm_engine: Engine, crm_url: str
) -> None:
    user = f"reader_{crm_engine.url.database}"
    with crm_engine.begin() as connection:
        connection.exec_driver_sql(f"CREATE ROLE {user} LOGIN")
        connection.exec_driver_sql(f"GRANT SELECT ON ecw_alembic_version TO {user}")
    engine = engine_from_url(crm_url.replace("postgres@", f"{user}@"))
    try:
        with pytest.raises(ConfigurationError, match=f"{user} may not create tables.*--sql"):
            migrate(engine)
    finally:
        engine.dispose()
        with crm_engine.begin() as connection:
            connection.exec_driver_sql(f"DROP OWNED BY {user}")
            connection.exec_driver_sql(f"DROP ROLE {user}")


def test_a_table_of_the_crm_without_a_single_key_is_refused_before_any_table_is_created(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE location (site TEXT, tenant TEXT, PRIMARY KEY (site, tenant))"))
    with pytest.raises(CrmSchemaError, match="location has no key of one column"):
        migrate(engine)
    assert inspect(engine).get_table_names() == ["location"]
