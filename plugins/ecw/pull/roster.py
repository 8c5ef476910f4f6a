"""Which records are known: from the CRM's links, and from what this run has staged before."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Engine

from ecw.crm import history, links, parked
from ecw.pull import staging, store
from ecw.words import Run


class Roster:
    """The known ids of a practice, as one run sees them."""

    def __init__(self, engine: Engine, run: Run) -> None:
        self._engine = engine
        self._run = run

    def known(self, resource: str) -> list[str]:
        """Return the ids of a resource: those linked, in the order of `links.ids`, then those that are new in this
        run."""
        linked = list(links.ids(self._engine, self._run["practice"], resource))
        before = set(linked)
        return linked + [ecw_id for ecw_id in self._staged(resource, "extract") if ecw_id not in before]

    def touched(self, resource: str) -> list[str]:
        """Return the ids that are new or changed in this run, as far as its map step has told."""
        return list(self._staged(resource, "map"))

    def gone(self, resource: str) -> set[str]:
        """Return the ids that eCW was already found not to have any more."""
        return history.gone(self._engine, self._run["practice"], resource)

    def refused(self, resource: str) -> list[str]:
        """Return the ids of records that were refused and never linked: eCW may have deleted them since."""
        return history.refused(self._engine, self._run["practice"], resource)

    def wanted(self, resource: str) -> list[str]:
        """Return the ids that must be looked at, whatever the strategy brings: other records wait for them, say."""
        return parked.wanted(self._engine, self._run["practice"], resource)

    def strangers(self) -> list[str]:
        """Return the patients of this run's encounters who are not linked."""
        linked = set(links.ids(self._engine, self._run["practice"], "patient"))
        path = store.join(self._run["staging"], "encounter", "extract.ndjson.gz")
        found: dict[str, None] = {}
        for encounter in staging.read(path) if staging.manifest(path) else ():
            subject = encounter.get("subject")
            reference = subject.get("reference") if isinstance(subject, dict) else None
            if isinstance(reference, str):
                kind, _, ecw_id = reference.rpartition("/")
                if kind.rpartition("/")[2] == "Patient" and ecw_id not in linked:
                    found[ecw_id] = None
        return list(found)

    def _staged(self, resource: str, step: str) -> Iterator[str]:
        path = store.join(self._run["staging"], resource, f"{step}.ndjson.gz")
        for line in staging.read(path) if staging.manifest(path) else ():
            if isinstance(ecw_id := line.get("id" if step == "extract" else "ecw_id"), str):
                yield ecw_id
