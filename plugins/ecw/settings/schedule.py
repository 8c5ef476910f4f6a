"""The schedule of the pull and its resources: the Airflow Variables `ecw_pull_schedule` and `ecw_pull_resources`.

AIRFLOW_VAR_ECW_PULL_SCHEDULE and AIRFLOW_VAR_ECW_PULL_RESOURCES work, too. A change needs no code and no restart.
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
_SAMPLED = 200  # number of runs whose gaps are measured: more than a week of an hourly schedule


class Gaps(NamedTuple):
    """The shortest and the longest time between two scheduled runs; they differ if nights or weekends have no runs."""

    shortest: timedelta
    longest: timedelta


def cron_of_dag(practice: Practice | None = None) -> str:
    """Return the cron expression for the DAG file, which Airflow parses often, so this must stay fast.

    Raises ConfigurationError if it is wrong; Airflow shows that as an import error on its first page. Nobody would
    notice a pull that silently runs at other times than configured (docs/decisions/0010).
    """
    from airflow.sdk import Variable

    if practice is not None and practice.schedule is not None:
        return practice.schedule
    # Without a supervisor (a test, plain Python) Variable.get returns the default, without a query.
    written = os.environ.get(f"AIRFLOW_VAR_{SCHEDULE.upper()}") or Variable.get(SCHEDULE, default=None)
    return checked(written)


def cron(practice: Practice | None = None) -> str:
    """Return the cron expression for a task or a terminal: the practice's own, else the Variable's.

    Raises ConfigurationError if it is not a cron expression.
    """
    from ecw.settings import connections

    if practice is not None and practice.schedule is not None:
        return practice.schedule
    return checked(connections.variable(SCHEDULE))


def checked(written: object) -> str:
    """Return the checked cron expression; without one, every two hours.

    Raises ConfigurationError if it is not a cron expression of five fields.
    """
    from croniter import croniter  # type: ignore[import-untyped]

    text = str(written or "").strip() or EVERY_TWO_HOURS
    presets = {"@hourly": "0 * * * *", "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@weekly": "0 0 * * 0"}
    text = presets.get(text, text)
    if len(text.split()) != 5 or not croniter.is_valid(text):
        raise ConfigurationError(
            f"The variable {SCHEDULE} is not a cron expression of five fields: {text[:60]!r}.",
            next_step=f"write one such as {EVERY_TWO_HOURS!r} (every two hours) into it under Admin > Variables, "
            "or remove it.",
        )
    return text


@cache
def gaps(expression: str) -> Gaps:
    """Return the shortest and the longest time between two runs of a cron expression."""
    from croniter import croniter

    runs = croniter(expression, datetime(2026, 1, 1))  # noqa: DTZ001 - cron has no time zone, and UTC has no summer time
    times = [runs.get_next(datetime) for _ in range(_SAMPLED)]
    lengths = [later - earlier for earlier, later in pairwise(times)]
    return Gaps(min(lengths), max(lengths))


def resources(practice: Practice | None = None) -> list[str]:
    """Return the resources that the schedule pulls, in the order of resources.py.

    They are the practice's own, else the Variable's, else all.

    Raises ConfigurationError for an unknown name.
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
