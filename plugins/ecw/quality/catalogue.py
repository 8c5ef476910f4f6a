"""The catalogue of expectations: Great Expectations' types and their kwargs, without importing it.

`expectations.json` is generated from the installed version by `make docs`; a test compares the two.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

FILE = Path(__file__).with_name("expectations.json")


class Scope(StrEnum):
    """What an expectation checks, and whether its result names rows."""

    ROW = "row"  # each row alone; the result names rows
    ROWS = "rows"  # rows compared with each other, so the whole batch; the result names rows
    BATCH = "batch"  # the whole batch; the result names no rows


@dataclass(frozen=True, slots=True)
class Known:
    """One type: its scope, the kwargs that name columns, a JSON schema for each kwarg, and the required kwargs."""

    scope: Scope
    columns: tuple[str, ...]
    properties: Mapping[str, Any]
    required: tuple[str, ...]
    row_condition: bool
    summary: str


@lru_cache(maxsize=1)
def catalogue() -> Mapping[str, Known]:
    """Return the types by their names."""
    import orjson

    found = orjson.loads(FILE.read_bytes())
    return MappingProxyType(
        {
            name: Known(
                Scope(one["scope"]),
                tuple(one["columns"]),
                one["properties"],
                tuple(one["required"]),
                one["row_condition"],
                one["summary"],
            )
            for name, one in found.items()
        }
    )
