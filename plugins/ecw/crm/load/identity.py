"""Whom a link was made for; and a pull that does not write into a row that is somebody else's by now."""

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

# Rungs of held intents: a link's two sides may be two persons; and so may a row and the chart whose id it names.
RUNG, TYPED = "identity", "eCW id in the CRM"
RULE = "another person"  # of the reject
NEXT = (
    "`ecw matches list` and `ecw matches show CRM_ID` show both sides and what to decide by; once the row is corrected "
    "the record is loaded by itself."
)


@dataclass(frozen=True, slots=True)
class Confirmed:
    """What a link's two sides said of the person when a match or a person made sure that they are one.

    It holds patient data: it stays in the CRM's database.
    """

    crm: Row
    emr: Row

    @classmethod
    def parse(cls, text: str | None) -> Confirmed:
        """Read the text that the link keeps."""
        found = orjson.loads(text) if text else {}
        return cls(found.get("crm", {}), found.get("emr", {}))

    def text(self) -> str:
        """Return the text that the link keeps."""
        return orjson.dumps({"crm": dict(self.crm), "emr": dict(self.emr)}, option=orjson.OPT_SORT_KEYS).decode()


class Guard:
    """Finds the rows of a load that the CRM has for somebody else, and keeps the load from them."""

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
        """Return why the CRM's row and the record may be two persons; None: they are one, or nothing tells."""
        if not self.who:
            return None
        ecw_id, crm_id = row["ecw_id"], str(row["t__key"])
        typed = row[f"t_{self.target.mapped.key}"]
        if row["adopted"]:
            ours, chosen = self.person(crm), self.held.get(crm_id, (None, None))[1]
            return mismatch(ours, self.person(emr)) if ours.is_known and chosen != ecw_id else None
        if typed == ecw_id and all(
            crm[name] == base.crm.get(name) and emr[name] == base.emr.get(name) for name in self.who if name in crm
        ):
            return None
        if typed not in (None, ecw_id):
            return Held.NAMES_ANOTHER
        sure = Confirmed.parse(self.confirmed.get(ecw_id))
        before = (self.person(base.crm), self.person(sure.crm)), (self.person(base.emr), self.person(sure.emr))
        renewed = typed is None and row["adopted"] is None
        return Link(self.person(crm), self.person(emr), *before, renewed=renewed).another_person()

    def write(self, connection: Connection, stage: Stage, run: Run, found: Mapping[int, tuple[str, str, str]]) -> None:
        """Set rows aside: rejects, and matches held for a person; `found` has CRM id, eCW id and why, by number."""
        refuse(connection, stage, {seq: f"{why}; next: {NEXT}" for seq, (*_, why) in found.items()}, RULE)
        for crm_id, ecw_id, _ in found.values():
            link = select(ecw_link.c.ecw_id).filter_by(**self.place, ecw_id=ecw_id)
            self._hold(connection, run, crm_id, ecw_id, TYPED if connection.scalar(link) is None else RUNG)

    def passed(self, connection: Connection, crm_id: str) -> None:
        """Take a held match back whose two sides fit again, or are one person as somebody has said."""
        match_rule = self.held.get(crm_id, (None, None))[0]
        if match_rule in (RUNG, TYPED):
            key = self.place | {"crm_id": crm_id, "state": HELD, "match_rule": match_rule}
            connection.execute(update(ecw_intent).filter_by(**key).values(state=DONE, settled_at=datetime.now(UTC)))

    def _hold(self, connection: Connection, run: Run, crm_id: str, ecw_id: str, match_rule: str) -> None:
        """Hold the match for a person, unless what was sent of the row is still to be found out."""
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
        }
        values |= {
            "attempts": 0,
            "decided_at": now,
            "settled_at": now,
            "run_id": run["run_id"],
            "match_rule": match_rule,
        }
        values |= {"candidates": orjson.dumps([ecw_id]).decode(), "choice": None}
        upsert(connection, ecw_intent, key, values)
