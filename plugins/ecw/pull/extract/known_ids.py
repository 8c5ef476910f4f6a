"""The known records of a practice, from the CRM's links and from the batches that the run has staged."""

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

# The FHIR paths of a record's begin and of its patient; the columns that a mapping fills from them are queried.
BEGINS = ("period.start",)
PATIENT = ("beneficiary.reference", "subject.reference")


class KnownIds:
    """The known ids of a practice for one run; a dry run takes changed ids from staged batches, not from links."""

    def __init__(self, context: PullContext) -> None:
        self._context, self._engine, self._run = context, context.engine, context.run

    def known(self, resource: str) -> list[str]:
        """Return the linked ids of a resource, in the order of `links.ids`, then those that are new in this run."""
        linked = list(links.ids(self._engine, self._run["practice"], resource))
        already = set(linked)
        return linked + [ecw_id for ecw_id in self._staged(resource, "extract") if ecw_id not in already]

    def changed_ids(self, resource: str, follower: str) -> list[str]:
        """Return the ids that are new or changed in this run, or since their `follower` records were last fetched."""
        # Not the mapped records: after an edit of the mapping that is every record, even if no row changed.
        changed = self._staged(resource, "map") if self._context.options.dry_run else self._of_run(resource)
        missed = links.changed_since(self._engine, self._run["practice"], resource, follower)
        return list(dict.fromkeys([*changed, *missed]))

    def deleted_ids(self, resource: str) -> set[str]:
        """Return the ids that an earlier run found to be deleted in eCW."""
        return run_history.deleted_ids(self._engine, self._run["practice"], resource)

    def merged(self, resource: str) -> set[str]:
        """Return the ids that eCW has merged into others."""
        return links.merged(self._engine, self._run["practice"], resource)

    def left(self, resource: str, follower: str) -> list[tuple[str, str | None]]:
        """Return the ids that were merged or deleted since the `follower` records were last fetched.

        Each has the id of the record into which eCW merged it, or None if that is unknown.
        """
        return links.left_since(self._engine, self._run["practice"], resource, follower, self._run["run_id"])

    def refused(self, resource: str) -> list[str]:
        """Return the ids of records that were rejected and never linked: eCW may have deleted them since."""
        return run_history.refused(self._engine, self._run["practice"], resource)

    def required_ids(self, resource: str) -> list[str]:
        """Return the ids that must be fetched even if the strategy does not return them: deferred rows need them."""
        return deferred.required_ids(self._engine, self._run["practice"], resource)

    def beginning(self, resource: str, start: datetime, end: datetime) -> Iterator[str]:
        """Yield the ids in the CRM whose records begin in the time span; none if the mapping has no such column."""
        mapped, column = self._column(resource, BEGINS)
        if column is not None:
            yield from self._rows(resource, mapped).between(column, start, end)

    def of_patients(self, resource: str, patients: Sequence[str]) -> Iterator[str]:
        """Yield the ids in the CRM that belong to these patients; none if the mapping has no such column."""
        mapped, column = self._column(resource, PATIENT)
        if column is not None:
            references = [f"Patient/{ecw_id}" for ecw_id in patients]
            yield from self._rows(resource, mapped).referring(column, references)

    def urgent(self) -> list[str]:
        """Return the patients with an appointment soon or an open intake: every run fetches their insurance."""
        groups = urgency.urgent(self._context)
        return [ecw_id for group in urgency.GROUPS for ecw_id in groups[group]]

    def beginnings(self, resource: str) -> set[str]:
        """Return the first characters of the names in the CRM."""
        mapping = self._context.mapping(resource)
        mapped = mapped_of(mapping)
        return set(of_texts(not_returned.beginnings(self._engine, mapped, names_of(mapping))))

    def _rows(self, resource: str, mapped: Mapped) -> not_returned.LinkedRows:
        return not_returned.LinkedRows(self._engine, self._run["practice"], resource, mapped)

    def _column(self, resource: str, paths: Iterable[str]) -> tuple[Mapped, str | None]:
        """Return the column that the mapping fills from one of the paths without a crosswalk, or None."""
        mapping, steps = self._context.mapping(resource), [parse(path) for path in paths]
        columns = (column.name for column in mapping.pulled if column.steps in steps and not column.crosswalk)
        return mapped_of(mapping), next(columns, None)

    def unlinked_patients(self) -> list[str]:
        """Return the patients of this run's encounters who were not linked before the run."""
        linked = set(links.ids(self._engine, self._run["practice"], "patient"))
        linked.difference_update(self._of_run("patient"))  # an earlier try of this run has linked them
        path = filesystem.join(self._run["staging"], "encounter", "extract.ndjson.gz")
        unlinked: dict[str, None] = {}
        for encounter in batch_file.read(path) if batch_file.manifest(path) else ():
            subject = encounter.get("subject")
            record = record_of(subject.get("reference")) if isinstance(subject, dict) else None
            kind, _, ecw_id = (record or "").partition("/")
            if kind == "Patient" and ecw_id not in linked:
                unlinked[ecw_id] = None
        return list(unlinked)

    def _of_run(self, resource: str) -> list[str]:
        return links.of_run(self._engine, self._run["practice"], resource, self._run["run_id"])

    def _staged(self, resource: str, step: str) -> Iterator[str]:
        path = filesystem.join(self._run["staging"], resource, f"{step}.ndjson.gz")
        for line in batch_file.read(path) if batch_file.manifest(path) else ():
            if isinstance(ecw_id := line.get("id" if step == "extract" else "ecw_id"), str):
                yield ecw_id
