import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import inspect

from ecw.cli import group
from ecw.crm.db.engine import engine_from_url
from ecw.errors import CrmSchemaError

ROOT = Path(__file__).resolve().parents[3]


def test_a_migration_reports_its_changes_and_a_second_one_finds_nothing_to_do(
    monkeypatch: pytest.MonkeyPatch, empty_crm_url: str
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_MY_CRM", json.dumps({"conn_type": "generic", "extra": {"url": empty_crm_url}}))
    first = CliRunner().invoke(group, ["migrate", "--crm-conn-id", "my_crm"], catch_exceptions=False)
    assert first.exit_code == 0
    assert "made the table practitioner.\n" in first.output
    assert first.output.endswith("The CRM's database is up to date.\n")
    second = CliRunner().invoke(group, ["migrate", "--crm-conn-id", "my_crm"], catch_exceptions=False)
    assert second.output == "Nothing to do: the CRM's database is up to date.\n"


def invoke(monkeypatch: pytest.MonkeyPatch, url: str, *arguments: str, answer: str = "") -> Result:
    monkeypatch.setenv("AIRFLOW_CONN_MY_CRM", json.dumps({"conn_type": "generic", "extra": {"url": url}}))
    return CliRunner().invoke(group, ["migrate", "--crm-conn-id", "my_crm", *arguments], input=answer)


def tables(url: str) -> set[str]:
    engine = engine_from_url(url)
    try:
        return set(inspect(engine).get_table_names())
    finally:
        engine.dispose()


def columns(url: str, table: str) -> list[str]:
    engine = engine_from_url(url)
    try:
        return [column["name"] for column in inspect(engine).get_columns(table)]
    finally:
        engine.dispose()


def test_sql_is_printed_and_nothing_is_changed(monkeypatch: pytest.MonkeyPatch, empty_crm_url: str) -> None:
    printed = invoke(monkeypatch, empty_crm_url, "--sql")
    assert printed.exit_code == 0
    assert "CREATE TABLE ecw_run" in printed.output
    assert tables(empty_crm_url) == set()
    invoke(monkeypatch, empty_crm_url)
    assert invoke(monkeypatch, empty_crm_url, "--sql").output.startswith("-- Nothing to do")


def test_a_table_of_the_crm_is_changed_only_with_adopt_and_a_confirmation(
    monkeypatch: pytest.MonkeyPatch, empty_crm_url: str
) -> None:
    engine = engine_from_url(empty_crm_url)
    key = "INTEGER" if engine.dialect.name == "sqlite" else "SERIAL"
    with engine.begin() as connection:
        connection.exec_driver_sql(f"CREATE TABLE location (id {key} PRIMARY KEY, name TEXT, ours TEXT)")
    engine.dispose()
    invoke(monkeypatch, empty_crm_url)
    assert columns(empty_crm_url, "location") == ["id", "name", "ours"]
    refused = invoke(monkeypatch, empty_crm_url, "--adopt", answer="n\n")
    assert "ALTER TABLE location ADD COLUMN ecw_id text;" in refused.output
    assert columns(empty_crm_url, "location") == ["id", "name", "ours"]
    done = invoke(monkeypatch, empty_crm_url, "--adopt", answer="y\n" * 5)
    assert done.exit_code == 0, done.output
    assert set(columns(empty_crm_url, "location")) > {"id", "name", "ours", "ecw_id", "address_line1"}
    assert "Change" not in invoke(monkeypatch, empty_crm_url, "--adopt").output, "nothing is left to change"


def test_going_back_from_the_first_release_is_refused(monkeypatch: pytest.MonkeyPatch, empty_crm_url: str) -> None:
    invoke(monkeypatch, empty_crm_url)
    refused = invoke(monkeypatch, empty_crm_url, "--back")
    assert refused.exit_code == 1
    assert "There is no earlier release to go back to" in str(refused.exception)
    assert invoke(monkeypatch, empty_crm_url, "--back", "--sql").exit_code == 2


def test_no_second_table_is_made_if_a_mapping_file_names_another_one(
    monkeypatch: pytest.MonkeyPatch, empty_crm_url: str, tmp_path: Path
) -> None:
    """The mapping file is in a practice's own folder, which is where a table of another name is named."""
    north = tmp_path / "north"
    north.mkdir()
    written = (ROOT / "include" / "mappings" / "patient.yaml").read_text()
    assert "\ntable: patient\n" in written
    (north / "patient.yaml").write_text(written.replace("\ntable: patient\n", "\ntable: person\n"))
    practices = "practices:\n  north: {connection: ecw_north, crm_connection: my_crm, mappings: north}\n"
    (tmp_path / "practices.yaml").write_text(practices)
    monkeypatch.setenv("ECW_PRACTICES", str(tmp_path / "practices.yaml"))
    missing = invoke(monkeypatch, empty_crm_url)
    assert isinstance(missing.exception, CrmSchemaError)
    assert "make that table, or fix `table` in the mapping file" in str(missing.exception)
    engine = engine_from_url(empty_crm_url)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE person (id INTEGER PRIMARY KEY, last_name TEXT)")
    engine.dispose()
    assert "made no table patient: the mapping files name person" in invoke(monkeypatch, empty_crm_url).output
    assert "patient" not in tables(empty_crm_url)
