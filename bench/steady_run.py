"""Duration of a run in which nothing changed: 10,000 patients, all five resources, the real steps."""

from __future__ import annotations

import json
import os
import tempfile
import time

from bench.extract import practice
from bench.result import Result
from ecw.crm.db.engine import engine_from_url
from ecw.crm.db.migrations import migrate

PATIENTS = 10_000
EXTRA = {"calls_per_minute": 1_000_000, "pull": {"max_concurrency": 32, "ignore_time_budget": True}}


def results() -> list[Result]:
    """Measure a first run and the next one two hours later, against a sandbox without a quota."""
    import ecw.hooks.ecw  # noqa: F401 - Airflow configures logging at its first import

    with practice(PATIENTS) as sandbox, tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/crm.db"
        engine = engine_from_url(url)
        migrate(engine)
        engine.dispose()
        extra = {name: sandbox[name] for name in ("private_key", "key_id")} | EXTRA
        fields = {"conn_type": "ecw", "host": sandbox["base_url"], "login": sandbox["client_id"], "extra": extra}
        os.environ["AIRFLOW_CONN_ECW_BENCH"] = json.dumps(fields)
        os.environ["AIRFLOW_CONN_CRM_BENCH"] = json.dumps({"conn_type": "generic", "extra": {"url": url}})
        first, found = run(folder, 10)
        assert found["patient"]["inserted"] == PATIENTS, found
        steady, found = run(folder, 12)
        assert all(numbers["inserted"] + numbers["updated"] == 0 for numbers in found.values()), found
    return [
        Result(
            name="steady_run_s_10k_unchanged",
            value=round(steady, 1),
            unit="s",
            baseline=round(first, 1),
            ratio=round(steady / first, 3),
            how=f"{PATIENTS} patients, five resources one after the other, sandbox without quota or delay, SQLite; "
            "the baseline is the first run, which loads everything",
        )
    ]


def run(folder: str, hour: int) -> tuple[float, dict[str, dict[str, int]]]:
    """Run all steps as the DAG does; return the seconds and the counts by resource."""
    from ecw.models import PullRequest
    from ecw.pull import steps
    from ecw.resources import RESOURCES

    started = time.monotonic()
    ends = f"2026-11-22T{hour}:00:00+00:00"
    begun = steps.begin(PullRequest(f"bench-{hour}", "scheduled", None, ends, "ecw_bench", "crm_bench", folder))
    found = {name: steps.load(steps.check(steps.map(steps.extract(begun, name)))) for name in RESOURCES}
    return time.monotonic() - started, found
