"""`migrate` creates the tables and views that the code expects, and leaves the CRM's own tables unchanged."""

import subprocess
import sys

import pytest
from sqlalchemy import Engine, inspect, text

from ecw.crm.db.engine import engine_from_url, reading
from ecw.crm.db.migrations import migrate
from ecw.crm.db.tables import metadata
from ecw.errors import CrmSchemaError
from ecw.mapping.definition.files import all_mappings
from scripts.generate_reference import business_tables
from tests.fixtures.crm import on_postgresql


def test_the_migrations_create_the_tables_and_columns_that_the_queries_expect(empty_crm_url: str) -> None:
    engine = engine_from_url(empty_crm_url)
    assert migrate(engine), "the first migration reports its changes"
    inspector = inspect(engine)
    for table in metadata.tables.values():
        columns = {column["name"]: column for column in inspector.get_columns(table.name)}
        assert set(columns) == set(table.columns.keys())
        for column in table.columns:
            assert columns[column.name]["nullable"] == column.nullable, f"{table.name}.{column.name}"
        assert inspector.get_pk_constraint(table.name)["constrained_columns"] == [c.name for c in table.primary_key]
    engine.dispose()


def test_every_table_and_column_has_a_comment() -> None:
    for table in (*metadata.sorted_tables, *business_tables()):
        assert table.comment, table.name
        assert [column.name for column in table.columns if not column.comment] == [], table.name


def test_the_comments_of_mapped_columns_are_the_labels_and_descriptions_of_the_mapping_files() -> None:
    made = {table.name: table for table in business_tables()}
    for mapping in all_mappings().values():
        table = made[mapping.table]
        assert table.comment == mapping.description
        expected = {
            column.name: f"{column.label}: {column.description}" if column.description else column.label
            for column in mapping.columns
            if column.name != mapping.key
        }
        assert {name: table.columns[name].comment for name in expected} == expected


@on_postgresql
def test_postgresql_shows_the_comments(crm_engine: Engine) -> None:
    inspector = inspect(crm_engine)
    assert inspector.get_table_comment("patient")["text"] == "The person. Demographics are synchronised both ways."
    comments = {column["name"]: column["comment"] for column in inspector.get_columns("patient")}
    assert comments["mobile_phone"] == "Mobile Phone"
    assert None not in comments.values()


def test_a_second_migration_changes_nothing(empty_crm_url: str) -> None:
    engine = engine_from_url(empty_crm_url)
    migrate(engine)
    assert migrate(engine) == []
    engine.dispose()


def test_a_table_or_view_of_the_crm_is_left_unchanged(empty_crm_url: str) -> None:
    engine = engine_from_url(empty_crm_url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE practitioner (id INTEGER PRIMARY KEY, surname TEXT)"))
        connection.execute(text("CREATE VIEW location_options AS SELECT 1 AS id"))
    messages = migrate(engine)
    assert "left the table practitioner as it is: it is the CRM's own." in messages
    assert (
        "made no view practitioner_options: the table practitioner has no "
        "active, ecw_id, first_name, last_name, name_text." in messages
    )
    assert "left location_options as it is: it is the CRM's own." in messages
    assert [column["name"] for column in inspect(engine).get_columns("practitioner")] == ["id", "surname"]
    engine.dispose()


def test_the_option_views_return_the_label_and_state_of_each_dropdown_entry(crm_engine: Engine) -> None:
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


def test_the_option_view_of_a_table_without_a_practice_column_has_no_practice(empty_crm_url: str) -> None:
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


def test_no_table_is_created_when_the_mapping_files_name_a_table_of_the_crm(empty_crm_url: str) -> None:
    """The key columns beside references have the type of that table's key, and the options view selects from it."""
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
    messages = migrate(engine, tables=tables)
    assert f"made no table patient: the mapping files name {tables['patient']}, which is the CRM's own." in messages
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


def test_a_table_that_the_mapping_files_name_and_the_crm_lacks_fails_the_migration(empty_crm_url: str) -> None:
    engine = engine_from_url(empty_crm_url)
    with pytest.raises(CrmSchemaError, match=r"put each patient into the table person.*has no table person"):
        migrate(engine, tables={"patient": "person"})
    assert inspect(engine).get_table_names() == []
    engine.dispose()


def test_a_migration_that_fails_leaves_no_tables(empty_crm_url: str) -> None:
    engine = engine_from_url(empty_crm_url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE ecw_reject (mine TEXT)"))
    with pytest.raises(CrmSchemaError, match="The migration of the CRM's tables"):
        migrate(engine)
    assert set(inspect(engine).get_table_names()) == {"ecw_reject"}
    engine.dispose()


def test_processes_that_migrate_at_once_do_it_once(empty_crm_url: str) -> None:
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
    message_counts = [int(process.communicate(timeout=600)[0]) for process in processes]
    assert sorted(message_counts)[:2] == [0, 0]
    assert max(message_counts) > 0
