"""The CRM's side of a push: read and write patients as rows of JSON values, their links and their merge bases."""

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
        self.person_columns, self.person = person_columns(mapping), person_reader(mapping)
        self.target: BusinessTable = find(
            connection, Mapped(mapping.table, mapping.key, names, mapping.version, only_read)
        )
        self.records = Records(composer, place, self.target)
        self.id = self.records.id

    def read(self, connection: Connection, crm_id: str, *, to_write: bool = False) -> Record | None:
        """Return one patient, or None if the CRM has no row with that id.

        `to_write` locks the row until the caller's transaction ends; on SQLite, the transaction locks the database.
        """
        try:
            key = self.target.key_of(crm_id)
        except ValueError:
            return None
        query = self.records.query(connection).where(self.target.key == key)
        if to_write and connection.dialect.name == "postgresql":
            query = query.with_for_update(of=self.target.table)
        row = connection.execute(query).mappings().first()
        return self.records.of(row) if row else None

    def canonical(self, connection: Connection, crm_id: str) -> str | None:
        """Return a patient's id in the spelling that links, locks and intents use: a person may write 01, +1 or a UUID
        in capitals.

        Return None if the CRM has no row with that id, or if the row is another practice's.
        """
        try:
            key = self.target.key_of(crm_id)
        except ValueError:
            return None
        of_practice = not_(self.rows(connection).theirs)
        canonical_id: str | None = connection.scalar(select(self.id).where(self.target.key == key, of_practice))
        return canonical_id

    def rows(self, connection: Connection) -> practices.Rows:
        """Return the conditions that tell the practice's rows of the table from those of other practices."""
        return self.records.rows(connection)

    def unassigned(self, connection: Connection) -> int:
        """Return the number of rows without a practice in a table that several practices share: no push sends them."""
        statement = select(func.count()).select_from(self.target.table).where(self.rows(connection).unassigned)
        return int(connection.scalar(statement) or 0)

    def shared(self, connection: Connection, crm_id: str) -> set[str]:
        """Return the contact columns (phone, e-mail, street) in which many other rows have the patient's value."""
        return shared_contacts(connection, self.target, self.target.key_of(crm_id), self.contacts)

    def all(self, connection: Connection) -> Iterator[Record]:
        """Yield every patient of the practice, with its link and its merge base."""
        query = self.records.query(connection).where(self.rows(connection).mine)
        with connection.execute(query, execution_options={"yield_per": 1_000}) as result:
            for row in result.mappings():
                yield self.records.of(row)

    def owners(self, connection: Connection, ecw_ids: Iterable[str]) -> dict[str, str]:
        """Return the CRM ids of the linked ones among these eCW ids, by eCW id."""
        statement = select(ecw_link.c.ecw_id, ecw_link.c.crm_id).where(
            ecw_link.c.practice == self.place.practice,
            ecw_link.c.resource == self.place.resource,
            ecw_link.c.ecw_id.in_(list(ecw_ids)),
        )
        return {row.ecw_id: row.crm_id for row in connection.execute(statement)}

    def another_person(self, record: Record, emr: Mapping[str, Any]) -> str | None:
        """Return the reason why a linked row and eCW's record may be two persons, or None if there is none."""
        if record.names_id not in (None, record.ecw_id):
            return Held.NAMES_ANOTHER
        agreed, confirmed = record.agreed or MergeBase(), record.confirmed
        person = self.person
        before = (person(agreed.crm), person(confirmed.crm)), (person(agreed.emr), person(confirmed.emr))
        return Link(person(record.row), person(emr), *before, renewed=record.names_id is None).another_person()

    def confirm(self, connection: Connection, record: Record, ecw_id: str, emr: Mapping[str, Any]) -> None:
        """Store with the link, in the caller's transaction, that the present row and eCW's record are one person."""
        sides = (
            {name: row[name] for name in self.person_columns if row.get(name) is not None} for row in (record.row, emr)
        )
        key = {"practice": self.place.practice, "resource": self.place.resource, "ecw_id": ecw_id}
        identity = Confirmed(*sides).text()
        connection.execute(update(ecw_link).filter_by(**key, crm_id=record.crm_id).values(identity=identity))

    def link(self, connection: Connection, crm_id: str, ecw_id: str, agreed: MergeBase, run_id: str) -> bool:
        """Link a patient, in the caller's transaction.

        Return False and do nothing if another row has the eCW id, or if this row has another link: then a person must
        decide which of them are one patient.

        The link's hash is empty until eCW's record is read again, so that the next pull maps the record.
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
            statement = named.where(self.target.key == self.target.key_of(crm_id))

            def name_practice(_: object = None) -> None:
                edit_times.write(connection, self.target, whose, statement)

            self._write_if_taken(connection, crm_id, ["the practice"], name_practice)
            edit_times.settle(connection, self.target, whose)
        return True

    def _write_if_taken(
        self, connection: Connection, crm_id: str, columns: Iterable[str], write: Callable[..., None]
    ) -> None:
        """Write into the row of a linked patient; if the CRM refuses the write, only log it."""
        for refused in in_parts(connection, lambda: [crm_id], write).values():
            log.warning(
                "The CRM refuses to write %s in a row of %s: %s. The patient is linked nevertheless. Next (data "
                "engineer): let the user of the CRM's connection write the column.",
                *(", ".join(columns), self.target.mapped.table, refused.reason),
            )

    def _linked_to(self, connection: Connection, crm_id: str) -> str | None:
        ecw_id: str | None = connection.scalar(select(ecw_link.c.ecw_id).filter_by(**self.place.key(crm_id)))
        return ecw_id

    def forget_hash(self, connection: Connection, ecw_id: str) -> None:
        """Clear the link's hash, so that the next pull maps the record even if it did not change."""
        self.mark_read(connection, ecw_id, "", None)

    def mark_read(self, connection: Connection, ecw_id: str, content_hash: str, version: datetime | None) -> None:
        """Store the hash and version of eCW's present record; a pull with an earlier version of it is stale."""
        values: dict[str, Any] = {"hash": content_hash}
        if content_hash:
            values |= {"source_version": version, "read_at": datetime.now(UTC), "stale_run": None}
        key = {"practice": self.place.practice, "resource": self.place.resource, "ecw_id": ecw_id}
        connection.execute(update(ecw_link).filter_by(**key).values(**values))

    def agree(self, connection: Connection, ecw_id: str, agreed: MergeBase) -> None:
        """Store the merge base, in the caller's transaction."""
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
        """Write values of eCW into the CRM's row, in the caller's transaction; store `agreed` for the eCW id `of`.

        The stored merge base has the values that the row holds afterwards, because a trigger of the CRM may change
        them; that is not an edit by the CRM's users. If the row is already `linked`, a refusal by the CRM is only
        logged: the link is valid without the id in the row.

        Raises Unfit if a column cannot hold its value, and RowRefused.
        """
        before = self.read(connection, crm_id, to_write=True)
        converters = self.target.converters
        converted = {name: None if value is None else converters[name](value) for name, value in values.items()}
        statement = update(self.target.table).where(self.target.key == self.target.key_of(crm_id))
        whose = edit_times.Whose(self.place.practice, self.place.resource)
        edit_times.begin_own_writes(connection)

        def write(_: object = None) -> None:
            edit_times.write(connection, self.target, whose, statement.values(**converted))

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
        """Log the columns in which the CRM's row has another value than was written."""
        if changed := sorted(name for name, value in held.crm.items() if value != agreed.crm.get(name)):
            log.warning(
                "The CRM's table %s has other values in %s than were written: a trigger of the CRM may have changed "
                "them. The table's values are the merge base.",
                *(self.target.mapped.table, ", ".join(changed)),
            )
