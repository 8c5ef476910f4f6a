"""Batches between the steps: gzip NDJSON files, each with a manifest of its count, size and hash.

`extract.ndjson.gz` is beside `extract.ndjson.gz.manifest.json`.  The manifest is written last and removed first, so a
batch is complete exactly if its manifest exists.  The same records give the same bytes.
"""

from __future__ import annotations

import gzip
import hashlib
import logging
import re
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import IO, Any

import orjson

from ecw.errors import CorruptBatch
from ecw.staging import filesystem

BLOCK = 1 << 18  # bytes that are compressed or read at once: memory does not grow with the batch
BEGUN = "run.json"  # in the folder of a run: when it began
PURGED = ".purged.json"  # in the folder of a practice: when it was last purged
LEVEL = 1  # zlib: half the size of level 0 at disk speed; level 6 takes four times as long for a tenth less


log = logging.getLogger(__name__)


class Writer:
    """Writes records to an open batch, and counts them."""

    def __init__(self, file: IO[bytes]) -> None:
        self.count = 0
        self.size = 0
        self.extra: dict[str, Any] = {}  # more entries for the manifest
        self._file = file
        self._gzip = gzip.GzipFile(filename="", mode="wb", fileobj=file, compresslevel=LEVEL, mtime=0)
        self._hash = hashlib.sha256()
        self._lines: list[bytes] = []
        self._waiting = 0

    def write(self, record: Mapping[str, Any]) -> None:
        """Add one record."""
        self.write_line(orjson.dumps(record))

    def write_line(self, line: bytes) -> None:
        """Add one record that is serialised already: a line of JSON without a newline."""
        self._lines.append(line)
        self.count += 1
        self._waiting += len(line)
        if self._waiting >= BLOCK:
            self._flush()

    def close(self) -> None:
        """Write the buffered records and the end of the gzip stream."""
        self._flush()
        self._gzip.close()

    def manifest(self) -> dict[str, Any]:
        """Return the manifest: count, hash and size, which a reader verifies."""
        return {"count": self.count, "sha256": self._hash.hexdigest(), "bytes": self.size, **self.extra}

    def _flush(self) -> None:
        block = b"\n".join([*self._lines, b""])
        self._hash.update(block)
        self._gzip.write(block)
        self._lines.clear()
        self._waiting = 0


@contextmanager
def writer(path: str) -> Iterator[Writer]:
    """Yield a writer of a batch, which is complete if the `with` ends without an error, else absent."""
    filesystem.remove(manifest_path(path))
    with filesystem.put(path) as file:
        batch = Writer(file)
        yield batch
        batch.close()
        batch.size = file.tell()
    write_json(manifest_path(path), batch.manifest())


def read(path: str) -> Iterator[Any]:
    """Yield a batch's records, and verify that none is missing.

    Raises CorruptBatch, maybe only after the last record: read all records before you commit anything.
    """
    for line in read_lines(path):
        try:
            record = orjson.loads(line)
        except orjson.JSONDecodeError:  # the error holds the line
            raise _damaged(path, "does not hold JSON") from None
        yield record


def parsed(line: bytes) -> Any:
    """Parse a line."""
    return orjson.loads(line)


def read_lines(path: str) -> Iterator[bytes]:
    """Yield a batch's records as lines of JSON, without their newlines, as `read` does."""
    expected = manifest(path)
    if expected is None or filesystem.size(path) != expected["bytes"]:
        raise _damaged(path, "is missing or truncated")
    count, digest = 0, hashlib.sha256()
    try:
        with filesystem.get(path) as file, gzip.open(file) as unpacked:
            rest = b""
            while block := unpacked.read(BLOCK):
                digest.update(block)
                *lines, rest = (rest + block).split(b"\n")
                count += len(lines)
                yield from lines
        if rest:
            raise _damaged(path, "ends in the middle of a record")
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise _damaged(path, "cannot be unpacked") from None
    if count != expected["count"] or digest.hexdigest() != expected["sha256"]:
        raise _damaged(path, f"holds {count} records instead of {expected['count']}, or others than were written")


def manifest(path: str) -> dict[str, Any] | None:
    """Return a batch's manifest, None if the batch is not complete."""
    found: dict[str, Any] | None = read_json(manifest_path(path))
    return found


def manifest_path(path: str) -> str:
    """Return the path of a batch's manifest."""
    return f"{path}.manifest.json"


def write_json(path: str, value: object) -> None:
    """Write a small JSON file atomically."""
    filesystem.put_bytes(path, orjson.dumps(value))


def read_json(path: str) -> Any:
    """Return a small JSON file's value, None if the file does not exist."""
    try:
        with filesystem.get(path) as file:
            return orjson.loads(file.read())
    except (FileNotFoundError, NotADirectoryError):
        return None


def segment(name: str) -> str:
    """Return a name, such as a run id, as one path segment valid in every store; different names stay different."""
    safe = re.sub(r"[^A-Za-z0-9_.-]", "-", name)
    if safe == name and not safe.startswith("."):  # a hidden folder is easily overlooked
        return name
    return f"{safe.strip('.')}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def run_folder(root: str, practice: str, run_id: str) -> str:
    """Return the folder of a run's batches."""
    return filesystem.join(root, segment(practice), segment(run_id))


def practice_folder(folder: str) -> str:
    """Return the practice's folder of a run's folder: its parent."""
    return folder.rpartition("/")[0]


def open_folder(folder: str, now: datetime | None = None) -> None:
    """Note when a run began in its folder, for `purge`."""
    write_json(filesystem.join(folder, BEGUN), {"begun": (now or datetime.now(UTC)).isoformat()})


def purge_daily(root: str, days: float, now: datetime | None = None) -> int:
    """Purge each practice that was not purged today (UTC); return how many folders of runs were removed.

    In an object store every folder costs requests, and every run calls this function: once a day is enough.
    """
    now = now or datetime.now(UTC)
    today = now.date().isoformat()
    removed = 0
    for practice in filesystem.names(root, hidden=True):
        purged = filesystem.join(root, practice, PURGED)
        if (read_json(purged) or {}).get("day") == today:
            continue
        if filesystem.names(filesystem.join(root, practice), hidden=True):  # a stray file is not a practice
            removed += purge(root, practice, days, now)
            write_json(purged, {"day": today})
    return removed


def purge(root: str, practice: str, days: float, now: datetime | None = None) -> int:
    """Remove a practice's folders of runs that began more than `days` days ago; return how many.

    The file that says when a run began is removed last, so that the next purge continues a killed one. Uploads that
    never ended are aborted after a day.
    """
    now = now or datetime.now(UTC)
    removed = 0
    for run in filesystem.names(filesystem.join(root, practice), hidden=True):
        folder = filesystem.join(root, practice, run)
        begun = read_json(filesystem.join(folder, BEGUN))
        if begun is not None and datetime.fromisoformat(begun["begun"]) < now - timedelta(days=days):
            for name in filesystem.names(folder, hidden=True):
                if name != BEGUN:
                    filesystem.remove(filesystem.join(folder, name))
            filesystem.remove(folder)
            removed += 1
    if aborted := filesystem.abort_uploads(filesystem.join(root, practice), now - timedelta(days=1)):
        log.info("Staging: aborted %d uploads that never ended.", aborted)
    return removed


def _damaged(path: str, how: str) -> CorruptBatch:
    resource, _, step = path.rpartition("/")
    return CorruptBatch(
        f"The staged batch {resource.rpartition('/')[2]}/{step} {how}.",
        next_step=f"clear the resource's tasks from the one that wrote it ({step.partition('.')[0]}) on.",
    )
