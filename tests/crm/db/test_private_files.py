"""Only the owner can read the files of a SQLite database, spilled ones too, whatever the umask."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from ecw.crm.db.engine import engine_from_url, reading


@pytest.fixture(autouse=True)
def _generous_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_database_its_log_and_its_index_are_private(tmp_path: Path) -> None:
    path = tmp_path / "it's the crm.db"
    engine = engine_from_url(f"sqlite:///{path}")
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE person (name TEXT)"))
        connection.execute(text("INSERT INTO person VALUES ('x')"))
        found = {one.name: mode(one) for one in tmp_path.iterdir()}
    engine.dispose()
    assert found == {
        path.name: 0o600,
        f"{path.name}-wal": 0o600,
        f"{path.name}-shm": 0o600,
        f"{path.name}-tmp": 0o700,
    }


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="open files are counted in /proc")
def test_spilled_files_are_private_and_in_the_databases_own_folder(tmp_path: Path) -> None:
    engine = engine_from_url(f"sqlite:///{tmp_path / 'crm.db'}")
    with engine.begin() as connection:
        connection.execute(text("PRAGMA cache_size = 10"))
        connection.execute(text("CREATE TEMPORARY TABLE spilt (line TEXT)"))
        connection.execute(text("INSERT INTO spilt VALUES (:line)"), [{"line": "x" * 1000} for _ in range(5_000)])
        spilled = {
            target: mode(one) for one in Path("/proc/self/fd").iterdir() if "/etilqs_" in (target := _target(one))
        }
    engine.dispose()
    assert spilled
    assert all(name.startswith(f"{tmp_path}/crm.db-tmp/") and found == 0o600 for name, found in spilled.items())


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except FileNotFoundError:
        return ""


def test_an_existing_database_keeps_the_mode_that_its_owner_set(tmp_path: Path) -> None:
    path = tmp_path / "crm.db"
    path.touch(0o660)
    engine = engine_from_url(f"sqlite:///{path}")
    with reading(engine) as connection:
        connection.execute(text("SELECT 1"))
    engine.dispose()
    assert mode(path) == 0o660


def test_a_missing_folder_is_not_created(tmp_path: Path) -> None:
    engine = engine_from_url(f"sqlite:///{tmp_path}/nowhere/crm.db")
    with pytest.raises(Exception, match="CANTOPEN"), reading(engine) as connection:
        connection.execute(text("SELECT 1"))
    assert not (tmp_path / "nowhere").exists()
