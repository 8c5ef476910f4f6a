"""What an extraction has fetched so far, kept so that a task that was killed continues where it stopped.

An extraction is a number of units (a list, a letter, a patient: one search each) that come in pages.  Pages are staged
in parts, small batches of their own; a part's manifest says how far each unit had come with it, and after which part.
The parts become the extract batch at the end, without the copies that a newer one replaces, and go.

A part counts only with all those before it: "done" is said in a unit's last part, and its first page may be in another.
So what a removal that was killed has left, or a process that still runs beside its own next try, is not mixed in.
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

PART_RECORDS = 100  # a part is closed when it holds that many records ...
PART_PAGES = 20  # ... or that many pages: what a kill costs at most, against one file for each page
SUFFIX = ".ndjson.gz"
STALE = timedelta(hours=6)  # parts of a run that was left alone for longer are fetched anew


@dataclass
class Progress:
    """How far one unit has come: the link to its next page, or done."""

    next: str | None = None
    done: bool = False


@dataclass
class Parts:
    """The parts of one extraction, those of an earlier try included."""

    folder: str
    seen: Seen = field(default_factory=Seen)
    progress: dict[str, Progress] = field(default_factory=dict)  # of the earlier try
    began: datetime = field(default_factory=lambda: datetime.now(UTC))  # before the first call, of the earlier try too
    _names: list[str] = field(default_factory=list)  # of the parts written
    _lines: list[bytes] = field(default_factory=list)
    _moved: dict[str, Progress] = field(default_factory=dict)
    _pages: int = 0

    def resume(self, now: datetime | None = None) -> bool:
        """Take up what an earlier try has left; return whether there was anything."""
        for name in filesystem.names(self.folder):  # in the order of their numbers
            found = batch_file.manifest(self._path(name)) if name.endswith(SUFFIX) else None
            if (
                found is None
                or found.get("after") != self._last()
                or filesystem.size(self._path(name)) != found["bytes"]
            ):
                continue
            if (now or datetime.now(UTC)) - datetime.fromisoformat(found["at"]) > STALE:
                self.discard()
                return False
            for line, record in enumerate(batch_file.read(self._path(name))):
                self.seen.add(record, len(self._names), line)
            for unit, (link, done) in found["units"].items():
                self.progress[unit] = Progress(link, done)
            self._names.append(name)
            self.began = min(self.began, datetime.fromisoformat(found["began"]))
        return bool(self._names)

    def add(self, unit: str, page: Sequence[Mapping[str, Any]], link: str | None, *, done: bool) -> None:
        """Keep one page of a unit, with the link to the page after it."""
        for record in page:
            line, kept = as_line(record)
            self.seen.add(kept, len(self._names), len(self._lines))
            self._lines.append(line)
        self._moved[unit] = Progress(link, done)
        self._pages += 1
        if len(self._lines) >= PART_RECORDS or self._pages >= PART_PAGES:
            self.flush()

    def flush(self) -> None:
        """Write the pages that wait as a part."""
        if not self._pages:
            return
        name = f"{len(self._names):06}-{uuid4().hex}{SUFFIX}"
        with batch_file.writer(self._path(name)) as batch:
            for line in self._lines:
                batch.write_line(line)
            batch.extra["units"] = {unit: [moved.next, moved.done] for unit, moved in self._moved.items()}
            batch.extra["began"] = self.began.isoformat()
            batch.extra["at"] = datetime.now(UTC).isoformat()
            batch.extra["after"] = self._last()
        self._names.append(name)
        self._lines, self._moved, self._pages = [], {}, 0

    def finish(self, path: str) -> int:
        """Make the batch: every record once, its newest copy.  Return their number."""
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
        """Forget everything, on the disk too."""
        filesystem.remove(self.folder)
        self.seen.close()
        self.seen, self.progress, self._names = Seen(), {}, []

    def _last(self) -> str | None:
        return self._names[-1] if self._names else None

    def _path(self, name: str) -> str:
        return filesystem.join(self.folder, name)
