"""Read a pushed patient back and learn eCW's spelling of the sent values, so that the next pull sees no change.

eCW shows a new patient some seconds after it was created (reference, section 4), so the readback runs after the batch,
not after each push.  Without a readback nothing is lost: the next pull merges the record as any other.
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
KEPT = "eCW accepted the change but still shows its old value"
RACED = "eCW shows neither the sent value nor its old value: the clinic edited it at the same time"
RACED_MOVE = "nothing if the clinic's value is right: the next pull loads it; else enter the CRM's value again."
KEPT_MOVE = (
    "change it in eCW by hand, or set the CRM's column to eCW's value; then push the patient by its id (the form's "
    "`patients`)."
)


@dataclass(frozen=True, slots=True)
class Confirmed:
    """The result of a readback.

    `seen`: eCW shows the pushed values. `normalized_fields`: the columns that eCW spells differently. `complete`: the
    next pull has nothing to change. `kept`: the columns in which eCW still shows its old value. `raced`: the columns
    in which eCW shows a third value, because the clinic edited them at the same time.
    """

    seen: bool
    normalized_fields: tuple[str, ...] = ()
    complete: bool = False
    kept: tuple[str, ...] = ()
    raced: tuple[str, ...] = ()


def confirm(pushing: Pushing, crm_id: str, *, last: bool = True) -> Confirmed:
    """Read a pushed patient back from eCW, and store eCW's spelling of the sent values in the merge base.

    For a created patient, the values that eCW added (its id as identifier, the account number) fill the CRM's empty
    columns.  While eCW still shows an old value in a sent column, the patient counts as not seen; on the `last` read,
    the column becomes a reject, because eCW did not take it (it may merge where others replace).

    Raises the errors of a read, except RecordNotFound: then eCW does not show the patient yet.
    """
    canonical_id = canonical(pushing, crm_id)
    if canonical_id is None:
        return Confirmed(seen=False)
    crm_id = canonical_id
    with working("The confirmation of a push"), alone(pushing.engine, pushing.place, crm_id) as claim:
        try:
            return _confirm(pushing, claim, last) if claim is not None else Confirmed(seen=False)
        except ClaimLost:
            return Confirmed(seen=False)


def _confirm(pushing: Pushing, claim: Claim, last: bool) -> Confirmed:
    crm_id = claim.name
    with reading(pushing.engine) as connection:
        pushed = _pushed(pushing, connection, crm_id)
    if pushed is None:
        return Confirmed(seen=False)
    ecw_id = pushed.record.ecw_id or ""
    try:
        present = pushing.client.read(pushing.mapping.resource, ecw_id)
    except RecordNotFound:
        return Confirmed(seen=False)
    mapped = pushing.mapper.row(present)
    if mapped.problems:
        return Confirmed(seen=True)  # the next pull rejects it with the reason
    try:
        with pushing.engine.begin() as connection:
            claim.keep(connection)
            # Read the row again: a person may have edited it during the call to eCW.
            pushed = _pushed(pushing, connection, crm_id, to_write=True)
            if pushed is None or pushed.record.ecw_id != ecw_id:
                return Confirmed(seen=False)
            if pushing.patients.another_person(pushed.record, mapped.row):
                return Confirmed(seen=True)  # the next push holds the patient
            kept = _kept(pushed.agreed, mapped.row, ecw_id)
            if kept and not last:
                return Confirmed(seen=False)
            findings = [Finding(name, "not taken", KEPT, KEPT_MOVE) for name in kept]
            rejects.replace(connection, pushing.place, crm_id, pushing.run_id, findings)
            return replace(_learn(pushing, connection, pushed, present, mapped.row), kept=kept)
    except Unfit:
        return Confirmed(seen=True)


@dataclass(frozen=True, slots=True)
class _Pushed:
    """A pushed patient: its CRM record and merge base; `new`: this push created it."""

    record: Record
    agreed: MergeBase
    new: bool


def _pushed(pushing: Pushing, connection: Connection, crm_id: str, *, to_write: bool = False) -> _Pushed | None:
    """Return the pushed patient, or None if its outcome is not known.  A patient that was only linked has no intent."""
    record = pushing.patients.read(connection, crm_id, to_write=to_write)
    intent = intents.latest(connection, pushing.place, crm_id)
    if record is None or record.agreed is None or (intent is not None and intent.state != intents.DONE):
        return None
    return _Pushed(record, record.agreed, intent is not None and intent.operation == intents.CREATE)


def _kept(agreed: MergeBase, emr: Json, ecw_id: str) -> tuple[str, ...]:
    """Return the columns in which eCW shows its old value, although another value was sent."""
    return tuple(
        name
        for name, value in agreed.sent.items()
        if name in emr and emr[name] == agreed.emr.get(name) and not echoes(value, emr[name], ecw_id)
    )


def _learn(pushing: Pushing, connection: Connection, pushed: _Pushed, present: Json, emr: Json) -> Confirmed:
    """Store eCW's values of a pushed patient in the merge base, in the caller's transaction."""
    record, sent = pushed.record, pushed.agreed.sent
    ecw_id = record.ecw_id or ""
    echoed = [name for name, value in sent.items() if name in emr and echoes(value, emr[name], ecw_id)]
    normalized_fields = {name: emr[name] for name in echoed}
    kept = _kept(pushed.agreed, emr, ecw_id)  # they stay in `sent`: a new edit in the CRM is a conflict then
    raced = tuple(name for name in sent if name in emr and name not in echoed and name not in kept)
    left = {name: value for name, value in sent.items() if name not in emr or name in kept}
    agreed = MergeBase(pushed.agreed.crm, pushed.agreed.emr | normalized_fields, left)
    if raced:  # nothing is restored; the conflict has both values
        clinic_won: dict[str, Side | None] = dict.fromkeys(raced, "emr")
        place = pushing.place
        whose = (place.practice, place.resource, record.crm_id, ecw_id, pushing.run_id)
        conflicts.record(connection, conflicts.MergedRecord(*whose, clinic_won, record.row, emr), done=False)
    merged = merge(pushing.rules, agreed, record.row, emr)
    gaps = {name: value for name, value in merged.to_crm.items() if pushed.new and record.row.get(name) is None}
    complete = gaps == merged.to_crm and not merged.conflicts and not kept
    merge_base = merged.pulled if complete else _with(agreed, gaps)
    if gaps:
        pushing.patients.write(connection, record.crm_id, gaps, merge_base, of=ecw_id, linked=True)
    else:
        pushing.patients.agree(connection, ecw_id, merge_base)
    respelled = tuple(name for name in echoed if emr[name] != sent[name])
    log_learned(pushing, connection, record, (name for name in respelled if emr[name] not in (None, ecw_id)))
    if complete:
        text = version(present)
        source_version = datetime.fromisoformat(text) if text else None
        pushing.patients.mark_read(connection, ecw_id, content_hash(present), source_version)
    return Confirmed(True, respelled, complete, raced=raced)


def _with(agreed: MergeBase, values: dict[str, Any]) -> MergeBase:
    return MergeBase(agreed.crm | values, agreed.emr | values, agreed.sent)
