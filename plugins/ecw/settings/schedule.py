"""When the pull runs and what it pulls by itself: the Airflow Variables `ecw_pull_schedule` and `ecw_pull_resources`.

Read from AIRFLOW_VAR_ECW_PULL_SCHEDULE and AIRFLOW_VAR_ECW_PULL_RESOURCES too; neither needs code or a restart.
"""

from __future__ import annotations

import os
import re
from datetime import datetime, timedelta
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from ecw.errors import ConfigurationError

if TYPE_CHECKING:
    from ecw.settings.practice import Practice

SCHEDULE, RESOURCES = "ecw_pull_schedule", "ecw_pull_resources"
EVERY_TWO_HOURS = "0 */2 * * *"
_SAMPLED = 200  # runs from which the gaps are measured: more than a week of anything up to hourly


class Gaps(NamedTuple):
    """The time from one scheduled run to the next: they differ where nights or weekends are left out."""

    shortest: timedelta
    longest: timedelta


def cron_of_dag(practice: Practice | None = None) -> str:
    """Return the cron expression for the DAG's file, which is parsed all the time and must stay light.

    Raises ConfigurationError for a wrong one, which Airflow shows as an import error on its first page: a pull that
    quietly ran at other times than those asked for would be noticed by nobody (docs/decisions/0010).
    """
    from airflow.sdk import Variable

    if practice is not None and practice.schedule is not None:
        return practice.schedule
    # Without a supervisor (a test, a plain Python) there is no answer but the default; Airflow's database is not asked.
    written = os.environ.get(f"AIRFLOW_VAR_{SCHEDULE.upper()}") or Variable.get(SCHEDULE, default=None)
    return checked(written)


def cron(practice: Practice | None = None) -> str:
    """Return the cron expression in a task and in a terminal: the practice's own, else the Variable's.

    Raises ConfigurationError.
    """
    from ecw.settings import connections

    if practice is not None and practice.schedule is not None:
        return practice.schedule
    return checked(connections.variable(SCHEDULE))


def checked(written: object) -> str:
    """Return a cron expression, every two hours where nothing is written.

    Raises ConfigurationError.
    """
    from croniter import croniter  # type: ignore[import-untyped]

    text = str(written or "").strip() or EVERY_TWO_HOURS
    presets = {"@hourly": "0 * * * *", "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@weekly": "0 0 * * 0"}
    text = presets.get(text, text)
    if len(text.split()) != 5 or not croniter.is_valid(text):
        raise ConfigurationError(
            f"The variable {SCHEDULE} is no cron expression of five fields: {text[:60]!r}.",
            next_step=f"write one such as {EVERY_TWO_HOURS!r} (every two hours) into it under Admin > Variables, "
            "or remove it.",
        )
    return text


@cache
def gaps(expression: str) -> Gaps:
    """Return how long it is from one run to the next."""
    from croniter import croniter

    runs = croniter(expression, datetime(2026, 1, 1))  # noqa: DTZ001 - cron knows no zone, and UTC has no summer time
    times = [runs.get_next(datetime) for _ in range(_SAMPLED)]
    lengths = [later - earlier for earlier, later in pairwise(times)]
    return Gaps(min(lengths), max(lengths))


def resources(practice: Practice | None = None) -> list[str]:
    """Return what the schedule pulls, in the order of resources.py: everything, where nothing is written.

    The practice's own, else the Variable's.

    Raises ConfigurationError for a name that there is not.
    """
    from ecw.resources import RESOURCES as ALL
    from ecw.resources import resource
    from ecw.settings import connections

    if practice is not None and practice.resources:
        return list(practice.resources)
    written = connections.variable(RESOURCES) or ""
    try:
        named = {resource(name).name for name in re.findall(r"[^\s,;\[\]\"']+", written) if name != "all"}
    except ConfigurationError as error:
        raise ConfigurationError(f"The variable {RESOURCES}: {error.what}", next_step=error.next_step) from None
    return [name for name in ALL if name in named or not named]
