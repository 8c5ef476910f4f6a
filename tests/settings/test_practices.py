"""Practices are connections of type eClinicalWorks, with their differences in include/practices.yaml."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ecw.errors import ConfigurationError
from ecw.settings import practices, schedule
from ecw.settings.practice import Practice
from ecw.settings.practices import known, named, of_connection

EVERY_KEY = """\
practices:
  north:
    connection: ecw_north
    crm_connection: crm_north
    schedule: 30 4 * * *
    resources: [insurance, patient]
    mappings: north/mappings
    quality: north/quality
    alerts: {email: [north@example.org], stale_intervals: 2}
    staging: s3://staging/north
    pool: ecw_api_north
    push: false
    vob_webhook: vob_north
  south:
"""


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that writes the file of practices."""
    file = tmp_path / "practices.yaml"
    monkeypatch.setenv("ECW_PRACTICES", str(file))
    for folder in ("mappings", "quality"):
        (tmp_path / "north" / folder).mkdir(parents=True)
    file.write_text("practices: {}\n")

    def write_file(text: str) -> Path:
        file.write_text(text)
        practices._of_file.cache_clear()
        return file

    return write_file


def test_a_single_practice_needs_no_file_and_its_dag_ids_have_no_suffix() -> None:
    [only] = known()
    assert (only.connection, only.crm_connection, only.dag_id("ecw_pull")) == ("ecw_default", "crm_default", "ecw_pull")


@pytest.mark.parametrize("value", ["ecw://login@host", json.dumps({"conn_type": "ecw", "host": "https://x"})])
def test_a_connection_of_the_type_is_a_practice(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Test connections of the environment, and of Airflow's database, whose ids are in the Variable."""
    monkeypatch.setenv("AIRFLOW_CONN_ECW_WEST", value)
    monkeypatch.setenv("AIRFLOW_CONN_HTTP_DEFAULT", "http://x/ecw://")
    monkeypatch.setenv("AIRFLOW_CONN_OTHER", json.dumps({"conn_type": "http", "extra": {"kind": "ecw"}}))
    dag_ids = {each.connection: each.dag_id("ecw_pull") for each in known("ecw_default, clinic_7")}
    assert dag_ids == {
        "ecw_default": "ecw_pull",
        "clinic_7": "ecw_pull__clinic_7",
        "ecw_west": "ecw_pull__west",
    }


def test_the_file_sets_the_differences_of_a_practice(write: Any, tmp_path: Path) -> None:
    write(EVERY_KEY)
    north = of_connection("ecw_north")
    assert north == Practice(
        name="north",
        connection="ecw_north",
        crm_connection="crm_north",
        schedule="30 4 * * *",
        resources=("patient", "insurance"),
        mappings=tmp_path / "north" / "mappings",
        quality=tmp_path / "north" / "quality",
        alerts={"email": ["north@example.org"], "stale_intervals": 2},
        staging="s3://staging/north",
        pool="ecw_api_north",
        push=False,
        vob_webhook="vob_north",
    )
    assert of_connection("ecw_south") == Practice("south", "ecw_south")
    assert (schedule.cron(north), schedule.cron_of_dag(north)) == ("30 4 * * *", "30 4 * * *")
    assert schedule.resources(north) == ["patient", "insurance"]


def test_the_default_connection_in_the_file_keeps_its_dag_ids(write: Any) -> None:
    write("practices:\n  main:\n    connection: ecw_default\n    push: false\n")
    [only] = known()
    assert (only.name, only.dag_id("ecw_pull"), only.push) == ("", "ecw_pull", False)


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        (
            "practices:\n  a:\n    conection: x\n",
            3,
            "practices.a.conection: this key does not exist; did you mean 'conn",
        ),
        ("practises: {}\n", 1, "practises: this key does not exist; did you mean 'practices'?"),
        ("practices:\n  a:\n    push: maybe\n", 3, "practices.a.push"),
        ("practices:\n  a:\n    schedule: hourly\n", 3, "not a cron expression"),
        (
            "practices:\n  a:\n    resources:\n      - patients\n",
            3,
            "'patients' is not a resource; did you mean 'patient'",
        ),
        ("practices:\n  a:\n    alerts:\n      mail: x\n", 4, "practices.a.alerts.mail: this key does not exist"),
        ("practices:\n  a:\n    mappings: nowhere\n", 3, "does not exist"),
        ("practices:\n  a:\n  b:\n    connection: ecw_a\n", 4, "ecw_a is already the practice 'a'"),
        ("practices:\n  a:\n  a:\n", 3, "it occurs twice"),
        ("practices:\n  a b:\n", 2, "practices.a b"),
        ("- a\n", 1, "the file"),
        ("practices: [\n", 2, "not YAML"),
    ],
)
def test_a_mistake_is_reported_with_file_line_and_key(write: Any, text: str, line: int, message: str) -> None:
    file = write(text)
    with pytest.raises(ConfigurationError) as refused:
        known()
    assert f"{file}:{line}: " in refused.value.what
    assert message in refused.value.what


def test_every_mistake_is_reported_at_once(write: Any) -> None:
    write("practices:\n  a:\n    pusch: true\n    schedule: never\n")
    with pytest.raises(ConfigurationError) as refused:
        known()
    assert "pusch" in refused.value.what
    assert "never" in refused.value.what


def test_a_practice_is_found_by_its_name(write: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    write(EVERY_KEY)
    monkeypatch.setenv("AIRFLOW_VAR_ECW_PRACTICES", "ecw_default, ecw_east")
    assert named("north").connection == "ecw_north"
    assert named("east").connection == "ecw_east"
    with pytest.raises(ConfigurationError, match="no practice 'nort'") as refused:
        named("nort")
    assert "'north'" in refused.value.next_step


def test_a_configured_file_that_does_not_exist_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ECW_PRACTICES", str(tmp_path / "none.yaml"))
    with pytest.raises(ConfigurationError, match="There is no file"):
        known()


def test_two_practices_of_one_name_are_refused(write: Any) -> None:
    write("practices:\n  north:\n    connection: clinic\n")
    with pytest.raises(ConfigurationError, match="Two practices have the name 'north'"):
        known("ecw_north")
