"""Stage the fetched pages as they arrive, so that a killed task continues where it stopped.

An extraction makes a number of searches (a list, a letter, a patient), each with a key and several pages.  The pages
are staged in parts, which are small batches of their own.  A part's manifest has the progress of each search
(`searches`) and the name of the part before it (`after`).  At the end the parts become the extract batch, which has
only the newest copy of each record, and are deleted.

A part is valid only with all parts before it: the last part of a search marks it as done, but its first pages may be in
earlier parts.  So stray parts are ignored: those that a killed removal has left, or that a process writes which still
runs beside its own retry.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from ecw.fhir.unreadable_records import as_line
from ecw.pull.extract.dedupe import Seen
from ecw.staging import batch_file, filesystem

PART_RECORDS = 100  # a part is closed at this number of records ...
PART_PAGES = 20  # ... or of pages, which limits what a killed task loses without one file for each page
SUFFIX = ".ndjson.gz"
STALE = timedelta(hours=6)  # older parts are discarded and fetched again


@dataclass
class Progress:
    """The progress of one search: the link to its next page, or done."""

    next: str | None = None
    done: bool = False


@dataclass
class Checkpoint:
    """The staged parts of one extraction, including those of an earlier try."""

    folder: str
    seen: Seen = field(default_factory=Seen)
    progress: dict[str, Progress] = field(default_factory=dict)  # of the earlier try, by the key of the search
    began: datetime = field(default_factory=lambda: datetime.now(UTC))  # before the first call of the first try
    _names: list[str] = field(default_factory=list)  # of the written parts
    _lines: list[bytes] = field(default_factory=list)  # of the part that is not written yet, like the next two
    _advanced: dict[str, Progress] = field(default_factory=dict)
    _pages: int = 0

    def resume(self, now: datetime | None = None) -> bool:
        """Read the parts of an earlier try; return True if there were any."""
        for name in filesystem.names(self.folder):  # in the order of their numbers
            manifest = batch_file.manifest(self._path(name)) if name.endswith(SUFFIX) else None
            if (
                manifest is None
                or manifest.get("after") != self._last()
                or filesystem.size(self._path(name)) != manifest["bytes"]
            ):
                continue
            if (now or datetime.now(UTC)) - datetime.fromisoformat(manifest["at"]) > STALE:
                self.discard()
                return False
            for line, record in enumerate(batch_file.read(self._path(name))):
                self.seen.add(record, len(self._names), line)
            for key, (link, done) in manifest["searches"].items():
                self.progress[key] = Progress(link, done)
            self._names.append(name)
            self.began = min(self.began, datetime.fromisoformat(manifest["began"]))
        return bool(self._names)

    def add(self, key: str, page: Sequence[Mapping[str, Any]], link: str | None, *, done: bool) -> None:
        """Add one page of a search, with the link to the next page."""
        for record in page:
            line, kept = as_line(record)
            self.seen.add(kept, len(self._names), len(self._lines))
            self._lines.append(line)
        self._advanced[key] = Progress(link, done)
        self._pages += 1
        if len(self._lines) >= PART_RECORDS or self._pages >= PART_PAGES:
            self.flush()

    def flush(self) -> None:
        """Write the added pages as a part."""
        if not self._pages:
            return
        name = f"{len(self._names):06}-{uuid4().hex}{SUFFIX}"
        with batch_file.writer(self._path(name)) as batch:
            for line in self._lines:
                batch.write_line(line)
            batch.extra["searches"] = {key: [progress.next, progress.done] for key, progress in self._advanced.items()}
            batch.extra["began"] = self.began.isoformat()
            batch.extra["at"] = datetime.now(UTC).isoformat()
            batch.extra["after"] = self._last()
        self._names.append(name)
        self._lines, self._advanced, self._pages = [], {}, 0

    def finish(self, path: str) -> int:
        """Write the batch with the newest copy of every record, and discard the parts; return the number of records."""
        self.flush()
        with batch_file.writer(path) as batch:
            for part, name in enumerate(self._names):
                keep = self.seen.lines(part)
                for number, line in enumerate(batch_file.read_lines(self._path(name))):
                    if number in keep:
                        batch.write_line(line)
        self.discard()
        return batch.count

    def discard(self) -> None:
        """Forget everything, and delete the folder."""
        filesystem.remove(self.folder)
        self.seen.close()
        self.seen, self.progress, self._names = Seen(), {}, []

    def _last(self) -> str | None:
        return self._names[-1] if self._names else None

    def _path(self, name: str) -> str:
        return filesystem.join(self.folder, name)
