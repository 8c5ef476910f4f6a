"""A batch file exists and is complete, or it does not exist."""

from __future__ import annotations

import gzip
import hashlib
import stat
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ecw.errors import CorruptBatch
from ecw.staging import batch_file, filesystem
from tests.fixtures.examples import examples

RECORDS = [{"id": f"a.{number}", "n": number} for number in range(1000)]


def fail(path: str) -> None:
    with batch_file.writer(path) as batch:
        batch.write({"id": "a"})
        raise ZeroDivisionError


def write(path: str, records: Sequence[Mapping[str, object]] = RECORDS) -> None:
    with batch_file.writer(path) as batch:
        for record in records:
            batch.write(record)


@pytest.mark.parametrize("prefix", ["", "file://"])
def test_written_records_are_read_back(tmp_path: Path, prefix: str) -> None:
    path = f"{prefix}{tmp_path}/run/practitioner/extract.ndjson.gz"

    write(path)

    assert list(batch_file.read(path)) == RECORDS
    manifest = batch_file.manifest(path)
    assert manifest is not None
    assert manifest["count"] == 1000
    assert len(manifest["sha256"]) == 64


@given(
    texts=st.lists(st.text(max_size=40) | st.sampled_from(["\n", "\r\n", "\u2028", "\\n"]), max_size=20),
    block=st.integers(1, 90),
)
@settings(max_examples=examples(150), suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_records_are_read_the_same_wherever_blocks_end(tmp_path: Path, texts: list[str], block: int) -> None:
    path, records = f"{tmp_path}/extract.ndjson.gz", [{"text": text} for text in texts]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batch_file, "BLOCK", block)
        write(path, records)

        assert list(batch_file.read(path)) == records
        assert list(batch_file.read_lines(path)) == [orjson.dumps(record) for record in records]


def test_a_last_record_without_a_line_end_is_an_error(tmp_path: Path) -> None:
    path, lines = f"{tmp_path}/extract.ndjson.gz", b'{"id":"a"}\n{"id":"b"}'
    file = Path(path)
    file.write_bytes(gzip.compress(lines))
    manifest = {"count": 2, "sha256": hashlib.sha256(lines).hexdigest(), "bytes": file.stat().st_size}
    batch_file.write_json(batch_file.manifest_path(path), manifest)

    with pytest.raises(CorruptBatch, match="in the middle of a record"):
        list(batch_file.read(path))


def test_only_the_owner_can_read_staged_files(tmp_path: Path) -> None:
    write(f"{tmp_path}/staging/run/practitioner/extract.ndjson.gz")

    files = [path for path in (tmp_path / "staging").rglob("*") if path.is_file()]
    folders = [path for path in tmp_path.rglob("*") if path.is_dir()]
    assert len(files) == 2
    assert len(folders) == 3
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert {stat.S_IMODE(path.stat().st_mode) for path in folders} == {0o700}


def test_the_same_records_give_the_same_bytes(tmp_path: Path) -> None:
    write(f"{tmp_path}/one.ndjson.gz")
    write(f"{tmp_path}/two.ndjson.gz")

    assert (tmp_path / "one.ndjson.gz").read_bytes() == (tmp_path / "two.ndjson.gz").read_bytes()


def test_a_writer_that_fails_leaves_no_file(tmp_path: Path) -> None:
    path = f"{tmp_path}/extract.ndjson.gz"

    with pytest.raises(ZeroDivisionError):
        fail(path)

    assert list(tmp_path.iterdir()) == []
    with pytest.raises(CorruptBatch):
        list(batch_file.read(path))


def test_a_second_writer_that_fails_removes_the_first_batch(tmp_path: Path) -> None:
    path = f"{tmp_path}/extract.ndjson.gz"
    write(path)

    with pytest.raises(ZeroDivisionError):
        fail(path)

    assert batch_file.manifest(path) is None


def test_a_truncated_batch_is_an_error_before_its_first_record(tmp_path: Path) -> None:
    path = tmp_path / "practitioner" / "extract.ndjson.gz"
    write(str(path))
    path.write_bytes(path.read_bytes()[:-1])

    with pytest.raises(
        CorruptBatch, match=r"practitioner/extract.ndjson.gz is missing or truncated.*clear the resource"
    ):
        next(batch_file.read(str(path)))


def test_a_changed_byte_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "extract.ndjson.gz"
    write(str(path))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(bytes(content))

    with pytest.raises(CorruptBatch):
        list(batch_file.read(str(path)))


def test_a_file_with_the_manifest_of_other_records_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "extract.ndjson.gz"
    write(str(path), [{"id": "a"}])
    manifest = Path(batch_file.manifest_path(str(path))).read_bytes()
    write(str(path), [{"id": "b"}])
    Path(batch_file.manifest_path(str(path))).write_bytes(manifest)

    with pytest.raises(CorruptBatch):
        list(batch_file.read(str(path)))


def test_a_batch_without_records_can_be_read(tmp_path: Path) -> None:
    write(f"{tmp_path}/extract.ndjson.gz", [])

    assert list(batch_file.read(f"{tmp_path}/extract.ndjson.gz")) == []


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("practice-1", "practice-1"),
        ("manual__2026-11-22T10:00:00+00:00", "manual__2026-11-22T10-00-00-00-00-4ff2a843"),
        ("..", "-5ec1f7e7"),
    ],
)
def test_a_run_id_becomes_one_safe_path_segment(name: str, expected: str) -> None:
    assert batch_file.segment(name) == expected


def test_different_run_ids_have_different_path_segments() -> None:
    names = {"a:b", "a+b", "a/b", "a-b", "a b", "../a-b"}

    assert len({batch_file.segment(name) for name in names}) == len(names)


def test_a_purge_removes_only_old_runs(tmp_path: Path) -> None:
    now = datetime(2026, 11, 22, 12, tzinfo=UTC)
    root = f"{tmp_path}/staging"
    ages = {"old": 15, "young": 13}
    for run_id, days in ages.items():
        folder = batch_file.run_folder(root, "practice", run_id)
        batch_file.open_folder(folder, now - timedelta(days=days))
        write(filesystem.join(folder, "practitioner", "extract.ndjson.gz"))
    (tmp_path / "staging" / "practice" / "not-a-run").mkdir()

    assert batch_file.purge(root, "practice", days=14, now=now) == 1

    assert filesystem.names(filesystem.join(root, "practice")) == ["not-a-run", "young"]


def test_a_purge_of_a_missing_staging_area_does_nothing(tmp_path: Path) -> None:
    assert batch_file.purge_daily(f"{tmp_path}/nowhere", days=14) == 0
    assert list(tmp_path.iterdir()) == []


def test_each_practice_is_purged_once_a_day(tmp_path: Path) -> None:
    root, now = str(tmp_path), datetime(2026, 11, 28, 0, 30, tzinfo=UTC)

    def begin(practice: str, run_id: str) -> None:
        batch_file.open_folder(batch_file.run_folder(root, practice, run_id), now - timedelta(days=20))

    begin("A", "first")
    assert batch_file.purge_daily(root, 14, now) == 1
    begin("A", "second")
    begin("B", "first")
    assert batch_file.purge_daily(root, 14, now + timedelta(hours=23)) == 1, "only B: A was purged today"
    assert filesystem.names(f"{root}/A") == ["second"]
    assert batch_file.purge_daily(root, 14, now + timedelta(days=1)) == 1, "a new day"
    assert (filesystem.names(f"{root}/A"), filesystem.names(f"{root}/B")) == ([], [])


def test_a_purge_that_was_killed_is_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, now = str(tmp_path), datetime(2026, 11, 28, tzinfo=UTC)
    folder = batch_file.run_folder(root, "P", "old")
    batch_file.open_folder(folder, now - timedelta(days=20))
    for name in ("patient/a.ndjson.gz", "encounter/b.ndjson.gz", "patient/.c.tmp", ".d.tmp", "z.json"):
        with filesystem.put(f"{folder}/{name}") as file:
            file.write(b"x")
    file_count, remove = sum(1 for _ in tmp_path.rglob("*")), filesystem.remove

    def remove_and_die(path: str) -> None:
        remove(path)
        raise KeyboardInterrupt

    monkeypatch.setattr(filesystem, "remove", remove_and_die)
    sizes = [file_count]
    while sizes[-1] > 1:  # each attempt removes at least one more file
        with pytest.raises(KeyboardInterrupt):
            batch_file.purge(root, "P", 14, now)
        sizes.append(sum(1 for _ in tmp_path.rglob("*")))
        assert sizes[-1] < sizes[-2]
    assert not Path(folder).exists()


@pytest.mark.parametrize("run_id", [".hidden", "..", "...", ".", "manual__2026"])
def test_a_run_with_an_unusual_id_is_purged(tmp_path: Path, run_id: str) -> None:
    folder = batch_file.run_folder(str(tmp_path), ".practice", run_id)
    batch_file.open_folder(folder, datetime(2026, 1, 1, tzinfo=UTC))
    assert Path(folder).resolve().is_relative_to(tmp_path)
    assert batch_file.purge_daily(str(tmp_path), 14) == 1
    assert not Path(folder).exists()
