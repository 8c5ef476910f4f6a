"""Opening the CRM: connection, driver, TLS, password, rights, and engines that are shared or not."""

import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
from sqlalchemy import event, make_url, select, text
from sqlalchemy.engine.interfaces import CacheStats

from ecw.crm.db import url as url_module
from ecw.crm.db.engine import crm_engine as by_connection
from ecw.crm.db.engine import engine_from_url, open_crm, reading
from ecw.crm.db.enums import PRACTICE_OPTION
from ecw.crm.db.migrations import migrate
from ecw.crm.db.tables import ecw_run
from ecw.crm.state.quota_store import QuotaStore
from ecw.errors import ConfigurationError, CrmSchemaError, DatabaseUnavailable
from tests.fixtures.crm import on_postgresql, on_sqlite, psql
from tests.fixtures.keys import self_signed


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch):
    """Set the connection crm_default as an environment variable does."""

    def set_fields(**fields: object) -> None:
        monkeypatch.setenv("AIRFLOW_CONN_CRM_DEFAULT", json.dumps(fields))

    return set_fields


def test_a_url_in_the_extra_is_used_unchanged(connect, crm_url: str) -> None:
    connect(conn_type="generic", extra={"url": crm_url})
    engine = by_connection()
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM ecw_run")).scalar() == 0
    engine.dispose()


def test_the_fields_of_airflows_own_connection_types_open_the_crm(connect, crm_url: str) -> None:
    url = make_url(crm_url)
    if url.get_backend_name() == "sqlite":
        connect(conn_type="sqlite", host=url.database)
    else:
        connect(conn_type="postgres", login=url.username, host=url.query["host"], schema=url.database)
    engine = by_connection()
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM ecw_run")).scalar() == 0
    engine.dispose()


def test_a_database_that_is_not_migrated_is_refused_with_the_command_that_fixes_it(connect, empty_crm_url: str) -> None:
    connect(conn_type="generic", extra={"url": empty_crm_url})
    with pytest.raises(CrmSchemaError, match="run `ecw migrate`"):
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
    with pytest.raises(CrmSchemaError, match="is at version 999"):
        by_connection()


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"conn_type": "mssql", "host": "db", "schema": "crm"}, "SQL Server"),
        ({"conn_type": "mysql", "host": "db", "schema": "crm"}, "MySQL"),
        ({"conn_type": "oracle", "host": "db"}, "Oracle"),
        ({"conn_type": "generic", "extra": {"url": "mssql+pyodbc://user@db/crm"}}, "SQL Server"),
        ({"conn_type": "generic", "extra": {"url": "mysql+pymysql://user@db/crm"}}, "MySQL"),
        ({"conn_type": "generic", "host": "mariadb://user@db/crm"}, "MariaDB"),
        ({"conn_type": "generic", "extra": {"url": "duckdb:///crm"}}, "'duckdb'"),
    ],
)
def test_the_error_about_an_unsupported_database_names_it_and_the_supported_one(
    connect, fields: dict[str, object], name: str
) -> None:
    connect(**fields)
    with pytest.raises(ConfigurationError, match=f"{name}.* not supported.*use PostgreSQL.*your-own-crm"):
        by_connection()


def test_a_sqlite_file_in_a_folder_that_does_not_exist_is_refused(connect, tmp_path) -> None:
    connect(conn_type="sqlite", host=str(tmp_path / "nowhere" / "crm.db"))
    with pytest.raises(ConfigurationError, match=r"SQLITE_CANTOPEN.*folder that exists"):
        by_connection()


def test_a_file_that_is_not_a_database_is_refused(connect, tmp_path) -> None:
    (tmp_path / "crm.db").write_text("a letter to the editor, long enough to be read as a header" * 20)
    connect(conn_type="sqlite", host=str(tmp_path / "crm.db"))
    with pytest.raises(ConfigurationError, match="SQLITE_NOTADB"):
        by_connection()


def test_the_error_about_a_server_that_does_not_answer_is_retryable_and_does_not_quote_the_password(connect) -> None:
    connect(conn_type="postgres", login="crm", password="hunter2", host="127.0.0.1", port=1, schema="crm")
    with pytest.raises(DatabaseUnavailable) as caught:
        by_connection()
    assert "hunter2" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_a_database_that_the_server_does_not_have_needs_a_person(connect, postgresql_server: str) -> None:
    connect(conn_type="generic", extra={"url": postgresql_server.format("nowhere")})
    with pytest.raises(ConfigurationError, match="refused the user, the password or the database's name"):
        by_connection()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"conn_type": "http", "host": "h"}, "does not say where"),
        ({"conn_type": "sqlite"}, "does not say where"),
        ({"conn_type": "generic", "extra": {"url": "not a url, hunter2"}}, "cannot be read"),
    ],
)
def test_a_connection_that_names_no_supported_database_is_refused(
    connect, fields: dict[str, object], message: str
) -> None:
    connect(**fields)
    with pytest.raises(ConfigurationError, match=message) as caught:
        by_connection()
    assert "hunter2" not in str(caught.value)


def test_a_missing_driver_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "psycopg", None)
    with pytest.raises(ConfigurationError, match="psycopg, is not installed"):
        engine_from_url("postgresql://127.0.0.1/crm")


def test_a_reader_does_not_wait_for_a_writer(crm_url: str) -> None:
    engine = engine_from_url(crm_url)
    with engine.begin() as writer:
        writer.execute(text("INSERT INTO location (name) VALUES ('half done')"))
        with reading(engine) as reader:
            assert reader.execute(text("SELECT count(*) FROM location")).scalar() == 0
    engine.dispose()


def test_processes_that_open_a_new_sqlite_file_at_once_do_not_fail_with_busy(tmp_path: Path) -> None:
    """SQLite's busy time-out does not cover the switch to the write-ahead log."""
    program = (
        "import sys; from ecw.crm.db.engine import engine_from_url\n"
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


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://crm:hunter@2:x@db.example.org/crm",
        "postgresql://crm:hunter@2@db.example.org/crm",
        "postgresql://crm:hunter@2@db.example.org:5432/crm",
        "postgresql://crm@db.example.org:hunter2/crm",
    ],
)
def test_a_url_that_its_password_makes_ambiguous_is_refused_and_the_error_names_the_password_field(
    connect, url: str
) -> None:
    connect(conn_type="generic", extra={"url": url})
    with pytest.raises(ConfigurationError, match="password field") as caught:
        by_connection()
    assert "hunter" not in str(caught.value)


PASSWORD = "p@ss:w/o?r#d%40[é"


@on_postgresql
@pytest.mark.parametrize("kind", ["fields", "extra", "host"])
def test_a_password_of_any_characters_in_the_password_field_reaches_the_server(
    connect, crm_url: str, postgresql_server: str, kind: str
) -> None:
    """Test the password beside Airflow's own fields, and beside a URL without a password."""
    url = make_url(crm_url)
    connect_options: list[dict[str, object]] = []
    bare = f"postgresql://ann@/{url.database}?host={url.query['host']}"
    fields = {
        "fields": {"conn_type": "postgres", "login": "ann", "host": url.query["host"], "schema": url.database},
        "extra": {"conn_type": "generic", "extra": {"url": bare}},
        "host": {"conn_type": "generic", "host": bare},
    }[kind]
    connect(**fields, password=PASSWORD)
    psql(postgresql_server, "DROP ROLE IF EXISTS ann")
    psql(postgresql_server, "CREATE ROLE ann LOGIN SUPERUSER")
    engine = by_connection()
    event.listen(
        engine, "do_connect", lambda dialect, record, arguments, options: connect_options.append(dict(options))
    )
    engine.dispose()
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT current_user")) == "ann"
    engine.dispose()
    assert [options["password"] for options in connect_options] == [PASSWORD]


def test_a_password_in_a_url_is_masked_and_causes_a_warning(connect, caplog, monkeypatch) -> None:
    url_module._warn_once.cache_clear()
    masked: list[object] = []
    monkeypatch.setattr("airflow.sdk.log.mask_secret", lambda secret, name=None: masked.append(secret))
    connect(conn_type="generic", extra={"url": "postgresql://crm:hunter2@127.0.0.1:1/crm"})
    with pytest.raises(DatabaseUnavailable):
        by_connection()
    assert "hunter2" in masked
    assert "password field" in caplog.text
    assert "hunter2" not in caplog.text


@pytest.mark.parametrize(
    ("url", "mode"),
    [
        ("postgresql://crm@db.example.org/crm", "verify-full"),
        ("postgresql://crm@db.example.org/crm?sslmode=verify-ca", "verify-ca"),
        ("postgresql://crm@db.example.org/crm?sslmode=require", "require"),
        ("postgresql://crm@/crm?host=10.0.0.7:5432&host=localhost", "verify-full"),
        ("postgresql://crm@127.0.0.1/crm", None),
        ("postgresql://crm@localhost:5433/crm", None),
        ("postgresql://crm@[::1]/crm", None),
        ("postgresql://crm@/crm?host=/run/postgresql", None),
    ],
)
def test_the_certificate_of_a_remote_server_is_verified_by_default(
    monkeypatch, caplog, url: str, mode: str | None
) -> None:
    url_module._warn_once.cache_clear()
    for name in ("PGSSLMODE", "PGSSLROOTCERT", "PGHOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/nonexistent")
    query = engine_from_url(url).url.query
    assert query.get("sslmode") == mode
    assert (mode in ("verify-full", "verify-ca")) == Path(str(query.get("sslrootcert", "/nonexistent"))).exists()
    assert ("somebody in the network can read" in caplog.text) == (mode == "require")


def test_an_unknown_sslmode_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="sslmode"):
        engine_from_url("postgresql://crm@db.example.org/crm?sslmode=verify_full")


@contextmanager
def tls_server(answer: bytes, context: ssl.SSLContext | None = None) -> Iterator[int]:
    """Serve one client: send `answer` to PostgreSQL's TLS request, then do the handshake if there is a `context`."""
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor() as pool:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(8)
                connection.sendall(answer)
                if context is not None:
                    with suppress(OSError), context.wrap_socket(connection, server_side=True) as secure:
                        secure.recv(1)

        served = pool.submit(serve)
        yield listener.getsockname()[1]
        served.result(timeout=60)


def test_a_server_without_tls_or_with_an_untrusted_certificate_needs_a_person(connect, keys, tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(self_signed(tmp_path / "certificate.pem"))
    extra = {"sslmode": "verify-full", "sslrootcert": str(self_signed(tmp_path / "other.pem"))}
    for answer, offered in ((b"N", None), (b"S", context)):
        with tls_server(answer, offered) as port:
            connect(conn_type="postgres", login="crm", host="127.0.0.1", port=port, schema="crm", extra=extra)
            with pytest.raises(ConfigurationError, match="TLS") as caught:
                by_connection()
        assert "sslrootcert" in caught.value.next_step


@on_postgresql
def test_a_read_only_database_is_reported(crm_url: str) -> None:
    engine = engine_from_url(f"{crm_url}&options=-c%20default_transaction_read_only%3Don")
    with pytest.raises(ConfigurationError, match="takes no writes"):
        QuotaStore(engine).add("T1", 1, "pull", 1)
    engine.dispose()


@on_postgresql
def test_the_error_about_a_missing_right_names_the_table_and_a_page_that_exists(
    crm_url: str, postgresql_server: str
) -> None:
    psql(postgresql_server, "DROP ROLE IF EXISTS bob")
    psql(postgresql_server, "CREATE ROLE bob LOGIN")
    engine = engine_from_url(crm_url.replace("postgres@", "bob@"))
    with pytest.raises(ConfigurationError, match="lacks a right on the table ecw_quota") as caught:
        QuotaStore(engine).add("T1", 1, "pull", 1)
    assert (Path(__file__).parents[3] / re.findall(r"docs/[\w/-]+\.md", caught.value.next_step)[0]).exists()
    engine.dispose()
    psql(postgresql_server, "DROP ROLE bob")


def test_opening_the_crm_again_reuses_compiled_statements_and_no_connection_stays_open(connect, crm_url: str) -> None:
    connect(conn_type="generic", extra={"url": crm_url, "practice_column": "clinic"})
    cache_hits = []
    for _ in range(2):
        with open_crm() as engine, reading(engine) as connection:
            cache_hits.append(connection.execute(select(ecw_run.c.run_id).limit(7)).context.cache_hit)
            assert connection.get_execution_options()[PRACTICE_OPTION] == "clinic"
        assert engine.pool.checkedin() == engine.pool.checkedout() == 0
    assert cache_hits == [CacheStats.CACHE_MISS, CacheStats.CACHE_HIT]
    connect(conn_type="generic", extra={"url": crm_url})
    with open_crm() as engine:
        assert engine.get_execution_options()[PRACTICE_OPTION] is None, "the Airflow connection is read each time"


def test_two_callers_that_have_the_crm_open_at_once_get_different_engines(connect, crm_url: str) -> None:
    connect(conn_type="generic", extra={"url": crm_url})
    with open_crm() as one:
        with open_crm() as other, reading(other) as connection:
            assert other is not one
            assert connection.scalar(select(1)) == 1
        with reading(one) as connection:
            assert connection.scalar(select(1)) == 1


@on_sqlite
def test_a_sqlite_file_that_was_replaced_is_opened_again(connect, crm_url: str, tmp_path: Path) -> None:
    file, other = Path(str(make_url(crm_url).database)), tmp_path / "other.db"
    shutil.copyfile(file, other)
    connect(conn_type="generic", extra={"url": crm_url})
    with open_crm() as engine, engine.begin() as connection:
        connection.execute(text("INSERT INTO ecw_practice VALUES ('P1', 'https://one', '2026-11-22')"))
    other.replace(file)
    with open_crm() as engine, reading(engine) as connection:
        assert connection.scalar(text("SELECT count(*) FROM ecw_practice")) == 0


def test_a_forked_process_opens_its_own_connections(crm_url: str) -> None:
    program = """
import os, sys
from sqlalchemy import text
from ecw.crm.db.engine import open_crm, reading
from ecw.settings.connections import in_terminal

def count_runs():
    with in_terminal(), open_crm() as engine, reading(engine) as connection:
        return connection.scalar(text("SELECT count(*) FROM ecw_run"))

assert count_runs() == 0
child = os.fork()
number = count_runs()
if not child:
    os._exit(number)
assert os.waitpid(child, 0)[1] == count_runs() == 0
print("both")
"""
    crm_connection = {"AIRFLOW_CONN_CRM_DEFAULT": json.dumps({"conn_type": "generic", "extra": {"url": crm_url}})}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, env=os.environ | crm_connection
    )
    assert done.stdout == "both\n", done.stderr
