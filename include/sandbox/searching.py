"""How a search parameter matches a resource. Strings match from their start, ignoring case and accents."""

from __future__ import annotations

import re
import unicodedata
from calendar import monthrange
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from include.sandbox.population import Resource

Matcher = Callable[[Resource, str], bool]
_PREFIXES = ("eq", "ge", "gt", "le", "lt")
_DATE = re.compile(r"(\d{4})(?:-(\d\d)(?:-(\d\d)(T.+)?)?)?")
_DAY = re.compile(r"\d{4}(-\d\d){0,2}")


def folded(text: str) -> str:
    return "".join(each for each in unicodedata.normalize("NFD", text) if not unicodedata.combining(each)).casefold()


def digits(text: str) -> str:
    return "".join(filter(str.isdecimal, text))


def starts(texts: Iterable[str | None], value: str) -> bool:
    """Return True if one of the texts starts with the value; None is a gap in a list of texts."""
    prefix = folded(value)
    return any(text is not None and folded(text).startswith(prefix) for text in texts)


def span(text: str, zone: ZoneInfo) -> tuple[float, float]:
    """Return the start of a FHIR date or dateTime and the start of what follows it, as timestamps.

    Raises ValueError for anything else.
    """
    match = _DATE.fullmatch(text)
    if not match:
        raise ValueError("not a date")
    year, month, day, time = match.groups()
    if time:
        moment = datetime.fromisoformat(text)
        # Servers store times in milliseconds; a more exact time in a search is truncated.
        moment = moment.replace(microsecond=moment.microsecond // 1000 * 1000)
        start = moment if moment.tzinfo else moment.replace(tzinfo=zone)
        length = timedelta(milliseconds=1) if start.microsecond else timedelta(seconds=1)
        return start.timestamp(), (start + length).timestamp()
    start = datetime(int(year), int(month or 1), int(day or 1), tzinfo=zone)
    if not month:
        end = start.replace(year=start.year + 1)
    elif not day:
        end = (start + timedelta(days=monthrange(start.year, start.month)[1])).replace(hour=0)
    else:
        end = start + timedelta(days=1)  # the same time tomorrow: daylight saving included
    return start.timestamp(), end.timestamp()


def in_time(low: float, high: float, value: str, zone: ZoneInfo) -> bool:
    """Return True if a resource's span [low, high) matches a parameter such as `ge2026-11-01`."""
    prefix, text = (value[:2], value[2:]) if value[:2] in _PREFIXES else ("eq", value)
    first, after = span(text, zone)
    return {
        "eq": first <= low and high <= after,
        "ge": high > first,
        "gt": high > after,
        "le": low < after,
        "lt": low < first,
    }[prefix]


class Matchers:
    """The matchers by type and parameter; dates without an offset are in the practice's time zone."""

    def __init__(self, zone: ZoneInfo) -> None:
        self.zone = zone
        general: dict[str, Matcher] = {"_id": _id, "_lastUpdated": self._last_updated}
        self.table: dict[str, dict[str, Matcher]] = {
            "Practitioner": {**general, "identifier": _identifier, "name": _name},
            "Location": {**general, "address": _address, "name": _plain_name},
            "Organization": {**general, "address": _address, "name": _plain_name, "type": _type},
            "Patient": {
                **general,
                "birthdate": self._birth_date,
                "family": _family,
                "gender": lambda resource, value: bool(resource.get("gender") == value),
                "given": _given,
                "identifier": _identifier,
                "name": _name,
                "phone": _phone,
            },
            "Coverage": {**general, "patient": _refers("Patient", "beneficiary")},
            "Encounter": {
                **general,
                "date": self._period,
                "location": _refers("Location", "location", "location"),
                "patient": _refers("Patient", "subject"),
                "practitioner": _refers("Practitioner", "participant", "individual"),
            },
            "Group": general,
        }

    def check_dates(self, kind: str, pairs: Iterable[tuple[str, str]]) -> None:
        """Check the dates before any record is compared.

        Raises ValueError for a value that is not a date.
        """
        for name, value in pairs:
            if name in ("date", "birthdate", "_lastUpdated"):
                span(value[2:] if value[:2] in _PREFIXES else value, self.zone)

    def matches(self, kind: str, resource: Resource, pairs: Iterable[tuple[str, str]]) -> bool:
        table = self.table[kind]
        return all(table[name](resource, value) for name, value in pairs)

    def _last_updated(self, resource: Resource, value: str) -> bool:
        stamp = resource.get("meta", {}).get("lastUpdated")
        return stamp is not None and in_time(*span(stamp, self.zone), value, self.zone)

    def _birth_date(self, resource: Resource, value: str) -> bool:
        born = resource.get("birthDate")
        if born and _DAY.fullmatch(value):
            return bool(born == value)
        return born is not None and in_time(*span(born, self.zone), value, self.zone)

    def _period(self, resource: Resource, value: str) -> bool:
        period = resource.get("period", {})
        if "start" not in period:
            return False
        start, after = span(period["start"], self.zone)
        end = span(period["end"], self.zone)[1] if "end" in period else after
        return in_time(start, end, value, self.zone)


def _id(resource: Resource, value: str) -> bool:
    return resource["id"] in value.split(",")


def _identifier(resource: Resource, value: str) -> bool:
    system, bar, sought = value.rpartition("|")
    return any(
        each.get("value") == sought and (not bar or each.get("system", "") == system)
        for each in resource.get("identifier", [])
    )


def _names(resource: Resource, *parts: str) -> Iterable[str | None]:
    for name in resource.get("name", []):
        for part in parts:
            value = name.get(part, [])
            yield from [value] if isinstance(value, str) else value


def _name(resource: Resource, value: str) -> bool:
    return starts(_names(resource, "family", "given", "text"), value)


def _family(resource: Resource, value: str) -> bool:
    return starts(_names(resource, "family"), value)


def _given(resource: Resource, value: str) -> bool:
    return starts(_names(resource, "given"), value)


def _plain_name(resource: Resource, value: str) -> bool:
    return starts([resource.get("name", "")], value)


def _phone(resource: Resource, value: str) -> bool:
    return any(
        each.get("system") == "phone" and digits(each.get("value", "")) == digits(value)
        for each in resource.get("telecom", [])
    )


def _address(resource: Resource, value: str) -> bool:
    found = resource.get("address", [])
    parts = [
        text
        for address in (found if isinstance(found, list) else [found])
        for text in (*address.get("line", []), *(address.get(name, "") for name in ("city", "state", "postalCode")))
    ]
    return starts(parts, value)


def _type(resource: Resource, value: str) -> bool:
    code = value.rpartition("|")[2]
    return any(coding.get("code") == code for each in resource.get("type", []) for coding in each.get("coding", []))


def _refers(kind: str, *path: str) -> Matcher:
    def matches(resource: Resource, value: str) -> bool:
        sought = f"{kind}/{value.removeprefix(f'{kind}/')}"
        nodes = [resource]
        for step in path:
            found = [node[step] for node in nodes if step in node]
            nodes = [each for value in found for each in (value if isinstance(value, list) else [value])]
        return any(node.get("reference") == sought for node in nodes)

    return matches
