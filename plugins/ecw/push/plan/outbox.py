"""The outbox: the CRM's patients that differ from their merge base and can be pushed.

It is computed from the CRM alone, without a call to eCW.  It leaves out patients that are locked, or that were refused
or are held with their present content, and ignores columns that wait for a person.  Patients whose outcome is not known
come first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from ecw.crm.db.engine import reading
from ecw.crm.state import conflicts
from ecw.identity.text import says_the_same
from ecw.push import intents
from ecw.push.context import CrmSide
from ecw.push.crm_records import Record
from ecw.push.intents import CREATE, HELD, REFUSED, UPDATE, Intent
from ecw.three_way_merge import MergeBase, Rule

WITHOUT_PRACTICE = "without a practice"


@dataclass(slots=True)
class Outbox:
    """The CRM ids in the order in which they are to be pushed, and the numbers of patients left out.

    `not_sent` counts them by reason: without a practice, another practice's, locked, refused, held, not agreed (linked
    by a pull that has stored no merge base yet).
    """

    unsettled: list[str] = field(default_factory=list)
    creates: list[str] = field(default_factory=list)
    updates: list[str] = field(default_factory=list)
    not_sent: Counter[str] = field(default_factory=Counter)
    keys: dict[str, str] = field(default_factory=dict)  # by CRM id, the digest of the present content
    ways: dict[str, str] = field(default_factory=dict)  # by CRM id: create, update

    def __iter__(self) -> Iterator[str]:
        yield from self.unsettled
        yield from self.creates
        yield from self.updates

    def add(self, where: list[str], record: Record, key: str) -> None:
        where.append(record.crm_id)
        self.keys[record.crm_id] = key
        self.ways[record.crm_id] = way_of(record)

    def __len__(self) -> int:
        return len(self.unsettled) + len(self.creates) + len(self.updates)


def outbox(side: CrmSide) -> Outbox:
    """Return the outbox of a practice; the patients are read as a stream."""
    result = Outbox()
    place = side.place
    with reading(side.engine) as connection:
        latest = intents.latest_of_all(connection, place)
        waiting = conflicts.waiting(connection, place.practice, place.resource)
        if count := side.patients.unassigned(connection):
            result.not_sent[WITHOUT_PRACTICE] = count
        for record in side.patients.all(connection):
            if record.elsewhere:
                result.not_sent["another practice's"] += 1
                continue
            intent = latest.get(record.crm_id)
            if intent is not None and intent.open:
                result.add(result.unsettled, record, side.key(record))
                continue
            if record.linked and record.agreed is None:
                result.not_sent["not agreed"] += 1
                continue
            if record.linked and not _differs(side.rules, record, waiting.get(record.crm_id, {})):
                continue
            key = side.key(record)
            if why := _not_sent(record, intent, key):
                result.not_sent[why] += 1
            else:
                result.add(result.updates if record.ecw_id else result.creates, record, key)
    result.unsettled.sort(key=lambda crm_id: latest[crm_id].decided_at)
    return result


def way_of(record: Record) -> str:
    """Return the operation that a push of a patient would be: create or update."""
    return UPDATE if record.ecw_id else CREATE


def _not_sent(record: Record, intent: Intent | None, key: str) -> str | None:
    if record.locked:
        return "locked"
    if intent is None or intent.intent != key:
        return None
    if intent.state == HELD:
        return None if intent.choice else "held"
    return "refused" if intent.state == REFUSED else None


def _differs(rules: dict[str, Rule], record: Record, waiting: dict[str, str]) -> bool:
    """Return True if a column that the push writes differs in the CRM from the merge base."""
    agreed = record.agreed or MergeBase()
    for name, rule in rules.items():
        value = record.row.get(name)
        if not rule.reaches("emr") or says_the_same(value, agreed.crm.get(name)):
            continue
        if rule.update == "once" and agreed.emr.get(name) is not None:
            continue  # the first value stays
        if waiting.get(name) != conflicts.text(value):
            return True
    return False
