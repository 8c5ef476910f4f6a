"""How a patient of the CRM is read: its row, its link, what is agreed, and whose it is."""

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
    """A patient of the CRM: `row` as the mapping's rows are, cleaned as a pull cleans; it holds patient data."""

    crm_id: str
    row: dict[str, Any]
    ecw_id: str | None
    linked: bool
    locked: bool
    changed_at: datetime | None  # by the CRM itself: what we write is no edit of its
    agreed: MergeBase | None = None  # None: never written down
    confirmed: Confirmed = field(default_factory=lambda: Confirmed({}, {}))
    names_id: str | None = None  # the eCW id that the row itself names
    elsewhere: bool = False  # the row names another practice, or another's link claims it: it is that one's patient
    unassigned: bool = False  # it does not say whose it is, and another practice uses the table, too


class Records:
    """Reads the patients of a practice out of the CRM's table."""

    def __init__(self, composer: Composer, place: Place, target: BusinessTable) -> None:
        self.composer, self.place, self.target = composer, place, target
        self.id = cast(target.key, ecw_link.c.crm_id.type)  # as links have it

    def rows(self, connection: Connection) -> practices.Rows:
        """Return which rows of the table are the practice's."""
        return practices.rows(connection, self.place.practice, self.place.resource, self.target)

    def query(self, connection: Connection) -> Select[Any]:
        """Select all patients, those of other practices too, each with its link and what is agreed."""
        table, key, place = self.target.table, self.target.key, self.place
        extra = [table.columns[LOCK]] if LOCK in table.columns else []
        whose = edit_times.Whose(place.practice, place.resource)
        mine = (
            (ecw_link.c.practice == place.practice)
            & (ecw_link.c.resource == place.resource)
            & (ecw_link.c.crm_id == self.id)
        )
        agreed = (
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
                table.outerjoin(ecw_link, mine)
                .outerjoin(ecw_merge_base, agreed)
                .outerjoin(ecw_own_write, edit_times.joined(self.target, whose))
            )
            # Not by the id itself: SQLite would walk all links in its order for each patient, and not look one up.
            .order_by(key, func.coalesce(ecw_link.c.ecw_id, ""))
        )

    def _elsewhere(self, connection: Connection, rows: practices.Rows) -> ColumnElement[bool]:
        """Return which rows are another practice's: they name it, or its link claims them."""
        if not practices.linked_beside(connection, self.place.practice, self.place.resource):
            return rows.theirs
        other = ecw_link.alias().c
        return rows.theirs | exists().where(
            other.practice != self.place.practice,
            other.resource == self.place.resource,
            other.crm_id == cast(self.target.key, other.crm_id.type),
        )

    def of(self, found: Mapping[Any, Any]) -> Record:
        """Return the patient of a row of the query."""
        columns = self.composer.mapping.columns
        row = {column.name: self.composer.cleaned(column, plain(found[column.name])) for column in columns}
        return Record(
            crm_id=found["_id"],
            row=row,
            ecw_id=found["_ecw_id"] or row[self.target.mapped.key],
            linked=found["_ecw_id"] is not None,
            locked=bool(found.get(LOCK)),
            changed_at=edit_times.edited(found),
            elsewhere=bool(found["_elsewhere"]),
            unassigned=bool(found["_unassigned"]),
            agreed=None if found["_emr"] is None else MergeBase.parse(found["_emr"], found["_crm"], found["_sent"]),
            confirmed=Confirmed.parse(found["_identity"]),
            names_id=row[self.target.mapped.key],
        )
