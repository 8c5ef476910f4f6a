"""The table that every run ends in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Engine

from ecw.crm import history
from ecw.resources import RESOURCES
from ecw.words import Run

COUNTED = ("fetched", "rejected", "inserted", "updated", "unchanged")
COLUMNS = ("resource", *COUNTED, "seconds", "calls", "state", "next")


def table(engine: Engine, run: Run, covered: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
    """Return the run's numbers, a row for each resource in the order of resources.py, and what is to be done.

    `covered` are those that another run of the same backfill looks at.
    """
    found = {row["resource"]: row for row in history.of_run(engine, run)}
    rows = []
    for resource in RESOURCES:
        row = found.get(resource, {"state": "once a backfill" if resource in (covered or {}) else "not asked for"})
        if row["state"] == "dry":
            row = row | {"state": "dry run" if row["fetched"] is not None else "dry run, not ended"}
        values = {name: row.get(name) for name in COLUMNS if name not in ("resource", "next")}
        if values["seconds"] is not None:
            values["seconds"] = round(values["seconds"], 1)
        rows.append({"resource": resource, **values, "next": next_move(row)})
    return rows


def next_move(row: dict[str, Any]) -> str:
    """Say what is to be done about a resource of a run, nothing where all is well."""
    if row["state"] == "failed":
        return str(row["error"])
    if row["state"] in ("not asked for", "once a backfill"):
        return ""
    if row["state"] not in ("loaded", "dry run"):
        return "look at the log of the resource's first task that is not green."
    if row["rejected"]:
        if row["state"] == "dry run":
            return f"{row['rejected']} would be rejected: the logs of map and check say by which rules."
        return f"look at the {row['rejected']} rejects: `ecw status` names the reasons."
    return ""


def as_text(rows: list[dict[str, Any]]) -> str:
    """Return the rows as lines of columns, and the next moves below."""
    shown = [name for name in COLUMNS if name != "next"]
    lines = [shown, *([_cell(row[name]) for name in shown] for row in rows)]
    widths = [max(len(line[at]) for line in lines) for at in range(len(shown))]
    table = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    return "\n".join([*table, *(f"{row['resource']}: {row['next']}" for row in rows if row["next"])])


def _cell(value: Any) -> str:
    return "-" if value is None else str(value)
