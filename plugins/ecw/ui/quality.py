"""The tab Quality of a run and of a task in Airflow: the run's quality report."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from ecw.reports import quality
from ecw.reports.quality import Report
from ecw.resources import RESOURCES
from ecw.ui.access import READ_ANY, Everywhere
from ecw.ui.page import crm, render

router = APIRouter(dependencies=[READ_ANY])


@router.get("/quality/run")
def run(mine: Everywhere, run_id: str, task_id: str = "", dag_id: str = "") -> HTMLResponse:
    """Show the quality report of a run; for a task, only the task's resource.

    Scheduled runs of two practices have the same id; the DAG id tells them apart. Without a DAG id, the reports of all
    practices that the user may read are shown.
    """
    resource = task_id.partition(".")[0]
    resource = resource if resource in RESOURCES else ""
    site = mine.of_dag("".join(dag_id.partition("__")[1:])) if dag_id else None
    shown: list[Report] = []
    for conn_id in [site.crm] if site else mine.crms:
        with crm(conn_id) as connection:
            reports = quality.of_run(connection, run_id, resource or None, practice=(site.code if site else "") or None)
        shown += [report for report in reports if mine.shows(report.practice, conn_id)]
    return render("quality_run.html", run_id=run_id, resource=resource, reports=shown)
