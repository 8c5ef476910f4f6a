"""Values from eCW reach only the CRM's own tables and the staging area, also when something fails.

eCW's answers, errors included, have marked values in every field; the tests search logs, errors, XComs and the
project's tables for the marks.
"""

from __future__ import annotations

import json
import logging
import os
import sqlite3
import subprocess
import sys
import traceback
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ecw.errors import EcwError
from ecw.fhir import bulk_export
from ecw.fhir.retry import AT_ONCE
from ecw.hooks.ecw import EcwHook
from ecw.pull import steps
from ecw.resources import RESOURCES
from tests.fixtures.crm import on_sqlite
from tests.fixtures.keys import Keys
from tests.fixtures.marking import ERROR, MARK, MARKS, Marking
from tests.fixtures.pulling import Pulling, connect
from tests.push.conftest import crm, run  # noqa: F401 - fixtures
from tests.push.names import NAMES, person

ROOT = Path(__file__).parents[1]
# Tables that must hold values: agreed values, sent values, values to choose from, deferred rows.
HOLD_VALUES = {"ecw_merge_base", "ecw_intent", "ecw_conflict", "ecw_deferred_row"}
LOGS = ("ecw_journal", "ecw_push_item", "ecw_reject", "ecw_run")
HTML = f"<html><title>{MARK}</title>{MARK}</html>".encode()
CUT = f'{{"resourceType": "Bundle", "x": "{MARK}'.encode()
UNUSUAL: dict[str, Any] = {
    "another type": {"resourceType": "Bundle", "type": MARK, "id": MARK},
    "another resource": {"resourceType": MARK, "id": MARK},
    "a remark": {
        **{"resourceType": "Bundle", "type": "searchset"},
        "entry": [{"resource": ERROR, "search": {"mode": "outcome"}}],
    },
    "an empty entry": {"resourceType": "Bundle", "type": "searchset", "entry": [{"fullUrl": MARK, MARK: MARK}]},
    "a link elsewhere": {
        **{"resourceType": "Bundle", "type": "searchset"},
        "link": [{"relation": "next", "url": f"https://{MARK}.example/{MARK}?{MARK}={MARK}"}],
    },
    "no object": [MARK],
    "an outcome": ERROR,
}
pytestmark = on_sqlite  # tests/crm/db/test_errors.py covers PostgreSQL's messages about rows


def leaks(texts: dict[str, str], *more: str) -> dict[str, list[str]]:
    """Return the marks that were found, by the name of the text."""
    hits = {name: [one for one in (*MARKS, *more) if one in text] for name, text in texts.items()}
    return {name: marks for name, marks in hits.items() if marks}


def tables(pull: Pulling) -> dict[str, str]:
    from ecw.crm.db.tables import metadata

    names = {table.name for table in metadata.sorted_tables} - HOLD_VALUES
    return {name: json.dumps(pull.rows(f"SELECT * FROM {name}"), default=str) for name in sorted(names)}  # noqa: S608


@pytest.fixture
def marked(pull: Pulling, marking: Marking, keys: Keys, monkeypatch: pytest.MonkeyPatch, caplog: Any) -> Pulling:
    """Return pulls from the marked practice, with all logs at level DEBUG."""
    connect(monkeypatch, marking, keys)  # type: ignore[arg-type]  # it has a base URL, too
    caplog.set_level(logging.DEBUG)
    for name in ("sqlalchemy.engine.Engine", "sqlalchemy.pool", "urllib3", "urllib3.connectionpool", "requests"):
        caplog.set_level(logging.DEBUG, name)
    return pull


def test_a_whole_pull_leaks_no_value(
    marked: Pulling, caplog: pytest.LogCaptureFixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tempfile

    (folder := tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))

    begun = marked.begin()
    passed = [marked.resource(begun, name) for name in RESOURCES]
    texts = {"XComs": json.dumps([begun, passed, marked.batches, steps.summary(begun)]), "log": caplog.text}
    texts |= tables(marked)

    assert MARK in marked.rows("SELECT last_name FROM patient")[0]["last_name"], "the CRM has them"
    assert len(texts["log"]) > 10_000
    assert leaks(texts) == {}
    assert list(folder.rglob("*")) == []


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 410, 412, 422, 302])
@pytest.mark.parametrize("where", ["/metadata", "/Practitioner"])
def test_no_refused_pull_leaks_a_value(
    marked: Pulling, marking: Marking, caplog: pytest.LogCaptureFixture, status: int, where: str
) -> None:
    marking.answer(f"GET .*{where}", status)
    refused_pull_leaks_nothing(marked, caplog)


@pytest.mark.parametrize("name", sorted(UNUSUAL))
def test_no_response_to_a_search_leaks_a_value(
    marked: Pulling, marking: Marking, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    if name in ("no object",):
        failed_call_leaks_nothing(marking, caplog, 200, UNUSUAL[name])
        return
    marking.answer("GET .*/Practitioner", 200, UNUSUAL[name])
    refused_pull_leaks_nothing(marked, caplog)


@pytest.mark.parametrize(
    ("status", "body"), [(408, None), (429, None), (500, None), (503, HTML), (200, HTML), (200, CUT)]
)
@pytest.mark.usefixtures("marked")
def test_no_failed_call_leaks_a_value(
    marking: Marking, caplog: pytest.LogCaptureFixture, status: int, body: bytes | None
) -> None:
    failed_call_leaks_nothing(marking, caplog, status, body)


@pytest.mark.parametrize("status", [200, 400, 404, 500])
@pytest.mark.parametrize("step", ["kick off", "poll", "file", "groups"])
@pytest.mark.usefixtures("marked")
def test_no_response_to_an_export_leaks_a_value(
    marking: Marking, caplog: pytest.LogCaptureFixture, status: int, step: str
) -> None:
    marking.answer({"kick off": r"\$export", "groups": "GET .*/Group", "poll": "/poll", "file": "/file"}[step], status)
    client = EcwHook("ecw_test").client(retry_policy=AT_ONCE)
    calls: dict[str, Callable[[], Any]] = {
        "kick off": lambda: bulk_export.kick_off(client, "g", ["Patient"], lambda handle: None),
        "groups": lambda: bulk_export.groups(client),
        "poll": lambda: bulk_export.poll(client, f"{marking.base_url}/poll"),
        "file": lambda: list(bulk_export.lines(client, bulk_export.File(MARK, f"{marking.base_url}/file", 7))),
    }
    with pytest.raises(EcwError) as error:
        calls[step]()
    assert leaks({"log": caplog.text, "error": "".join(traceback.format_exception(error.value))}) == {}


@pytest.mark.parametrize("status", [200, 400, 403, 404, 409, 412, 422, 500])
def test_no_response_to_a_push_leaks_a_value(
    crm: Any,  # noqa: F811
    run: Any,  # noqa: F811
    marking: Marking,
    caplog: pytest.LogCaptureFixture,
    status: int,
) -> None:
    here, runs = crm, run
    document = json.loads(os.environ["AIRFLOW_CONN_ECW_TEST"]) | {"host": marking.base_url}
    os.environ["AIRFLOW_CONN_ECW_TEST"] = json.dumps(document)  # the fixture removes it
    caplog.set_level(logging.DEBUG)
    here.add(**person(0))
    marking.answer(f"POST .*/fhir/{marking.practice_path}$", status)

    pushed = runs.begin()
    texts: dict[str, str] = {}
    try:
        texts["sent"] = json.dumps(steps_of(pushed))
    except EcwError as error:
        texts["error"] = "".join(traceback.format_exception(error))
    from ecw.push import steps as push_steps

    texts |= {"summary": json.dumps(push_steps.summary(pushed)), "log": caplog.text}
    texts |= {
        name: json.dumps(here.all(name), default=str)
        for name in ("ecw_journal", "ecw_push_item", "ecw_reject", "ecw_run")
    }
    assert "create" in texts["ecw_journal"]
    assert leaks(texts, NAMES[0], "Topeka") == {}


def steps_of(pushed: Any) -> Any:
    from ecw.push import steps as push_steps

    return push_steps.send(pushed)


def refused_pull_leaks_nothing(pull: Pulling, caplog: pytest.LogCaptureFixture) -> None:
    """Pull practitioners, which eCW refuses; check the log, the error, the tables and the summary for marks."""
    begun: list[Any] = []

    def extracted() -> None:
        begun.append(pull.begin())
        steps.extract(begun[0], "practitioner")

    with pytest.raises(EcwError) as error:
        extracted()
    texts = {"log": caplog.text, "error": "".join(traceback.format_exception(error.value)), **tables(pull)}
    assert leaks(texts | {"summary": json.dumps([steps.summary(one) for one in begun])}) == {}


def failed_call_leaks_nothing(marking: Marking, caplog: pytest.LogCaptureFixture, status: int, body: Any) -> None:
    marking.answer("GET .*/Practitioner", status, body)
    with pytest.raises(EcwError) as error:
        list(EcwHook("ecw_test").client(retry_policy=AT_ONCE).search("Practitioner", {"name": MARK}))
    assert leaks({"log": caplog.text, "error": "".join(traceback.format_exception(error.value))}) == {}


RUN = """
import json, sys
from airflow.dag_processing.dagbag import DagBag
run = DagBag(sys.argv[1]).dags["ecw_pull"].test(run_conf=json.loads(sys.argv[2]))
print(run.state)
"""


@pytest.mark.airflow
@pytest.mark.timeout(900)
def test_nothing_that_airflow_keeps_or_logs_of_a_run_holds_a_mark(marked: Pulling, tmp_path: Path) -> None:
    home, tmp = tmp_path / "airflow", tmp_path / "tmp"
    tmp.mkdir()
    env = os.environ | {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "DEBUG",
        "AIRFLOW_CONN_ECW_DEFAULT": os.environ["AIRFLOW_CONN_ECW_TEST"],
        "AIRFLOW_CONN_CRM_DEFAULT": os.environ["AIRFLOW_CONN_CRM_TEST"],
        "AIRFLOW_VAR_ECW_STAGING": marked.staging,
        "TMPDIR": str(tmp),
    }
    airflow = Path(sys.executable).with_name("airflow")
    subprocess.run([airflow, "db", "migrate"], env=env, check=True, capture_output=True)
    command = [sys.executable, "-c", RUN, str(ROOT / "dags"), "{}"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert "success" in done.stdout.splitlines(), done.stderr[-3000:]
    assert MARK in marked.rows("SELECT last_name FROM patient")[0]["last_name"]

    texts = {"stdout": done.stdout, "stderr": done.stderr}
    with closing(sqlite3.connect(home / "airflow.db")) as database:
        for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            texts[name] = repr(database.execute(f'SELECT * FROM "{name}"').fetchall())  # noqa: S608
    assert len(texts["xcom"]) > 1_000
    assert len(texts["rendered_task_instance_fields"]) > 100
    files = [one for folder in (home, tmp) for one in folder.rglob("*") if one.is_file() and one.suffix != ".db"]
    texts |= {str(one): one.read_bytes().decode(errors="replace") for one in files}
    assert leaks(texts) == {}
