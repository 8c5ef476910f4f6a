"""Read a patient of the CRM: its row, its link, its merge base, and its practice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, cast, exists, func, select

from ecw.crm.db.business_table import LOCK, BusinessTable, as_read
from ecw.crm.db.converters import plain
from ecw.crm.db.tables import ecw_link, ecw_merge_base, ecw_own_write
from ecw.crm.load.identity import Confirmed
from ecw.crm.state import edit_times, practices
from ecw.mapping.transform.to_resource import Composer
from ecw.push.intents import Place
from ecw.three_way_merge import MergeBase


@dataclass(frozen=True, slots=True)
class Record:
    """A patient of the CRM: `row` has the mapping's columns, cleaned as in a pull; it holds patient data."""

    crm_id: str
    row: dict[str, Any]
    ecw_id: str | None
    linked: bool
    locked: bool
    changed_at: datetime | None  # by the CRM itself; the project's own writes do not count
    agreed: MergeBase | None = None  # None: no merge base yet
    confirmed: Confirmed = field(default_factory=lambda: Confirmed({}, {}))
    names_id: str | None = None  # the eCW id in the row itself
    elsewhere: bool = False  # another practice's patient: the row names that practice, or its link has the row
    unassigned: bool = False  # the row names no practice, although several practices share the table


class Records:
    """Reads the patients of a practice out of the CRM's table."""

    def __init__(self, composer: Composer, place: Place, target: BusinessTable) -> None:
        self.composer, self.place, self.target = composer, place, target
        self.id = cast(target.key, ecw_link.c.crm_id.type)  # in the type of the links

    def rows(self, connection: Connection) -> practices.Rows:
        """Return the conditions that tell the practice's rows of the table from those of other practices."""
        return practices.rows(connection, self.place.practice, self.place.resource, self.target)

    def query(self, connection: Connection) -> Select[Any]:
        """Select all patients, including those of other practices, each with its link and its merge base."""
        table, key, place = self.target.table, self.target.key, self.place
        extra = [table.columns[LOCK]] if LOCK in table.columns else []
        whose = edit_times.Whose(place.practice, place.resource)
        own_link = (
            (ecw_link.c.practice == place.practice)
            & (ecw_link.c.resource == place.resource)
            & (ecw_link.c.crm_id == self.id)
        )
        own_merge_base = (
            (ecw_merge_base.c.practice == place.practice)
            & (ecw_merge_base.c.resource == place.resource)
            & (ecw_merge_base.c.ecw_id == ecw_link.c.ecw_id)
        )
        rows = self.rows(connection)
        return (
            select(
                self.id.label("_id"),
                *(as_read(column).label(name) for name, column in self.target.columns.items()),
                *extra,
                ecw_link.c.ecw_id.label("_ecw_id"),
                ecw_link.c.identity.label("_identity"),
                self._elsewhere(connection, rows).label("_elsewhere"),
                rows.unassigned.label("_unassigned"),
                ecw_merge_base.c.emr.label("_emr"),
                ecw_merge_base.c.crm.label("_crm"),
                ecw_merge_base.c.sent.label("_sent"),
                *edit_times.columns(connection, self.target),
            )
            .select_from(
                table.outerjoin(ecw_link, own_link)
                .outerjoin(ecw_merge_base, own_merge_base)
                .outerjoin(ecw_own_write, edit_times.joined(self.target, whose))
            )
            # Not by the id itself: then SQLite would scan all links for each patient instead of using the index.
            .order_by(key, func.coalesce(ecw_link.c.ecw_id, ""))
        )

    def _elsewhere(self, connection: Connection, rows: practices.Rows) -> ColumnElement[bool]:
        """Return the condition for another practice's rows: they name it, or its links have them."""
        if not practices.linked_beside(connection, self.place.practice, self.place.resource):
            return rows.theirs
        other = ecw_link.alias().c
        return rows.theirs | exists().where(
            other.practice != self.place.practice,
            other.resource == self.place.resource,
            other.crm_id == cast(self.target.key, other.crm_id.type),
        )

    def of(self, result: Mapping[Any, Any]) -> Record:
        """Return the patient of a result row of the query."""
        columns = self.composer.mapping.columns
        row = {column.name: self.composer.cleaned(column, plain(result[column.name])) for column in columns}
        return Record(
            crm_id=result["_id"],
            row=row,
            ecw_id=result["_ecw_id"] or row[self.target.mapped.key],
            linked=result["_ecw_id"] is not None,
            locked=bool(result.get(LOCK)),
            changed_at=edit_times.edited(result),
            elsewhere=bool(result["_elsewhere"]),
            unassigned=bool(result["_unassigned"]),
            agreed=None if result["_emr"] is None else MergeBase.parse(result["_emr"], result["_crm"], result["_sent"]),
            confirmed=Confirmed.parse(result["_identity"]),
            names_id=row[self.target.mapped.key],
        )
