"""The rows in which the CRM and eCW differ, merged three ways inside the load's transaction (see ecw.three_way_merge).

A column that only eCW changed is taken from eCW. A column that only the CRM changed stays, and waits to be pushed. A
column that both changed follows its rule. The staged row becomes the row that the CRM will have. New rows, and rows
without a difference, are not merged here: they are many, and a few set-based statements write them.
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
from ecw.crm.db.enums import Direction, JournalOutcome, Operation, StageAction
from ecw.crm.db.tables import ecw_conflict, ecw_intent, ecw_merge_base, ecw_own_write
from ecw.crm.load.identity import Guard
from ecw.crm.load.match_unconfirmed import OPEN
from ecw.crm.load.stage import Stage
from ecw.crm.state import conflicts, edit_times
from ecw.models import Run
from ecw.three_way_merge import MergeBase, Merged, Newer, Row, Rule, Side, Values, learn, merge

CHUNK = 2_000  # rows in memory at a time
RULE = Rule(sync="pull")  # for a column without a rule in the mapping


@dataclass(frozen=True, slots=True)
class MergeCounts:
    """The counts of one load's merges.

    `locked` are rows that take no updates; the others are columns: that both sides changed, that only the CRM changed,
    that were sent and that eCW stores in its own spelling.
    """

    locked: int = 0
    conflicts: int = 0
    pending_push: int = 0
    normalized_fields: int = 0


def merge_differing(
    connection: Connection, stage: Stage, target: BusinessTable, run: Run, resource: str
) -> MergeCounts:
    """Merge the rows with the action `update`, and those with `same` whose merge base is another than the staged row.

    Afterwards the action is `update` if a column of the CRM changes, `locked` if one would change and the row takes no
    updates, else `same`.
    """
    statement, merge_counts = _differing(connection, stage, target, run, resource), MergeCounts()
    s = stage.rows
    numbers = list(connection.scalars(statement.with_only_columns(s.c.seq).order_by(s.c.seq)))
    if not numbers:
        return merge_counts
    merging = _Merging(connection, stage, target, run, resource)
    # The CRM's rows are locked until the load ends: a write of the CRM waits for it, and is not lost.
    locking = statement.with_for_update(of=target.table) if connection.dialect.name == "postgresql" else statement
    for at in range(0, len(numbers), CHUNK):
        first, *_, last = (numbers[at], *numbers[at : at + CHUNK])
        rows = connection.execute(locking.where(s.c.seq.between(first, last))).mappings().all()
        merge_counts = merging.chunk(rows, merge_counts)
    merging.guard.write(connection, stage, run, merging.mismatches)
    return merge_counts


class _Merging:
    def __init__(self, connection: Connection, stage: Stage, target: BusinessTable, run: Run, resource: str) -> None:
        self.connection, self.stage, self.target, self.run, self.resource = connection, stage, target, run, resource
        names = [name for name in target.columns if name != target.mapped.key]
        self.rules = {name: target.mapped.rules.get(name, RULE) for name in names}
        i, updates = ecw_intent.c, {"practice": run["practice"], "resource": resource, "operation": Operation.UPDATE}
        unknown = select(i.crm_id, i.sent).filter_by(**updates).where(i.state.in_(OPEN), i.sent.is_not(None))
        self.unknown = {crm_id: orjson.loads(sent) for crm_id, sent in connection.execute(unknown)}
        self.guard = Guard(connection, target, run, resource)
        self.mismatches: dict[int, tuple[str, str, str]] = {}  # by seq: CRM id, eCW id, reason
        self.open = set(
            connection.scalars(
                select(ecw_conflict.c.crm_id)
                .filter_by(practice=run["practice"], resource=resource, state=conflicts.OPEN)
                .distinct()
            )
        )

    def chunk(self, rows: Any, merge_counts: MergeCounts) -> MergeCounts:
        """Merge some rows and write the results into the stage; return the counts with theirs added."""
        merged = [result for row in rows if (result := self.row(row)) is not None]
        s = self.stage.rows
        changed = [result for result, values in merged if values is not None]
        if changed:
            staged: dict[str, Any] = {
                column.name: bindparam(f"b_{column.name}") for column in self.stage.values.values()
            }
            with_values = [result | values for result, values in merged if values is not None]
            self.connection.execute(_update(s, staged), with_values)
        if unchanged := [result for result, values in merged if values is None]:
            self.connection.execute(_update(s, {}), unchanged)
        return replace(
            merge_counts,
            locked=merge_counts.locked + sum(result["b_action"] == StageAction.LOCKED for result, _ in merged),
            conflicts=merge_counts.conflicts + sum(result["conflicts"] for result, _ in merged),
            pending_push=merge_counts.pending_push + sum(result["pending_push"] for result, _ in merged),
            normalized_fields=merge_counts.normalized_fields + sum(result["normalized_fields"] for result, _ in merged),
        )

    def row(self, row: Mapping[Any, Any]) -> tuple[dict[str, Any], dict[str, Any] | None] | None:
        """Merge one row; return what the stage notes of it, and its values if they change; None if it is set aside.

        A row is set aside if its two sides may be two persons.
        """
        emr: Values = dict.fromkeys(self.rules) | orjson.loads(row["agreed_emr"])
        base = MergeBase.parse(row["a_emr"], row["a_crm"], row["a_sent"])
        base = base.supposing(self.unknown.get(str(row["t__key"]), {}), emr)
        base, normalized_fields = learn(base, emr, row["ecw_id"])
        crm = {name: self._crm_value(name, row[f"t_{name}"], emr[name], base) for name in self.rules}
        crm_id = str(row["t__key"])
        reason = None if row["t__lock"] else self.guard.another_person(row, base, crm, emr)
        if reason is not None:
            self.mismatches[row["seq"]] = crm_id, row["ecw_id"], reason
            return None
        self.guard.passed(self.connection, crm_id)
        choices = self._choices(crm_id, crm, emr)
        merged = merge(self.rules, base, crm, emr, newer=self._newer(row), choices=choices)
        if row[f"t_{self.target.mapped.key}"] != row["ecw_id"]:
            merged.to_crm[self.target.mapped.key] = row["ecw_id"]  # somebody removed the eCW id from the linked row
        action = StageAction.SAME if not merged.to_crm else StageAction.LOCKED if row["t__lock"] else StageAction.UPDATE
        if respelled := [name for name in normalized_fields if emr[name] != row["ecw_id"]]:
            self._log(crm_id, row["ecw_id"], respelled)
        if action != StageAction.LOCKED and (merged.conflicts or crm_id in self.open):
            self._record(crm_id, row["ecw_id"], merged, crm, emr)
        written = self._written(row["seq"], action, merged) | {"normalized_fields": len(normalized_fields)}
        return written, self._values(row, merged) if action == StageAction.UPDATE else None

    def _newer(self, row: Mapping[Any, Any]) -> Newer:
        crm, emr = edit_times.edited(row), row["source_version"]
        return edit_times.newer(self.connection, self.target, str(row["t__key"]), crm, emr)

    def _crm_value(self, name: str, stored: Any, emr: Any, base: MergeBase) -> Any:
        """Return the CRM's value as mapped rows hold it; for one that the column rounded, the unrounded value."""
        if stored is None:
            return None
        fit = self.target.converters[name]
        for written in (emr, base.crm.get(name)):
            try:
                if written is not None and same(stored, fit(written)):
                    return written
            except Unfit:  # agreed before the column became narrower
                continue
        return self.target.mapped.cleaned(name, plain(stored))

    def _choices(self, crm_id: str, crm: Row, emr: Row) -> dict[str, Side]:
        if crm_id not in self.open:
            return {}
        return conflicts.choices(self.connection, self.run["practice"], self.resource, crm_id, crm, emr)

    def _record(self, crm_id: str, ecw_id: str, merged: Merged, crm: Row, emr: Row) -> None:
        run = self.run
        key = (run["practice"], self.resource, crm_id, ecw_id, run["run_id"])
        conflicts.record(self.connection, conflicts.MergedRecord(*key, merged.conflicts, crm, emr))

    def _log(self, crm_id: str, ecw_id: str, normalized_fields: list[str]) -> None:
        journal.write(
            self.connection,
            journal.JournalEntry(
                practice=self.run["practice"],
                resource=self.resource,
                run_id=self.run["run_id"],
                direction=Direction.PUSH,  # it completes a push
                operation=journal.LEARN,
                outcome=JournalOutcome.DONE,
                message=journal.LEARNED,
                crm_id=crm_id,
                ecw_id=ecw_id,
                fields=tuple(normalized_fields),
            ),
        )

    def _written(self, seq: int, action: StageAction, merged: Merged) -> dict[str, Any]:
        agreed = merged.pulled.texts()
        return {
            "b_seq": seq,
            "b_action": action,
            "b_emr": agreed["emr"],
            "b_crm": agreed["crm"],
            "b_sent": agreed["sent"],
            "b_fields": ", ".join(sorted(merged.to_crm)) or None,
            "b_unsettled": action == StageAction.LOCKED or bool(merged.held),
            "conflicts": len(merged.conflicts),
            "pending_push": len(merged.to_emr) if action != StageAction.LOCKED else 0,
        }

    def _values(self, row: Mapping[Any, Any], merged: Merged) -> dict[str, Any]:
        """Return the whole row that the CRM will have: its own values, except the columns taken from eCW."""
        fit, values = self.target.converters, {}
        for name, column in self.stage.values.items():
            value = row[f"t_{name}"]
            if name in merged.to_crm:
                taken = merged.to_crm[name]
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
        .where(
            or_(
                s.c.action == StageAction.UPDATE,
                and_(s.c.action == StageAction.SAME, a.c.ecw_id.is_not(None), not_(as_agreed)),
            )
        )
    )


def _update(s: Any, values: dict[str, Any]) -> Any:
    return (
        update(s)
        .where(s.c.seq == bindparam("b_seq"))
        .values(
            action=bindparam("b_action"),
            agreed_emr=bindparam("b_emr"),
            agreed_crm=bindparam("b_crm"),
            agreed_sent=bindparam("b_sent"),
            fields=bindparam("b_fields"),
            unsettled=bindparam("b_unsettled"),
            **values,
        )
    )
