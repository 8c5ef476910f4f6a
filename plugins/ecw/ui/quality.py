"""The tab Quality of a run and of a task: what the check found in it."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from ecw.reports import quality
from ecw.resources import RESOURCES
from ecw.ui.access import READ
from ecw.ui.page import crm, render

router = APIRouter(dependencies=[READ])


@router.get("/quality/run")
def run(run_id: str, task_id: str = "") -> HTMLResponse:
    """Show what the check found in a run; of one of its tasks, only in the task's resource."""
    resource = task_id.partition(".")[0]
    resource = resource if resource in RESOURCES else ""
    with crm() as connection:
        found = quality.of_run(connection, run_id, resource or None)
    return render("quality_run.html", run_id=run_id, resource=resource, reports=found)
