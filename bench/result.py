"""One measured figure."""

from __future__ import annotations

from typing import TypedDict


class Result(TypedDict):
    """A figure, its baseline, and how it was measured; ratio = value / baseline."""

    name: str
    value: float
    unit: str
    baseline: float | None
    ratio: float | None
    how: str
