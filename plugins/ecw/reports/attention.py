"""The list of what needs a person in a practice, the most urgent first, each with a button.  Ids and counts only."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, select

from ecw.crm.db.enums import RunState
from ecw.crm.db.tables import ecw_alert
from ecw.crm.state import runs
from ecw.models import Mode
from ecw.reports.sync_state import Clock, PracticeState, ResourceState

ERROR, WARNING = "error", "warning"
COVERED = frozenset({"stale", "rejects"})  # alerts that repeat an age or a count of this list
_NEXT = re.compile(r"^(?P<what>.*?)\s*Next \((?P<who>[^)]*)\): (?P<step>.*)$", re.DOTALL)
_CLASS = re.compile(r"^[A-Z]\w*: ")  # the error's class, which ecw_run keeps before the message
_PULL, _PUSH, _REPLAY = "ecw_pull", "ecw_push_patients", "ecw_replay"


@dataclass(frozen=True, slots=True)
class Attention:
    """One thing that needs a person.

    The button opens a `page` of the console with `params`, a run (`dag_id` and `run_id`) or an address in Airflow
    (`airflow`), or it triggers `dag_id` with `conf`.
    """

    severity: str
    message: str
    next_step: str
    button: str
    page: str | None = None
    params: dict[str, str] = field(default_factory=dict)
    dag_id: str | None = None
    run_id: str | None = None
    conf: dict[str, Any] | None = None
    airflow: str | None = None


@dataclass(frozen=True, slots=True)
class Switches:
    """What a person has switched off in a practice: its paused DAGs, and its push by the kill switch.

    The ids of the practice's DAGs end with `suffix`. `push_stopped` names the Variable that stops its push; None if
    the push is on.
    """

    suffix: str = ""
    paused: Collection[str] = ()
    push_stopped: str | None = None


def attention(connection: Connection, state: PracticeState, clock: Clock, switches: Switches) -> list[Attention]:
    """Return what needs a person: errors first, then warnings, each in the order of this function."""
    items = [*_switches(switches)]
    for resource in state.resources:
        items += _of_resource(resource, clock, switches.suffix)
    items += _alerts(connection, state.practice, switches.suffix)
    items += _waiting(state, switches.suffix)
    return sorted(items, key=lambda item: item.severity != ERROR)  # sorted() keeps the order of equal items


def _switches(switches: Switches) -> Iterator[Attention]:
    if switches.push_stopped is not None:
        message = "The push is stopped by its kill switch: nothing is sent to eCW."
        yield Attention(
            ERROR,
            message,
            f"remove the Variable {switches.push_stopped} once it is safe to go on.",
            "Open Variables",
            airflow="/variables",
        )
    operations = {_PULL: "pulled from eCW", _PUSH: "pushed to eCW"}
    for name, operation in operations.items():
        dag = name + switches.suffix
        if dag in switches.paused:
            message = f"The DAG {dag} is paused: nothing is {operation} by itself."
            yield Attention(WARNING, message, "unpause it.", "Open the DAG", airflow=f"/dags/{dag}")


def _of_resource(one: ResourceState, clock: Clock, suffix: str) -> Iterator[Attention]:
    run = one.last_run
    if run is not None and run.state in (runs.FAILED, RunState.DEAD):
        what, step = _error_and_next_step(run.error)
        if run.state == RunState.DEAD:
            what, step = "it began and never ended.", "read the logs of its tasks in Airflow, and clear it."
        yield Attention(
            ERROR,
            f"The last run of {one.resource} failed: {what}",
            step,
            "Open the run",
            dag_id=(_REPLAY if run.mode == Mode.REPLAY else _PULL) + suffix,
            run_id=run.run_id,
        )
    if one.late:
        age = _span(timedelta(seconds=one.age_seconds)) + " ago" if one.age_seconds is not None else "never"
        yield Attention(
            WARNING,
            f"{one.resource.capitalize()} was last synchronised {age}; it is due every {_span(clock.every)}.",
            f"check that the scheduler runs and {_PULL}{suffix} is not paused, or pull it now.",
            f"Pull {one.resource}",
            dag_id=_PULL + suffix,
            conf={"resources": [one.resource]},
        )


def _error_and_next_step(error: str | None) -> tuple[str, str]:
    """Return an error's message and its next step."""
    error = _CLASS.sub("", error or "")
    match = _NEXT.match(error)
    if match is None:
        return (error or "no reason was recorded").rstrip(".") + ".", "read the log of its task in Airflow."
    return match["what"], match["step"]


def _alerts(connection: Connection, practice: str, suffix: str) -> Iterator[Attention]:
    a = ecw_alert.c
    rows = select(ecw_alert).where(a.practice == practice, a.resolved_at.is_(None), a.kind.not_in(COVERED)).limit(20)
    for row in connection.execute(rows).mappings():
        run = {"dag_id": _PULL + suffix, "run_id": row["run_id"]} if row["run_id"] else {"page": "quality"}
        button = "Open the run" if row["run_id"] else "Open Quality"
        yield Attention(ERROR, row["message"], row["next_step"], button, **run)


def _waiting(state: PracticeState, suffix: str) -> Iterator[Attention]:
    practice = {"practice": state.practice}
    unknown = sum(one.unknown for one in state.resources)
    decided = sum(one.decided for one in state.resources)
    pushed_next = (
        (unknown, "push", "pushes", "without a known outcome", "searches eCW before it sends anything again"),
        (decided, "record", "records", "decided and not pushed yet", "carries the decisions out"),
    )
    for count, singular, plural, what, action in pushed_next:
        if count:
            message, next_step = f"{_number(count, singular, plural)} {what}.", f"the next push {action}."
            yield Attention(WARNING, message, next_step, "Push now", dag_id=_PUSH + suffix, conf={})
    kinds = (
        ("held", "match", "matches", "held", "choose the right patient of eCW, or a new one.", "conflicts"),
        ("conflicts", "record", "records", "changed on both sides", "choose a winner for each field.", "conflicts"),
        (
            *("unmapped", "record", "records", "rejected for a code that no crosswalk has"),
            *("add a line for the code to the crosswalk, then replay.", "mappings"),
        ),
        (
            *("open_rejects", "record", "records", "rejected"),
            *("fix the data, the mapping or the rule, then replay.", "rejects"),
        ),
    )
    for name, singular, plural, what, step, page in kinds:
        counts = {one.resource: getattr(one, name) for one in state.resources if getattr(one, name)}
        if counts:
            by_resource = ", ".join(f"{resource} {number:,}" for resource, number in counts.items())
            message = f"{_number(sum(counts.values()), singular, plural)} {what} ({by_resource})."
            yield Attention(WARNING, message, step, f"Open {page}", page=page, params=practice)


def _number(count: int, singular: str, plural: str) -> str:
    return f"{count:,} {singular if count == 1 else plural}"


def _span(time: timedelta) -> str:
    seconds = time.total_seconds()
    for size, name in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            return _number(round(seconds / size), name, f"{name}s")
    return _number(round(seconds), "second", "seconds")
