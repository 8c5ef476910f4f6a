"""The console's modules and styles: files of the package, for every user with a login."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.staticfiles import StaticFiles
from starlette.responses import Response

from ecw.ui.access import logged_in

FOLDER = Path(__file__).parent / "static"
_files = StaticFiles(directory=FOLDER)
router = APIRouter(dependencies=[Depends(logged_in)])


@router.get("/static/{path:path}", response_class=Response)
async def static(path: str, request: Request) -> Response:
    """Return a file; the browser must revalidate it each time."""
    if not path.endswith((".js", ".css")):
        raise HTTPException(404, "This file does not exist.")
    response = await _files.get_response(path, request.scope)
    response.headers["Cache-Control"] = "private, no-cache"
    if path.endswith(".js"):  # the machine's own table of MIME types may have another type
        response.headers["Content-Type"] = "text/javascript; charset=utf-8"
    return response
