"""A rule that switches a fault on: its kind, and which calls get it."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from include.sandbox.endpoints.serving import Call


@dataclass
class Rule:
    """One fault and the calls that it applies to; `seen` counts these calls, `fired` those that had the fault."""

    kind: str
    interaction: str = ""
    resource: str = ""
    page: int = 0
    nth: int = 0
    every: int = 0
    probability: float = 1.0
    seed: int = 0
    times: int = 0  # 0: without limit
    seconds: float = 1.0
    value: str = ""
    seen: int = 0
    fired: int = 0
    touched: list[str] = field(default_factory=list)  # ids of changed patients

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def fires(self, call: Call) -> bool:
        """Return True if the call gets the fault; count the call if the rule applies to it."""
        page = int(number) if (number := call.request.query_params.get("page", "1")).isdecimal() else 0
        if (
            self.interaction not in ("", call.interaction)
            or self.resource not in ("", call.kind)
            or self.page not in (0, page)
        ):
            return False
        self.seen += 1
        if (self.times and self.fired >= self.times) or (self.nth and self.seen != self.nth):
            return False
        if (self.every and self.seen % self.every) or self._random.random() >= self.probability:
            return False
        self.fired += 1
        return True
