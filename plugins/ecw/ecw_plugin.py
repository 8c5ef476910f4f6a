"""The one file that Airflow loads itself: which pages there are, and where they stand in its frame.

Every process of Airflow loads it, so it imports nothing that is heavy: the pages come with the first request.
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
    """The app of ecw.ui, imported when it is first asked for something."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve a request."""
        from ecw.ui.app import app

        await app(scope, receive, send)


class PracticesFollowConnections:
    """Middleware of Airflow's API server: whoever saves a connection of type eClinicalWorks there has added a practice.

    DAG files may not ask for all connections, so their ids are written into a Variable: when the server starts, and
    after each request that may have changed one.
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

        async def noting(message: Any) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])
            await send(message)

        await self.app(scope, receive, noting)
        if statuses and statuses[0] < HTTPStatus.BAD_REQUEST:
            await asyncio.to_thread(_sync)


def _sync() -> None:
    """Write the list of practices; what is wrong with it must not harm the API server."""
    try:
        from ecw.settings.practice_sync import sync

        for done in sync():
            log.info("Practices: %s.", done)
    except Exception as error:  # noqa: BLE001 - of whatever kind; its text may hold a database's address
        log.warning("Practices: %s; run `ecw practice sync`.", type(error).__name__)


class EcwPlugin(AirflowPlugin):
    """The pages of eClinicalWorks ⇄ CRM."""

    name = "ecw"
    fastapi_apps = [{"app": Pages(), "url_prefix": PREFIX, "name": "eClinicalWorks"}]  # noqa: RUF012 - Airflow's way
    fastapi_root_middlewares = [  # noqa: RUF012
        {"middleware": PracticesFollowConnections, "name": "eClinicalWorks practices", "args": [], "kwargs": {}}
    ]
    # The addresses are relative: Airflow's page has a <base>, so they hold below a path of its own, too.
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
