"""Detect values that the CRM's table changed when they were written, for example by a trigger.

The merge base takes what the table holds after the write. Otherwise every such row would differ from its merge base,
and wait to be pushed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, bindparam, select, text, update

from ecw.crm.db.business_table import BusinessTable, as_read
from ecw.crm.db.converters import Unfit, plain, same
from ecw.crm.db.enums import StageAction
from ecw.crm.load.stage import Stage, differs
from ecw.three_way_merge import MergeBase, Values

CHUNK = 2_000  # rows in memory at a time


def agree_on_what_is_held(connection: Connection, stage: Stage, target: BusinessTable) -> dict[str, int]:
    """Take what the table holds of the rows just written into their merge bases; return the rewritten rows by column.

    Call it after the rows are written, and before the merge bases are.
    """
    s = stage.rows
    if not may_rewrite(connection, target):
        return {}
    written = (s.c.action.in_([StageAction.INSERT, StageAction.UPDATE]), differs(stage, target))
    joined = s.join(target.table, target.key == s.c.crm_id)
    numbers = list(connection.scalars(select(s.c.seq).select_from(joined).where(*written).order_by(s.c.seq)))
    statement = select(
        *(s.c.seq, s.c.agreed_emr, s.c.agreed_crm, s.c.agreed_sent),
        *(as_read(column).label(f"s_{name}") for name, column in stage.values.items()),
        *(as_read(column).label(f"t_{name}") for name, column in target.columns.items()),
    ).select_from(joined)
    counts: Counter[str] = Counter()
    for at in range(0, len(numbers), CHUNK):
        rows = connection.execute(statement.where(s.c.seq.in_(numbers[at : at + CHUNK]))).mappings().all()
        connection.execute(
            update(s).where(s.c.seq == bindparam("b_seq")).values(agreed_crm=bindparam("b_crm")),
            [{"b_seq": row["seq"], "b_crm": _agreed(row, stage, target, counts)} for row in rows],
        )
    return dict(sorted(counts.items()))


# What can change a value that is written: triggers other than the project's; rules; partitions, which may have triggers
# of their own; types that pad or round; generated columns; and domains, which may hide such a type. The query is faster
# than to compare every row.
_REWRITES = """
SELECT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = t.oid AND NOT tgisinternal
        AND tgname NOT IN ('ecw_patient_touched', 'ecw_patient_fields'))
    OR EXISTS (SELECT FROM pg_rewrite WHERE ev_class = t.oid)
    OR EXISTS (SELECT FROM pg_inherits WHERE inhparent = t.oid)
    OR EXISTS (
        SELECT FROM pg_attribute WHERE attrelid = t.oid AND attnum > 0 AND NOT attisdropped AND (
            atttypid = 'bpchar'::regtype OR attgenerated <> ''
            OR atttypid IN (SELECT oid FROM pg_type WHERE typtype = 'd')
            OR atttypid IN ('timestamp'::regtype, 'timestamptz'::regtype) AND atttypmod >= 0
        )
    )
FROM (SELECT CAST(:name AS regclass)::oid AS oid) t
"""


def may_rewrite(connection: Connection, target: BusinessTable) -> bool:
    """Return True if the table may hold another value than was written, or may not keep a row."""
    if connection.dialect.name != "postgresql":
        return True
    name = connection.dialect.identifier_preparer.format_table(target.table)
    return bool(connection.execute(text(_REWRITES), {"name": name}).scalar())


def _agreed(row: Mapping[Any, Any], stage: Stage, target: BusinessTable, counts: Counter[str]) -> str | None:
    """Return the CRM's side of a row's merge base; count the columns that were rewritten in `counts`."""
    agreed = MergeBase.parse(row["agreed_emr"], row["agreed_crm"], row["agreed_sent"])
    written: Values = {}
    after: Values = {}
    for name in stage.values:
        staged, held = row[f"s_{name}"], row[f"t_{name}"]
        if name == target.mapped.key or staged == held:
            continue
        counts[name] += 1
        after[name] = None if held is None else target.mapped.cleaned(name, plain(held))
        agreed_value = agreed.crm.get(name)
        # The agreed value if it is what was written: the column may have rounded it.
        written[name] = agreed_value if _is_same(target, name, staged, agreed_value) else _NOT_AGREED
    return agreed.holding(written, {}, after).texts()["crm"]


_NOT_AGREED = object()  # stands for an edit of the CRM: it equals no agreed value


def _is_same(target: BusinessTable, name: str, staged: Any, agreed_value: Any) -> bool:
    if agreed_value is None or staged is None:
        return agreed_value is staged
    try:
        return same(staged, target.converters[name](agreed_value))
    except Unfit:
        return False
