"""What the connection's extra field `vob` says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

from ecw.errors import ConfigurationWrong


@dataclass(frozen=True, slots=True)
class VobSettings:
    """Every key, with what holds where nobody says otherwise."""

    first_load: bool = False  # what was there before, and is looked at for the first time, opens requests too
    most: int = 500  # requests that one load may open; one that would open more opens none

    @classmethod
    def read(cls, said: Any) -> Self:
        """Read them.

        Raises ConfigurationWrong naming the key.
        """
        said = {} if said is None else said
        usual = cls()
        names = [each.name for each in fields(cls)]
        if not isinstance(said, Mapping) or not set(said) <= set(names):
            raise ConfigurationWrong(
                "The connection's extra field `vob` is no JSON object of these: " + ", ".join(names) + ".",
                next_move='write it as {"first_load": false, "most": 500}, or leave it out.',
            )
        for name, value in said.items():
            if type(value) is not type(getattr(usual, name)) or (type(value) is int and value < 1):
                wanted = "true or false" if name == "first_load" else "a whole number above 0"
                raise ConfigurationWrong(
                    f"{name!r} in the connection's extra field `vob` is not {wanted}.", next_move="mend it there."
                )
        return cls(**said)
