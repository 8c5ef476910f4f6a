"""Compare crosswalks with the current lists of both sides: report a mapped name that one side no longer has.

A policy names the columns of the CRM's database that hold the lists. eCW's lists are the pulled tables there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from sqlalchemy import Connection, MetaData, Table, select
from sqlalchemy.exc import NoSuchTableError

from ecw.mapping.definition.crosswalks import Crosswalk


@dataclass(slots=True)
class ListsFound:
    """The problems, what could not be checked, and how many names of both lists the crosswalks cover."""

    problems: list[str] = field(default_factory=list)
    unverified: list[str] = field(default_factory=list)
    coverage: list[str] = field(default_factory=list)


def check_lists(connection: Connection, crosswalks: Iterable[Crosswalk]) -> ListsFound:
    """Compare crosswalks with the current lists that their policies name."""
    found = ListsFound()
    for crosswalk in crosswalks:
        parts: list[str] = []
        codes: dict[str, str] = {}  # each name with the place of its first line
        values: dict[str, str] = {}
        for line, (code, value, *_) in enumerate(crosswalk.lines, 2):
            codes[code] = f"{crosswalk.path}:{line}"
            values.setdefault(value, codes[code])
        if crosswalk.default:
            values.setdefault(crosswalk.default, f"{crosswalk.path}: the policy's default")
        for owner, side, words in (("eCW", crosswalk.ecw_list, codes), ("the CRM", crosswalk.crm_list, values)):
            if side is None:
                continue
            listed = present(connection, side)
            if listed is None:
                found.unverified.append(
                    f"crosswalk {crosswalk.name}: the CRM's database has no {side} to compare it with"
                )
                continue
            parts.append(_coverage(words, listed, f"{owner}'s", side))
            if words is codes:  # a code may be a reference; eCW's tables list ids
                listed |= {code: listed[ecw_id] for code in codes if (ecw_id := code.rpartition("/")[2]) in listed}
            found.problems += _lost_names(words, listed, f"{owner} ({side})")
        if parts:
            otherwise = {
                "default": f"the others become {crosswalk.default!r}",
                "keep": "the others are loaded as they are",
            }
            rest = otherwise.get(crosswalk.unmapped, "records with another one are rejected")
            found.coverage.append(f"crosswalk {crosswalk.name} has {' and '.join(parts)}; {rest}")
    return found


def _coverage(words: dict[str, str], listed: dict[str, bool], owner: str, side: str) -> str:
    """Return how many of the active names of a list a crosswalk has, as text."""
    active = {name for name, state in listed.items() if state}
    covered = {word for word in words if word in active} | {
        ecw_id for word in words if (ecw_id := word.rpartition("/")[2]) in active
    }
    return f"{len(covered)} of {owner} {len(active)} ({side})"


def _lost_names(words: dict[str, str], present: dict[str, bool], where: str) -> Iterator[str]:
    for word, place in words.items():
        if word not in present:
            yield f"{place}: {word!r} no longer exists in {where}"
        elif not present[word]:
            yield f"{place}: {word!r} is no longer active in {where}"


def present(connection: Connection, side: str) -> dict[str, bool] | None:
    """Return the names of a list, each with True if it is active; None if the list does not exist."""
    name, _, column_name = side.partition(".")
    try:
        table = Table(name, MetaData(), autoload_with=connection, resolve_fks=False)
    except NoSuchTableError:
        return None
    if column_name not in table.columns:
        return None
    active = table.columns.get("active")
    wanted = [table.columns[column_name], *([active] if active is not None else [])]
    found: dict[str, bool] = {}
    for value, *state in connection.execute(select(*wanted)):
        found[str(value)] = (
            found.get(str(value), False) or False not in state
        )  # of two with one name, one active is enough
    return found
