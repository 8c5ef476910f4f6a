"""`ecw check-config` reports all mistakes at once."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import Engine, text

from ecw.cli import group
from ecw.mapping.definition.files import mappings_folder
from tests.fixtures.crm import on_sqlite

pytestmark = on_sqlite

CONNECTION: dict[str, Any] = {
    "conn_type": "ecw",
    "host": "http://127.0.0.1:1/fhir/r4/P1",
    "login": "me",
    "extra": {"client_secret": "x"},
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, crm_url: str, crm_engine: Engine) -> Path:
    """Return a folder with the project's mappings and suites, to edit; both connections are in the environment."""
    shutil.copytree(mappings_folder(), tmp_path / "mappings")
    shutil.copytree(mappings_folder().parent / "quality", tmp_path / "quality")
    monkeypatch.setenv("ECW_MAPPINGS", str(tmp_path / "mappings"))
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    monkeypatch.setenv("AIRFLOW_CONN_ECW_DEFAULT", json.dumps(CONNECTION))
    monkeypatch.setenv("AIRFLOW_CONN_CRM_DEFAULT", json.dumps({"conn_type": "generic", "extra": {"url": crm_url}}))
    return tmp_path


def check(*options: str) -> tuple[int, str]:
    result = CliRunner().invoke(group, ["check-config", *options], catch_exceptions=False)
    return result.exit_code, result.output


def spoil(file: Path, old: str, new: str) -> None:
    content = file.read_text()
    assert old in content
    file.write_text(content.replace(old, new, 1))


def test_a_correct_project_has_no_mistakes(project: Path) -> None:
    code, output = check()
    assert code == 0, output
    assert output.endswith("No mistakes.\n")
    assert "✓ connection ecw_default: address, client, key" in output
    assert "the tables of crm_default" in output


def test_mistakes_everywhere_are_reported_at_once(
    project: Path, crm_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    extra = {"pull": {"mod": "full"}, "push": {"max_creates": "ten"}, "vob": {"on": "yes"}}
    monkeypatch.setenv("AIRFLOW_CONN_ECW_DEFAULT", json.dumps(CONNECTION | {"extra": extra}))
    monkeypatch.setenv("AIRFLOW_VAR_ECW_PULL_SCHEDULE", "every day")
    monkeypatch.setenv("AIRFLOW_VAR_ECW_PULL_RESOURCES", "patinet")
    monkeypatch.setenv("AIRFLOW_VAR_ECW_ALERTS", '{"webhok": "x"}')
    spoil(project / "mappings" / "practitioner.yaml", "clean: [trim]", "clean: [trimm]")
    spoil(project / "mappings" / "crosswalks" / "policies.yaml", "gender:\n  unmapped", "gender:\n  unmaped")
    spoil(project / "quality" / "location.yaml", "column: name\n", "column: nmae\n")
    with crm_engine.begin() as connection:
        connection.execute(text("ALTER TABLE location RENAME COLUMN city TO town"))

    code, output = check("--json")

    assert code == 1
    mistakes = json.loads(output)["mistakes"]
    messages = "\n".join(f"{one['where']}: {one['problem']} {one['next_step']}" for one in mistakes)
    for message in (
        "private_key is empty, and so is client_secret",
        "'mode'",
        "'max_creates' of a push should be",
        "extra field vob",
        "schedule",
        "patient",
        "'webhook'",
        "'trimm' is not a value of clean",
        "'unmaped' is not a key here",
        "'nmae' is not a column of the mapping",
        "column 'city'",
    ):
        assert message in messages, (message, messages)
    problems = [one["problem"] for one in mistakes]
    assert len(problems) == len(set(problems))
    assert all(one["next_step"] for one in mistakes)


def test_files_are_checked_without_the_crm(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIRFLOW_CONN_CRM_DEFAULT")
    code, output = check()
    assert code == 1
    assert "connection crm_default" in output
    spoil(project / "quality" / "location.yaml", "column: name\n", "column: nmae\n")
    code, output = check("--no-crm")
    assert code == 1
    assert "crm_default" not in output
    assert "'nmae'" in output


def test_a_practice_that_does_not_exist_is_named(project: Path) -> None:
    result = CliRunner().invoke(group, ["check-config", "--practice", "nrth"])
    assert result.exit_code == 1
    assert "nrth" in str(result.exception)
