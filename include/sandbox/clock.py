"""The server's clock: the machine's clock plus `clock_offset`."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from email.utils import formatdate
from zoneinfo import ZoneInfo

from include.sandbox.settings import Settings


class Clock:
    def __init__(self, settings: Settings, zone: ZoneInfo) -> None:
        self.settings, self.zone = settings, zone

    def now(self) -> float:
        return time.time() + self.settings.clock_offset

    def utc(self) -> datetime:
        return datetime.fromtimestamp(self.now(), UTC)

    def stamp(self) -> str:
        """Return the present time as `meta.lastUpdated`: in milliseconds, with the practice's offset."""
        return datetime.fromtimestamp(self.now(), self.zone).isoformat(timespec="milliseconds")

    def http_date(self) -> str:
        return formatdate(self.now(), usegmt=True)

    def minute(self) -> int:
        """Return the number of the present minute of the quota."""
        return int(self.now() // self.settings.minute_seconds)
