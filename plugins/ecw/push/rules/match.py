"""Find out whether eCW already has a patient, before every create, with the searches that eCW allows.

    identifier                 the account number (MR number), which eCW gives to one patient only
    family, given, birth date  all patients of this birth date with the same first letter; compared here
    name, birth date           the same, for names that are nearly the same
    phone, birth date          the same phone, because a family name changes with marriage

A patient is a certain match if name and birth date are the same, something beyond them agrees, and nothing contradicts
(ecw.identity.compare).  Every other possible match is held for a person.  The server's filters are not trusted: every
result is compared here again.  (Parameter sets: reference, section 3.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from text_unidecode import unidecode  # type: ignore[import-untyped]  # it has no types

from ecw.errors import ConfigurationError, InvalidResponse
from ecw.fhir.client import EcwClient
from ecw.identity.compare import Comparison, Verdict, compare, day_month_swapped
from ecw.identity.held import Held
from ecw.identity.names import variants
from ecw.identity.person import Person

Resource = Mapping[str, Any]

# The match rules of patients that no search has found:
CHOSEN, ANSWERED = "a person's choice", "eCW's answer"
IDENTIFIER, SAME_NAME, NEAR_NAME, PHONE = (
    "identifier",
    "family, given, birth date",
    "name, birth date",
    "phone, birth date",
)


@dataclass(frozen=True, slots=True)
class Match:
    """eCW has the patient under this id."""

    ecw_id: str
    match_rule: str

    @property
    def candidates(self) -> tuple[str, ...]:
        return (self.ecw_id,)


@dataclass(frozen=True, slots=True)
class NeedsReview:
    """eCW may have the patient, so a person decides.  `why` contains no value."""

    candidates: tuple[str, ...]
    match_rule: str
    why: str


@dataclass(frozen=True, slots=True)
class MatchQuery:
    """The search values of a patient, taken from the resource composed for eCW; it holds patient data.

    `family`, `first` and `phones` are spelled as a search sends them. `ruled_out` are the eCW ids that a person has
    ruled out.
    """

    person: Person
    family: str
    first: str
    phones: tuple[str, ...]
    ruled_out: frozenset[str] = frozenset()

    @property
    def born(self) -> str:
        return self.person.born

    @classmethod
    def of(cls, patient: Resource, identifiers: Iterable[str] = (), accounts: Iterable[str] = ()) -> MatchQuery:
        """Return the query for a composed and validated patient.

        `identifiers` are further identifiers in the CRM; `accounts` are those of them that eCW gave.
        """
        name = next(name for name in patient["name"] if name.get("use", "usual") == "usual" and name.get("family"))
        phones = [each.get("value") for each in patient.get("telecom") or [] if each.get("system") == "phone"]
        return cls(
            Person.of(patient).knowing(identifiers, accounts),
            name["family"],
            next(iter(name.get("given") or ()), ""),
            tuple(dict.fromkeys(value for value in phones if value)),
        )

    def beginnings(self) -> list[str]:
        """Return the first letters of the words of the patient's names, as they are and as Latin letters.

        eCW finds a name by its beginning, even by one letter.
        """
        words = self.person.name.texts
        letters = (letter for word in words for letter in (word[:1], unidecode(word)[:1]))
        return list(dict.fromkeys(letter.upper() for letter in letters if letter.isalnum()))


class PatientMatcher:
    """Searches the patients of one practice.

    `linked` returns those of the given eCW ids that are already linked to records of the CRM.
    """

    def __init__(self, client: EcwClient, linked: Callable[[Iterable[str]], set[str]]) -> None:
        self.client = client
        self.linked = linked
        self.server = client.server
        if not self._takes("name", "birthdate") and not self._takes("family", "given", "birthdate"):
            raise ConfigurationError(
                "The practice's server supports no search by name and birth date, so a patient that eCW already has "
                "would not be found, and would be created twice.",
                next_step="ask eCW support to switch these search parameters on; updates can be pushed meanwhile.",
            )

    def find(self, sought: MatchQuery) -> Match | NeedsReview | None:
        """Return the match, the candidates for a person to choose from, or None if eCW has no similar patient.

        Raises InvalidResponse if the server ignored a filter, and the errors of a call.
        """
        return self._first_found(
            sought,
            (
                (IDENTIFIER, self._by_identifier),
                (NEAR_NAME, self._by_name),
                (NEAR_NAME, self._by_short_form),
                (NEAR_NAME, self._by_swapped_birth_date),
                (PHONE, self._by_phone),
            ),
        )

    def find_exactly(self, sought: MatchQuery) -> Match | NeedsReview | None:
        """Search by account number and by name only: the fewest calls that find a patient who was just entered."""
        return self._first_found(sought, ((IDENTIFIER, self._by_identifier), (NEAR_NAME, self._by_whole_name)))

    def _first_found(
        self, sought: MatchQuery, searches: Iterable[tuple[str, Callable[[MatchQuery], Iterator[Resource]]]]
    ) -> Match | NeedsReview | None:
        """Search until a search returns possible matches, and return the decision about them."""
        seen: dict[str, Comparison] = {}
        for match_rule, search in searches:
            for patient in search(sought):
                if patient["id"] not in seen:
                    seen[patient["id"]] = compare(sought.person, Person.of(patient))
            if result := self._decided(seen, match_rule):
                return result
        return None

    def _decided(self, seen: Mapping[str, Comparison], match_rule: str) -> Match | NeedsReview | None:
        """Return the decision about all patients that the searches have returned so far."""
        possible = {ecw_id: one for ecw_id, one in seen.items() if one.verdict != Verdict.DIFFERENT}
        if not possible:
            return None
        certain = [ecw_id for ecw_id, one in possible.items() if one.verdict == Verdict.SAME]
        if match_rule == NEAR_NAME and (certain or all(one.has_same_name for one in possible.values())):
            match_rule = SAME_NAME
        rivals = [ecw_id for ecw_id, one in possible.items() if one.is_rival]
        if len(certain) == 1 and rivals == certain:
            if self.linked(certain):
                return NeedsReview(tuple(certain), match_rule, Held.LINKED_ALREADY)
            return Match(certain[0], match_rule)
        why = Held.SEVERAL if len(possible) > 1 else next(iter(possible.values())).why
        return NeedsReview(tuple(sorted(possible)), match_rule, why)

    def _by_identifier(self, sought: MatchQuery) -> Iterator[Resource]:
        for value in sorted(sought.person.identifiers) if self._takes("identifier") else ():
            for patient in self._search(sought, {"identifier": value}):
                if value not in {each.get("value") for each in patient.get("identifier") or []}:
                    raise _ignored("identifier")
                yield patient

    def _by_name(self, sought: MatchQuery) -> Iterator[Resource]:
        """Yield all patients of the birth date with the same first letter of a name."""
        if self._takes("name", "birthdate"):
            for letter in sought.beginnings():
                yield from self._born(sought, {"name": letter, "birthdate": sought.born})
        else:
            yield from self._by_whole_name(sought)

    def _by_whole_name(self, sought: MatchQuery) -> Iterator[Resource]:
        if self._takes("family", "given", "birthdate"):
            yield from self._born(sought, {"family": sought.family, "given": sought.first, "birthdate": sought.born})
        else:
            yield from self._born(sought, {"name": sought.family, "birthdate": sought.born})

    def _by_short_form(self, sought: MatchQuery) -> Iterator[Resource]:
        """Yield patients whose name begins like a short or long form of one of the patient's given names."""
        forms = sorted({form for given in sought.person.name.given for form in variants(given)})
        if self._takes("name", "birthdate"):
            for letter in sorted({form[0].upper() for form in forms} - set(sought.beginnings())):
                yield from self._born(sought, {"name": letter, "birthdate": sought.born})
        else:
            for form in forms:
                yield from self._born(sought, {"family": sought.family, "given": form, "birthdate": sought.born})

    def _by_swapped_birth_date(self, sought: MatchQuery) -> Iterator[Resource]:
        """Yield patients of the name whose birth date is the patient's with month and day swapped."""
        swap = day_month_swapped(sought.born)
        if swap is None:
            return
        if self._takes("family", "given", "birthdate"):
            yield from self._search(sought, {"family": sought.family, "given": sought.first, "birthdate": swap})
        else:
            yield from self._search(sought, {"name": sought.family, "birthdate": swap})

    def _by_phone(self, sought: MatchQuery) -> Iterator[Resource]:
        for phone in sought.phones if self._takes("phone", "birthdate") else ():
            yield from self._born(sought, {"phone": phone, "birthdate": sought.born})

    def _born(self, sought: MatchQuery, parameters: Mapping[str, str]) -> Iterator[Resource]:
        for patient in self._search(sought, parameters):
            if patient.get("birthDate") != sought.born:
                raise _ignored("birthdate")
            yield patient

    def _search(self, sought: MatchQuery, parameters: Mapping[str, str]) -> Iterator[Resource]:
        for page in self.client.search("Patient", parameters):
            for patient in page:
                if patient.get("id") and patient["id"] not in sought.ruled_out and not merged_away(patient):
                    yield patient

    def _takes(self, *parameters: str) -> bool:
        return self.server.takes("Patient", *parameters)


def alike(sought: MatchQuery, patient: Resource) -> bool:
    """Return True if a patient could be the one that the query describes."""
    return compare(sought.person, Person.of(patient)).verdict != Verdict.DIFFERENT


def merged_away(patient: Resource) -> bool:
    """Return True if eCW merged the patient into another one, which the same search finds."""
    return any(link.get("type") == "replaced-by" for link in patient.get("link") or [])


def _ignored(parameter: str) -> InvalidResponse:
    return InvalidResponse(
        f"A search of Patient by {parameter} returned records that do not fit it: the server ignored the filter.",
        next_step="ask eCW support; nothing was sent.",
    )
