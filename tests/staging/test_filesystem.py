"""Files in an object store have the same guarantees as on a disk, through Airflow's ObjectStoragePath."""

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
    """Attach an object store in memory to Airflow."""
    from airflow.sdk.io import attach

    files = fsspec.filesystem("memory")
    attach("memory", fs=files)
    yield
    files.store.clear()
    files.pseudo_dirs[:] = [""]


def test_a_written_file_can_be_read_and_listed() -> None:
    with filesystem.put(f"{ROOT}/run/a.json") as file:
        file.write(b"text")

    assert filesystem.size(f"{ROOT}/run/a.json") == 4
    with filesystem.get(f"{ROOT}/run/a.json") as file:
        assert file.read() == b"text"
    assert filesystem.names(f"{ROOT}/run") == ["a.json"]


def test_a_batch_whose_writer_fails_is_absent() -> None:
    """Some stores show an unfinished object, and the one in memory does."""
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


def test_a_missing_file_has_no_size_and_cannot_be_read() -> None:
    assert filesystem.size(f"{ROOT}/nothing") is None
    assert filesystem.names(f"{ROOT}/nothing") == []
    filesystem.remove(f"{ROOT}/nothing")
    with pytest.raises(FileNotFoundError):
        filesystem.get(f"{ROOT}/nothing")


def test_a_batch_in_an_object_store_is_written_read_and_purged() -> None:
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
@pytest.mark.parametrize("problem", ["is a file", "cannot be made", "name is too long"])
def test_the_error_about_an_unusable_staging_area_names_it_and_its_variable(
    tmp_path: Path, use: str, problem: str
) -> None:
    (tmp_path / "file").write_text("")
    folder = {
        "is a file": str(tmp_path / "file"),
        "cannot be made": "/proc/ecw",
        "name is too long": str(tmp_path / ("x" * 300)),
    }[problem]
    with pytest.raises(ConfigurationError, match="staging area cannot be used") as caught:
        USES[use](folder)
    assert folder[:40] in str(caught.value)
    assert "ecw_staging" in caught.value.next_step


def test_a_full_disk_is_a_retryable_error_and_leaves_no_file(tmp_path: Path) -> None:
    """The process's file size limit simulates a full disk: both end a write in the middle."""
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


def test_the_error_about_a_bucket_without_access_does_not_quote_its_key() -> None:
    """s3fs and gcsfs raise PermissionError without an errno."""
    with (
        pytest.raises(ConfigurationError, match="s3://bucket/a") as caught,
        filesystem.explained("s3://key:hunter2@bucket/a"),
    ):
        raise PermissionError("Access Denied for key hunter2")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("path", ["s3://aws_default@bucket/ecw", "gs://bucket/ecw", "abfs://lake@bucket/ecw"])
def test_the_error_about_missing_packages_of_a_store_names_them(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Airflow's provider may be missing, or only the driver that it needs."""
    for conn_id in ("AWS_DEFAULT", "LAKE"):
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id}", "generic://")
    for driver in ("s3fs", "gcsfs", "adlfs"):
        monkeypatch.setitem(sys.modules, driver, None)
    with pytest.raises(ConfigurationError, match=f"needs packages for {path.partition(':')[0]}://") as caught:
        filesystem.names(path)
    package = filesystem.PACKAGES[path.partition(":")[0]]
    assert f'pip install "{package}"' in caught.value.next_step


def test_a_staging_url_with_a_key_is_refused_and_the_key_not_quoted() -> None:
    with pytest.raises(ConfigurationError, match="password") as caught:
        batch_file.open_folder("s3://AKIA:hunter2@bucket/run")
    assert "hunter2" not in str(caught.value)


def test_the_error_about_an_unknown_scheme_names_a_known_one() -> None:
    with pytest.raises(ConfigurationError, match="nonsense://") as caught:
        batch_file.open_folder("nonsense://bucket/run")
    assert "s3://conn_id@bucket/prefix" in caught.value.next_step


def test_a_file_among_the_folders_of_runs_is_ignored(tmp_path: Path) -> None:
    (tmp_path / "stray").write_text("")
    assert filesystem.names(str(tmp_path / "stray")) == []
    assert batch_file.read_json(f"{tmp_path}/stray/run.json") is None
    assert batch_file.purge_daily(str(tmp_path), 1) == 0
