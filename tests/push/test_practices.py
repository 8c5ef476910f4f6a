"""A run belongs to one practice, its server and its code: it neither writes to nor reads from another practice."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import insert, text

from ecw.cli import group
from ecw.crm.db.engine import engine_from_url
from ecw.crm.db.migrations import migrate
from ecw.crm.db.tables import ecw_intent, ecw_link
from ecw.crm.state import practices
from ecw.errors import ConfigurationError, EcwError
from ecw.fhir.connection import base_url_of
from ecw.pull import inline_run
from ecw.pull import steps as pulling
from ecw.pull.replay import steps as replay
from ecw.push import steps
from ecw.push.patient.push import push_patient
from ecw.push.plan.outbox import outbox
from tests.fixtures.crm import on_sqlite
from tests.fixtures.keys import Keys
from tests.fixtures.pulling import connect
from tests.push.names import person

OTHER = "ANOTHER"


def link_of_another(crm: Any, crm_id: str, resource: str = "patient") -> None:
    row = {"practice": OTHER, "resource": resource, "ecw_id": f"other-{crm_id}", "crm_id": crm_id, "hash": ""}
    with crm.engine.begin() as connection:
        connection.execute(insert(ecw_link).values(row | {"mapping_version": "m", "last_seen_run": "r"}))


def intent_of_another(crm: Any, crm_id: str) -> None:
    row = {"practice": OTHER, "resource": "patient", "crm_id": crm_id, "intent": "i", "operation": "create"}
    row |= {"state": "done", "attempts": 0, "decided_at": datetime.now(UTC), "run_id": "r"}
    with crm.engine.begin() as connection:
        connection.execute(insert(ecw_intent).values(row))


def claim_of_another(crm: Any, _crm_id: str) -> None:
    with crm.engine.begin() as connection:
        practices.claim(connection, OTHER, "https://fhir.example/r4/ANOTHER")


def row_of_another(crm: Any, crm_id: str) -> None:
    crm.edit(crm_id, ecw_practice=OTHER)


def drop_the_practice_column(crm: Any) -> None:
    with crm.engine.begin() as connection:
        connection.execute(text("DROP INDEX patient_ecw_practice"))
        connection.execute(text("ALTER TABLE patient DROP COLUMN ecw_practice"))


@pytest.mark.parametrize("add_other_practice", [link_of_another, intent_of_another, claim_of_another])
@pytest.mark.parametrize("options", [{}, {"dry_run": True}])
def test_a_push_is_refused_if_two_practices_share_a_table_without_a_practice_column(
    sandbox: Any, crm: Any, run: Any, add_other_practice: Callable[[Any, str], None], options: dict[str, Any]
) -> None:
    own, other = crm.add(**person(0)), crm.add(**person(1))
    drop_the_practice_column(crm)
    add_other_practice(crm, other)
    with pytest.raises(ConfigurationError, match=f"practice {OTHER}.*no column ecw_practice") as refused:
        run(patients=[own], **options)
    assert "ADD COLUMN ecw_practice" in refused.value.next_step
    assert sandbox.served("transaction") == 0


@pytest.mark.parametrize("add_other_practice", [link_of_another, intent_of_another, claim_of_another, row_of_another])
def test_a_row_without_a_practice_is_not_pushed_once_there_is_another_practice(
    sandbox: Any, crm: Any, run: Any, pushing: Any, add_other_practice: Callable[[Any, str], None]
) -> None:
    unassigned, own = crm.add(**person(0)), crm.add(**person(1), ecw_practice=sandbox.practice)
    add_other_practice(crm, crm.add(**person(2), ecw_practice=OTHER))
    found = outbox(pushing())
    assert (list(found), found.not_sent) == ([own], {"without a practice": 1})
    assert run(patients=[unassigned])["counts"] == {"unassigned": 1}
    assert push_patient(pushing(), unassigned).status == "unassigned"
    assert run()["counts"] == {"created": 1}
    assert sandbox.served("transaction") == 1


def test_a_pushed_row_gets_the_code_of_its_practice(sandbox: Any, crm: Any, run: Any) -> None:
    crm_id = crm.add(**person(0))
    run()
    assert crm.row(crm_id)["ecw_practice"] == sandbox.practice


def test_the_column_of_the_practice_may_have_another_name(
    crm: Any, run: Any, crm_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = crm.add(**person(0))
    row_of_another(crm, crm.add(**person(1)))
    drop_the_practice_column(crm)
    with crm.engine.begin() as connection:
        connection.execute(text("ALTER TABLE patient ADD COLUMN site VARCHAR(20)"))
        connection.execute(text("UPDATE patient SET site = :other WHERE id <> :own"), {"other": OTHER, "own": own})
    connection_fields = {"conn_type": "generic", "extra": {"url": crm_url, "practice_column": "site"}}
    monkeypatch.setenv("AIRFLOW_CONN_CRM_TEST", json.dumps(connection_fields))
    push = run.begin()
    assert (push["creates"], push["not_sent"]) == (0, {"without a practice": 1})
    connection_fields["extra"] = {"url": crm_url, "practice_column": 5}
    monkeypatch.setenv("AIRFLOW_CONN_CRM_TEST", json.dumps(connection_fields))
    with pytest.raises(ConfigurationError, match="practice_column"):
        run.begin()


@on_sqlite
def test_a_location_of_another_practice_does_not_stop_a_push_of_patients(crm: Any, run: Any) -> None:
    link_of_another(crm, crm.add(**person(0)), "location")
    assert run()["counts"] == {"created": 1}


def test_a_row_with_a_link_of_another_practice_is_never_sent(sandbox: Any, crm: Any, run: Any, pushing: Any) -> None:
    own, other = crm.add(**person(0), ecw_practice=sandbox.practice), crm.add(**person(1))
    push = run.begin()
    crm.edit(other, ecw_practice=sandbox.practice)
    link_of_another(crm, other)  # while the run waited for its approval
    found = outbox(pushing())
    assert (list(found), found.not_sent) == ([own], {"another practice's": 1})
    assert push_patient(pushing(), other).status == "elsewhere"
    assert run.finish(push)["counts"] == {"created": 1, "elsewhere": 1}
    assert sandbox.served("transaction") == 1


@pytest.mark.parametrize("step", ["send", "confirm"])
@pytest.mark.parametrize("difference", ["code", "server"])
def test_every_step_of_a_push_refuses_another_practice(
    sandbox: Any,
    crm: Any,
    run: Any,
    keys: Keys,
    monkeypatch: pytest.MonkeyPatch,
    sandbox_factory: Any,
    step: str,
    difference: str,
) -> None:
    other = sandbox_factory(patients=3, practice=OTHER if difference == "code" else sandbox.practice)
    crm.add(**person(0))
    push = run.begin()
    if step == "confirm":
        steps.send(push)
    connect(monkeypatch, other, keys)
    with pytest.raises(ConfigurationError, match=r"now names"):
        getattr(steps, step)(push)
    assert other.served() == 0
    connect(monkeypatch, sandbox, keys)
    assert run.finish(push)["counts"] == {"created": 1}


@on_sqlite
def test_a_step_of_a_push_refuses_another_crm_database(
    crm: Any, run: Any, sandbox: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    crm.add(**person(0))
    push, before = run.begin(), sandbox.served()
    other = engine_from_url(f"sqlite:///{tmp_path / 'other.db'}")
    migrate(other)
    other.dispose()
    connection_fields = {"conn_type": "generic", "extra": {"url": f"sqlite:///{tmp_path / 'other.db'}"}}
    monkeypatch.setenv("AIRFLOW_CONN_CRM_TEST", json.dumps(connection_fields))
    with pytest.raises(ConfigurationError, match="another database"):
        steps.send(push)
    assert sandbox.served() == before


def test_the_same_code_on_another_server_is_refused_until_the_practice_is_moved(
    sandbox: Any, crm: Any, run: Any, pull: Any, keys: Keys, monkeypatch: pytest.MonkeyPatch, sandbox_factory: Any
) -> None:
    pull("location")
    other = sandbox_factory(patients=3, practice=sandbox.practice)
    connect(monkeypatch, other, keys)
    for begin in (run.begin, lambda: pull("location")):
        with pytest.raises(ConfigurationError, match=r"the practice code .* means"):
            begin()
    assert other.served("search") == 0
    with crm.engine.begin() as connection:  # like `ecw practice moved`
        assert practices.move(connection, sandbox.practice, other.base_url) == sandbox.base_url
    pull("location")


@pytest.mark.large_practice
@pytest.mark.parametrize("step", ["extract", "map", "check", "load"])
def test_every_step_of_a_pull_refuses_another_practice(
    sandbox: Any, pull: Any, keys: Keys, monkeypatch: pytest.MonkeyPatch, sandbox_factory: Any, step: str
) -> None:
    other = sandbox_factory(patients=3, practice=OTHER)
    run = pull.begin()
    batch: Any = None
    for name in ("extract", "map", "check", "load"):
        arguments = (run, "location") if name == "extract" else (batch,)
        if name == step:
            connect(monkeypatch, other, keys)
            with pytest.raises(ConfigurationError, match=r"now names"):
                getattr(pulling, name)(*arguments)
            assert other.served() == 0
            connect(monkeypatch, sandbox, keys)
        batch = getattr(pulling, name)(*arguments)
    assert pull.rows("SELECT count(*) AS n FROM location")[0]["n"] == 12


@on_sqlite
def test_an_inline_run_and_a_replay_refuse_another_practice(
    sandbox: Any, pull: Any, keys: Keys, monkeypatch: pytest.MonkeyPatch, sandbox_factory: Any
) -> None:
    practitioner = sandbox.records("Practitioner")[3]
    sandbox.put({**practitioner, "name": [{"use": "usual", "given": ["Nobody"]}]})
    pull("practitioner")
    replayed = pull.replay()
    patient = sandbox.records("Patient")[0]["id"]
    few = pull.begin("manual", options={"mode": "patients", "patients": [patient]})
    connect(monkeypatch, sandbox_factory(patients=3, practice=OTHER), keys)
    with pytest.raises(ConfigurationError, match=r"now names"):
        replay.collect(replayed, "practitioner")
    with pytest.raises(EcwError, match=r"now names"):
        inline_run.pull(few)
    assert pull.rows("SELECT count(*) AS n FROM patient")[0]["n"] == 0


def test_base_urls_are_compared_in_a_normal_form() -> None:
    def normalized(host: str) -> str:
        return base_url_of(SimpleNamespace(host=host))

    one = "https://fhir.example/fhir/r4/ABC"
    assert {
        normalized("https://FHIR.Example:443/fhir/r4/ABC/"),
        normalized(f" {one} "),
        normalized(one.replace("https", "HTTPS")),
    } == {one}
    assert normalized("https://fhir.example:444/fhir/r4/ABC") != one
    assert normalized("https://fhir.example/fhir/r4/abc") != one


@on_sqlite
def test_the_command_and_the_status_list_rows_without_a_known_practice(
    crm: Any, sandbox: Any, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Test rows without a practice, and with a code that the CRM does not know; one practice alone has no such rows."""

    def output_of(*command: str) -> str:
        return CliRunner().invoke(group, [*command, "--crm-conn-id", "crm_test"], catch_exceptions=False).output

    for name in ("SCHEDULE", "RESOURCES"):
        monkeypatch.delenv(f"AIRFLOW_VAR_ECW_PULL_{name}", raising=False)
    monkeypatch.setenv("AIRFLOW_VAR_ECW_PULL_SCHEDULE", "0 */2 * * *")
    own, unassigned = crm.add(**person(0)), crm.add(**person(1))
    run.begin()
    assert "Every row names a practice." in output_of("practice", "rows", "--conn-id", "ecw_test")
    crm.edit(own, ecw_practice=sandbox.practice)
    claim_of_another(crm, "")
    unknown = crm.add(**person(2), ecw_practice="MISSPELT")
    lines = [line.split() for line in output_of("practice", "rows", "--conn-id", "ecw_test").splitlines()]
    assert ["patient", "patient", "-", "1", unassigned] in lines
    assert ["patient", "patient", "MISSPELT", "1", unknown] in lines
    assert "2 rows name no practice" in output_of("status")
    assert {row["rows_without_practice"] for row in json.loads(output_of("status", "--json"))} >= {2}
