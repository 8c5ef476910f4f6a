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
        for side, words in (
            (crosswalk.ecw_list, [(code, code.rpartition("/")[2]) for code in crosswalk.values]),
            (crosswalk.crm_list, [(value, value) for value in dict.fromkeys(crosswalk.values.values())]),
        ):
            if side is None:
                continue
            who = "eCW" if side == crosswalk.ecw_list else "the CRM"
            present = _present(connection, side)
            if present is None:
                found.unverified.append(f"crosswalk {crosswalk.name}: the CRM's database has no {side} to verify it by")
                continue
            found.problems += _gone(crosswalk, words, present, who, side)
    return found


def _gone(
    crosswalk: Crosswalk, words: list[tuple[str, str]], present: dict[str, bool], who: str, side: str
) -> Iterator[str]:
    for word, name in words:
        line = next(n for n, entry in enumerate(crosswalk.lines, 2) if word in entry[:2])
        if name not in present:
            yield f"{crosswalk.path}:{line}: {word!r} no longer exists in {who} ({side})"
        elif not present[name]:
            yield f"{crosswalk.path}:{line}: {word!r} is no longer active in {who} ({side})"


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
    return {str(value): False not in state for value, *state in connection.execute(select(*wanted))}
