"""Keep a pull from writing into a row of the CRM that describes another person than the link was made for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
from sqlalchemy import Connection, select, update

from ecw.crm.db.business_table import BusinessTable
from ecw.crm.db.enums import Operation
from ecw.crm.db.tables import ecw_intent, ecw_link
from ecw.crm.db.upsert import upsert
from ecw.crm.load.match_unconfirmed import DONE, HELD, OPEN
from ecw.crm.load.stage import Stage, refuse
from ecw.identity.guard import Link, mismatch
from ecw.identity.held import Held
from ecw.models import Run
from ecw.three_way_merge import MergeBase, Row

# Match rules of held intents. RUNG: a link's two sides may be two persons. TYPED: so may a row and the chart whose eCW
# id somebody wrote into it.
RUNG, TYPED = "identity", "eCW id in the CRM"
RULE = "another person"  # of the reject
NEXT = (
    "`ecw matches list` and `ecw matches show CRM_ID` show both sides and what to decide by; once the row is corrected "
    "the record is loaded by itself."
)


@dataclass(frozen=True, slots=True)
class Confirmed:
    """Both sides of a link when a match, or a person, confirmed that they are one person.

    It holds patient data: it stays in the CRM's database.
    """

    crm: Row
    emr: Row

    @classmethod
    def parse(cls, text: str | None) -> Confirmed:
        """Parse the text of ecw_link.identity."""
        found = orjson.loads(text) if text else {}
        return cls(found.get("crm", {}), found.get("emr", {}))

    def text(self) -> str:
        """Return the text for ecw_link.identity."""
        return orjson.dumps({"crm": dict(self.crm), "emr": dict(self.emr)}, option=orjson.OPT_SORT_KEYS).decode()


class Guard:
    """Finds the rows of a load whose CRM row may describe another person, and sets them aside."""

    def __init__(self, connection: Connection, target: BusinessTable, run: Run, resource: str) -> None:
        self.target, self.who, self.person = target, target.mapped.who, target.mapped.person
        self.place = {"practice": run["practice"], "resource": resource}
        self.confirmed: dict[str, str] = {}
        self.held: dict[str, tuple[str | None, str | None]] = {}
        if self.who:
            links = select(ecw_link.c.ecw_id, ecw_link.c.identity).filter_by(**self.place)
            found = connection.execute(links.where(ecw_link.c.identity.is_not(None)))
            self.confirmed = {row.ecw_id: row.identity for row in found}
            i = ecw_intent.c
            held = select(i.crm_id, i.match_rule, i.choice).filter_by(**self.place, state=HELD)
            self.held = {crm_id: (match_rule, choice) for crm_id, match_rule, choice in connection.execute(held)}

    def another_person(self, row: Mapping[Any, Any], base: MergeBase, crm: Row, emr: Row) -> str | None:
        """Return why the CRM's row and the record may be two persons, None if nothing says so."""
        if not self.who:
            return None
        ecw_id, crm_id = row["ecw_id"], str(row["t__key"])
        written_id = row[f"t_{self.target.mapped.key}"]
        if row["adopted"]:
            person, chosen = self.person(crm), self.held.get(crm_id, (None, None))[1]
            return mismatch(person, self.person(emr)) if person.is_known and chosen != ecw_id else None
        if written_id == ecw_id and all(
            crm[name] == base.crm.get(name) and emr[name] == base.emr.get(name) for name in self.who if name in crm
        ):
            return None
        if written_id not in (None, ecw_id):
            return Held.NAMES_ANOTHER
        confirmed = Confirmed.parse(self.confirmed.get(ecw_id))
        before = (
            (self.person(base.crm), self.person(confirmed.crm)),
            (self.person(base.emr), self.person(confirmed.emr)),
        )
        renewed = written_id is None and row["adopted"] is None
        return Link(self.person(crm), self.person(emr), *before, renewed=renewed).another_person()

    def write(
        self, connection: Connection, stage: Stage, run: Run, mismatches: Mapping[int, tuple[str, str, str]]
    ) -> None:
        """Reject the rows and hold their matches for a person; `mismatches` are CRM id, eCW id and reason, by seq."""
        refuse(connection, stage, {seq: f"{why}; next: {NEXT}" for seq, (*_, why) in mismatches.items()}, RULE)
        for crm_id, ecw_id, _ in mismatches.values():
            link = select(ecw_link.c.ecw_id).filter_by(**self.place, ecw_id=ecw_id)
            self._hold(connection, run, crm_id, ecw_id, TYPED if connection.scalar(link) is None else RUNG)

    def passed(self, connection: Connection, crm_id: str) -> None:
        """Close the held match of a row whose two sides fit again, or that somebody confirmed to be one person."""
        match_rule = self.held.get(crm_id, (None, None))[0]
        if match_rule in (RUNG, TYPED):
            key = self.place | {"crm_id": crm_id, "state": HELD, "match_rule": match_rule}
            connection.execute(update(ecw_intent).filter_by(**key).values(state=DONE, settled_at=datetime.now(UTC)))

    def _hold(self, connection: Connection, run: Run, crm_id: str, ecw_id: str, match_rule: str) -> None:
        """Hold the match for a person, unless the row has a push whose outcome is not known yet."""
        key = self.place | {"crm_id": crm_id}
        state = connection.scalar(select(ecw_intent.c.state).filter_by(**key))
        if state in OPEN or crm_id in self.held:
            return
        now = datetime.now(UTC)
        values: dict[str, Any] = {
            "intent": "",
            "operation": Operation.UPDATE,
            "state": HELD,
            "ecw_id": None,
            "sent": None,
            "attempts": 0,
            "decided_at": now,
            "settled_at": now,
            "run_id": run["run_id"],
            "match_rule": match_rule,
            "candidates": orjson.dumps([ecw_id]).decode(),
            "choice": None,
        }
        upsert(connection, ecw_intent, key, values)
