"""The table of counts at the end of every run, and the log line at the end of every load."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Engine

from ecw.crm.state import run_history, runs
from ecw.errors import CountMismatch
from ecw.models import Mode, Run, RunType
from ecw.printable import as_table
from ecw.resources import RESOURCES

COUNTED = ("fetched", "rejected", "inserted", "updated", "unchanged")
NOTED = (
    "locked",
    "conflicts",
    "pending_push",
    "normalized_fields",
    "deferred",
    "deferred_loaded",
    "stale",
)  # shown only if not zero
COLUMNS = ("resource", *COUNTED, *NOTED, "seconds", "calls", "strategy", "state", "completeness", "next")
TEXTS = ("completeness", "next")  # below the table
NUMBERED = (runs.LOADED, runs.DRY)


def table(engine: Engine, run: Run, covered: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
    """Return the run's counts and next steps, a row for each resource in the order of resources.py.

    `covered` are the resources that another run of the same backfill fetches.
    """
    recorded = {row["resource"]: row for row in run_history.of_run(engine, run)}
    waiting = run_history.waiting_conflicts(engine, run["practice"])
    missing = run_history.missing(engine, run["practice"])
    # A run records all its resources when it begins, so a resource without a row was not asked for.
    absent = {"state": "not asked for" if recorded or covered else "not begun"}
    rows = []
    for resource in RESOURCES:
        row = recorded.get(resource, {"state": "once a backfill"} if resource in (covered or {}) else absent)
        values = {name: row.get(name) for name in COLUMNS if name not in ("resource", "next")}
        values = {name: value for name, value in values.items() if value or name not in (*NOTED, "completeness")}
        if values.get("completeness"):
            values["completeness"] = f"{values['completeness']}; {_referred(missing.get(resource, 0))}"
        if values["seconds"] is not None:
            values["seconds"] = round(values["seconds"], 1)
        if row["state"] == runs.DRY:
            ended = "dry run, failed" if row["error"] else "dry run, not ended"
            values["state"] = "dry run" if row["fetched"] is not None and not row["error"] else ended
        rows.append({"resource": resource, **values, "next": next_step(row, waiting.get(resource, 0))})
    return rows


def next_step(row: Mapping[str, Any], waiting: int = 0) -> str:
    """Return the next steps for a resource of a run, or "" if there is nothing to do.

    `waiting` is the number of the resource's conflicts that wait for a person.
    """
    state = row["state"]
    if state == runs.FAILED or (state == runs.DRY and row["error"]):
        error = str(row["error"])
        return error if "Next (" in error else f"{error}: read the log of the failed task."
    if state in ("not asked for", "once a backfill"):
        return ""
    if state not in NUMBERED or row["fetched"] is None:
        return "read the log of the resource's first task that is not green."
    return " ".join(filter(None, [broken(row), *_next_steps(row, waiting)]))


def _next_steps(row: Mapping[str, Any], waiting: int) -> Iterator[str]:
    """Yield the notes and next steps of a load or a dry run."""
    if row["state"] == runs.DRY:
        yield "a dry run, nothing was written: trigger it again without dry run to load."
    deferred = row.get("deferred") or 0
    if row["rejected"] and row["state"] == runs.DRY:
        yield f"{row['rejected']} would be rejected: the logs of map and check name the rules."
    elif rejected := row["rejected"] - deferred:
        yield f"check the {rejected} rejects: `ecw status` names the reasons."
    if rewritten := row.get("rewritten"):
        yield f"the CRM's table changed written values ({rewritten}): its own values are the merge base."
    if deferred:
        yield f"{deferred} wait in ecw_deferred_row for another record, and are loaded when that record is loaded."
    if left := row.get("remaining_patients"):
        yield f"nothing to do: the next runs query the other {left} patients, by {_time(row['remaining_due_at'])}."
    if waiting:
        yield f"{waiting} conflicts wait for a person: `ecw conflicts` lists them and takes the choice."
    if locked := row.get("locked"):
        yield f"{locked} locked rows were not updated: clear emr_updates_locked in the CRM to allow updates."
    if (stale := row.get("stale")) and row["run_type"] != RunType.BACKFILL and row["mode"] != Mode.REPLAY:
        yield f"{stale} changed nothing: another run has loaded a newer version."
        if still := row.get("still_stale"):
            yield f"{still} of them were stale in an earlier run, too: pull them by their ids, which always loads them."


def broken(row: Mapping[str, Any]) -> str:
    """Return an error text if the counts of a row of ecw_run do not add up, else ""."""
    try:
        runs.numbers_of(row).verified()
    except CountMismatch as error:
        return f"{type(error).__name__}: {error}"
    return ""


def line(row: Mapping[str, Any]) -> str:
    """Return the counts and facts of a resource's load from its row of ecw_run, in one line."""
    noted = "".join(f", {name.replace('_', ' ')} {row[name]}" for name in NOTED if row[name])
    return (
        f"{row['resource']}: {runs.numbers_of(row)}{noted}; {row['calls']} calls, {row['seconds']:.1f} s; "
        f"from {_time(row['window_start'])} to {_time(row['window_end'])} by {row['strategy'] or 'no strategy'}, "
        f"mapping {row['mapping_version']}{', dry run' if row['state'] == runs.DRY else ''}."
    )


def as_text(rows: list[dict[str, Any]]) -> str:
    """Return the rows as a text table with their sum, and the notes and next steps below."""
    shown = [
        name for name in COLUMNS if name not in TEXTS and (name not in NOTED or any(row.get(name) for row in rows))
    ]
    total = {"resource": "all"} | {
        name: sum(row.get(name) or 0 for row in rows) for name in (*COUNTED, *NOTED, "calls") if name in shown
    }
    lines = [shown, *([_cell(row.get(name, 0 if name in NOTED else None)) for name in shown] for row in rows)]
    lines.append([str(total.get(name, "")) for name in shown])
    complete = [f"{row['resource']}: {row['completeness']}." for row in rows if row.get("completeness")]
    notes = [f"{row['resource']}: {row[name]}" for row in rows for name in ("oldest", "next") if row.get(name)]
    return "\n".join([as_table(lines), *complete, *notes])


def _referred(missing: int) -> str:
    """Return the note on missing references, which checks completeness independently of the searches."""
    return f"{missing} referenced records are not loaded yet" if missing else "no row waits for a missing record"


def _cell(value: Any) -> str:
    return "-" if value is None else str(value)


def _time(moment: datetime | None) -> str:
    return "the beginning" if moment is None else f"{moment:%Y-%m-%d %H:%M}Z"
