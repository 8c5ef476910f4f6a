"""The Airflow plugin: the console's pages and their places in Airflow's user interface.

Every process of Airflow loads this file, so it imports nothing heavy; the first request imports the pages.
"""

from __future__ import annotations

import asyncio
import logging
from http import HTTPStatus
from typing import Any

from airflow.plugins_manager import AirflowPlugin

PREFIX = "/ecw"
log = logging.getLogger(__name__)


class Pages:
    """The app of ecw.ui, imported with the first request."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve a request."""
        from ecw.ui.app import app

        await app(scope, receive, send)


class PracticesFollowConnections:
    """Middleware of Airflow's API server: a saved connection of type eClinicalWorks adds a practice.

    DAG files cannot list all connections. So the middleware writes the ids of these connections into a Variable: when
    the server starts, and after each request that may have changed a connection.
    """

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve a request."""
        if scope["type"] == "lifespan":
            await asyncio.to_thread(_sync)
        saves = scope["type"] == "http" and scope["method"] in ("POST", "PUT", "PATCH", "DELETE")
        if not saves or "/connections" not in scope["path"]:
            await self.app(scope, receive, send)
            return
        statuses: list[int] = []

        async def send_and_record(message: Any) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])
            await send(message)

        await self.app(scope, receive, send_and_record)
        if statuses and statuses[0] < HTTPStatus.BAD_REQUEST:
            await asyncio.to_thread(_sync)


def _sync() -> None:
    """Write the list of practices; an error must not stop the API server."""
    try:
        from ecw.settings.practice_sync import sync

        for change in sync():
            log.info("Practices: %s.", change)
    except Exception as error:  # noqa: BLE001 - any error; only its class is logged, as its text may hold an address
        log.warning("Practices were not updated (%s); next: run `ecw practice sync`.", type(error).__name__)


class EcwPlugin(AirflowPlugin):
    """The pages of eClinicalWorks ⇄ CRM."""

    name = "ecw"
    fastapi_apps = [{"app": Pages(), "url_prefix": PREFIX, "name": "eClinicalWorks"}]  # noqa: RUF012 - Airflow's way
    fastapi_root_middlewares = [  # noqa: RUF012
        {"middleware": PracticesFollowConnections, "name": "eClinicalWorks practices", "args": [], "kwargs": {}}
    ]
    # The addresses are relative to the <base> of Airflow's page, so they also work if Airflow is served below a path.
    react_apps = [  # noqa: RUF012
        {
            "name": "EMR sync",
            "bundle_url": "ecw/static/console.js",
            "destination": "nav",
            "url_route": "emr-sync",
            "nav_top_level": True,
        },
        {"name": "EMR sync card", "bundle_url": "ecw/static/card.js", "destination": "dashboard"},
    ]
    external_views = [  # noqa: RUF012
        {
            "name": "Quality",
            "href": "ecw/quality/run?dag_id={DAG_ID}&run_id={RUN_ID}",
            "destination": "dag_run",
            "url_route": "ecw-quality-run",
        },
        {
            "name": "Quality",
            "href": "ecw/quality/run?dag_id={DAG_ID}&run_id={RUN_ID}&task_id={TASK_ID}",
            "destination": "task_instance",
            "url_route": "ecw-quality-task",
        },
    ]
