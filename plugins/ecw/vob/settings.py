"""The options in the connection's extra field `vob`."""

from __future__ import annotations

from typing import Any, Self

from pydantic.dataclasses import dataclass

from ecw.settings.base import OPTIONS, AtLeastOne, option, read_options, validated


@dataclass(frozen=True, slots=True, config=OPTIONS)
class VobSettings:
    """The keys, with their defaults."""

    include_initial_sync: bool = option(False, "also open requests for insurance that is fetched for the first time")
    max_requests_per_load: AtLeastOne = option(500, "a load that would open more requests opens none")

    @classmethod
    def read(cls, source: Any) -> Self:
        """Return the options of an object or JSON text.

        Raises ConfigurationError with the wrong key.
        """
        values = read_options(source, of="VOB", example='{"include_initial_sync": false}')
        return validated(cls, values, of="VOB", where="the connection's extra field `vob`")
