"""Which records are known: from the CRM's links, and from what this run has staged before."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from ecw.crm.db.business_table import Mapped
from ecw.crm.load import deferred, not_returned
from ecw.crm.state import links, run_history
from ecw.mapping.fhirpath.parse import parse
from ecw.mapping.values.references import record_of
from ecw.pull.context import PullContext
from ecw.pull.extract import urgency
from ecw.pull.mapped_columns import mapped_of, names_of
from ecw.settings.name_prefixes import of_texts
from ecw.staging import batch_file, filesystem

# Where a record says when it begins, and of whom it is: the column that a mapping makes of it is looked into.
BEGINS = ("period.start",)
WHOSE = ("beneficiary.reference", "subject.reference")


class Roster:
    """The known ids of a practice, as one run sees them; of a dry run the links do not tell what it would change."""

    def __init__(self, context: PullContext) -> None:
        self._context, self._engine, self._run = context, context.engine, context.run

    def known(self, resource: str) -> list[str]:
        """Return the ids of a resource: those linked, in the order of `links.ids`, then those that are new in this
        run."""
        linked = list(links.ids(self._engine, self._run["practice"], resource))
        before = set(linked)
        return linked + [ecw_id for ecw_id in self._staged(resource, "extract") if ecw_id not in before]

    def changed_ids(self, resource: str, follower: str) -> list[str]:
        """Return the ids that are new or changed: in this run, and since the run that fetched their `follower`
        records last."""
        # Not what was mapped: after an edit of the mapping that is everybody, also where it changed no row.
        here = self._staged(resource, "map") if self._context.options.dry_run else self._of_run(resource)
        missed = links.changed_since(self._engine, self._run["practice"], resource, follower)
        return list(dict.fromkeys([*here, *missed]))

    def deleted_ids(self, resource: str) -> set[str]:
        """Return the ids that eCW was already found not to have any more."""
        return run_history.deleted_ids(self._engine, self._run["practice"], resource)

    def merged(self, resource: str) -> set[str]:
        """Return the ids that eCW has merged into others."""
        return links.merged(self._engine, self._run["practice"], resource)

    def left(self, resource: str, follower: str) -> list[tuple[str, str | None]]:
        """Return the ids that are merged or gone since the `follower` records were last fetched, each with the id of
        the record that has taken its place, where eCW says so."""
        return links.left_since(self._engine, self._run["practice"], resource, follower, self._run["run_id"])

    def refused(self, resource: str) -> list[str]:
        """Return the ids of records that were refused and never linked: eCW may have deleted them since."""
        return run_history.refused(self._engine, self._run["practice"], resource)

    def required_ids(self, resource: str) -> list[str]:
        """Return the ids that must be fetched, whatever the strategy brings: other records wait for them, say."""
        return deferred.required_ids(self._engine, self._run["practice"], resource)

    def beginning(self, resource: str, start: datetime, end: datetime) -> Iterator[str]:
        """Yield the ids that the CRM has and that begin in the span; none where the mapping keeps no such time."""
        mapped, column = self._column(resource, BEGINS)
        if column is not None:
            yield from self._rows(resource, mapped).between(column, start, end)

    def of_patients(self, resource: str, patients: Sequence[str]) -> Iterator[str]:
        """Yield the ids that the CRM has of these patients; none where the mapping keeps no reference to them."""
        mapped, column = self._column(resource, WHOSE)
        if column is not None:
            theirs = [f"Patient/{ecw_id}" for ecw_id in patients]
            yield from self._rows(resource, mapped).referring(column, theirs)

    def urgent(self) -> list[str]:
        """Return the patients whose insurance is fetched in every run: who comes soon, whose intake is open."""
        groups = urgency.urgent(self._context)
        return [ecw_id for group in urgency.GROUPS for ecw_id in groups[group]]

    def beginnings(self, resource: str) -> set[str]:
        """Return the characters with which names begin that the CRM has."""
        mapping = self._context.mapping(resource)
        mapped = mapped_of(mapping)
        return set(of_texts(not_returned.beginnings(self._engine, mapped, names_of(mapping))))

    def _rows(self, resource: str, mapped: Mapped) -> not_returned.LinkedRows:
        return not_returned.LinkedRows(self._engine, self._run["practice"], resource, mapped)

    def _column(self, resource: str, paths: Iterable[str]) -> tuple[Mapped, str | None]:
        """Return the column that the mapping fills from one of the paths, as it is there."""
        mapping, steps = self._context.mapping(resource), [parse(path) for path in paths]
        found = (column.name for column in mapping.pulled if column.steps in steps and not column.crosswalk)
        return mapped_of(mapping), next(found, None)

    def unlinked_patients(self) -> list[str]:
        """Return the patients of this run's encounters who were not linked before the run."""
        linked = set(links.ids(self._engine, self._run["practice"], "patient"))
        linked.difference_update(self._of_run("patient"))  # by an earlier try, and the run still tells of them
        path = filesystem.join(self._run["staging"], "encounter", "extract.ndjson.gz")
        found: dict[str, None] = {}
        for encounter in batch_file.read(path) if batch_file.manifest(path) else ():
            subject = encounter.get("subject")
            record = record_of(subject.get("reference")) if isinstance(subject, dict) else None
            kind, _, ecw_id = (record or "").partition("/")
            if kind == "Patient" and ecw_id not in linked:
                found[ecw_id] = None
        return list(found)

    def _of_run(self, resource: str) -> list[str]:
        return links.of_run(self._engine, self._run["practice"], resource, self._run["run_id"])

    def _staged(self, resource: str, step: str) -> Iterator[str]:
        path = filesystem.join(self._run["staging"], resource, f"{step}.ndjson.gz")
        for line in batch_file.read(path) if batch_file.manifest(path) else ():
            if isinstance(ecw_id := line.get("id" if step == "extract" else "ecw_id"), str):
                yield ecw_id
