"""The console's modules and styles: files of the package, for whoever is logged in."""

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
    """Answer with a file; the browser asks each time whether it is still the same."""
    if not path.endswith((".js", ".css")):
        raise HTTPException(404, "This file does not exist.")
    answer = await _files.get_response(path, request.scope)
    answer.headers["Cache-Control"] = "private, no-cache"
    if path.endswith(".js"):  # whatever the machine's own table of types says
        answer.headers["Content-Type"] = "text/javascript; charset=utf-8"
    return answer
