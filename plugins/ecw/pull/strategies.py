"""How a resource is extracted: each strategy is a row in a table, and gives the searches to make."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple


class Unit(NamedTuple):
    """One search, with all its pages; the key tells it from the others when a killed task continues."""

    key: str
    params: dict[str, str]


def whole_list() -> Iterator[Unit]:
    """Search without any parameter: the server lists everything it has."""
    yield Unit("list", {})


STRATEGIES: dict[str, Callable[[], Iterator[Unit]]] = {"list": whole_list}
