"""The state that the pushes of a run share, and the result of one push."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from sqlalchemy import Engine

from ecw.crm.db.engine import reading
from ecw.crm.db.enums import PushStatus
from ecw.crm.db.errors import working
from ecw.crm.state import links, practices
from ecw.fhir.capability import Declared
from ecw.fhir.connection import practice_of
from ecw.mapping.definition.model import Mapping
from ecw.mapping.transform.to_resource import Composed, Composer
from ecw.mapping.transform.to_row import Mapper
from ecw.models import Push
from ecw.practice.mappings import PracticeMappings
from ecw.push import intents
from ecw.push.crm_patients import Patients
from ecw.push.crm_records import Record
from ecw.push.intents import Place
from ecw.push.kill_switch import Switched
from ecw.push.rules.match import PatientMatcher
from ecw.push.rules.outcome import Outcome
from ecw.push.rules.validate import Finding, Limits, findings
from ecw.resources import PUSHED
from ecw.three_way_merge import Rule

if TYPE_CHECKING:
    from ecw.fhir.client import EcwClient


@dataclass(frozen=True, slots=True)
class SendOptions:
    """How a run sends patients: the values of PushOptions that the push of one patient needs."""

    create: bool = True
    update: bool = True
    dry_run: bool = False
    again: bool = False  # also send content that was refused before: for patients that a person named
    # An answer can be lost while eCW still works on it, and a new patient is found some seconds later (reference, 4).
    unknown_outcome_wait_seconds: float = 30.0
    limits: Limits = field(default_factory=Limits)

    @classmethod
    def of(cls, push: Push) -> Self:
        """Return the options from the form and the connection of a run."""
        options = push["options"]
        limits = Limits(max_text_length=options["max_text_length"], allowed_characters=options["allowed_characters"])
        return cls(
            create=options["only"] != "update",
            update=options["only"] != "create",
            dry_run=options["dry_run"],
            again=push["named"],
            unknown_outcome_wait_seconds=options["unknown_outcome_wait_seconds"],
            limits=limits,
        )


@dataclass(frozen=True, slots=True)
class Pushed:
    """The result of one patient: ids, states and names of fields only, no values."""

    crm_id: str
    status: PushStatus
    ecw_id: str | None = None
    fields: tuple[str, ...] = ()  # sent; in a dry run, those that would be sent
    outcome: Outcome | None = None
    findings: tuple[Finding, ...] = ()
    conflicts: tuple[str, ...] = ()  # columns that wait for a person
    own: bool = False  # True if the failure concerns only this patient


class CrmSide:
    """The part of a push that needs no call to eCW: the CRM's patients, the practice, the mapping."""

    def __init__(self, engine: Engine, practice: str, mapping: Mapping, *, resource: str = PUSHED) -> None:
        self.engine, self.mapping = engine, mapping
        self.place = Place(practice, resource)
        self.composer = Composer(mapping)
        self.rules = {column.name: Rule.of(column) for column in mapping.columns if column.name != mapping.key}
        with reading(engine) as connection:
            self.patients = Patients(connection, self.composer, self.place)

    def key(self, record: Record) -> str:
        """Return the digest of a patient's present content in the CRM; it includes an eCW id that is not linked."""
        names = [column.name for column in self.mapping.pushed]
        if record.ecw_id and not record.linked:
            names.append(self.mapping.key)
        return intents.digest(record.row, names, self.mapping.version)


def crm_side(engine: Engine, read: PracticeMappings, resource: str = PUSHED) -> CrmSide:
    """Return the CRM's side of a practice, without a call to eCW.

    Raises ConfigurationError, also if the CRM has the practice code from another server.
    """
    practice = practice_of(read.base_url)
    with reading(engine) as connection:
        practices.require(connection, practice, read.base_url)
    return CrmSide(engine, practice, read.of(resource), resource=resource)


def canonical(side: CrmSide, crm_id: str) -> str | None:
    """Return a patient's id in the spelling that locks and intents use; None if the practice has no such row."""
    with working("The push of a patient"), reading(side.engine) as connection:
        return side.patients.canonical(connection, crm_id)


@dataclass(frozen=True, slots=True)
class PushRun:
    """The settings of one run's push.  `allowed` is called before every request; if it returns False, PushStopped is
    raised."""

    run_id: str
    options: SendOptions = field(default_factory=SendOptions)
    allowed: Callable[[], bool] = lambda: True
    sleep: Callable[[float], None] = time.sleep


class Pushing(CrmSide):
    """One run's push of one resource: the CRM's side, the client, and the server's capabilities.

    The mapping's resource must be one that eCW accepts: Patient.
    """

    def __init__(self, engine: Engine, client: EcwClient, mapping: Mapping, run: PushRun) -> None:
        super().__init__(engine, client.practice, mapping)
        self.client, self.run_id = client, run.run_id
        self.options, self.allowed, self.sleep = run.options, run.allowed, run.sleep
        self.mapper = Mapper(mapping)
        server = client.server
        client.transport.permits = Switched(client.transport.permits, self.allowed)
        # eCW declares no write interaction; a server that does uses HTTP's statuses and supports conditional creates.
        self.plain = server.can(mapping.resource, "create")
        # A server may refuse a profile that it does not have, so the push names it only if the server declares it.
        known = server.resources.get(mapping.resource, Declared()).profiles
        self.claims = not self.plain or mapping.profile in {url.partition("|")[0] for url in known}
        self.id_in_url = self.plain
        self._matcher: PatientMatcher | None = None
        self._locations: set[str] | None = None

    def claimed(self, resource: dict[str, Any]) -> dict[str, Any]:
        """Return a new resource with the mapping's profile, or without it if the server does not declare it."""
        return resource if self.claims else {name: value for name, value in resource.items() if name != "meta"}

    def findings(self, composed: Composed, row: dict[str, Any], before: dict[str, Any] | None = None) -> list[Finding]:
        """Return the fields of a composed patient that eCW would refuse; `before` is the row that eCW has."""
        limits, ids = self.options.limits, {"Location": self.locations}
        return findings(composed, self.mapping.pushed, row, before=before, limits=limits, ids=ids)

    @property
    def locations(self) -> set[str]:
        """The eCW ids of the linked locations; empty before the first pull of locations."""
        if self._locations is None:
            self._locations = set(links.ids(self.engine, self.place.practice, "location"))
        return self._locations

    @property
    def matcher(self) -> PatientMatcher:
        """The search for the patient in eCW.  Raises ConfigurationError if the server's searches do not suffice."""
        if self._matcher is None:
            self._matcher = PatientMatcher(self.client, self._owned)
        return self._matcher

    def _owned(self, ecw_ids: Iterable[str]) -> set[str]:
        with reading(self.engine) as connection:
            return set(self.patients.owners(connection, ecw_ids))
