"""Every error of the CRM's database becomes one of the project's errors, and no traceback holds a value."""

import logging
import traceback
from collections.abc import Callable
from datetime import date
from threading import Thread
from typing import Any

import pytest
from sqlalchemy import Column, Connection, Date, Engine, Integer, MetaData, String, Table, Time, insert, select, text

from ecw.crm.db.engine import open_crm, reading
from ecw.crm.db.errors import working
from ecw.crm.load.fill_stage import _copy
from ecw.errors import CrmSchemaError, DatabaseUnavailable, EcwError, InternalError
from tests.fixtures.crm import on_postgresql

MARK = "Marked-Value"
people = Table(
    "person",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("name", String(20), nullable=False, unique=True),
    Column("born", Date),
    Column("at", Time),
)


@pytest.fixture
def crm(monkeypatch: pytest.MonkeyPatch, crm_engine: Engine, crm_url: str) -> Engine:
    with crm_engine.begin() as connection:
        people.create(connection)
        connection.execute(insert(people).values(id=1, name=MARK))
    monkeypatch.setenv("AIRFLOW_CONN_CRM_DEFAULT", f'{{"conn_type": "generic", "extra": {{"url": "{crm_url}"}}}}')
    return crm_engine


def duplicate_name(connection: Connection) -> None:
    connection.execute(insert(people).values(id=2, name=MARK))


def null_name(connection: Connection) -> None:
    born = date.fromisoformat("1980-01-02")
    connection.execute(insert(people).values(id=3, name=None, born=born))


def wrong_type(connection: Connection) -> None:
    connection.execute(insert(people).values(id=4, name="x", born=MARK))


def duplicate_names_in_one_insert(connection: Connection) -> None:
    connection.execute(insert(people), [{"id": at, "name": MARK} for at in range(5, 8)])


def value_in_the_sql(connection: Connection) -> None:
    connection.execute(text(f"INSERT INTO person (id, name) VALUES (9, '{MARK}')"))  # noqa: S608


@pytest.mark.parametrize(
    "work", [duplicate_name, null_name, wrong_type, duplicate_names_in_one_insert, value_in_the_sql]
)
def test_no_error_quotes_a_row_in_any_thread(crm: Engine, work: Callable[[Connection], None]) -> None:
    errors: list[BaseException] = []

    def in_a_thread(engine: Engine) -> None:
        try:
            with working("The test"), engine.begin() as connection:
                work(connection)
        except EcwError as error:
            errors.append(error)

    in_a_thread(crm)
    thread = Thread(target=in_a_thread, args=[crm])
    thread.start()
    thread.join()

    assert [isinstance(error, CrmSchemaError) for error in errors] == [True, True]
    assert all(str(error).startswith("The test: ") and "Next (" in str(error) for error in errors)
    for error in errors:
        lines = "".join(traceback.format_exception(error))
        assert MARK not in lines
        assert "1980" not in lines


@on_postgresql
def test_the_error_of_a_refused_copy_quotes_no_line(crm: Engine) -> None:
    with pytest.raises(CrmSchemaError, match="state 22P02") as error, crm.begin() as connection:
        _copy(connection, people, ["id", "name"], [(11, "fine"), (MARK, MARK)])
    assert MARK not in "".join(traceback.format_exception(error.value))


def test_a_stored_value_that_python_cannot_read_is_not_quoted(crm: Engine) -> None:
    if crm.dialect.name == "postgresql":
        pytest.skip("PostgreSQL holds times only in a column of times")
    with crm.begin() as connection:
        connection.execute(text("UPDATE person SET at = 'Marked-Value'"))
    with (
        pytest.raises(InternalError, match=r"ValueError at \w+\.py:\d+") as error,
        open_crm() as engine,
        reading(engine) as connection,
    ):
        connection.execute(select(people)).all()
    assert MARK not in "".join(traceback.format_exception(error.value))


@pytest.mark.parametrize("kind", [ValueError, KeyError, TypeError, ZeroDivisionError, AttributeError])
def test_an_unexpected_error_keeps_its_line_number_and_loses_its_text(crm: Engine, kind: type[Exception]) -> None:
    with pytest.raises(InternalError, match=rf"{kind.__name__} at test_errors\.py:\d+; ") as error, open_crm():
        raise kind(MARK)
    lines = "".join(traceback.format_exception(error.value))
    assert MARK not in lines
    assert "raise kind(MARK" in lines  # the line that raised it


@pytest.mark.parametrize("kind", [DatabaseUnavailable, None])
def test_errors_of_the_project_and_os_errors_pass_unchanged(crm: Engine, kind: Any) -> None:
    error = OSError("no such file") if kind is None else kind("The load: gave up.", next_step="try again.")
    with pytest.raises(type(error)) as raised, open_crm():
        raise error
    assert raised.value is error


def test_no_row_is_logged_at_debug(crm: Engine, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, "sqlalchemy.engine.Engine")
    with open_crm() as engine, reading(engine) as connection:
        assert connection.execute(select(people.c.name).where(people.c.name == MARK)).scalars().all() == [MARK]
    assert "SELECT person.name" in caplog.text
    assert MARK not in caplog.text
