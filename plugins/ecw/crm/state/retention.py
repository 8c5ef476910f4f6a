"""Delete old rows of the bookkeeping, some at a time, independently of the pulls.

| Airflow Variable | what | default, in days |
| --- | --- | --- |
| `ecw_journal_days` | entries of the Integration Logs | 2190: six years (45 CFR 164.316(b)(2)(i)) |
| `ecw_quality_days` | quality reports | 90 |
| `ecw_alert_days` | alerts that are over, and their notifications | 365 |

What the next run needs (links, merge bases, open rejects, intents, the counts of runs) is never deleted.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Self

from sqlalchemy import ColumnElement, Engine, Table, delete, select, tuple_

from ecw.crm.db.errors import working
from ecw.crm.db.tables import ecw_alert, ecw_alert_notification, ecw_journal, ecw_quality_result
from ecw.errors import ConfigurationError
from ecw.settings import connections

CHUNK = 5_000  # rows in one transaction: a load must not wait until six years of entries are deleted


@dataclass(frozen=True, slots=True)
class Kept:
    """The days for which each kind of row is kept."""

    journal: float = 2190
    quality: float = 90
    alert: float = 365

    @classmethod
    def read(cls) -> Self:
        """Read the variables.  Raises ConfigurationError."""
        usual = cls()
        return cls(**{each.name: days(f"ecw_{each.name}_days", getattr(usual, each.name)) for each in fields(cls)})


def days(variable: str, usual: float) -> float:
    """Return a variable's number of days, `usual` if it is not set.

    Raises ConfigurationError if it is not a number above 0.
    """
    written = connections.variable(variable)
    try:
        found = usual if written is None else float(written)
    except ValueError:
        found = 0.0
    if not 0 < found < 100_000:
        raise ConfigurationError(
            f"The variable {variable} is not a number above 0.",
            next_step="put a number of days into it, or remove it.",
        )
    return found


def purge(engine: Engine, kept: Kept, now: datetime) -> dict[str, int]:
    """Delete the older rows; return how many of each table.  The next purge continues a killed one."""
    a = ecw_alert.c
    gone = {
        "ecw_journal": _purge(engine, ecw_journal, ecw_journal.c.at < now - timedelta(days=kept.journal)),
        "ecw_quality_result": _purge(
            engine, ecw_quality_result, ecw_quality_result.c.at < now - timedelta(days=kept.quality)
        ),
    }
    over = a.resolved_at < now - timedelta(days=kept.alert)  # NULL, so not true, while the alert is open
    theirs = tuple_(ecw_alert_notification.c.practice, ecw_alert_notification.c.alert).in_(
        select(a.practice, a.alert).where(over)
    )
    gone["ecw_alert_notification"] = _purge(
        engine, ecw_alert_notification, theirs
    )  # before their alerts, by which they are known
    gone["ecw_alert"] = _purge(engine, ecw_alert, over)
    return gone


def _purge(engine: Engine, table: Table, old: ColumnElement[bool]) -> int:
    key = tuple_(*table.primary_key.columns)
    some = select(*table.primary_key.columns).where(old).limit(CHUNK)
    removed = 0
    while True:
        with working(f"The purge of {table.name}"), engine.begin() as connection:
            found = connection.execute(delete(table).where(key.in_(some))).rowcount
        removed += found
        if found < CHUNK:
            return removed
