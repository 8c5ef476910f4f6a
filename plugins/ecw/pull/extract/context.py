"""What an extraction works with, made once: the run, the resource, which records are known, what was fetched so far."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Protocol

from ecw.models import Run
from ecw.pull.extract.checkpoint import Parts
from ecw.pull.extract.dedupe import Seen
from ecw.pull.extract.search_request import SearchRequest
from ecw.resources import Resource
from ecw.settings.pull import Options
from ecw.staging import filesystem


class Known(Protocol):
    """Whoever knows which records there are."""

    def known(self, resource: str) -> list[str]:
        """Return all known ids: those in use before the others, the last changed first."""

    def changed_ids(self, resource: str, follower: str) -> list[str]:
        """Return the ids that are new or changed in this run, or since the `follower` records were last fetched."""

    def deleted_ids(self, resource: str) -> set[str]:
        """Return the ids that eCW no longer has."""

    def merged(self, resource: str) -> set[str]:
        """Return the ids that eCW has merged into others."""

    def left(self, resource: str, follower: str) -> list[tuple[str, str | None]]:
        """Return the ids that are merged or gone since the `follower` records were last fetched, each with the id of
        the record that has taken its place, where eCW says so."""

    def refused(self, resource: str) -> list[str]:
        """Return the ids of records that were refused and never linked."""

    def beginning(self, resource: str, start: datetime, end: datetime) -> Iterable[str]:
        """Return the ids that the CRM has and that begin in the span, without those that are gone."""

    def of_patients(self, resource: str, patients: Sequence[str]) -> Iterable[str]:
        """Return the ids that the CRM has of these patients, without those that are gone."""

    def beginnings(self, resource: str) -> set[str]:
        """Return the characters with which names begin that the CRM has."""

    def required_ids(self, resource: str) -> list[str]:
        """Return the ids that must be fetched, whatever the strategy brings."""

    def urgent(self) -> list[str]:
        """Return the patients whose insurance is fetched in every run, the most urgent first."""

    def unlinked_patients(self) -> list[str]:
        """Return the patients of this run's encounters who were not linked before the run."""


@dataclass(frozen=True)
class ExtractContext:
    """The extraction of a resource of a run; a strategy looks at it, and calls nobody.

    The run's window is the resource's own: see `ecw.pull.plan.window.own_window`.
    """

    run: Run
    resource: Resource
    options: Options
    roster: Known
    max_patients: int | None = None  # per_patient: so many patients at most, those who matter first; None: all
    urgent: int | None = None  # of those whose insurance matters now, so many at most; None: all
    tally: Counter[str] = field(default_factory=Counter)  # what the summary says of how complete the answer is

    @property
    def folder(self) -> str:
        """Where the resource is staged."""
        return filesystem.join(self.run["staging"], self.resource.name)

    @cached_property
    def parts(self) -> Parts:
        """What was fetched so far, an earlier try's included once they are resumed."""
        return Parts(filesystem.join(self.folder, "parts"))

    @property
    def seen(self) -> Seen:
        """The records fetched so far."""
        return self.parts.seen

    @property
    def exact(self) -> bool:
        """Whether the window is somebody's choice, to be covered as it is: a backfill's interval, a form's."""
        return self.run["run_type"] == "backfill" or self.options.own_window or bool(self.options.practitioners)

    @property
    def start(self) -> datetime | None:
        """The window's begin, in a live run with the overlap; None: everything."""
        start = self.run["window_start"]
        if start is None or (self.options.full and not self.exact):
            return None
        overlap = timedelta(0) if self.exact else timedelta(minutes=self.options.overlap_minutes)
        return datetime.fromisoformat(start) - overlap

    @property
    def end(self) -> datetime:
        """The window's end."""
        return datetime.fromisoformat(self.run["window_end"])


Rounds = Iterator[Iterable[SearchRequest]]
