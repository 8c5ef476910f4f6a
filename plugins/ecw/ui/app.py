"""The pages as one FastAPI app, for those who may see the runs of ecw_pull."""

from __future__ import annotations

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.core_api.security import requires_access_dag
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.responses import HTMLResponse

from ecw.errors import EcwError, RetryableError
from ecw.ui import jwks, logs, quality
from ecw.ui.page import render

ROUTERS = (quality.router, logs.router)

may_see = requires_access_dag("GET", DagAccessEntity.RUN, param_dag_id="ecw_pull")


def without_nul(request: Request) -> None:
    """Refuse a parameter with a NUL, which no text of a database holds."""
    if any("\0" in name + value for name, value in request.query_params.multi_items()):
        raise HTTPException(400, "A parameter of the address holds a NUL character: take it out.")


# Without its own pages about the API: those are open to everybody.
app = FastAPI(dependencies=[Depends(may_see), Depends(without_nul)], docs_url=None, redoc_url=None, openapi_url=None)
for router in ROUTERS:
    app.include_router(router)
app.router.routes.append(jwks.route)


@app.exception_handler(EcwError)
def told(_request: Request, error: EcwError) -> HTMLResponse:
    """Show an error of ours with its next move."""
    return render("error.html", error=error, status=503 if isinstance(error, RetryableError) else 500)
