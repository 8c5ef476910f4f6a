"""`--practice`: with two practices in one CRM, a command shows and changes rows of the named practice only.

Both practices have the same ids, runs, rejects, conflicts and held matches.
"""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import Engine, insert, select, text

import ecw.hooks.ecw
from ecw.cli import group
from ecw.crm.db import tables as t
from ecw.crm.db.engine import reading
from ecw.crm.db.tables import metadata
from ecw.crm.state import practices
from ecw.practice.mappings import mappings_of
from tests.fixtures.console_data import Scale, fill, run_id
from tests.fixtures.crm import on_sqlite

pytestmark = on_sqlite
INCLUDE = Path(__file__).parents[2] / "include"
NOW = datetime(2026, 11, 22, 12, 30, tzinfo=UTC)
CODES = {"north": "NORTH01", "south": "SOUTH01"}
PATIENTS = {"north": 987654301, "south": 987654302}  # their ids in the CRM; both are `pat-9` in their own eCW
URL = "https://fhir.example/fhir/r4/{}"


@pytest.fixture
def shared(crm_engine: Engine, crm_url: str, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """Return a CRM of two practices with the same ids in the project's tables, each with a linked patient."""
    monkeypatch.setenv("AIRFLOW_CONN_CRM_DEFAULT", json.dumps({"conn_type": "generic", "extra": {"url": crm_url}}))
    monkeypatch.setenv("AIRFLOW_VAR_ECW_PRACTICES", "ecw_north, ecw_south")
    monkeypatch.setenv("AIRFLOW_VAR_ECW_PULL_SCHEDULE", "0 */2 * * *")
    monkeypatch.setenv("AIRFLOW_VAR_ECW_PULL_RESOURCES", "all")
    for name, code in CODES.items():
        document = {"conn_type": "ecw", "host": URL.format(code)}
        monkeypatch.setenv(f"AIRFLOW_CONN_ECW_{name.upper()}", json.dumps(document))
        fill(crm_engine, code, Scale(days=1, first_load=6, rejects=8, patients=3), now=NOW)
        key = {"practice": code, "run_id": run_id(NOW), "resource": "patient", "at": NOW}
        rule = {"number": 1, "rule": "pattern", "column": "phone", "demand": "digits", "on_fail": "warn"}
        found = {"reason": "calls", "rows": 9, "broken": 2, "verdict": "warn"}
        alert = {"practice": code, "alert": "a1", "kind": "stale", "subject": "patient", "message": "late"}
        link = {"practice": code, "resource": "patient", "ecw_id": "pat-9", "crm_id": str(PATIENTS[name])}
        with crm_engine.begin() as connection:
            practices.claim(connection, code, URL.format(code))
            whole = {"number": 0, "rule": "volume", "column": "", "demand": "as usual", "verdict": "pass"}
            connection.execute(insert(t.ecw_quality_result), [key | rule | found, key | rule | found | whole])
            connection.execute(insert(t.ecw_alert).values(alert | {"next_step": "wait", "opened_at": NOW}))
            connection.execute(
                insert(t.ecw_link).values(link | {"hash": "", "mapping_version": "m", "last_seen_run": ""})
            )
            for table, crm_id in (
                ("ecw_conflict", "11"),
                ("ecw_intent", "4"),
            ):  # the patient that is in the table patient
                mine = {"id": str(PATIENTS[name]), "code": code, "crm_id": crm_id}
                where = "practice = :code AND crm_id = :crm_id"
                connection.execute(text(f"UPDATE {table} SET crm_id = :id WHERE {where}"), mine)  # noqa: S608
            row = {"id": PATIENTS[name], "code": code}
            columns = "id, ecw_id, last_name, first_name, ecw_practice"
            connection.execute(text(f"INSERT INTO patient ({columns}) VALUES (:id, 'pat-9', 'Roe', 'Ann', :code)"), row)  # noqa: S608
    return crm_engine


def ecw(*arguments: str) -> Result:
    return CliRunner().invoke(group, arguments, catch_exceptions=False)


def refused(*arguments: str) -> BaseException | None:
    result = CliRunner().invoke(group, arguments)
    assert result.exit_code != 0, result.output
    return result.exception


def read(*arguments: str) -> list[dict[str, Any]]:
    result = ecw(*arguments, "--json")
    assert result.exit_code == 0, result.output
    found: list[dict[str, Any]] = json.loads(result.stdout)
    return found


def everything(engine: Engine, code: str) -> dict[str, list[tuple[Any, ...]]]:
    """Return all rows that the CRM has of a practice."""
    tables = [table for table in metadata.sorted_tables if "practice" in table.c]
    assert len(tables) > 15
    with reading(engine) as connection:
        rows_of_tables = {
            table.name: sorted(map(tuple, connection.execute(select(table).where(table.c.practice == code))), key=repr)
            for table in tables
        }
        rows = connection.execute(text("SELECT * FROM patient WHERE ecw_practice = :code"), {"code": code})
        return rows_of_tables | {"patient": [tuple(row) for row in rows]}


LISTS = {
    ("status",): (5, 10),
    ("quality",): (1, 1),  # without a practice, the last run of all practices
    ("conflicts", "list"): (3, None),
    ("matches", "list"): (1, None),
    ("find", "ecw:pat-9"): (1, None),
}


@pytest.mark.parametrize("command", LISTS, ids=" ".join)
def test_a_list_shows_only_the_rows_of_the_practice(shared: Engine, command: tuple[str, ...]) -> None:
    """Without `--practice`, a command about one practice uses the default connection."""
    own, all_of_them = LISTS[command]
    of_each = {name: read(*command, "--practice", name) for name in CODES}
    for name, found in of_each.items():
        [other] = set(CODES) - {name}
        assert len(found) == own
        assert CODES[other] not in str(found)
        assert str(PATIENTS[other]) not in str(found)
    if all_of_them is not None:
        assert len(read(*command)) == all_of_them
        return
    assert "no connection 'ecw_default'" in str(refused(*command))
    assert read(*command, "--conn-id", "ecw_north") == of_each["north"]


def test_alerts_are_shown_for_the_practice_only(shared: Engine) -> None:
    of_north = ecw("status", "--practice", "north").output
    assert of_north.count("alert stale") == 1
    assert "(practice NORTH01)" in of_north
    assert "SOUTH01" not in of_north
    assert ecw("status").output.count("alert stale") == 2


WRITES = {
    "conflicts choose": (("conflicts", "choose", "987654301", "phone", "crm"), "ecw_conflict"),
    "matches choose": (("matches", "choose", "987654301", "pat-44"), "ecw_intent"),
    "forget": (("forget", "ecw:pat-9", "--yes"), "ecw_link"),
    "practice moved": (("practice", "moved", "--yes"), "ecw_practice"),
}


@pytest.mark.parametrize("name", WRITES)
def test_a_command_that_writes_changes_one_practice_only(
    shared: Engine, name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    command, table = WRITES[name]
    monkeypatch.setenv("AIRFLOW_VAR_ECW_STAGING", str(tmp_path))
    if name == "practice moved":
        document = {"conn_type": "ecw", "host": "https://elsewhere.example/fhir/r4/NORTH01"}
        monkeypatch.setenv("AIRFLOW_CONN_ECW_NORTH", json.dumps(document))
    before = {each: everything(shared, code) for each, code in CODES.items()}
    done = ecw(*command, "--practice", "north")
    assert done.exit_code == 0, done.output
    after = {each: everything(shared, code) for each, code in CODES.items()}
    assert after["south"] == before["south"]
    assert after["north"][table] != before["north"][table]


REFUSED = [
    ("matches", "unlink", str(PATIENTS["south"])),
    ("conflicts", "choose", str(PATIENTS["south"]), "phone", "crm"),
]


@pytest.mark.parametrize("command", REFUSED, ids=" ".join)
def test_a_patient_of_another_practice_is_refused(
    shared: Engine, command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AIRFLOW_VAR_ECW_STAGING", str(tmp_path))
    before = {each: everything(shared, code) for each, code in CODES.items()}
    assert f"The CRM has no patient {PATIENTS['south']}." in str(refused(*command, "--practice", "north"))
    assert {each: everything(shared, code) for each, code in CODES.items()} == before


def test_a_misspelled_practice_is_refused_with_a_suggestion(shared: Engine) -> None:
    error = str(refused("status", "--practice", "nort"))
    assert "There is no practice 'nort'." in error
    assert "did you mean 'north'" in error


def test_forgetting_another_practice_s_patient_removes_nothing(
    shared: Engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AIRFLOW_VAR_ECW_STAGING", str(tmp_path))
    before = {each: everything(shared, code) for each, code in CODES.items()}
    CliRunner().invoke(group, ["forget", f"crm:{PATIENTS['south']}", "--yes", "--practice", "north"])
    assert {each: everything(shared, code) for each, code in CODES.items()} == before


def test_the_crm_of_the_practice_is_read(shared: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "practices.yaml").write_text("practices:\n  north: {crm_connection: crm_north}\n")
    monkeypatch.setenv("ECW_PRACTICES", str(tmp_path / "practices.yaml"))
    empty = {"conn_type": "generic", "extra": {"url": f"sqlite:///{tmp_path / 'north.db'}"}}
    monkeypatch.setenv("AIRFLOW_CONN_CRM_NORTH", json.dumps(empty))
    assert ecw("migrate", "--practice", "north").exit_code == 0
    assert read("status", "--practice", "north") == []
    assert len(read("status", "--practice", "south")) == 5


@pytest.fixture
def own_files(shared: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of the practice `north`, with a mapping file and a suite of its own."""
    for kind in ("mappings", "quality"):
        (tmp_path / "north" / kind).mkdir(parents=True)
        shutil.copy(INCLUDE / kind / "location.yaml", tmp_path / "north" / kind)
    entry = "{mappings: north/mappings, quality: north/quality}"
    (tmp_path / "practices.yaml").write_text(f"practices:\n  north: {entry}\n")
    monkeypatch.setenv("ECW_PRACTICES", str(tmp_path / "practices.yaml"))
    return tmp_path / "north"


def test_a_practice_s_own_mapping_files_are_used_for_it_only(own_files: Path) -> None:
    files = {name: [each.file for each in mappings_of(f"ecw_{name}", ["location", "patient"])] for name in CODES}
    assert files["north"][0] == own_files / "mappings" / "location.yaml"
    assert files["north"][1] == files["south"][1]
    assert not files["south"][0].is_relative_to(own_files)


@pytest.mark.parametrize("kind", ["mappings", "quality"])
def test_mapping_check_reads_the_practice_s_own_files(own_files: Path, kind: str) -> None:
    file = own_files / kind / "location.yaml"
    file.write_text(file.read_text() + "nothing_of_the_kind: 1\n")
    line = len(file.read_text().splitlines())
    check = ("mapping", "check", "--no-crm")
    assert f"{file}:{line}" in str(refused(*check, "--practice", "north"))
    for other in ((), ("--practice", "south")):
        assert ecw(*check, *other).exit_code == 0
