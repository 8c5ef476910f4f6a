"""What the connection's extra field `vob` says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

from ecw.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class VobSettings:
    """Every key, with what holds where nobody says otherwise."""

    include_initial_sync: bool = False  # what was there before, and is looked at for the first time, opens requests too
    max_requests_per_load: int = 500  # requests that one load may open; one that would open more opens none

    @classmethod
    def read(cls, said: Any) -> Self:
        """Read them.

        Raises ConfigurationError naming the key.
        """
        said = {} if said is None else said
        usual = cls()
        names = [each.name for each in fields(cls)]
        if not isinstance(said, Mapping) or not set(said) <= set(names):
            raise ConfigurationError(
                "The connection's extra field `vob` is not a JSON object of these: " + ", ".join(names) + ".",
                next_move='write it as {"include_initial_sync": false, "max_requests_per_load": 500}, or leave it out.',
            )
        for name, value in said.items():
            if type(value) is not type(getattr(usual, name)) or (type(value) is int and value < 1):
                wanted = "true or false" if name == "include_initial_sync" else "a whole number above 0"
                raise ConfigurationError(
                    f"{name!r} in the connection's extra field `vob` is not {wanted}.", next_move="fix it there."
                )
        return cls(**said)
