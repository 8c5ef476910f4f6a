"""The CRM's side of a push: its patients as rows of JSON values, their links, and what is agreed on them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, func, not_, select, update

from ecw.crm.db.business_table import BusinessTable, Mapped, find
from ecw.crm.db.in_parts import in_parts
from ecw.crm.db.tables import ecw_link
from ecw.crm.db.upsert import upsert
from ecw.crm.load.identity import Confirmed
from ecw.crm.load.shared_contacts import shared_contacts
from ecw.crm.state import edit_times, practices
from ecw.crm.state import merge_base as agreements
from ecw.identity.guard import Link
from ecw.identity.held import Held
from ecw.mapping.transform.person import contact_columns, person_columns, person_reader
from ecw.mapping.transform.to_resource import Composer
from ecw.push.crm_records import Record, Records
from ecw.push.intents import Place
from ecw.three_way_merge import MergeBase

log = logging.getLogger(__name__)


class Patients:
    """The CRM's table of a mapping, read and written one patient at a time."""

    def __init__(self, connection: Connection, composer: Composer, place: Place) -> None:
        mapping = composer.mapping
        self.composer, self.place, self.key = composer, place, mapping.key
        names = tuple(column.name for column in mapping.columns)
        only_read = frozenset(column.name for column in mapping.columns if not column.pulled)
        self.contacts = contact_columns(mapping)
        self.says, self.person = person_columns(mapping), person_reader(mapping)
        self.target: BusinessTable = find(
            connection, Mapped(mapping.table, mapping.key, names, mapping.version, only_read)
        )
        self.records = Records(composer, place, self.target)
        self.id = self.records.id

    def read(self, connection: Connection, crm_id: str, *, to_write: bool = False) -> Record | None:
        """Return one patient, None where the CRM has none of that id.

        `to_write`: nobody else writes the row until the caller's transaction ends, which on SQLite keeps all out.
        """
        try:
            key = self.target.key_of(crm_id)
        except ValueError:
            return None
        query = self.records.query(connection).where(self.target.key == key)
        if to_write and connection.dialect.name == "postgresql":
            query = query.with_for_update(of=self.target.table)
        found = connection.execute(query).mappings().first()
        return self.records.of(found) if found else None

    def canonical(self, connection: Connection, crm_id: str) -> str | None:
        """Return a patient's id in the one spelling that links, locks and intents have; None: the CRM has no such row,
        or it is another practice's.

        A person may write 01, +1 or a UUID in capitals.
        """
        try:
            key = self.target.key_of(crm_id)
        except ValueError:
            return None
        mine = not_(self.rows(connection).theirs)
        found: str | None = connection.scalar(select(self.id).where(self.target.key == key, mine))
        return found

    def rows(self, connection: Connection) -> practices.Rows:
        """Return which rows of the table are the practice's."""
        return self.records.rows(connection)

    def unassigned(self, connection: Connection) -> int:
        """Return how many rows do not say whose they are, where that matters: they are pushed nowhere."""
        lost = select(func.count()).select_from(self.target.table).where(self.rows(connection).unassigned)
        return int(connection.scalar(lost) or 0)

    def shared(self, connection: Connection, crm_id: str) -> set[str]:
        """Return the columns of a patient's phone numbers, e-mail addresses and streets that many other rows have."""
        return shared_contacts(connection, self.target, self.target.key_of(crm_id), self.contacts)

    def all(self, connection: Connection) -> Iterator[Record]:
        """Yield every patient of the practice, with its link and what is agreed."""
        query = self.records.query(connection).where(self.rows(connection).mine)
        with connection.execute(query, execution_options={"yield_per": 1_000}) as result:
            for found in result.mappings():
                yield self.records.of(found)

    def owners(self, connection: Connection, ecw_ids: Iterable[str]) -> dict[str, str]:
        """Return the CRM ids of those eCW ids that are linked."""
        statement = select(ecw_link.c.ecw_id, ecw_link.c.crm_id).where(
            ecw_link.c.practice == self.place.practice,
            ecw_link.c.resource == self.place.resource,
            ecw_link.c.ecw_id.in_(list(ecw_ids)),
        )
        return {row.ecw_id: row.crm_id for row in connection.execute(statement)}

    def another_person(self, record: Record, emr: Mapping[str, Any]) -> str | None:
        """Return why a linked row and the record of eCW may be two persons; None: they are one, or nothing tells."""
        if record.names_id not in (None, record.ecw_id):
            return Held.NAMES_ANOTHER
        agreed, sure = record.agreed or MergeBase(), record.confirmed
        person = self.person
        before = (person(agreed.crm), person(sure.crm)), (person(agreed.emr), person(sure.emr))
        return Link(person(record.row), person(emr), *before, renewed=record.names_id is None).another_person()

    def confirm(self, connection: Connection, record: Record, ecw_id: str, emr: Mapping[str, Any]) -> None:
        """Keep with the link, in the caller's transaction, that the row and eCW's record are one person as they are."""
        sides = ({name: row[name] for name in self.says if row.get(name) is not None} for row in (record.row, emr))
        key = {"practice": self.place.practice, "resource": self.place.resource, "ecw_id": ecw_id}
        identity = Confirmed(*sides).text()
        connection.execute(update(ecw_link).filter_by(**key, crm_id=record.crm_id).values(identity=identity))

    def link(self, connection: Connection, crm_id: str, ecw_id: str, agreed: MergeBase, run_id: str) -> bool:
        """Link a patient, in the caller's transaction; False, and nothing done, where another record has the link, or
        this record another link: which two of them are one patient, a person says.

        The link's hash is empty until eCW's record is read again: the next pull looks at it.
        """
        owner = self.owners(connection, [ecw_id]).get(ecw_id)
        if owner not in (None, crm_id) or self._linked_to(connection, crm_id) not in (None, ecw_id):
            return False
        key = {"practice": self.place.practice, "resource": self.place.resource, "ecw_id": ecw_id}
        if owner is None:
            version = self.composer.mapping.version
            values = {"crm_id": crm_id, "hash": "", "mapping_version": version, "last_seen_run": run_id}
            upsert(connection, ecw_link, key, values)
        else:
            self.forget_hash(connection, ecw_id)
        self.write(connection, crm_id, {self.key: ecw_id}, agreed, of=ecw_id, linked=True)
        whose = edit_times.Whose(self.place.practice, self.place.resource)
        if (named := practices.label(self.rows(connection), self.place.resource)) is not None:
            mine = named.where(self.target.key == self.target.key_of(crm_id))

            def name_practice(_: object = None) -> None:
                edit_times.write(connection, self.target, whose, mine)

            self._write_if_taken(connection, crm_id, ["the practice"], name_practice)
            edit_times.settle(connection, self.target, whose)
        return True

    def _write_if_taken(
        self, connection: Connection, crm_id: str, columns: Iterable[str], write: Callable[..., None]
    ) -> None:
        """Write into the row of a patient who is linked already; a refusal by the CRM is logged and changes nothing."""
        for refused in in_parts(connection, lambda: [crm_id], write).values():
            log.warning(
                "The CRM refuses %s in a row of %s: %s. The patient is linked all the same. Next (data engineer): "
                "let the CRM take the column from the user of its connection.",
                *(", ".join(columns), self.target.mapped.table, refused.reason),
            )

    def _linked_to(self, connection: Connection, crm_id: str) -> str | None:
        found: str | None = connection.scalar(select(ecw_link.c.ecw_id).filter_by(**self.place.key(crm_id)))
        return found

    def forget_hash(self, connection: Connection, ecw_id: str) -> None:
        """Let the next pull look at the record again, whatever it says."""
        self.mark_read(connection, ecw_id, "", None)

    def mark_read(self, connection: Connection, ecw_id: str, content_hash: str, version: datetime | None) -> None:
        """Note what eCW's record says now; a pull that fetched it before that version is older."""
        values: dict[str, Any] = {"hash": content_hash}
        if content_hash:
            values |= {"source_version": version, "read_at": datetime.now(UTC), "stale_run": None}
        key = {"practice": self.place.practice, "resource": self.place.resource, "ecw_id": ecw_id}
        connection.execute(update(ecw_link).filter_by(**key).values(**values))

    def agree(self, connection: Connection, ecw_id: str, agreed: MergeBase) -> None:
        """Keep what is agreed, in the caller's transaction."""
        agreements.write(connection, self.place.practice, self.place.resource, ecw_id, agreed)

    def write(
        self,
        connection: Connection,
        crm_id: str,
        values: Mapping[str, Any],
        agreed: MergeBase | None = None,
        *,
        of: str | None = None,
        linked: bool = False,
    ) -> None:
        """Write values of eCW into the CRM's row, in the caller's transaction, and what is `agreed` then on an eCW id.

        What the row holds afterwards is what is agreed on the CRM's side: a trigger of the CRM may change it. It is no
        edit of the CRM's. Where the row is `linked` already, a refusal by the CRM is logged: the link holds without
        the id in the row. Raises Unfit where a column cannot hold its value, and RowRefused.
        """
        before = self.read(connection, crm_id, to_write=True)
        fit = self.target.converters
        fitting = {name: None if value is None else fit[name](value) for name, value in values.items()}
        statement = update(self.target.table).where(self.target.key == self.target.key_of(crm_id))
        whose = edit_times.Whose(self.place.practice, self.place.resource)
        edit_times.begin_own_writes(connection)

        def write(_: object = None) -> None:
            edit_times.write(connection, self.target, whose, statement.values(**fitting))

        if linked:
            self._write_if_taken(connection, crm_id, values, write)
        else:
            write()
        edit_times.settle(connection, self.target, whose)
        after = self.read(connection, crm_id)
        if agreed is None or of is None or before is None or after is None:
            return
        held = agreed.holding(values, before.row, after.row)
        self._warn_of_a_trigger(agreed, held)
        self.agree(connection, of, held)

    def _warn_of_a_trigger(self, agreed: MergeBase, held: MergeBase) -> None:
        """Log the columns in which the CRM holds another value than was written."""
        if changed := sorted(name for name, value in held.crm.items() if value != agreed.crm.get(name)):
            log.warning(
                "The CRM's table %s holds another value in %s than was written: a trigger of the CRM may have changed "
                "it. What the table holds counts as agreed.",
                *(self.target.mapped.table, ", ".join(changed)),
            )
