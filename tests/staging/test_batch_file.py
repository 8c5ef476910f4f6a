"""A batch is there, whole, or it is not there."""

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
def test_what_was_written_is_read(tmp_path: Path, prefix: str) -> None:
    path = f"{prefix}{tmp_path}/run/practitioner/extract.ndjson.gz"

    write(path)

    assert list(batch_file.read(path)) == RECORDS
    found = batch_file.manifest(path)
    assert found is not None
    assert found["count"] == 1000
    assert len(found["sha256"]) == 64


@given(
    texts=st.lists(st.text(max_size=40) | st.sampled_from(["\n", "\r\n", "\u2028", "\\n"]), max_size=20),
    block=st.integers(1, 90),
)
@settings(max_examples=examples(150), suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_where_the_blocks_end_changes_no_record(tmp_path: Path, texts: list[str], block: int) -> None:
    path, records = f"{tmp_path}/extract.ndjson.gz", [{"text": text} for text in texts]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batch_file, "BLOCK", block)
        write(path, records)

        assert list(batch_file.read(path)) == records
        assert list(batch_file.read_lines(path)) == [orjson.dumps(record) for record in records]


def test_a_last_record_without_its_end_is_noticed(tmp_path: Path) -> None:
    path, lines = f"{tmp_path}/extract.ndjson.gz", b'{"id":"a"}\n{"id":"b"}'
    file = Path(path)
    file.write_bytes(gzip.compress(lines))
    told = {"count": 2, "sha256": hashlib.sha256(lines).hexdigest(), "bytes": file.stat().st_size}
    batch_file.write_json(batch_file.manifest_path(path), told)

    with pytest.raises(CorruptBatch, match="in the middle of a record"):
        list(batch_file.read(path))


def test_only_its_owner_can_read_it(tmp_path: Path) -> None:
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


def test_a_writer_that_fails_leaves_nothing(tmp_path: Path) -> None:
    path = f"{tmp_path}/extract.ndjson.gz"

    with pytest.raises(ZeroDivisionError):
        fail(path)

    assert list(tmp_path.iterdir()) == []
    with pytest.raises(CorruptBatch):
        list(batch_file.read(path))


def test_a_second_writer_that_fails_does_not_leave_the_first_batch_as_if_it_were_the_second(tmp_path: Path) -> None:
    path = f"{tmp_path}/extract.ndjson.gz"
    write(path)

    with pytest.raises(ZeroDivisionError):
        fail(path)

    assert batch_file.manifest(path) is None


def test_a_cut_batch_is_noticed_before_its_first_record(tmp_path: Path) -> None:
    path = tmp_path / "practitioner" / "extract.ndjson.gz"
    write(str(path))
    path.write_bytes(path.read_bytes()[:-1])

    with pytest.raises(
        CorruptBatch, match=r"practitioner/extract.ndjson.gz is missing or truncated.*clear the resource"
    ):
        next(batch_file.read(str(path)))


def test_a_changed_byte_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "extract.ndjson.gz"
    write(str(path))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(bytes(content))

    with pytest.raises(CorruptBatch):
        list(batch_file.read(str(path)))


def test_a_whole_file_of_other_records_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "extract.ndjson.gz"
    write(str(path), [{"id": "a"}])
    manifest = Path(batch_file.manifest_path(str(path))).read_bytes()
    write(str(path), [{"id": "b"}])
    Path(batch_file.manifest_path(str(path))).write_bytes(manifest)

    with pytest.raises(CorruptBatch):
        list(batch_file.read(str(path)))


def test_an_empty_batch_is_a_batch(tmp_path: Path) -> None:
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
def test_a_run_id_becomes_one_safe_segment(name: str, expected: str) -> None:
    assert batch_file.segment(name) == expected


def test_different_run_ids_stay_different() -> None:
    names = {"a:b", "a+b", "a/b", "a-b", "a b", "../a-b"}

    assert len({batch_file.segment(name) for name in names}) == len(names)


def test_purge_removes_what_is_old_and_nothing_else(tmp_path: Path) -> None:
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


def test_purge_of_a_staging_area_that_is_not_there_yet(tmp_path: Path) -> None:
    assert batch_file.purge_daily(f"{tmp_path}/nowhere", days=14) == 0
    assert list(tmp_path.iterdir()) == []


def test_each_practice_is_purged_once_a_day_whoever_looks_and_however_often(tmp_path: Path) -> None:
    root, now = str(tmp_path), datetime(2026, 11, 28, 0, 30, tzinfo=UTC)

    def begin(practice: str, run_id: str) -> None:
        batch_file.open_folder(batch_file.run_folder(root, practice, run_id), now - timedelta(days=20))

    begin("A", "first")
    assert batch_file.purge_daily(root, 14, now) == 1
    begin("A", "second")
    begin("B", "first")
    assert batch_file.purge_daily(root, 14, now + timedelta(hours=23)) == 1, "B's alone: A's was today"
    assert filesystem.names(f"{root}/A") == ["second"]
    assert batch_file.purge_daily(root, 14, now + timedelta(days=1)) == 1, "a new day"
    assert (filesystem.names(f"{root}/A"), filesystem.names(f"{root}/B")) == ([], [])


def test_a_purge_that_was_killed_is_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, now = str(tmp_path), datetime(2026, 11, 28, tzinfo=UTC)
    folder = batch_file.run_folder(root, "P", "old")
    batch_file.open_folder(folder, now - timedelta(days=20))
    for name in ("patient/a.ndjson.gz", "encounter/b.ndjson.gz", "patient/.c.tmp", ".d.tmp", "z.json"):
        with filesystem.put(f"{folder}/{name}") as file:
            file.write(b"x")
    whole, remove = sum(1 for _ in tmp_path.rglob("*")), filesystem.remove

    def killed(path: str) -> None:
        remove(path)
        raise KeyboardInterrupt

    monkeypatch.setattr(filesystem, "remove", killed)
    sizes = [whole]
    while sizes[-1] > 1:  # each try gets one step further, whatever is removed first
        with pytest.raises(KeyboardInterrupt):
            batch_file.purge(root, "P", 14, now)
        sizes.append(sum(1 for _ in tmp_path.rglob("*")))
        assert sizes[-1] < sizes[-2]
    assert not Path(folder).exists()


@pytest.mark.parametrize("run_id", [".hidden", "..", "...", ".", "manual__2026"])
def test_a_run_is_purged_whatever_its_id(tmp_path: Path, run_id: str) -> None:
    folder = batch_file.run_folder(str(tmp_path), ".practice", run_id)
    batch_file.open_folder(folder, datetime(2026, 1, 1, tzinfo=UTC))
    assert Path(folder).resolve().is_relative_to(tmp_path)
    assert batch_file.purge_daily(str(tmp_path), 14) == 1
    assert not Path(folder).exists()
