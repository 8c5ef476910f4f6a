"""What happened to an earlier attempt whose outcome is not known: found out before anything is sent again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from ecw.crm.db.engine import reading
from ecw.crm.db.enums import PushStatus
from ecw.identity.person import Person
from ecw.mapping.transform.person import numbers_of
from ecw.push import intents
from ecw.push.context import Pushed
from ecw.push.intents import CREATE, DONE, SENDING, UNKNOWN, UPDATE, VOID
from ecw.push.patient.recorder import OnePatient
from ecw.push.rules.match import MatchQuery, NeedsReview
from ecw.push.rules.outcome import Kind, Outcome
from ecw.three_way_merge import MergeBase

Json = dict[str, Any]


class Settling(OnePatient):
    """A patient whose earlier attempt is settled: a create by searching, an update by what eCW has now."""

    def settle(self) -> Pushed | None:
        """Find out what happened to a create whose outcome is not known; None: nothing is in the way of a push."""
        intent, options = self.intent, self.pushing.options
        if intent is None or not intent.open:
            return None
        if intent.state == SENDING and not options.dry_run:
            # The process died, and may have waited long before it sent: eCW may be at it since a moment ago.
            with self.writing() as connection:
                intents.settle(connection, self.pushing.place, self.record.crm_id, UNKNOWN)
            self.intent = intent = replace(intent, state=UNKNOWN, decided_at=datetime.now(UTC))
        age = (datetime.now(UTC) - intent.decided_at).total_seconds()
        if age < options.unknown_outcome_wait_seconds:
            return self.pushed(PushStatus.UNKNOWN)  # eCW may still be at it
        if intent.operation != CREATE or self.record.linked:
            return None  # the merge with what eCW has now settles it
        if options.dry_run:
            return self.pushed(PushStatus.UNKNOWN)
        if pushed := self.settle_by_search(intent.sent):
            return pushed
        self.intent = replace(intent, state=VOID, sent={})
        return None

    def settle_by_search(self, sent: Mapping[str, Any]) -> Pushed | None:
        """Search for a create that eCW may have done; None: it has not, and the intent says so."""
        found = self.pushing.ladder.find(self.sought(sent))
        if isinstance(found, NeedsReview):
            return self.hold(found, CREATE)
        if found is not None:
            outcome = Outcome(Kind.DONE, "Found in eCW: the earlier attempt was done", "", None, ecw_id=found.ecw_id)
            return self.created(outcome, sent, "settle")
        with self.writing() as connection:
            intents.settle(connection, self.pushing.place, self.record.crm_id, VOID)
            nothing = Outcome(Kind.DONE, "Not in eCW: the earlier attempt did nothing", "", None)
            self.log(connection, "settle", nothing)
        return None

    def settle_update(self, emr: Json) -> None:
        """Learn what happened to an update whose outcome is not known, before the next intent takes its place."""
        pushing, record, intent = self.pushing, self.record, self.intent
        if intent is None or not intent.open or intent.operation != UPDATE or pushing.options.dry_run:
            return
        there = all(emr.get(name) == value for name, value in intent.sent.items())
        agreed = (record.agreed or MergeBase()).supposing(intent.sent, emr)
        message = "In eCW: the earlier attempt was done" if there else "Not in eCW: the earlier attempt did nothing"
        with self.writing() as connection:
            if record.linked:
                pushing.patients.agree(connection, record.ecw_id or "", agreed)
            intents.settle(connection, pushing.place, record.crm_id, DONE if there else VOID)
            self.log(connection, "settle", Outcome(Kind.DONE, message, "", None), intent.sent)
        self.record = replace(record, agreed=agreed if record.linked else record.agreed)
        self.intent = replace(intent, state=DONE if there else VOID)

    def created(self, outcome: Outcome, sent: Mapping[str, Any], operation: str) -> Pushed:
        ecw_id = outcome.ecw_id or ""
        if not self.linked(ecw_id, MergeBase(crm=dict(sent), sent=dict(sent)), outcome, operation, sent):
            return self.pushed(PushStatus.HELD, outcome)
        return self.pushed(PushStatus.CREATED, outcome, fields=sent, ecw_id=ecw_id)

    def sought(self, row: Mapping[str, Any]) -> MatchQuery:
        """Return what to search by: the row as it is composed, every identifier that the CRM has, and who it is not.

        A phone number or street that many patients of the CRM have finds candidates, but is no evidence.
        """
        identifiers, accounts = numbers_of(self.pushing.mapping, row)
        compose = self.pushing.composer.resource
        sought = MatchQuery.of(compose(row).resource, identifiers, accounts)
        with reading(self.pushing.engine) as connection:
            shared = self.pushing.patients.shared(connection, self.record.crm_id)
        if shared:
            own = Person.of(compose({**row, **dict.fromkeys(shared)}).resource)
            sought = replace(sought, person=own.knowing(identifiers, accounts))
        return replace(sought, ruled_out=self.intent.ruled_out if self.intent else frozenset())
