"""The quality reports: the list of runs, and what the check found in one of them."""

from __future__ import annotations

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse

from ecw.reports import quality
from ecw.resources import RESOURCES
from ecw.ui.page import crm, render

RUNS = 50  # on a page
router = APIRouter()


@router.get("/quality")
def runs(page: int = Query(0, ge=0, le=100_000)) -> HTMLResponse:
    """Show the runs with the worst verdict of each resource, the latest first."""
    with crm() as connection:
        found = quality.runs(connection, limit=RUNS + 1, offset=page * RUNS)
    return render("quality_runs.html", runs=found[:RUNS], older=len(found) > RUNS, page=page, resources=list(RESOURCES))


@router.get("/quality/run")
def run(run_id: str, task_id: str = "") -> HTMLResponse:
    """Show what the check found in a run; of one of its tasks, only in the task's resource."""
    resource = task_id.partition(".")[0]
    resource = resource if resource in RESOURCES else ""
    with crm() as connection:
        found = quality.of_run(connection, run_id, resource or None)
    return render("quality_run.html", run_id=run_id, resource=resource, reports=found)
