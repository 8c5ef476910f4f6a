"""The records of a patient: coverage (insurance) and encounters (including appointments)."""

from __future__ import annotations

from abc import abstractmethod
from array import array
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime, time, timedelta
from typing import NamedTuple

from include.sandbox.population import Resource, Size
from include.sandbox.population.directory import Directory, Locations, Organizations, Practitioners
from include.sandbox.population.draw import Draw, local, quarter_hour
from include.sandbox.population.people import Patients
from include.sandbox.population.words import PAYERS, PLANS, REASONS, RELATIONSHIPS

_FIRST_DAY = date(2024, 1, 1)
_DAYS = 2192  # to the end of 2029
_BOOKED_BY = datetime(2026, 11, 1)  # noqa: DTZ001 - local time; the practice's zone is added last


class PerPatient(Directory):
    """Records that belong to a patient: a record's number is the patient's times `room`, plus its place."""

    room: int

    def __init__(self, size: Size, patients: Patients) -> None:
        super().__init__(size, 0)
        self.patients = patients

    @abstractmethod
    def how_many(self, patient: int) -> int:
        """Return how many records a patient has, at most `room`."""

    def of(self, patient: int) -> Iterable[int]:
        return range(patient * self.room, patient * self.room + self.how_many(patient))

    def numbers(self) -> Iterator[int]:
        for patient in range(len(self.patients)):
            yield from self.of(patient)

    def __len__(self) -> int:
        return sum(self.how_many(patient) for patient in range(len(self.patients)))

    def key_of(self, ecw_id: str) -> int | None:
        self.count = len(self.patients) * self.room
        key = super().key_of(ecw_id)
        return key if key is not None and key in self.of(key // self.room) else None

    def candidates(self, params: Mapping[str, str]) -> Iterable[int] | None:
        if "patient" not in params:
            return None
        patient = self.patients.key_of(params["patient"].removeprefix("Patient/"))
        return [] if patient is None else self.of(patient)


class Coverages(PerPatient):
    kind = "Coverage"
    room = 4

    def __init__(self, size: Size, patients: Patients, organizations: Organizations) -> None:
        super().__init__(size, patients)
        self.organizations = organizations

    def how_many(self, patient: int) -> int:
        return (0, 1, 1, 2, 1, 1, 3, 1, 2, 1)[patient % 10]

    def resource(self, key: int) -> Resource:
        patient, place = divmod(key, self.room)
        draw = self.draw(key)
        code, plan = draw.pick(PLANS)
        relationship, related = draw.pick(RELATIONSHIPS)
        payer = 1 + draw.below(len(PAYERS))
        member = f"{draw.pick('ABCDEFGH')}{draw.below(10**9):09}"
        subscriber = self.patients.reference(patient)
        return {
            **self.head(key, draw),
            "identifier": [
                {
                    "type": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "MB"}]},
                    "value": member,
                }
            ],
            "status": "cancelled" if draw.percent(8) else "active",
            "type": {
                "coding": [
                    {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": code, "display": plan}
                ],
                "text": code,
            },
            **({"subscriber": {"reference": subscriber}} if relationship == "self" else {}),
            "subscriberId": member,
            "beneficiary": {"reference": subscriber},
            "relationship": {
                "coding": [
                    {
                        "system": "http://terminology.hl7.org/CodeSystem/subscriber-relationship",
                        "code": relationship,
                        "display": related,
                    }
                ],
                "text": related,
            },
            "period": {"start": f"{2019 + draw.below(7)}-01-01"},
            "payor": [{"reference": self.organizations.reference(payer), "display": self.organizations.name(payer)}],
            "class": [_class("group", f"GRP{draw.below(10**5):05}"), _class("plan", f"{PAYERS[payer - 1]} {code}")],
            "order": place + 1,
        }


class Visit(NamedTuple):
    """The values by which a schedule search finds an encounter."""

    practitioner: int
    start: datetime  # local


class Encounters(PerPatient):
    kind = "Encounter"
    room = 16

    def __init__(self, size: Size, patients: Patients, practitioners: Practitioners, locations: Locations) -> None:
        super().__init__(size, patients)
        self.practitioners, self.locations = practitioners, locations
        self._schedules: dict[int, array[int]] = {}

    def how_many(self, patient: int) -> int:
        return (4, 2, 7, 0, 3, 5, 1, 6, 2, 9)[patient % 10]

    def visit(self, draw: Draw) -> Visit:
        practitioner = draw.below(max(self.size.practitioners, 1))
        day = _FIRST_DAY + timedelta(days=draw.below(_DAYS))
        return Visit(practitioner, quarter_hour(datetime.combine(day, time()), draw.below(36)))

    def candidates(self, params: Mapping[str, str]) -> Iterable[int] | None:
        if "practitioner" not in params or "patient" in params:
            return super().candidates(params)
        practitioner = self.practitioners.key_of(params["practitioner"].removeprefix("Practitioner/"))
        return () if practitioner is None else self._schedule().get(practitioner, ())

    def _schedule(self) -> dict[int, array[int]]:
        """Return the encounters by practitioner; the index is built at the first search."""
        if not self._schedules:
            found: dict[int, array[int]] = defaultdict(lambda: array("q"))
            for key in self.numbers():
                found[self.visit(self.draw(key)).practitioner].append(key)
            self._schedules = dict(found)
        return self._schedules

    def resource(self, key: int) -> Resource:
        draw, zone = self.draw(key), self.size.zone
        visit = self.visit(draw)
        status = _status(draw.below(100), visit.start.date() < self.size.today)
        end = visit.start + timedelta(minutes=draw.pick((30, 45, 60)))
        booked = _booked(visit.start, draw)
        changed = end + timedelta(minutes=12) if status == "finished" else booked
        resource = {
            **self.head(key, draw),
            "identifier": [{"use": "usual", "system": "urn:ecw:encounter", "value": str(700_000 + key)}],
            "status": status,
            "class": {
                "system": "http://terminology.hl7.org/CodeSystem/v3-ActCode",
                "code": "AMB",
                "display": "ambulatory",
            },
            "type": [_TYPE_ABSENT if draw.percent(70) else _TYPE_CHECK_UP],
            "subject": {"reference": self.patients.reference(key // self.room)},
            "period": {"start": local(visit.start, zone), "end": local(end, zone)},
            "reasonCode": [{"text": draw.pick(REASONS)}],
        }
        resource["meta"]["lastUpdated"] = local(changed, zone)
        if self.size.practitioners:
            resource["participant"] = [_performer(self.practitioners, visit.practitioner)]
        if self.size.locations:
            place = draw.below(self.size.locations)
            reference = {"reference": self.locations.reference(place), "display": self.locations.display(place)}
            resource["location"] = [{"location": reference}]
        return resource


def _booked(start: datetime, draw: Draw) -> datetime:
    """Return when the appointment was booked: before it starts, and before the population's last change."""
    first = datetime.combine(_FIRST_DAY, time(7))
    latest = min(start, _BOOKED_BY)
    return first + timedelta(minutes=int((latest - first).total_seconds() // 60) * draw.below(100) // 100)


def _status(chance: int, past: bool) -> str:
    """Return the status: most past encounters are finished, some are still planned because nobody closed them."""
    if past:
        return "finished" if chance < 80 else "cancelled" if chance < 90 else "planned"
    return "planned" if chance < 75 else "arrived" if chance < 90 else "cancelled"


def _performer(practitioners: Practitioners, key: int) -> Resource:
    system = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
    return {
        "type": [{"coding": [{"system": system, "code": "PPRF", "display": "primary performer"}]}],
        "individual": {"reference": practitioners.reference(key), "display": practitioners.display(key)},
    }


def _class(code: str, value: str) -> Resource:
    system = "http://terminology.hl7.org/CodeSystem/coverage-class"
    return {"type": {"coding": [{"system": system, "code": code}]}, "value": value}


_TYPE_ABSENT: Resource = {
    "coding": [
        {
            "system": "http://terminology.hl7.org/CodeSystem/data-absent-reason",
            "code": "unknown",
            "display": "Unknown",
        }
    ],
    "text": "unknown",
}
_TYPE_CHECK_UP: Resource = {
    "coding": [{"system": "http://snomed.info/sct", "code": "390906007", "display": "Follow-up encounter"}],
    "text": "Follow-up encounter",
}
