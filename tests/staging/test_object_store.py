"""Staging on an S3 server: the URL with its connection, files of other workers, uploads of killed workers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import requests

from ecw.errors import ConfigurationError, StagingUnavailable
from ecw.staging import batch_file, filesystem

pytestmark = pytest.mark.cluster
BUCKET = "staging"
ROOT = f"s3://aws_test@{BUCKET}/ecw"


def connection(endpoint: str) -> str:
    """Return an Airflow connection to an S3 server."""
    extra = {"endpoint_url": endpoint, "region_name": "us-east-1", "config_kwargs": {"retries": {"max_attempts": 1}}}
    return json.dumps({"conn_type": "aws", "login": "test", "password": "test", "extra": extra})


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Start an S3 server with a bucket, and return another program's client of it."""
    import boto3
    from airflow.sdk.io import store
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    requests.post(f"{endpoint}/moto-api/reset", timeout=60)  # all servers of a process share their data
    monkeypatch.setenv("AIRFLOW_CONN_AWS_TEST", connection(endpoint))
    store._STORE_CACHE.clear()
    filesystem._require_connection.cache_clear()
    other = boto3.client(
        "s3", endpoint_url=endpoint, aws_access_key_id="test", aws_secret_access_key="test", region_name="us-east-1"
    )
    other.create_bucket(Bucket=BUCKET)
    yield other
    other.close()
    store._STORE_CACHE.clear()
    server.stop()


def keys(other: Any) -> list[str]:
    return [each["Key"] for each in other.list_objects_v2(Bucket=BUCKET).get("Contents", [])]


def test_a_batch_is_written_and_read_with_the_connection_of_the_url(s3: Any) -> None:
    path = f"{ROOT}/practice/run/patient/extract.ndjson.gz"
    records = [{"id": str(number)} for number in range(1000)]
    with batch_file.writer(path) as batch:
        for record in records:
            batch.write(record)
    assert list(batch_file.read(path)) == records
    assert keys(s3) == [f"ecw/practice/run/patient/extract.ndjson.gz{end}" for end in ("", ".manifest.json")]


def test_files_that_another_worker_writes_or_removes_are_visible_at_once(s3: Any) -> None:
    folder = f"{ROOT}/practice/run"
    batch_file.open_folder(folder)
    assert filesystem.names(folder) == ["run.json"]
    s3.put_object(Bucket=BUCKET, Key="ecw/practice/run/other.json", Body=b"1")
    assert filesystem.names(folder) == ["other.json", "run.json"]
    assert filesystem.size(f"{folder}/other.json") == 1
    s3.put_object(Bucket=BUCKET, Key="ecw/practice/run/other.json", Body=b"123")
    assert filesystem.size(f"{folder}/other.json") == 3
    s3.delete_object(Bucket=BUCKET, Key="ecw/practice/run/other.json")
    assert filesystem.names(folder) == ["run.json"]
    assert batch_file.read_json(f"{folder}/other.json") is None


def fail(path: str) -> None:
    with filesystem.put(path) as file:
        file.write(bytes(60_000_000))  # more than s3fs keeps in memory
        raise ZeroDivisionError


def test_a_write_that_fails_leaves_no_object_and_no_upload(s3: Any) -> None:
    with pytest.raises(ZeroDivisionError):
        fail(f"{ROOT}/practice/run/large")
    assert keys(s3) == []
    assert s3.list_multipart_uploads(Bucket=BUCKET).get("Uploads", []) == []


def test_unfinished_uploads_of_the_staging_area_are_aborted_after_a_day(s3: Any) -> None:
    for key in ("ecw/practice/run/large", "elsewhere/large"):
        s3.create_multipart_upload(Bucket=BUCKET, Key=key)
    batch_file.open_folder(f"{ROOT}/practice/run")
    # moto gives every upload a start in 2010
    assert filesystem.abort_uploads(f"{ROOT}/practice", datetime(2010, 1, 1, tzinfo=UTC)) == 0
    assert len(s3.list_multipart_uploads(Bucket=BUCKET)["Uploads"]) == 2, "a recent upload may still be running"
    assert batch_file.purge_daily(ROOT, 14) == 0, "no run was old"
    remaining = s3.list_multipart_uploads(Bucket=BUCKET)["Uploads"]
    assert [upload["Key"] for upload in remaining] == ["elsewhere/large"], (
        "only uploads of the staging area are aborted"
    )


def test_a_purge_without_old_runs_costs_few_requests_whatever_the_number_of_runs(
    s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from s3fs import S3FileSystem

    for number in range(20):
        batch_file.open_folder(f"{ROOT}/practice/run{number}")
    assert batch_file.purge_daily(ROOT, 14) == 0
    methods: list[str] = []
    real = S3FileSystem._call_s3

    async def counted(self: Any, method: str, *arguments: Any, **named: Any) -> Any:
        methods.append(method)
        return await real(self, method, *arguments, **named)

    monkeypatch.setattr(S3FileSystem, "_call_s3", counted)
    assert batch_file.purge_daily(ROOT, 14) == 0
    assert len(methods) <= 5, methods


def test_the_error_about_a_missing_connection_names_it(s3: Any) -> None:
    with pytest.raises(ConfigurationError, match="nowhere_default"):
        filesystem.names(f"s3://nowhere_default@{BUCKET}/ecw")


def test_a_missing_bucket_is_a_configuration_error(s3: Any) -> None:
    with pytest.raises(ConfigurationError, match="staging area cannot be used"):
        batch_file.open_folder("s3://aws_test@no-such-bucket/ecw/run")


def test_a_store_that_does_not_answer_is_a_retryable_error(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.sdk.io import store

    monkeypatch.setenv("AIRFLOW_CONN_AWS_TEST", connection("http://127.0.0.1:9"))
    store._STORE_CACHE.clear()
    with pytest.raises(StagingUnavailable, match="does not answer"):
        batch_file.open_folder(f"{ROOT}/practice/run")
