"""The one file that Airflow loads itself: which pages there are, and where they stand in its frame.

Every process of Airflow loads it, so it imports nothing that is heavy: the pages come with the first request.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from airflow.configuration import conf
from airflow.plugins_manager import AirflowPlugin

PREFIX = "/ecw"
# Airflow may stand below a path of its own, which a browser needs to know.
BASE = urlsplit(conf.get("api", "base_url", fallback="")).path.rstrip("/") + PREFIX


class Pages:
    """The app of ecw.ui, imported when it is first asked for something."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve a request."""
        from ecw.ui.app import app

        await app(scope, receive, send)


class EcwPlugin(AirflowPlugin):
    """The pages of eClinicalWorks ⇄ CRM."""

    name = "ecw"
    fastapi_apps = [{"app": Pages(), "url_prefix": PREFIX, "name": "eClinicalWorks"}]  # noqa: RUF012 - Airflow's way
    external_views = [  # noqa: RUF012
        {
            "name": "Integration Logs",
            "href": f"{BASE}/logs",
            "destination": "nav",
            "url_route": "ecw-logs",
            "nav_top_level": True,
        },
        {
            "name": "Quality reports",
            "href": f"{BASE}/quality",
            "destination": "nav",
            "category": "browse",
            "url_route": "ecw-quality",
        },
        {
            "name": "Quality",
            "href": f"{BASE}/quality/run?run_id={{RUN_ID}}",
            "destination": "dag_run",
            "url_route": "ecw-quality-run",
        },
        {
            "name": "Quality",
            "href": f"{BASE}/quality/run?run_id={{RUN_ID}}&task_id={{TASK_ID}}",
            "destination": "task_instance",
            "url_route": "ecw-quality-task",
        },
    ]
