"""The rows in which the CRM and eCW differ, merged three ways inside the load's transaction (see ecw.three_way_merge).

What only eCW changed is taken, what only the CRM changed stays and waits to be pushed, and what both changed follows
the column's rule.  The staged row becomes the row that the CRM will have.  Rows that are new, or that both sides agree
on, do not come here: they are many, and a few statements over sets settle them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import orjson
from sqlalchemy import Connection, Select, and_, bindparam, not_, null, or_, select, update

from ecw.crm import journal
from ecw.crm.db.business_table import LOCK, BusinessTable, as_read
from ecw.crm.db.converters import Unfit, plain, same
from ecw.crm.db.tables import ecw_conflict, ecw_intent, ecw_merge_base, ecw_own_write
from ecw.crm.load.identity import Guard
from ecw.crm.load.match_unconfirmed import OPEN
from ecw.crm.load.stage import Stage
from ecw.crm.state import conflicts, edit_times
from ecw.models import Run
from ecw.three_way_merge import MergeBase, Merged, Newer, Row, Rule, Side, Values, learn, merge

CHUNK = 2_000  # rows in memory at a time
RULE = Rule(sync="pull")  # of a column that the mapping says nothing about


@dataclass(frozen=True, slots=True)
class MergeCounts:
    """What a load did not do, counted: rows that take no updates, columns that both sides changed, columns that only
    the CRM changed, columns that eCW spells in its own way."""

    locked: int = 0
    conflicts: int = 0
    pending_push: int = 0
    normalized_fields: int = 0


def merge_differing(
    connection: Connection, stage: Stage, target: BusinessTable, run: Run, resource: str
) -> MergeCounts:
    """Merge the rows with the fate `update`, and those of which more was agreed than that they are the same.

    Their fate is `update` where a column of the CRM changes, `locked` where it would and must not, else `same`.
    """
    statement, merge_counts = _differing(connection, stage, target, run, resource), MergeCounts()
    s = stage.rows
    numbers = list(connection.scalars(statement.with_only_columns(s.c.seq).order_by(s.c.seq)))
    if not numbers:
        return merge_counts
    merging = _Merging(connection, stage, target, run, resource)
    # The CRM's rows are locked until the load ends: what somebody writes meanwhile comes after it, and is not lost.
    locking = statement.with_for_update(of=target.table) if connection.dialect.name == "postgresql" else statement
    for at in range(0, len(numbers), CHUNK):
        first, *_, last = (numbers[at], *numbers[at : at + CHUNK])
        rows = connection.execute(locking.where(s.c.seq.between(first, last))).mappings().all()
        merge_counts = merging.chunk(rows, merge_counts)
    merging.guard.write(connection, stage, run, merging.another)
    return merge_counts


class _Merging:
    def __init__(self, connection: Connection, stage: Stage, target: BusinessTable, run: Run, resource: str) -> None:
        self.connection, self.stage, self.target, self.run, self.resource = connection, stage, target, run, resource
        names = [name for name in target.columns if name != target.mapped.key]
        self.rules = {name: target.mapped.rules.get(name, RULE) for name in names}
        i, mine = ecw_intent.c, {"practice": run["practice"], "resource": resource, "operation": "update"}
        unknown = select(i.crm_id, i.sent).filter_by(**mine).where(i.state.in_(OPEN), i.sent.is_not(None))
        self.unknown = {crm_id: orjson.loads(sent) for crm_id, sent in connection.execute(unknown)}
        self.guard = Guard(connection, target, run, resource)
        self.another: dict[int, tuple[str, str, str]] = {}  # CRM id, eCW id and why, by the row's number
        self.open = set(
            connection.scalars(
                select(ecw_conflict.c.crm_id)
                .filter_by(practice=run["practice"], resource=resource, state=conflicts.OPEN)
                .distinct()
            )
        )

    def chunk(self, rows: Any, merge_counts: MergeCounts) -> MergeCounts:
        """Merge some rows and write what becomes of them into the stage."""
        merged = [one for row in rows if (one := self.row(row)) is not None]
        s = self.stage.rows
        changed = [one for one, values in merged if values is not None]
        if changed:
            staged: dict[str, Any] = {
                column.name: bindparam(f"b_{column.name}") for column in self.stage.values.values()
            }
            with_values = [one | values for one, values in merged if values is not None]
            self.connection.execute(_update(s, staged), with_values)
        if unchanged := [one for one, values in merged if values is None]:
            self.connection.execute(_update(s, {}), unchanged)
        return replace(
            merge_counts,
            locked=merge_counts.locked + sum(one["b_fate"] == "locked" for one, _ in merged),
            conflicts=merge_counts.conflicts + sum(one["conflicts"] for one, _ in merged),
            pending_push=merge_counts.pending_push + sum(one["pending_push"] for one, _ in merged),
            normalized_fields=merge_counts.normalized_fields + sum(one["normalized_fields"] for one, _ in merged),
        )

    def row(self, row: Mapping[Any, Any]) -> tuple[dict[str, Any], dict[str, Any] | None] | None:
        """Merge one row; return its fate, and its values where they change; None: it may be another person's."""
        emr: Values = dict.fromkeys(self.rules) | orjson.loads(row["agreed_emr"])
        base = MergeBase.parse(row["a_emr"], row["a_crm"], row["a_sent"])
        base = base.supposing(self.unknown.get(str(row["t__key"]), {}), emr)
        base, normalized_fields = learn(base, emr, row["ecw_id"])
        crm = {name: self._crm_value(name, row[f"t_{name}"], emr[name], base) for name in self.rules}
        crm_id = str(row["t__key"])
        why = None if row["t__lock"] else self.guard.another_person(row, base, crm, emr)
        if why is not None:
            self.another[row["seq"]] = crm_id, row["ecw_id"], why
            return None
        self.guard.passed(self.connection, crm_id)
        chosen = self._choices(crm_id, crm, emr)
        found = merge(self.rules, base, crm, emr, newer=self._newer(row), choices=chosen)
        if row[f"t_{self.target.mapped.key}"] != row["ecw_id"]:
            found.to_crm[self.target.mapped.key] = row["ecw_id"]  # somebody took the eCW id out of the linked row
        fate = "same" if not found.to_crm else "locked" if row["t__lock"] else "update"
        if respelled := [name for name in normalized_fields if emr[name] != row["ecw_id"]]:
            self._log(crm_id, row["ecw_id"], respelled)
        if fate != "locked" and (found.conflicts or crm_id in self.open):
            self._record(crm_id, row["ecw_id"], found, crm, emr)
        written = self._written(row["seq"], fate, found) | {"normalized_fields": len(normalized_fields)}
        return written, self._values(row, found) if fate == "update" else None

    def _newer(self, row: Mapping[Any, Any]) -> Newer:
        crm, emr = edit_times.edited(row), row["source_version"]
        return edit_times.newer(self.connection, self.target, str(row["t__key"]), crm, emr)

    def _crm_value(self, name: str, stored: Any, emr: Any, base: MergeBase) -> Any:
        """Return the CRM's value as rows have it; one that the column rounded is the value that was written."""
        if stored is None:
            return None
        fit = self.target.converters[name]
        for written in (emr, base.crm.get(name)):
            try:
                if written is not None and same(stored, fit(written)):
                    return written
            except Unfit:  # agreed on before the column became narrower
                continue
        return self.target.mapped.cleaned(name, plain(stored))

    def _choices(self, crm_id: str, crm: Row, emr: Row) -> dict[str, Side]:
        if crm_id not in self.open:
            return {}
        return conflicts.choices(self.connection, self.run["practice"], self.resource, crm_id, crm, emr)

    def _record(self, crm_id: str, ecw_id: str, found: Merged, crm: Row, emr: Row) -> None:
        run = self.run
        whose = (run["practice"], self.resource, crm_id, ecw_id, run["run_id"])
        conflicts.record(self.connection, conflicts.MergedRecord(*whose, found.conflicts, crm, emr))

    def _log(self, crm_id: str, ecw_id: str, normalized_fields: list[str]) -> None:
        journal.write(
            self.connection,
            journal.JournalEntry(
                practice=self.run["practice"],
                resource=self.resource,
                run_id=self.run["run_id"],
                direction=journal.PUSH,  # the end of one
                operation=journal.LEARN,
                outcome="done",
                message=journal.LEARNED,
                crm_id=crm_id,
                ecw_id=ecw_id,
                fields=tuple(normalized_fields),
            ),
        )

    def _written(self, seq: int, fate: str, found: Merged) -> dict[str, Any]:
        agreed = found.pulled.texts()
        return {
            "b_seq": seq,
            "b_fate": fate,
            "b_emr": agreed["emr"],
            "b_crm": agreed["crm"],
            "b_sent": agreed["sent"],
            "b_fields": ", ".join(sorted(found.to_crm)) or None,
            "b_unsettled": fate == "locked" or bool(found.held),
            "conflicts": len(found.conflicts),
            "pending_push": len(found.to_emr) if fate != "locked" else 0,
        }

    def _values(self, row: Mapping[Any, Any], found: Merged) -> dict[str, Any]:
        """Return the whole row that the CRM will have: its own values, but for those that are taken from eCW."""
        fit, values = self.target.converters, {}
        for name, column in self.stage.values.items():
            value = row[f"t_{name}"]
            if name in found.to_crm:
                taken = found.to_crm[name]
                value = None if taken is None else fit[name](taken)
            values[f"b_{column.name}"] = value
        return values


def _differing(connection: Connection, stage: Stage, target: BusinessTable, run: Run, resource: str) -> Select[Any]:
    s, t, a = stage.rows, target.table, ecw_merge_base
    agreed = and_(a.c.practice == run["practice"], a.c.resource == resource, a.c.ecw_id == s.c.ecw_id)
    as_agreed = and_(a.c.emr == s.c.agreed_emr, a.c.crm.is_(None), a.c.sent.is_(None))
    lock = t.columns[LOCK] if LOCK in t.columns else null()
    whose = edit_times.Whose(run["practice"], resource)
    return (
        select(
            *(s.c.seq, s.c.ecw_id, s.c.source_version, s.c.agreed_emr, s.c.adopted, target.key.label("t__key")),
            *(a.c.emr.label("a_emr"), a.c.crm.label("a_crm"), a.c.sent.label("a_sent")),
            *(as_read(column).label(f"t_{name}") for name, column in target.columns.items()),
            lock.label("t__lock"),
            *edit_times.columns(connection, target),
        )
        .select_from(
            s.join(t, target.key == s.c.crm_id)
            .outerjoin(a, agreed)
            .outerjoin(ecw_own_write, edit_times.joined(target, whose))
        )
        .where(or_(s.c.fate == "update", and_(s.c.fate == "same", a.c.ecw_id.is_not(None), not_(as_agreed))))
    )


def _update(s: Any, values: dict[str, Any]) -> Any:
    return (
        update(s)
        .where(s.c.seq == bindparam("b_seq"))
        .values(
            fate=bindparam("b_fate"),
            agreed_emr=bindparam("b_emr"),
            agreed_crm=bindparam("b_crm"),
            agreed_sent=bindparam("b_sent"),
            fields=bindparam("b_fields"),
            unsettled=bindparam("b_unsettled"),
            **values,
        )
    )
