"""Is this patient in eCW already?  Asked before every create, rung by rung, with the searches that eCW allows.

    identifier                 the account number (MR number), which eCW gives once
    family, given, birth date  the same name and birth date
    name, birth date           nearly the same name, or family and given name swapped
    phone, birth date          the same phone, and nearly the same given name: a family name changes with marriage

Only the first two can be certain, and only when nothing speaks against it; anything else that is found is held for a
person.  Nothing is guessed, and no filter is taken on trust: what comes back is compared here again.
(Parameter sets: reference, section 3.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rapidfuzz.distance import OSA, JaroWinkler

from ecw.agreement import fold
from ecw.api.capability import Capability
from ecw.api.client import EcwClient
from ecw.errors import AnswerIncomplete, ConfigurationWrong

Resource = Mapping[str, Any]

# The rungs of patients whom no search has found:
CHOSEN, ANSWERED = "a person's choice", "eCW's answer"
NEAR_FAMILY = 0.88
NEAR_GIVEN = 0.85
_SHORT = 3  # letters that a short form (Ben for Benjamin) has at least, and a name in which one letter may differ


@dataclass(frozen=True, slots=True)
class Certain:
    """eCW has the patient under this id."""

    ecw_id: str
    rung: str

    @property
    def candidates(self) -> tuple[str, ...]:
        return (self.ecw_id,)


@dataclass(frozen=True, slots=True)
class Held:
    """eCW may have the patient: a person decides.  `why` names no value."""

    candidates: tuple[str, ...]
    rung: str
    why: str


@dataclass(frozen=True, slots=True)
class Sought:
    """What a patient is searched by, as it was composed for eCW; it holds patient data.

    `accounts` are the account numbers that eCW gave the patient, as far as the CRM knows them; `identifiers` has them,
    too, and numbers that the CRM made up. `ruled_out` are eCW ids of which a person has said that they are others.
    """

    family: str
    given: str
    born: str
    gender: str | None
    identifiers: tuple[str, ...]
    phones: tuple[str, ...]
    accounts: frozenset[str] = frozenset()
    ruled_out: frozenset[str] = frozenset()

    @classmethod
    def of(cls, patient: Resource, *more_identifiers: str | None) -> Sought:
        """Take it from a composed patient that was validated; identifiers beyond its own can be given."""
        name = next(name for name in patient["name"] if name.get("use", "usual") == "usual" and name.get("family"))
        own = [each.get("value") for each in patient.get("identifier") or []]
        phones = [each.get("value") for each in patient.get("telecom") or [] if each.get("system") == "phone"]
        return cls(
            name["family"],
            next(iter(name.get("given") or []), ""),
            patient["birthDate"],
            patient.get("gender"),
            tuple(dict.fromkeys(value for value in (*own, *more_identifiers) if value)),
            tuple(dict.fromkeys(value for value in phones if value)),
        )


class Ladder:
    """Looks for patients of one practice.

    `linked` tells which of some eCW ids belong to records of the CRM already.
    """

    def __init__(self, client: EcwClient, linked: Callable[[Iterable[str]], set[str]]) -> None:
        self.client = client
        self.linked = linked
        self.server = Capability.parse(client.capability())
        if not self._takes("name", "birthdate") and not self._takes("family", "given", "birthdate"):
            raise ConfigurationWrong(
                "The practice's server takes no search by name and birth date, so a patient who is there already "
                "would not be found, and would be doubled.",
                next_move="ask eCW support to switch these search parameters on; updates can be pushed meanwhile.",
            )

    def find(self, sought: Sought) -> Certain | Held | None:
        """Return the patient, the candidates for a person to choose from, or None: eCW has nobody like it.

        Raises AnswerIncomplete when the server ignored a filter, and what every call raises.
        """
        for rung in (self._by_identifier, self._by_name, self._by_near_name, self._by_phone):
            found = rung(sought)
            if found is not None:
                return found
        return None

    def find_exactly(self, sought: Sought) -> Certain | Held | None:
        """Search by account number and by name alone, the fewest calls that find whom somebody has just entered."""
        by_name = self._by_name if self._takes("family", "given", "birthdate") else self._by_near_name
        return self._by_identifier(sought) or by_name(sought)

    def _by_identifier(self, sought: Sought) -> Certain | Held | None:
        if not self._takes("identifier"):
            return None
        found: dict[str, Resource] = {}
        for value in sought.identifiers:
            for patient in self._search(sought, {"identifier": value}):
                if value not in {each.get("value") for each in patient.get("identifier") or []}:
                    raise _ignored("identifier")
                found[patient["id"]] = patient
        alike = [each for each in found.values() if each.get("birthDate") == sought.born and _related(sought, each)]
        if len(found) == 1 and alike:
            return self._unless_linked(next(iter(found)), "identifier")
        return _held(found, "identifier", "the account number is another person's, or several have it")

    def _by_name(self, sought: Sought) -> Certain | Held | None:
        if not self._takes("family", "given", "birthdate"):
            return None
        names = {"family": sought.family, "given": sought.given, "birthdate": sought.born}
        found = {each["id"]: each for each in self._born(sought, names) if _same(sought, each)}
        rung = "family, given, birth date"
        if len(found) != 1:
            return _held(found, rung, "several have this name and birth date")
        [(ecw_id, patient)] = found.items()
        genders = {sought.gender, patient.get("gender")} - {None, "unknown"}
        if len(genders) > 1:
            return _held(found, rung, "the gender differs")
        # The patient's id stands among its identifiers, too (reference, section 3).
        theirs = {each.get("value") for each in patient.get("identifier") or []} - {None, ecw_id}
        if sought.accounts and theirs and not sought.accounts & theirs:
            return _held(found, rung, "the account number differs")
        return self._unless_linked(ecw_id, rung)

    def _by_near_name(self, sought: Sought) -> Held | None:
        if not self._takes("name", "birthdate"):
            return None
        found = {
            each["id"]: each
            for name in dict.fromkeys((sought.family, sought.given))
            for each in self._born(sought, {"name": name, "birthdate": sought.born})
            if _near(sought, each)
        }
        return _held(found, "name, birth date", "the name is nearly the same")

    def _by_phone(self, sought: Sought) -> Held | None:
        if not self._takes("phone", "birthdate"):
            return None
        found = {
            each["id"]: each
            for phone in sought.phones
            for each in self._born(sought, {"phone": phone, "birthdate": sought.born})
            if any(_near_given(fold(sought.given), given) for _, given in _names(each))
        }
        return _held(found, "phone, birth date", "phone and birth date are the same, and the given name nearly")

    def _unless_linked(self, ecw_id: str, rung: str) -> Certain | Held:
        if self.linked([ecw_id]):
            return Held((ecw_id,), rung, "it is linked to another record of the CRM")
        return Certain(ecw_id, rung)

    def _born(self, sought: Sought, parameters: Mapping[str, str]) -> Iterator[Resource]:
        for patient in self._search(sought, parameters):
            if patient.get("birthDate") != sought.born:
                raise _ignored("birthdate")
            yield patient

    def _search(self, sought: Sought, parameters: Mapping[str, str]) -> Iterator[Resource]:
        for page in self.client.search("Patient", parameters):
            for patient in page:
                if patient.get("id") and patient["id"] not in sought.ruled_out and not merged_away(patient):
                    yield patient

    def _takes(self, *parameters: str) -> bool:
        return self.server.takes("Patient", *parameters)


def alike(sought: Sought, patient: Resource) -> bool:
    """Say whether a patient of the same birth date could be the one that is sought, by the name or by the phone."""
    if patient.get("birthDate") != sought.born:
        return False
    phones = {each.get("value") for each in patient.get("telecom") or [] if each.get("system") == "phone"}
    return _near(sought, patient) or bool(phones & set(sought.phones))


def same_person(ours: Resource, theirs: Resource) -> bool:
    """Say whether two patients have the same birth date and nearly the same name; not where ours has none."""
    name = next((each for each in ours.get("name") or [] if each.get("family")), None)
    if name is None or not ours.get("birthDate") or ours["birthDate"] != theirs.get("birthDate"):
        return False
    given = next(iter(name.get("given") or []), "")
    return _near(Sought(name["family"], given, ours["birthDate"], None, (), ()), theirs)


def _names(patient: Resource) -> Iterator[tuple[str, str]]:
    """Yield family and given of every name that the patient has or had; of several given names the first, and all."""
    for name in patient.get("name") or []:
        given = [each for each in name.get("given") or [] if isinstance(each, str)]
        family = fold(name.get("family") or "")
        yield family, fold(given[0].replace(",", " ").split(" ")[0] if given else "")
        yield family, fold("".join(given))


def _same(sought: Sought, patient: Resource) -> bool:
    return (fold(sought.family), fold(sought.given)) in set(_names(patient))


def _related(sought: Sought, patient: Resource) -> bool:
    """Say whether family or given name fits: for two records that an account number and a birth date join already."""
    family, given = fold(sought.family), fold(sought.given)
    return any(_alike(family, theirs, NEAR_FAMILY) or _near_given(given, first) for theirs, first in _names(patient))


def _near(sought: Sought, patient: Resource) -> bool:
    family, given = fold(sought.family), fold(sought.given)
    return any(
        (_alike(family, theirs, NEAR_FAMILY) and _near_given(given, their_given))
        or (_alike(family, their_given, NEAR_FAMILY) and _near_given(given, theirs))
        for theirs, their_given in _names(patient)
    )


def _near_given(one: str, other: str) -> bool:
    shorter, longer = sorted((one, other), key=len)
    return _alike(one, other, NEAR_GIVEN) or (len(shorter) >= _SHORT and longer.startswith(shorter))


def _alike(one: str, other: str, least: float) -> bool:
    if min(len(one), len(other)) >= _SHORT and OSA.distance(one, other, score_cutoff=1) <= 1:
        return True
    return bool(one) and bool(other) and JaroWinkler.normalized_similarity(one, other) >= least


def merged_away(patient: Resource) -> bool:
    """Say whether eCW merged the patient into another one, which the same search finds."""
    return any(link.get("type") == "replaced-by" for link in patient.get("link") or [])


def _held(found: Mapping[str, Resource], rung: str, why: str) -> Held | None:
    return Held(tuple(sorted(found)), rung, why) if found else None


def _ignored(parameter: str) -> AnswerIncomplete:
    return AnswerIncomplete(
        f"A search of Patient brought records that {parameter} does not fit: the server ignored the filter.",
        next_move="ask eCW support; nothing was sent.",
    )
