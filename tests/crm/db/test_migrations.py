import subprocess
import sys

import pytest
from sqlalchemy import Engine, inspect, text

from ecw.crm.db.engine import engine_from_url, reading
from ecw.crm.db.migrations import migrate
from ecw.crm.db.tables import metadata
from ecw.errors import CrmSchemaError


def test_the_migrations_make_what_the_queries_expect(empty_crm_url: str) -> None:
    engine = engine_from_url(empty_crm_url)
    assert migrate(engine), "the first migration says what it did"
    found = inspect(engine)
    for table in metadata.tables.values():
        columns = {column["name"]: column for column in found.get_columns(table.name)}
        assert set(columns) == set(table.columns.keys())
        for column in table.columns:
            assert columns[column.name]["nullable"] == column.nullable, f"{table.name}.{column.name}"
        assert found.get_pk_constraint(table.name)["constrained_columns"] == [c.name for c in table.primary_key]
    engine.dispose()


def test_migrating_twice_does_nothing_more(empty_crm_url: str) -> None:
    engine = engine_from_url(empty_crm_url)
    migrate(engine)
    assert migrate(engine) == []
    engine.dispose()


def test_a_table_of_the_crm_is_left_as_it_is(empty_crm_url: str) -> None:
    engine = engine_from_url(empty_crm_url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE practitioner (id INTEGER PRIMARY KEY, surname TEXT)"))
        connection.execute(text("CREATE VIEW location_options AS SELECT 1 AS id"))
    done = migrate(engine)
    assert "left the table practitioner as it is: it is the CRM's own." in done
    assert (
        "made no view practitioner_options: the table practitioner has no "
        "active, ecw_id, first_name, last_name, name_text." in done
    )
    assert "left location_options as it is: it is the CRM's own." in done
    assert [column["name"] for column in inspect(engine).get_columns("practitioner")] == ["id", "surname"]
    engine.dispose()


def test_the_views_offer_what_the_dropdowns_show(crm_engine: Engine) -> None:
    with crm_engine.begin() as connection:
        for statement in (
            "INSERT INTO practitioner (ecw_id, last_name, first_name, active) VALUES ('p1', 'Reyes', 'Ana', true)",
            "INSERT INTO practitioner (ecw_id, name_text, active) VALUES ('p2', 'Dr. Who', false)",
            "INSERT INTO practitioner (ecw_id) VALUES ('p3')",
            "INSERT INTO location (ecw_id, name) VALUES ('l1', 'Main Street')",
            "INSERT INTO location (ecw_id, active) VALUES ('l2', false)",
            "INSERT INTO location (ecw_id, description) VALUES ('l3', 'Mobile unit')",
        ):
            connection.execute(text(statement))
        query = "SELECT label, active FROM {} ORDER BY id"
        practitioners = connection.execute(text(query.format("practitioner_options"))).all()
        locations = connection.execute(text(query.format("location_options"))).all()
    assert [tuple(row) for row in practitioners] == [("Reyes, Ana", True), ("Dr. Who", False), ("p3", True)]
    assert [tuple(row) for row in locations] == [("Main Street", True), ("l2", False), ("Mobile unit", True)]


def test_a_table_without_the_practice_s_column_has_its_options_all_the_same(empty_crm_url: str) -> None:
    engine = engine_from_url(empty_crm_url)
    with engine.begin() as connection:
        columns = "ecw_id TEXT, active BOOLEAN, name TEXT, description TEXT"
        connection.execute(text(f"CREATE TABLE location (id INTEGER PRIMARY KEY, {columns})"))
        connection.execute(text("INSERT INTO location VALUES (1, 'l1', NULL, 'Main Street', NULL)"))
    assert "made the view location_options." in migrate(engine)
    with reading(engine) as connection:
        found = connection.execute(text("SELECT id, label, active, practice FROM location_options")).all()
    assert [tuple(row) for row in found] == [(1, "Main Street", True, None)]
    engine.dispose()


def test_a_table_that_the_mapping_files_name_otherwise_is_not_made(empty_crm_url: str) -> None:
    """The keys beside references have its key's type, and the options come from it."""
    engine = engine_from_url(empty_crm_url)
    schema = "crm." if engine.dialect.name == "postgresql" else ""
    uuid = "uuid" if schema else "CHAR(32)"
    tables = {"patient": f"{schema}person", "location": f"{schema}site"}
    with engine.begin() as connection:
        if schema:
            connection.execute(text("CREATE SCHEMA crm"))
        connection.execute(text(f"CREATE TABLE {tables['patient']} (id {uuid} PRIMARY KEY, ecw_id TEXT)"))
        site = "id INTEGER PRIMARY KEY, ecw_id TEXT, active BOOLEAN, name TEXT, description TEXT, ecw_practice TEXT"
        connection.execute(text(f"CREATE TABLE {tables['location']} ({site})"))
        row = "VALUES (7, 'l1', true, 'Annex', NULL, 'A')"
        connection.execute(text(f"INSERT INTO {tables['location']} {row}"))
    done = migrate(engine, tables=tables)
    assert f"made no table patient: the mapping files name {tables['patient']}, which is the CRM's own." in done
    made = set(inspect(engine).get_table_names())
    assert {"patient", "location"} & made == set()
    assert {"insurance", "encounter", "practitioner", "vob_request", "ecw_run"} <= made
    kinds = {column["name"]: str(column["type"]) for column in inspect(engine).get_columns("insurance")}
    assert kinds["patient_id"] == ("UUID" if schema else "CHAR(32)")
    with reading(engine) as connection:
        found = connection.execute(text("SELECT id, label, practice FROM location_options")).all()
    assert [tuple(row) for row in found] == [(7, "Annex", "A")]
    assert migrate(engine, tables=tables) == []
    engine.dispose()


def test_a_table_that_the_mapping_files_name_and_nobody_made_ends_the_migration(empty_crm_url: str) -> None:
    engine = engine_from_url(empty_crm_url)
    with pytest.raises(CrmSchemaError, match=r"put each patient into the table person.*has no table person"):
        migrate(engine, tables={"patient": "person"})
    assert inspect(engine).get_table_names() == []
    engine.dispose()


def test_a_migration_that_fails_leaves_nothing_behind(empty_crm_url: str) -> None:
    engine = engine_from_url(empty_crm_url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE ecw_reject (mine TEXT)"))
    with pytest.raises(CrmSchemaError, match="The migration of the CRM's tables"):
        migrate(engine)
    assert set(inspect(engine).get_table_names()) == {"ecw_reject"}
    engine.dispose()


def test_two_processes_that_migrate_at_once_do_it_once(empty_crm_url: str) -> None:
    script = (
        "import sys; from ecw.crm.db.engine import engine_from_url; from ecw.crm.db.migrations import migrate;"
        "engine = engine_from_url(sys.argv[1]); print('ready', flush=True); sys.stdin.readline();"
        "print(len(migrate(engine)), flush=True)"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", script, empty_crm_url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    answers = [int(process.communicate(timeout=600)[0]) for process in processes]
    assert sorted(answers)[:2] == [0, 0]
    assert max(answers) > 0
