"""What was pushed is read back: eCW's spelling of it is learned, so that its echo is not a change in the next pull.

eCW shows a new patient some seconds after it took it (reference, section 4), so this comes after the batch, not after
each push.  Without it nothing is lost: the next pull merges the record as any other.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from ecw.crm.db.converters import Unfit
from ecw.crm.db.engine import reading
from ecw.crm.db.errors import working
from ecw.crm.state import conflicts
from ecw.errors import RecordNotFound
from ecw.fhir.fingerprint import content_hash
from ecw.pull.extract.dedupe import version
from ecw.push import intents
from ecw.push.context import Pushing, canonical
from ecw.push.crm_records import Record
from ecw.push.locks import Claim, ClaimLost, alone
from ecw.push.patient import rejects
from ecw.push.patient.recorder import log_learned
from ecw.push.rules.validate import Finding
from ecw.three_way_merge import MergeBase, Side, echoes, merge

Json = dict[str, Any]
KEPT = "eCW said that it took the change, and still shows what it had"
RACED = "eCW shows neither what was sent nor what it had before: the clinic edited it at the same time"
RACED_MOVE = "nothing, if the clinic's value is right: the next pull brings it; else write the CRM's value once more."
KEPT_MOVE = (
    "change it in eCW by hand, or give the CRM's column eCW's value again; then push the patient by name (the form's "
    "`patients`)."
)


@dataclass(frozen=True, slots=True)
class Confirmed:
    """What reading back found.

    `seen`: eCW shows it; `normalized_fields`: the columns that eCW spells differently; `complete`: nothing of it is
    left for the next pull; `kept`: the columns in which eCW still shows what it had before; `raced`: those in which it
    shows what nobody here knows, because the clinic edited them while they were sent.
    """

    seen: bool
    normalized_fields: tuple[str, ...] = ()
    complete: bool = False
    kept: tuple[str, ...] = ()
    raced: tuple[str, ...] = ()


def confirm(pushing: Pushing, crm_id: str, *, last: bool = True) -> Confirmed:
    """Read a patient that was pushed back from eCW and learn what it made of it.

    Of a patient that was created, what eCW added (its id as identifier, the account number) fills the CRM's empty
    columns.  A column in which eCW still shows what it had, is not seen yet; when this is the `last` look, eCW has not
    taken it (it may merge where others replace), which is a reject.  Raises what reading raises, but for a patient that
    eCW does not show yet.
    """
    spelled = canonical(pushing, crm_id)
    if spelled is None:
        return Confirmed(seen=False)
    crm_id = spelled
    with working("The confirmation of a push"), alone(pushing.engine, pushing.place, crm_id) as claim:
        try:
            return _confirm(pushing, claim, last) if claim is not None else Confirmed(seen=False)
        except ClaimLost:
            return Confirmed(seen=False)


def _confirm(pushing: Pushing, claim: Claim, last: bool) -> Confirmed:
    crm_id = claim.name
    with reading(pushing.engine) as connection:
        found = _pushed(pushing, connection, crm_id)
    if found is None:
        return Confirmed(seen=False)
    ecw_id = found.record.ecw_id or ""
    try:
        present = pushing.client.read(pushing.mapping.resource, ecw_id)
    except RecordNotFound:
        return Confirmed(seen=False)
    mapped = pushing.mapper.row(present)
    if mapped.problems:
        return Confirmed(seen=True)  # the next pull says what is wrong with it
    try:
        with pushing.engine.begin() as connection:
            claim.keep(connection)
            # Read again: somebody may have edited the CRM's row while eCW was asked.
            found = _pushed(pushing, connection, crm_id, to_write=True)
            if found is None or found.record.ecw_id != ecw_id:
                return Confirmed(seen=False)
            if pushing.patients.another_person(found.record, mapped.row):
                return Confirmed(seen=True)  # the next push holds it
            kept = _kept(found.agreed, mapped.row, ecw_id)
            if kept and not last:
                return Confirmed(seen=False)
            findings = [Finding(name, "not taken", KEPT, KEPT_MOVE) for name in kept]
            rejects.replace(connection, pushing.place, crm_id, pushing.run_id, findings)
            return replace(_learn(pushing, connection, found, present, mapped.row), kept=kept)
    except Unfit:
        return Confirmed(seen=True)


@dataclass(frozen=True, slots=True)
class _Pushed:
    """A patient that was pushed: what the CRM says of it, and what is agreed; `new`: this push created it."""

    record: Record
    agreed: MergeBase
    new: bool


def _pushed(pushing: Pushing, connection: Connection, crm_id: str, *, to_write: bool = False) -> _Pushed | None:
    """Return the patient; None where its outcome is not known.  One that was linked has no intent."""
    record = pushing.patients.read(connection, crm_id, to_write=to_write)
    intent = intents.latest(connection, pushing.place, crm_id)
    if record is None or record.agreed is None or (intent is not None and intent.state != intents.DONE):
        return None
    return _Pushed(record, record.agreed, intent is not None and intent.operation == intents.CREATE)


def _kept(agreed: MergeBase, emr: Json, ecw_id: str) -> tuple[str, ...]:
    """Return the columns in which eCW shows what it had, although something else was sent."""
    return tuple(
        name
        for name, value in agreed.sent.items()
        if name in emr and emr[name] == agreed.emr.get(name) and not echoes(value, emr[name], ecw_id)
    )


def _learn(pushing: Pushing, connection: Connection, found: _Pushed, present: Json, emr: Json) -> Confirmed:
    """Write down what eCW made of it, in the caller's transaction."""
    record, sent = found.record, found.agreed.sent
    ecw_id = record.ecw_id or ""
    ours = [name for name, value in sent.items() if name in emr and echoes(value, emr[name], ecw_id)]
    normalized_fields = {name: emr[name] for name in ours}
    kept = _kept(found.agreed, emr, ecw_id)  # should the CRM edit it again, that is a conflict
    raced = tuple(name for name in sent if name in emr and name not in ours and name not in kept)
    left = {name: value for name, value in sent.items() if name not in emr or name in kept}
    agreed = MergeBase(found.agreed.crm, found.agreed.emr | normalized_fields, left)
    if raced:  # nothing is restored; both values are kept for whoever looks into it
        clinic_won: dict[str, Side | None] = dict.fromkeys(raced, "emr")
        place = pushing.place
        whose = (place.practice, place.resource, record.crm_id, ecw_id, pushing.run_id)
        conflicts.record(connection, conflicts.MergedRecord(*whose, clinic_won, record.row, emr), done=False)
    merged = merge(pushing.rules, agreed, record.row, emr)
    gaps = {name: value for name, value in merged.to_crm.items() if found.new and record.row.get(name) is None}
    complete = gaps == merged.to_crm and not merged.conflicts and not kept
    learned_of_it = merged.pulled if complete else _with(agreed, gaps)
    if gaps:
        pushing.patients.write(connection, record.crm_id, gaps, learned_of_it, of=ecw_id, linked=True)
    else:
        pushing.patients.agree(connection, ecw_id, learned_of_it)
    respelled = tuple(name for name in ours if emr[name] != sent[name])
    log_learned(pushing, connection, record, (name for name in respelled if emr[name] not in (None, ecw_id)))
    if complete:
        seen = version(present)
        stamp = datetime.fromisoformat(seen) if seen else None
        pushing.patients.mark_read(connection, ecw_id, content_hash(present), stamp)
    return Confirmed(True, respelled, complete, raced=raced)


def _with(agreed: MergeBase, values: dict[str, Any]) -> MergeBase:
    return MergeBase(agreed.crm | values, agreed.emr | values, agreed.sent)
