"""The one file that Airflow loads itself: which pages there are, and where they stand in its frame.

Every process of Airflow loads it, so it imports nothing that is heavy: the pages come with the first request.
"""

from __future__ import annotations

from typing import Any

from airflow.plugins_manager import AirflowPlugin

PREFIX = "/ecw"


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
            "href": "ecw/quality/run?run_id={RUN_ID}",
            "destination": "dag_run",
            "url_route": "ecw-quality-run",
        },
        {
            "name": "Quality",
            "href": "ecw/quality/run?run_id={RUN_ID}&task_id={TASK_ID}",
            "destination": "task_instance",
            "url_route": "ecw-quality-task",
        },
    ]
