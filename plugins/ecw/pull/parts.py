"""What an extraction has fetched so far, kept so that a task that was killed continues where it stopped.

An extraction is a number of units (a list, a letter, a patient: one search each) that come in pages.  Pages are staged
in parts, small batches of their own; a part's manifest says how far each unit had come with it.  The parts become the
extract batch at the end, without the copies that a newer one replaces, and go.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from ecw.pull import staging, store
from ecw.pull.seen import Seen

PART_RECORDS = 100  # a part is closed when it holds that many records ...
PART_PAGES = 20  # ... or that many pages: what a kill costs at most, against one file for each page
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
    count: int = 0  # parts written
    _records: list[Mapping[str, Any]] = field(default_factory=list)
    _moved: dict[str, Progress] = field(default_factory=dict)
    _pages: int = 0

    def resume(self, now: datetime | None = None) -> bool:
        """Take up what an earlier try has left; return whether there was anything."""
        while (found := staging.manifest(self._path(self.count))) is not None:
            if (now or datetime.now(UTC)) - datetime.fromisoformat(found["at"]) > STALE:
                self.discard()
                return False
            for line, record in enumerate(staging.read(self._path(self.count))):
                self.seen.add(record, self.count, line)
            for unit, (link, done) in found["units"].items():
                self.progress[unit] = Progress(link, done)
            self.count += 1
        return self.count > 0

    def add(self, unit: str, page: Sequence[Mapping[str, Any]], link: str | None, *, done: bool) -> None:
        """Keep one page of a unit, with the link to the page after it."""
        for record in page:
            self.seen.add(record, self.count, len(self._records))
            self._records.append(record)
        self._moved[unit] = Progress(link, done)
        self._pages += 1
        if len(self._records) >= PART_RECORDS or self._pages >= PART_PAGES:
            self.flush()

    def flush(self) -> None:
        """Write the pages that wait as a part."""
        if not self._pages:
            return
        with staging.writer(self._path(self.count)) as batch:
            for record in self._records:
                batch.write(record)
            batch.extra["units"] = {unit: [moved.next, moved.done] for unit, moved in self._moved.items()}
            batch.extra["at"] = datetime.now(UTC).isoformat()
        self.count += 1
        self._records, self._moved, self._pages = [], {}, 0

    def finish(self, path: str) -> int:
        """Make the batch: every record once, its newest copy.  Return their number."""
        self.flush()
        with staging.writer(path) as batch:
            for part in range(self.count):
                keep = self.seen.lines(part)
                for number, line in enumerate(staging.read_lines(self._path(part))):
                    if number in keep:
                        batch.write_line(line)
        self.discard()
        return batch.count

    def discard(self) -> None:
        """Forget everything, on the disk too."""
        store.remove(self.folder)
        self.seen.close()
        self.seen, self.progress, self.count = Seen(), {}, 0

    def _path(self, number: int) -> str:
        return store.join(self.folder, f"{number:06}.ndjson.gz")
