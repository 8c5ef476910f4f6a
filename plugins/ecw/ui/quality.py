"""The tab Quality of a run and of a task: what the check found in it."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from ecw.fhir.connection import base_url_of, practice_of
from ecw.reports import quality
from ecw.resources import RESOURCES
from ecw.settings import connections
from ecw.settings.practice import DEFAULT_CRM
from ecw.settings.practices import named
from ecw.ui.access import READ
from ecw.ui.page import crm, render

router = APIRouter(dependencies=[READ])


@router.get("/quality/run")
def run(run_id: str, task_id: str = "", dag_id: str = "") -> HTMLResponse:
    """Show what the check found in a run; of one of its tasks, only in the task's resource.

    Scheduled runs of two practices have one id: the DAG says whose the run is.
    """
    resource = task_id.partition(".")[0]
    resource = resource if resource in RESOURCES else ""
    practice = named(dag_id.partition("__")[2]) if dag_id else None
    code = practice_of(base_url_of(connections.get(practice.connection))) if practice else None
    with crm(practice.crm_connection if practice else DEFAULT_CRM) as connection:
        found = quality.of_run(connection, run_id, resource or None, practice=code)
    return render("quality_run.html", run_id=run_id, resource=resource, reports=found)
