"""The console's API, its static files and the pages in Airflow's frames, as one FastAPI app."""

from __future__ import annotations

from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse, Response

from ecw.errors import EcwError, RetryableError
from ecw.ui import jwks, quality, static_files
from ecw.ui.api import logs, mappings, me, overview, practices, records, rejects, reviews, status
from ecw.ui.api import quality as expectations
from ecw.ui.headers import StrictHeaders
from ecw.ui.page import render

API = "/api"
# A page of the console has a module in `ecw.ui.api`, an ES module in `static/pages` and a line in `static/console.js`.
API_ROUTERS = (
    expectations.router,
    mappings.router,
    me.router,
    records.router,
    rejects.router,
    reviews.router,
    logs.router,
    overview.router,
    practices.router,
    status.router,
)
ROUTERS = (quality.router, static_files.router)


def without_nul(request: Request) -> None:
    """Refuse a parameter with a NUL character, because PostgreSQL's texts cannot hold one: 400."""
    if any("\0" in name + value for name, value in request.query_params.multi_items()):
        raise HTTPException(400, "A parameter of the address holds a NUL character: remove it.")


# FastAPI's own documentation pages are off: they need no login.
app = FastAPI(dependencies=[Depends(without_nul)], docs_url=None, redoc_url=None, openapi_url=None)
for router in ROUTERS:
    app.include_router(router)
for router in API_ROUTERS:
    app.include_router(router, prefix=API)
app.router.routes.append(jwks.route)
app.add_middleware(StrictHeaders)


@app.exception_handler(EcwError)
def failed(request: Request, error: EcwError) -> Response:
    """Return an error of the project and its next step: as JSON to the console, as a page in a frame."""
    status = 503 if isinstance(error, RetryableError) else 500
    if request.scope["path"].removeprefix(request.scope.get("root_path", "")).startswith(f"{API}/"):
        detail = {"what": error.what, "next_step": error.next_step, "who": error.who, "kind": type(error).__name__}
        return JSONResponse({"detail": detail}, status)
    return render("error.html", error=error, status=status)
