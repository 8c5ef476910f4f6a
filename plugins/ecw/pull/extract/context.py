"""The context of an extraction: the run, the resource, the known records and the records fetched so far."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Protocol

from ecw.models import Run, RunType
from ecw.pull.extract.checkpoint import Checkpoint
from ecw.pull.extract.dedupe import Seen
from ecw.pull.extract.search_request import SearchRequest
from ecw.resources import Resource
from ecw.settings.pull import Options
from ecw.staging import filesystem


class Known(Protocol):
    """The known records of a practice."""

    def known(self, resource: str) -> list[str]:
        """Return all known ids: those in use before the others, the last changed first."""

    def changed_ids(self, resource: str, follower: str) -> list[str]:
        """Return the ids that are new or changed in this run, or since the `follower` records were last fetched."""

    def deleted_ids(self, resource: str) -> set[str]:
        """Return the ids that eCW no longer has."""

    def merged(self, resource: str) -> set[str]:
        """Return the ids that eCW has merged into others."""

    def left(self, resource: str, follower: str) -> list[tuple[str, str | None]]:
        """Return the ids that were merged or deleted since the `follower` records were last fetched.

        Each has the id of the record into which eCW merged it, or None if that is unknown.
        """

    def refused(self, resource: str) -> list[str]:
        """Return the ids of records that were rejected and never linked."""

    def beginning(self, resource: str, start: datetime, end: datetime) -> Iterable[str]:
        """Return the ids in the CRM whose records begin in the time span, without deleted ones."""

    def of_patients(self, resource: str, patients: Sequence[str]) -> Iterable[str]:
        """Return the ids in the CRM that belong to these patients, without deleted ones."""

    def beginnings(self, resource: str) -> set[str]:
        """Return the first characters of the names in the CRM."""

    def required_ids(self, resource: str) -> list[str]:
        """Return the ids that must be fetched even if the strategy does not return them."""

    def urgent(self) -> list[str]:
        """Return the patients whose insurance is fetched in every run, the most urgent first."""

    def unlinked_patients(self) -> list[str]:
        """Return the patients of this run's encounters who were not linked before the run."""


@dataclass(frozen=True)
class ExtractContext:
    """The extraction of one resource of a run; a strategy reads it and makes no calls itself.

    The run's window is the resource's own: see `ecw.pull.plan.window.own_window`.
    """

    run: Run
    resource: Resource
    options: Options
    known_ids: Known
    max_patients: int | None = None  # per_patient: the most patients to query, the most important first; None: all
    urgent: int | None = None  # the most patients with urgent insurance to query; None: all
    tally: Counter[str] = field(default_factory=Counter)  # numbers in the strategy's note on completeness

    @property
    def folder(self) -> str:
        """The folder in which the resource is staged."""
        return filesystem.join(self.run["staging"], self.resource.name)

    @cached_property
    def checkpoint(self) -> Checkpoint:
        """The staged parts; after `Checkpoint.resume` also those of an earlier try."""
        return Checkpoint(filesystem.join(self.folder, "parts"))

    @property
    def seen(self) -> Seen:
        """The records fetched so far."""
        return self.checkpoint.seen

    @property
    def exact(self) -> bool:
        """Whether a person chose the window, so that it is covered exactly: a backfill's interval, a form's window."""
        return self.run["run_type"] == RunType.BACKFILL or self.options.own_window or bool(self.options.practitioners)

    @property
    def start(self) -> datetime | None:
        """The window's start, in a live run minus the overlap; None: everything."""
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
