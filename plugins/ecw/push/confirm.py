"""What was pushed is read back: eCW's spelling of it is learned, so that its echo is no change in the next pull.

eCW shows a new patient some seconds after it took it (reference, section 4), so this comes after the batch, not after
each push.  Without it nothing is lost: the next pull merges the record as any other.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.exc import DBAPIError

from ecw.agreement import Agreed, echoes, merge
from ecw.crm.convert import Unfit
from ecw.crm.engine import reading
from ecw.crm.trouble import told
from ecw.errors import RecordMissing
from ecw.pull.content import content_hash
from ecw.pull.seen import version
from ecw.push import intents
from ecw.push.alone import alone
from ecw.push.pushing import Pushing


@dataclass(frozen=True, slots=True)
class Confirmed:
    """`seen`: eCW shows it; `learned`: the columns that eCW spells differently, or did not take; `whole`: nothing of it
    is left for the next pull."""

    seen: bool
    learned: tuple[str, ...] = ()
    whole: bool = False


def confirm(pushing: Pushing, crm_id: str) -> Confirmed:
    """Read a patient that was pushed back from eCW and learn what it made of it.

    Of a patient that was created, what eCW added (its id as identifier, the account number) fills the CRM's empty
    columns.  Raises what reading raises, but for a patient that eCW does not show yet.
    """
    with alone(pushing.engine, pushing.place, crm_id) as mine:
        try:
            return _confirm(pushing, crm_id) if mine else Confirmed(seen=False)
        except DBAPIError as error:
            raise told(error, "The confirmation of a push") from None


def _confirm(pushing: Pushing, crm_id: str) -> Confirmed:
    with reading(pushing.engine) as connection:
        record = pushing.patients.read(connection, crm_id)
        intent = intents.latest(connection, pushing.place, crm_id)
    if record is None or record.agreed is None or not record.ecw_id or intent is None or intent.state != intents.DONE:
        return Confirmed(seen=False)
    try:
        present = pushing.client.read(pushing.mapping.resource, record.ecw_id)
    except RecordMissing:
        return Confirmed(seen=False)
    mapped = pushing.mapper.row(present)
    if mapped.problems:
        return Confirmed(seen=True)  # the next pull says what is wrong with it
    emr = mapped.row
    sent = record.agreed.sent
    ours = [name for name, value in sent.items() if name in emr and echoes(value, emr[name], record.ecw_id)]
    learned = {name: emr[name] for name in ours}
    left = {name: value for name, value in sent.items() if name not in emr}
    agreed = Agreed(record.agreed.crm, record.agreed.emr | learned, left)
    merged = merge(pushing.rules, agreed, record.row, emr)
    gaps = {
        name: value
        for name, value in merged.to_crm.items()
        if intent.operation == intents.CREATE and record.row.get(name) is None
    }
    whole = gaps == merged.to_crm and not merged.conflicts
    agreed = merged.pulled if whole else _with(agreed, gaps)
    with pushing.engine.begin() as connection:
        if gaps:
            try:
                pushing.patients.write(connection, crm_id, gaps)
            except Unfit:
                return Confirmed(seen=True)
        pushing.patients.agree(connection, record.ecw_id, agreed)
        if whole:
            seen = version(present)
            stamp = datetime.fromisoformat(seen) if seen else None
            pushing.patients.mark_read(connection, record.ecw_id, content_hash(present), stamp)
    return Confirmed(True, tuple(name for name in ours if emr[name] != sent[name]), whole)


def _with(agreed: Agreed, values: dict[str, Any]) -> Agreed:
    return Agreed(agreed.crm | values, agreed.emr | values, agreed.sent)
