"""Runs need no more rights on the CRM's database than docs/how-to/connect-a-practice.md grants."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from ecw.crm.db.engine import engine_from_url, reading
from ecw.errors import ConfigurationError
from ecw.models import PushRequest
from ecw.push import steps as push_steps
from ecw.resources import RESOURCES
from ecw.vob import steps as vob_steps
from tests.fixtures.crm import on_postgresql, psql
from tests.fixtures.pulling import Pulling

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "connect-a-practice.md"
ROLE = "ecw_run"


@pytest.fixture
def granted(crm_url: str, postgresql_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Let the CRM's connection use a user with only the documented rights; yield the user's URL."""
    psql(postgresql_server, f"CREATE ROLE {ROLE} LOGIN")
    (script,) = re.findall(r"```sql\n(.*?)```", PAGE.read_text(), re.DOTALL)
    engine = engine_from_url(crm_url)
    name = str(engine.url.database)
    psql(postgresql_server, f"REVOKE ALL ON DATABASE {name} FROM PUBLIC")
    with engine.begin() as connection:
        connection.exec_driver_sql(script.replace("DATABASE crm", f"DATABASE {name}").replace("%", "%%"))
    url = crm_url.replace("postgres@", f"{ROLE}@")
    document = json.dumps({"conn_type": "generic", "extra": {"url": url}})
    for variable in ("AIRFLOW_CONN_CRM_TEST", "AIRFLOW_CONN_CRM_DEFAULT"):
        monkeypatch.setenv(variable, document)
    yield url
    with engine.begin() as connection:
        connection.exec_driver_sql(f"DROP OWNED BY {ROLE}")
    engine.dispose()
    psql(postgresql_server, f"DROP ROLE {ROLE}")


@on_postgresql
def test_pull_push_and_benefits_work_with_the_documented_grants(
    pull: Pulling, granted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ECW_PUSH_STOP", "ECW_PUSH_WATCH"):
        monkeypatch.setenv(f"AIRFLOW_VAR_{name}", "no" if name.endswith("STOP") else "yes")
    numbers = pull(*RESOURCES)
    assert all(of["inserted"] > 0 for of in numbers.values())
    engine = engine_from_url(granted)
    with engine.begin() as connection:
        connection.execute(text("UPDATE patient SET city = 'Topeka' WHERE id = (SELECT min(id) FROM patient)"))
    push = push_steps.begin(PushRequest("manual__1", ecw_conn_id="ecw_test", crm_conn_id="crm_test"))
    push_steps.send(push, None)
    push_steps.confirm(push)
    assert push_steps.summary(push)["counts"]["updated"] == 1
    vob_steps.open_vob("", "ecw_test", "crm_test", "hook_test")
    with reading(engine) as connection:
        assert connection.scalar(text("SELECT count(*) FROM ecw_run")) >= 1
    engine.dispose()


@on_postgresql
def test_without_a_grant_the_error_names_the_table(pull: Pulling, granted: str, crm_url: str) -> None:
    owner = engine_from_url(crm_url)
    with owner.begin() as connection:
        connection.exec_driver_sql(f"REVOKE INSERT ON location FROM {ROLE}")
    owner.dispose()
    with pytest.raises(ConfigurationError, match="lacks a right on the table location"):
        pull("location")
