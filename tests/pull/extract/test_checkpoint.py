"""A killed extraction resumes where it stopped, and every record is staged once in its newest version."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecw.errors import CorruptBatch
from ecw.pull.extract.checkpoint import PART_RECORDS, Checkpoint, Progress
from ecw.staging import batch_file, filesystem
from tests.fixtures.examples import examples


def record(ecw_id: str, hour: int | None = None, **more: Any) -> dict[str, Any]:
    meta = {"meta": {"lastUpdated": f"2026-11-22T{hour:02}:00:00-05:00"}} if hour is not None else {}
    return {"resourceType": "Patient", "id": ecw_id, **meta, **more}


def finished(checkpoint: Checkpoint, tmp_path: Path) -> list[dict[str, Any]]:
    path = f"{tmp_path}/extract.ndjson.gz"
    count = checkpoint.finish(path)
    staged = list(batch_file.read(path))
    assert count == len(staged)
    return staged


def test_records_are_staged_in_order_and_once(tmp_path: Path) -> None:
    checkpoint = Checkpoint(f"{tmp_path}/parts")
    checkpoint.add("list", [record("a"), record("b")], "next", done=False)
    checkpoint.add("list", [record("b"), record("c")], None, done=True)

    assert finished(checkpoint, tmp_path) == [record("a"), record("b"), record("c")]
    assert not (tmp_path / "parts").exists()


def test_the_newest_version_wins_in_any_order(tmp_path: Path) -> None:
    checkpoint = Checkpoint(f"{tmp_path}/parts")
    old, new = record("a", 9, name="old"), record("a", 10, name="new")
    checkpoint.add("list", [old, record("b", 12)], None, done=False)
    checkpoint.add("list", [new], None, done=False)
    checkpoint.add("list", [old], None, done=True)

    assert finished(checkpoint, tmp_path) == [record("b", 12), new]


def test_records_without_an_id_that_differ_only_in_their_version_are_one(tmp_path: Path) -> None:
    checkpoint = Checkpoint(f"{tmp_path}/parts")
    old, new, other = record("", 9), record("", 10), record("", 9, name="other")
    checkpoint.add("list", [old, new, other], None, done=True)

    assert finished(checkpoint, tmp_path) == [new, other]


def test_versions_are_compared_in_utc(tmp_path: Path) -> None:
    """At the end of daylight saving, the later of two local times can be the earlier one."""
    before = {"id": "a", "meta": {"lastUpdated": "2026-11-01T01:50:00-04:00"}}
    after = {"id": "a", "meta": {"lastUpdated": "2026-11-01T01:10:00-05:00"}}
    checkpoint = Checkpoint(f"{tmp_path}/parts")
    checkpoint.add("list", [after], None, done=False)
    checkpoint.add("list", [before], None, done=True)

    assert finished(checkpoint, tmp_path) == [after]


def test_records_without_an_id_are_kept_unless_they_are_equal(tmp_path: Path) -> None:
    checkpoint = Checkpoint(f"{tmp_path}/parts")
    checkpoint.add("list", [{"n": 1}, {"n": 2}, {"n": 1}], None, done=True)

    assert finished(checkpoint, tmp_path) == [{"n": 2}, {"n": 1}]


def test_a_retry_resumes_the_flushed_parts_of_the_killed_attempt(tmp_path: Path) -> None:
    killed = Checkpoint(f"{tmp_path}/parts")
    killed.add("letter a", [record("a")], None, done=True)
    killed.add("letter b", [record("b")], "page 2 of b", done=False)
    killed.flush()
    killed.add("letter b", [record("never kept")], "page 3 of b", done=False)

    again = Checkpoint(f"{tmp_path}/parts")
    assert again.resume()

    assert again.progress == {"letter a": Progress(None, True), "letter b": Progress("page 2 of b", False)}
    again.add("letter b", [record("c")], None, done=True)
    assert finished(again, tmp_path) == [record("a"), record("b"), record("c")]


def test_parts_that_are_hours_old_are_not_resumed(tmp_path: Path) -> None:
    killed = Checkpoint(f"{tmp_path}/parts")
    killed.add("list", [record("a")], None, done=True)
    killed.flush()

    again = Checkpoint(f"{tmp_path}/parts")

    assert not again.resume(datetime.now(UTC) + timedelta(hours=7))
    assert again.progress == {}
    assert finished(again, tmp_path) == []


def test_a_part_is_written_once_it_has_enough_records(tmp_path: Path) -> None:
    checkpoint = Checkpoint(f"{tmp_path}/parts")
    checkpoint.add("list", [record(str(n)) for n in range(PART_RECORDS - 1)], "2", done=False)
    assert filesystem.names(f"{tmp_path}/parts") == []

    checkpoint.add("list", [record("last")], "3", done=False)

    part, manifest = filesystem.names(f"{tmp_path}/parts")
    assert (part[:7], manifest) == ("000000-", batch_file.manifest_path(part))


@pytest.mark.parametrize("removed", [{0}, {1}, {0, 1}])
@pytest.mark.parametrize("suffix", ["", ".gz", ".json"], ids=["whole", "batch", "manifest"])
def test_parts_that_an_interrupted_removal_left_are_not_mixed_with_new_parts(
    tmp_path: Path, removed: set[int], suffix: str
) -> None:
    """A search whose first part was removed starts again, although its later part still exists."""
    first = Checkpoint(f"{tmp_path}/parts")
    for search, ecw_id, done in (("b", "b1", False), ("a", "a1", False), ("a", "a2", True)):
        first.add(search, [record(ecw_id)], None if done else f"the rest of {search}", done=done)
        first.flush()
    for name in filesystem.names(f"{tmp_path}/parts"):
        if int(name[:6]) in removed and name.endswith(suffix):
            filesystem.remove(f"{tmp_path}/parts/{name}")

    second = Checkpoint(f"{tmp_path}/parts")
    assert second.resume() == (0 not in removed)
    second.add("b", [record("b1"), record("b2")], None, done=True)
    second.flush()
    third = Checkpoint(f"{tmp_path}/parts")
    assert third.resume()
    assert third.progress == {"b": Progress(None, True)}
    third.add("a", [record("a1"), record("a2")], None, done=True)

    assert sorted(each["id"] for each in finished(third, tmp_path)) == ["a1", "a2", "b1", "b2"]


def test_two_attempts_at_once_do_not_mix_their_parts(tmp_path: Path) -> None:
    """A worker that Airflow took for dead may go on for a while."""
    zombie, again = Checkpoint(f"{tmp_path}/parts"), Checkpoint(f"{tmp_path}/parts")
    assert not zombie.resume()
    assert not again.resume()
    again.add("a", [record("a1"), record("a2")], None, done=True)
    again.flush()
    zombie.add("b", [record("b1")], None, done=True)
    zombie.flush()
    again.add("b", [record("b1")], None, done=True)

    assert finished(again, tmp_path) == [record("a1"), record("a2"), record("b1")]
    zombie.add("a", [record("a1")], None, done=True)
    with pytest.raises(CorruptBatch):
        zombie.finish(f"{tmp_path}/of-the-zombie.ndjson.gz")
    assert batch_file.manifest(f"{tmp_path}/of-the-zombie.ndjson.gz") is None


class Killed(BaseException):
    """Simulates a SIGKILL: no `except Exception` may catch it."""


@settings(max_examples=examples(60))
@given(data=st.data())
def test_any_kill_leaves_a_complete_batch_or_none(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Kill at any write of any file, any number of times: the batch does not exist until it is complete."""
    folder = tmp_path_factory.mktemp("kill")
    path = f"{folder}/extract.ndjson.gz"
    pages = data.draw(st.lists(st.lists(st.integers(0, 30), max_size=4), min_size=1, max_size=12))
    kills = data.draw(st.lists(st.integers(0, 25), max_size=6))
    expected = {str(number) for page in pages for number in page}
    real = filesystem.put

    def killing(after: int) -> Any:
        writes = iter(range(after + 1))

        def put(name: str) -> Any:
            if next(writes, None) is None:
                raise Killed
            return real(name)

        return put

    def attempt() -> None:
        checkpoint = Checkpoint(f"{folder}/parts")
        checkpoint.resume()
        for number, page in enumerate(pages):
            if not checkpoint.progress.get(str(number), Progress()).done:
                checkpoint.add(str(number), [{"id": str(each)} for each in page], None, done=True)
        checkpoint.finish(path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ecw.pull.extract.checkpoint.PART_PAGES", 2)
        for kill in kills:
            patch.setattr(filesystem, "put", killing(kill))
            try:
                attempt()
            except Killed:
                assert batch_file.manifest(path) is None or ids(path) == expected
            else:
                assert ids(path) == expected
        patch.setattr(filesystem, "put", real)
        attempt()

    assert ids(path) == expected
    assert len(list(batch_file.read(path))) == len(expected)


def ids(path: str) -> set[str]:
    return {record["id"] for record in batch_file.read(path)}
