"""Files in an object store: the same promises as on a disk, through Airflow's ObjectStoragePath."""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import fsspec
import pytest

from ecw.errors import ConfigurationError, CorruptBatch, RetryableError, StagingUnavailable
from ecw.staging import batch_file, filesystem

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
    with filesystem.put(f"{ROOT}/run/a.json") as file:
        file.write(b"text")

    assert filesystem.size(f"{ROOT}/run/a.json") == 4
    with filesystem.get(f"{ROOT}/run/a.json") as file:
        assert file.read() == b"text"
    assert filesystem.names(f"{ROOT}/run") == ["a.json"]


def test_a_batch_whose_writer_fails_is_absent() -> None:
    """Whether or not the store shows what was written so far, as this one does."""
    path = f"{ROOT}/run/extract.ndjson.gz"
    with batch_file.writer(path) as batch:
        batch.write({"id": "first"})

    with pytest.raises(ZeroDivisionError):
        fail(path)

    assert batch_file.manifest(path) is None
    with pytest.raises(CorruptBatch):
        next(batch_file.read(path))


def fail(path: str) -> None:
    with batch_file.writer(path) as batch:
        batch.write({"id": "second"})
        raise ZeroDivisionError


def test_what_is_not_there() -> None:
    assert filesystem.size(f"{ROOT}/nothing") is None
    assert filesystem.names(f"{ROOT}/nothing") == []
    filesystem.remove(f"{ROOT}/nothing")
    with pytest.raises(FileNotFoundError):
        filesystem.get(f"{ROOT}/nothing")


def test_a_batch_in_an_object_store() -> None:
    path = f"{ROOT}/practice/run/location/extract.ndjson.gz"
    with batch_file.writer(path) as batch:
        batch.write({"id": "a"})

    assert list(batch_file.read(path)) == [{"id": "a"}]

    batch_file.open_folder(f"{ROOT}/practice/run")
    assert batch_file.purge(ROOT, "practice", days=1) == 0
    assert batch_file.purge(ROOT, "practice", days=-1) == 1
    assert batch_file.manifest(path) is None


USES: dict[str, Callable[[str], object]] = {
    "a batch": lambda folder: _write(f"{folder}/run/extract.ndjson.gz"),
    "a small file": lambda folder: batch_file.write_json(f"{folder}/run/run.json", {}),
    "a run's folder": lambda folder: batch_file.open_folder(f"{folder}/run"),
}


def _write(path: str, value: str = "x") -> None:
    with batch_file.writer(path) as batch:
        batch.write({"id": value})


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("how", ["is a file", "cannot be made", "name is too long"])
def test_a_staging_area_that_cannot_be_used_is_named_with_the_variable_that_names_it(
    tmp_path: Path, use: str, how: str
) -> None:
    (tmp_path / "file").write_text("")
    folder = {
        "is a file": str(tmp_path / "file"),
        "cannot be made": "/proc/ecw",
        "name is too long": str(tmp_path / ("x" * 300)),
    }[how]
    with pytest.raises(ConfigurationError, match="staging area cannot be used") as caught:
        USES[use](folder)
    assert folder[:40] in str(caught.value)
    assert "ecw_staging" in caught.value.next_step


def test_a_disk_that_is_full_is_worth_another_try_and_nothing_is_left(tmp_path: Path) -> None:
    """A limit of the process stands for the disk's: both end a write in the middle."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    try:
        with pytest.raises(StagingUnavailable) as caught:
            _write(f"{tmp_path}/run/a.ndjson.gz", os.urandom(500_000).hex())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert isinstance(caught.value, RetryableError)
    assert "ecw_staging_days" in caught.value.next_step
    assert list((tmp_path / "run").iterdir()) == []


def test_a_bucket_that_is_not_reached_is_named_without_secrets() -> None:
    """s3fs and gcsfs raise PermissionError without a number."""
    with (
        pytest.raises(ConfigurationError, match="s3://bucket/a") as caught,
        filesystem.explained("s3://key:hunter2@bucket/a"),
    ):
        raise PermissionError("Access Denied for key hunter2")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("path", ["s3://aws_default@bucket/ecw", "gs://bucket/ecw", "abfs://lake@bucket/ecw"])
def test_a_store_whose_packages_are_missing_names_them(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether Airflow's provider is missing, or only the driver that it needs."""
    for conn_id in ("AWS_DEFAULT", "LAKE"):
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id}", "generic://")
    for driver in ("s3fs", "gcsfs", "adlfs"):
        monkeypatch.setitem(sys.modules, driver, None)
    with pytest.raises(ConfigurationError, match=f"needs packages for {path.partition(':')[0]}://") as caught:
        filesystem.names(path)
    package = filesystem.PACKAGES[path.partition(":")[0]]
    assert f'pip install "{package}"' in caught.value.next_step


def test_keys_do_not_stand_in_the_address() -> None:
    with pytest.raises(ConfigurationError, match="password") as caught:
        batch_file.open_folder("s3://AKIA:hunter2@bucket/run")
    assert "hunter2" not in str(caught.value)


def test_a_scheme_that_nobody_knows_is_refused_with_those_that_work() -> None:
    with pytest.raises(ConfigurationError, match="nonsense://") as caught:
        batch_file.open_folder("nonsense://bucket/run")
    assert "s3://conn_id@bucket/prefix" in caught.value.next_step


def test_a_file_among_the_folders_is_no_run_and_no_trouble(tmp_path: Path) -> None:
    (tmp_path / "stray").write_text("")
    assert filesystem.names(str(tmp_path / "stray")) == []
    assert batch_file.read_json(f"{tmp_path}/stray/run.json") is None
    assert batch_file.purge_daily(str(tmp_path), 1) == 0
