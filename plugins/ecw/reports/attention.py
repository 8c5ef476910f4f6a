"""What of a practice needs attention first, in words, with the button that helps.  Ids and counts only."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, select

from ecw.crm.db.tables import ecw_alert
from ecw.crm.state import runs as ledger
from ecw.models import Mode
from ecw.reports.sync_state import Clock, PracticeState, ResourceState

ERROR, WARNING = "error", "warning"
COVERED = frozenset({"stale", "rejects"})  # alerts that the ages and counts say as well
_NEXT = re.compile(r"^(?P<what>.*?)\s*Next \((?P<who>[^)]*)\): (?P<step>.*)$", re.DOTALL)
_CLASS = re.compile(r"^[A-Z]\w*: ")  # the error's class, which the ledger keeps before its words
_PULL, _PUSH, _REPLAY = "ecw_pull", "ecw_push_patients", "ecw_replay"


@dataclass(frozen=True, slots=True)
class Attention:
    """One thing that needs somebody.

    The button leads to a `page` of the console with `params`, to a run (`dag_id` and `run_id`), to a place in Airflow
    (`airflow`), or starts `dag_id` with `conf`.
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
    """What a person has switched off of a practice: the DAGs that are paused, and the push by a kill switch.

    `suffix` is what the practice's DAG ids end with, `push_stopped` the Variable that stops its push.
    """

    suffix: str = ""
    paused: Collection[str] = ()
    push_stopped: str | None = None


def attention(connection: Connection, state: PracticeState, clock: Clock, switches: Switches) -> list[Attention]:
    """Return what needs somebody, the most urgent first."""
    found = [*_switches(switches)]
    for one in state.resources:
        found += _of_resource(one, clock, switches.suffix)
    found += _alerts(connection, state.practice, switches.suffix)
    found += _waiting(state, switches.suffix)
    return sorted(found, key=lambda each: each.severity != ERROR)  # stable: within each, as above


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
    names = {_PULL: "pulled from eCW", _PUSH: "pushed to eCW"}
    for name, what in names.items():
        dag = name + switches.suffix
        if dag in switches.paused:
            message = f"The DAG {dag} is paused: nothing is {what} by itself."
            yield Attention(WARNING, message, "unpause it.", "Open the DAG", airflow=f"/dags/{dag}")


def _of_resource(one: ResourceState, clock: Clock, suffix: str) -> Iterator[Attention]:
    run = one.last_run
    if run is not None and run.state in (ledger.FAILED, "dead"):
        what, step = _error_and_next_step(run.error)
        if run.state == "dead":
            what, step = "it began and never ended.", "look at its tasks in Airflow, and clear it."
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
            f"{one.resource.capitalize()} was last in step {age}; it is due every {_span(clock.every)}.",
            f"see that the scheduler runs and {_PULL}{suffix} is not paused, or pull it now.",
            f"Pull {one.resource}",
            dag_id=_PULL + suffix,
            conf={"resources": [one.resource]},
        )


def _error_and_next_step(error: str | None) -> tuple[str, str]:
    """Return what an error says, and its next step."""
    error = _CLASS.sub("", error or "")
    found = _NEXT.match(error)
    if found is None:
        return (error or "no reason was written down").rstrip(".") + ".", "read the log of its task in Airflow."
    return found["what"], found["step"]


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
        (decided, "record", "records", "decided and not pushed yet", "does what was chosen"),
    )
    for count, one_word, words, what, does in pushed_next:
        if count:
            message, next_step = f"{_number(count, one_word, words)} {what}.", f"the next push {does}."
            yield Attention(WARNING, message, next_step, "Push now", dag_id=_PUSH + suffix, conf={})
    kinds = (
        ("held", "match", "matches", "held", "choose the right patient of eCW, or a new one.", "conflicts"),
        ("conflicts", "record", "records", "changed on both sides", "choose a winner for each field.", "conflicts"),
        (
            *("unmapped", "record", "records", "rejected for a code that no crosswalk has"),
            *("add the code's line to the crosswalk, then replay.", "mappings"),
        ),
        (
            *("open_rejects", "record", "records", "rejected"),
            *("fix the data, the mapping or the rule, then replay.", "rejects"),
        ),
    )
    for name, singular, plural, what, step, page in kinds:
        counted = {one.resource: getattr(one, name) for one in state.resources if getattr(one, name)}
        if counted:
            which = ", ".join(f"{resource} {number:,}" for resource, number in counted.items())
            message = f"{_number(sum(counted.values()), singular, plural)} {what} ({which})."
            yield Attention(WARNING, message, step, f"Open {page}", page=page, params=practice)


def _number(count: int, singular: str, plural: str) -> str:
    return f"{count:,} {singular if count == 1 else plural}"


def _span(time: timedelta) -> str:
    seconds = time.total_seconds()
    for size, name in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            return _number(round(seconds / size), name, f"{name}s")
    return _number(round(seconds), "second", "seconds")
