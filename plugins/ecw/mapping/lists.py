"""Crosswalks held against what both sides have at present: a mapped name that is gone on either side is told.

A policy names the columns of the CRM's database to look at. eCW's own lists are there, too: the pulled tables.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from sqlalchemy import Connection, MetaData, Table, select
from sqlalchemy.exc import NoSuchTableError

from ecw.mapping.crosswalks import Crosswalk


@dataclass(slots=True)
class ListsFound:
    """What is wrong, and what could not be looked at."""

    problems: list[str] = field(default_factory=list)
    unverified: list[str] = field(default_factory=list)


def check_lists(connection: Connection, crosswalks: Iterable[Crosswalk]) -> ListsFound:
    """Compare crosswalks with the present lists that their policies name."""
    found = ListsFound()
    for crosswalk in crosswalks:
        codes: dict[str, str] = {}  # each word with the place that has it first
        values: dict[str, str] = {}
        for line, (code, value, *_) in enumerate(crosswalk.lines, 2):
            codes[code] = f"{crosswalk.path}:{line}"
            values.setdefault(value, codes[code])
        if crosswalk.default:
            values.setdefault(crosswalk.default, f"{crosswalk.path}: the policy's default")
        for who, side, words in (("eCW", crosswalk.ecw_list, codes), ("the CRM", crosswalk.crm_list, values)):
            if side is None:
                continue
            present = _present(connection, side)
            if present is None:
                found.unverified.append(f"crosswalk {crosswalk.name}: the CRM's database has no {side} to verify it by")
                continue
            if words is codes:  # a code may be a reference; eCW's tables list ids
                present |= {code: present[ecw_id] for code in codes if (ecw_id := code.rpartition("/")[2]) in present}
            found.problems += _gone(words, present, f"{who} ({side})")
    return found


def _gone(words: dict[str, str], present: dict[str, bool], where: str) -> Iterator[str]:
    for word, place in words.items():
        if word not in present:
            yield f"{place}: {word!r} no longer exists in {where}"
        elif not present[word]:
            yield f"{place}: {word!r} is no longer active in {where}"


def _present(connection: Connection, side: str) -> dict[str, bool] | None:
    """Return the names of a list and whether each is active; None where there is no such list."""
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
        found[str(value)] = found.get(str(value), False) or False not in state  # two of one name: one active is enough
    return found
