import json
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
from sqlalchemy import make_url, text

from ecw.crm.engine import crm_engine as by_connection
from ecw.crm.engine import engine_from_url, reading
from ecw.crm.migrations import migrate
from ecw.errors import ConfigurationWrong, CrmTableWrong, CrmTrouble


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch):
    """Set the connection crm_default as an environment variable does."""

    def set_fields(**fields: object) -> None:
        monkeypatch.setenv("AIRFLOW_CONN_CRM_DEFAULT", json.dumps(fields))

    return set_fields


def test_a_url_in_the_extra_is_taken_as_it_is(connect, crm_url: str) -> None:
    connect(conn_type="generic", extra={"url": crm_url})
    engine = by_connection()
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM ecw_run")).scalar() == 0
    engine.dispose()


def test_the_fields_of_airflows_own_connection_types_are_understood(connect, crm_url: str) -> None:
    url = make_url(crm_url)
    if url.get_backend_name() == "sqlite":
        connect(conn_type="sqlite", host=url.database)
    else:
        connect(conn_type="postgres", login=url.username, host=url.query["host"], schema=url.database)
    by_connection().dispose()


def test_a_database_that_is_not_migrated_is_refused_with_the_command_that_mends_it(connect, empty_crm_url: str) -> None:
    connect(conn_type="generic", extra={"url": empty_crm_url})
    with pytest.raises(CrmTableWrong, match="run `ecw migrate`"):
        by_connection()
    engine = by_connection(migrated=False)
    migrate(engine)
    engine.dispose()
    by_connection().dispose()


def test_a_database_of_a_newer_version_is_refused(connect, crm_url: str) -> None:
    engine = engine_from_url(crm_url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE ecw_alembic_version SET version_num = '999'"))
    engine.dispose()
    connect(conn_type="generic", extra={"url": crm_url})
    with pytest.raises(CrmTableWrong, match="is at version 999"):
        by_connection()


def test_a_file_in_a_folder_that_is_not_there(connect, tmp_path) -> None:
    connect(conn_type="sqlite", host=str(tmp_path / "nowhere" / "crm.db"))
    with pytest.raises(ConfigurationWrong, match=r"SQLITE_CANTOPEN.*folder that exists"):
        by_connection()


def test_a_file_that_is_no_database(connect, tmp_path) -> None:
    (tmp_path / "crm.db").write_text("a letter to the editor, long enough to be read as a header" * 20)
    connect(conn_type="sqlite", host=str(tmp_path / "crm.db"))
    with pytest.raises(ConfigurationWrong, match="SQLITE_NOTADB"):
        by_connection()


def test_a_server_that_does_not_answer_is_worth_another_try_and_keeps_the_password_secret(connect) -> None:
    connect(conn_type="postgres", login="crm", password="hunter2", host="127.0.0.1", port=1, schema="crm")
    with pytest.raises(CrmTrouble) as caught:
        by_connection()
    assert "hunter2" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_a_database_that_the_server_does_not_have(connect, postgresql_server: str) -> None:
    connect(conn_type="generic", extra={"url": postgresql_server.format("nowhere")})
    with pytest.raises(ConfigurationWrong, match="refused the user, the password or the database's name"):
        by_connection()


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"conn_type": "mysql", "host": "h"}, "does not say where"),
        ({"conn_type": "sqlite"}, "does not say where"),
        ({"conn_type": "generic", "host": "mysql://h/db"}, "use SQLite or PostgreSQL"),
        ({"conn_type": "generic", "extra": {"url": "not a url, hunter2"}}, "cannot be read"),
    ],
)
def test_a_connection_that_names_no_database_of_ours(connect, fields: dict[str, object], words: str) -> None:
    connect(**fields)
    with pytest.raises(ConfigurationWrong, match=words) as caught:
        by_connection()
    assert "hunter2" not in str(caught.value)


def test_a_missing_driver_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "psycopg", None)
    with pytest.raises(ConfigurationWrong, match="psycopg, is not installed"):
        engine_from_url("postgresql://127.0.0.1/crm")


def test_readers_do_not_wait_for_a_writer_and_writers_wait_for_each_other(crm_url: str) -> None:
    engine = engine_from_url(crm_url)
    with engine.begin() as writer:
        writer.execute(text("INSERT INTO location (name) VALUES ('half done')"))
        with reading(engine) as reader:
            assert reader.execute(text("SELECT count(*) FROM location")).scalar() == 0
    engine.dispose()


def test_a_new_sqlite_file_that_many_open_at_once_is_busy_for_nobody(tmp_path: Path) -> None:
    """The busy time-out does not hold for the switch to the write-ahead log."""
    program = (
        "import sys; from ecw.crm.engine import engine_from_url\n"
        "for line in sys.stdin:\n"
        "    engine = engine_from_url(line.strip())\n"
        "    with engine.begin() as connection: connection.exec_driver_sql('CREATE TABLE IF NOT EXISTS a (b)')\n"
        "    engine.dispose(); print('opened', flush=True)\n"
    )
    command = [sys.executable, "-c", program]
    with ExitStack() as stack:
        processes = [
            stack.enter_context(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
            for _ in range(4)
        ]
        for number in range(150):
            for process in processes:
                assert process.stdin is not None
                process.stdin.write(f"sqlite:///{tmp_path}/{number}.db\n")
                process.stdin.flush()
            for process in processes:
                assert process.stdout is not None
                assert process.stdout.readline() == "opened\n"
