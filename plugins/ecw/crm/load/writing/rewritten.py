"""What the CRM's table made of the values that were written: a trigger of the CRM may change them on their way in.

What counts as agreed is what the table holds after the write.  Otherwise every such row would differ from what was
agreed, and wait to be pushed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, bindparam, select, text, update

from ecw.crm.db.business_table import BusinessTable, as_read
from ecw.crm.db.converters import Unfit, plain, same
from ecw.crm.load.stage import Stage, differs
from ecw.three_way_merge import MergeBase, Values

CHUNK = 2_000  # rows in memory at a time


def agree_on_what_is_held(connection: Connection, stage: Stage, target: BusinessTable) -> dict[str, int]:
    """Take what the table holds of the rows just written as agreed; return in how many rows, by column.

    Comes after the rows were written and before the agreement is.
    """
    s = stage.rows
    if not may_rewrite(connection, target):
        return {}
    written = (s.c.fate.in_(["insert", "update"]), differs(stage, target))
    joined = s.join(target.table, target.key == s.c.crm_id)
    numbers = list(connection.scalars(select(s.c.seq).select_from(joined).where(*written).order_by(s.c.seq)))
    statement = select(
        *(s.c.seq, s.c.agreed_emr, s.c.agreed_crm, s.c.agreed_sent),
        *(as_read(column).label(f"s_{name}") for name, column in stage.values.items()),
        *(as_read(column).label(f"t_{name}") for name, column in target.columns.items()),
    ).select_from(joined)
    found: Counter[str] = Counter()
    for at in range(0, len(numbers), CHUNK):
        rows = connection.execute(statement.where(s.c.seq.in_(numbers[at : at + CHUNK]))).mappings().all()
        connection.execute(
            update(s).where(s.c.seq == bindparam("b_seq")).values(agreed_crm=bindparam("b_crm")),
            [{"b_seq": row["seq"], "b_crm": _agreed(row, stage, target, found)} for row in rows],
        )
    return dict(sorted(found.items()))


# What changes a value on its way in: triggers but ours, rules, partitions with triggers of their own, and types that
# pad or round, or a domain may hide. To know it is quicker than to compare every row.
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
    """Return True if the table may hold another value than is written, or not keep a row."""
    if connection.dialect.name != "postgresql":
        return True
    name = connection.dialect.identifier_preparer.format_table(target.table)
    return bool(connection.execute(text(_REWRITES), {"name": name}).scalar())


def _agreed(row: Mapping[Any, Any], stage: Stage, target: BusinessTable, found: Counter[str]) -> str | None:
    """Return the CRM's side of what is agreed on a row, and count the columns that were rewritten."""
    agreed = MergeBase.parse(row["agreed_emr"], row["agreed_crm"], row["agreed_sent"])
    written: Values = {}
    after: Values = {}
    for name in stage.values:
        meant, held = row[f"s_{name}"], row[f"t_{name}"]
        if name == target.mapped.key or meant == held:
            continue
        found[name] += 1
        after[name] = None if held is None else target.mapped.cleaned(name, plain(held))
        was = agreed.crm.get(name)
        # As it was agreed, where that is what was written: the column may have rounded it.
        written[name] = was if _is(target, name, meant, was) else _OTHER
    return agreed.holding(written, {}, after).texts()["crm"]


_OTHER = object()  # an edit of the CRM's: it is not agreed


def _is(target: BusinessTable, name: str, meant: Any, was: Any) -> bool:
    if was is None or meant is None:
        return was is meant
    try:
        return same(meant, target.converters[name](was))
    except Unfit:
        return False
