"""Propose lines of a crosswalk from the lists of both sides, by the similarity of names.

Uncertain matches are listed and not proposed: a wrong line sends a patient to another clinic.
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import SequenceMatcher

from sqlalchemy import Connection, MetaData, Table, select
from sqlalchemy.exc import NoSuchTableError

from ecw.mapping.definition.crosswalks import Crosswalk
from ecw.mapping.validation.crosswalk_names import present
from ecw.resources import RESOURCES

CERTAIN = 0.87  # the lowest similarity of a proposed pair ...
AHEAD = 0.08  # ... that must exceed the similarity of either name to any other by this much
POSSIBLE = 0.6  # the lowest similarity that is shown to a person
SHOWN = 3
NAMES = ("name", "description", "label", "title")  # columns that may hold the name of a record
# Words that do not distinguish places, and abbreviations with their full words.
EMPTY_WORDS = frozenset({"the", "of", "and", "at", "for", "a", "inc", "llc", "pllc", "pc", "corp", "co"})
ALIKE = {
    **{"st": "saint", "mt": "mount", "ft": "fort", "ctr": "center", "centre": "center", "cntr": "center"},
    **{"hosp": "hospital", "tx": "treatment", "op": "outpatient", "ip": "inpatient", "n": "north", "s": "south"},
    **{"e": "east", "w": "west", "rd": "road", "ave": "avenue", "blvd": "boulevard", "svcs": "services"},
}


@dataclass(frozen=True, slots=True)
class Ambiguous:
    """A code of eCW without a certain match, with the most similar names of the CRM, best first."""

    code: str
    name: str
    candidates: tuple[tuple[str, float], ...]


@dataclass(slots=True)
class Proposal:
    """The lines to add to a crosswalk's file, and the codes that a person must decide."""

    lines: list[str] = field(default_factory=list)
    ambiguous: list[Ambiguous] = field(default_factory=list)
    alone: list[tuple[str, str]] = field(default_factory=list)  # (code, name) without a similar name in the CRM
    unused: list[str] = field(default_factory=list)  # names of the CRM without a code


def propose(crosswalk: Crosswalk, ecw: Mapping[str, str], crm: Iterable[str]) -> Proposal:
    """Propose lines for the codes that a crosswalk lacks; `ecw` is eCW's name of each code, `crm` the CRM's names."""
    found, words = Proposal(), sorted(set(crm))
    open_codes = {code: name for code, name in ecw.items() if code not in crosswalk.values}
    nearness = {code: {word: likeness(name, word) for word in words} for code, name in open_codes.items()}
    used = set(crosswalk.values.values())
    for code, name in sorted(open_codes.items(), key=lambda item: (item[1].casefold(), item[0])):
        near = sorted(nearness[code].items(), key=lambda pair: (-pair[1], pair[0]))
        candidates = tuple((word, round(by, 2)) for word, by in near[:SHOWN] if by >= POSSIBLE)
        if not candidates:
            found.alone.append((code, name))
        elif _is_certain(code, near, nearness):
            found.lines.append(_line(code, near[0][0], name, near[0][1]))
            used.add(near[0][0])
        else:
            found.ambiguous.append(Ambiguous(code, name, candidates))
    found.unused = [word for word in words if word not in used]
    return found


def likeness(one: str, other: str) -> float:
    """Return the similarity of two names, from 0 to 1; 1: they differ only in case, accents, punctuation."""
    first, second = _words(one), _words(other)
    if not first or not second:
        return 0.0
    if first == second:
        return 1.0
    if sorted(first) == sorted(second):
        return 0.98
    ordered = SequenceMatcher(None, " ".join(first), " ".join(second), autojunk=False).ratio()
    sorted_too = SequenceMatcher(None, " ".join(sorted(first)), " ".join(sorted(second)), autojunk=False).ratio()
    # A number, or a point of the compass, distinguishes two places with one name.
    same_marks = _distinguishing(first) == _distinguishing(second)
    return max(ordered, sorted_too) * (1.0 if same_marks else 0.7)


def ecw_names(connection: Connection, crosswalk: Crosswalk) -> dict[str, str] | None:
    """Return eCW's name of each code from the policy's list; None if the CRM's database does not have the list."""
    if crosswalk.ecw_list is None:
        return None
    name, _, key = crosswalk.ecw_list.partition(".")
    try:
        table = Table(name, MetaData(), autoload_with=connection, resolve_fks=False)
    except NoSuchTableError:
        return None
    if key not in table.columns:
        return None
    named = [table.columns[column] for column in NAMES if column in table.columns]
    active = table.columns.get("active")
    prefix = f"{RESOURCES[name].fhir_type}/" if name in RESOURCES else ""
    found = {}
    for row in connection.execute(select(table.columns[key], *named, *([active] if active is not None else []))):
        code, *rest = row
        values = rest[: len(named)]
        if code is not None and False not in rest[len(named) :]:
            found[f"{prefix}{code}"] = next((str(each) for each in values if each), str(code))
    return found


def crm_names(connection: Connection, crosswalk: Crosswalk) -> list[str] | None:
    """Return the CRM's active names from the policy's list; None if the CRM's database does not have the list."""
    found = present(connection, crosswalk.crm_list) if crosswalk.crm_list else None
    return None if found is None else [name for name, active in found.items() if active]


def _is_certain(code: str, near: list[tuple[str, float]], nearness: Mapping[str, Mapping[str, float]]) -> bool:
    word, by = near[0]
    second = near[1][1] if len(near) > 1 else 0.0
    rival = max((its[word] for other, its in nearness.items() if other != code), default=0.0)
    return by >= CERTAIN and by - second >= AHEAD and (by - rival >= AHEAD or rival < CERTAIN)


def _line(code: str, value: str, name: str, by: float) -> str:
    text = io.StringIO()
    note = f"eCW: {name}" + ("" if by == 1 else f" (alike {by:.2f})")
    csv.writer(text, lineterminator="").writerow([code, value, "", note])
    return text.getvalue()


def _words(name: str) -> list[str]:
    plain = "".join(each for each in unicodedata.normalize("NFKD", name) if not unicodedata.combining(each)).casefold()
    found = [ALIKE.get(word, word) for word in re.findall(r"[a-z0-9]+", plain.replace("'", "").replace("&", " and "))]
    return [word for word in found if word not in EMPTY_WORDS]


def _distinguishing(words: list[str]) -> set[str]:
    compass = {"north", "south", "east", "west", "inpatient", "outpatient"}
    return {word for word in words if word.isdecimal() or word in compass}
