"""Files in an object store: the same promises as on a disk, through Airflow's ObjectStoragePath."""

from __future__ import annotations

from collections.abc import Iterator

import fsspec
import pytest

from ecw.errors import BatchDamaged
from ecw.pull import staging, store

ROOT = "memory://staging"


@pytest.fixture(autouse=True)
def bucket() -> Iterator[None]:
    """An object store in memory, known to Airflow."""
    from airflow.sdk.io import attach

    files = fsspec.filesystem("memory")
    attach("memory", fs=files)
    yield
    files.store.clear()
    files.pseudo_dirs[:] = [""]


def test_what_was_put_is_there() -> None:
    with store.put(f"{ROOT}/run/a.json") as file:
        file.write(b"text")

    assert store.size(f"{ROOT}/run/a.json") == 4
    with store.get(f"{ROOT}/run/a.json") as file:
        assert file.read() == b"text"
    assert store.names(f"{ROOT}/run") == ["a.json"]


def test_a_batch_whose_writer_fails_is_absent() -> None:
    """Whether or not the store shows what was written so far, as this one does."""
    path = f"{ROOT}/run/extract.ndjson.gz"
    with staging.writer(path) as batch:
        batch.write({"id": "first"})

    with pytest.raises(ZeroDivisionError):
        fail(path)

    assert staging.manifest(path) is None
    with pytest.raises(BatchDamaged):
        next(staging.read(path))


def fail(path: str) -> None:
    with staging.writer(path) as batch:
        batch.write({"id": "second"})
        raise ZeroDivisionError


def test_what_is_not_there() -> None:
    assert store.size(f"{ROOT}/nothing") is None
    assert store.names(f"{ROOT}/nothing") == []
    store.remove(f"{ROOT}/nothing")
    with pytest.raises(FileNotFoundError):
        store.get(f"{ROOT}/nothing")


def test_a_batch_in_an_object_store() -> None:
    path = f"{ROOT}/practice/run/location/extract.ndjson.gz"
    with staging.writer(path) as batch:
        batch.write({"id": "a"})

    assert list(staging.read(path)) == [{"id": "a"}]

    staging.open_folder(f"{ROOT}/practice/run")
    assert staging.purge(ROOT, days=1) == 0
    assert staging.purge(ROOT, days=-1) == 1
    assert staging.manifest(path) is None
