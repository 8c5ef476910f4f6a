"""Pull several practices into one CRM at the same time: each must stay within its own quota.

`ECW_SOAK=20x500 python -m bench many_practices` pulls 20 practices of 500 patients. Each practice has a process of its
own, like Airflow's tasks. The default is smaller.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import requests
from sqlalchemy import text

from bench.extract import practice
from bench.result import Result
from ecw.crm.db.engine import engine_from_url, reading
from ecw.crm.db.migrations import migrate
from include.cluster.checker import compare

ROOT = Path(__file__).resolve().parents[1]
SIZE = "4x50"
QUOTA = 250  # calls a minute of each practice, as in eCW
PULL = """
import json, resource, sys
import ecw.hooks.ecw
from ecw.models import PullRequest
from ecw.pull import steps
from ecw.resources import RESOURCES
conn_id, staging = sys.argv[1:]
run = steps.begin(
    PullRequest("scheduled__soak", "scheduled", None, "{until}", conn_id, "crm_soak", staging)
)
found = {name: steps.load(steps.check(steps.map(steps.extract(run, name)))) for name in RESOURCES}
memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform == "linux" else 1024**2)
print(json.dumps({"numbers": found, "memory_mb": memory}))
"""


UNTIL = datetime(2026, 11, 22, 10, tzinfo=UTC)


def results() -> list[Result]:
    """Pull all practices at once; check that no call was refused, and that each row belongs to the right practice."""
    practices, patients = (int(part) for part in os.environ.get("ECW_SOAK", SIZE).split("x"))
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        url = f"sqlite:///{folder}/crm.db"
        engine = engine_from_url(url)
        migrate(engine)
        env = os.environ | {"AIRFLOW_CONN_CRM_SOAK": json.dumps({"conn_type": "generic", "extra": {"url": url}})}
        sandboxes = {}
        for number in range(practices):
            code = f"SITE{number:02}"
            sandboxes[code] = sandbox = stack.enter_context(practice(patients, code, QUOTA))
            extra = {name: sandbox[name] for name in ("private_key", "key_id")} | {"pull": {"ignore_time_budget": True}}
            fields = {"conn_type": "ecw", "host": sandbox["base_url"], "login": sandbox["client_id"], "extra": extra}
            env[f"AIRFLOW_CONN_ECW_{code}"] = json.dumps(fields)
        started = time.monotonic()
        with ThreadPoolExecutor(practices) as pool:
            done = list(pool.map(lambda code: pull(code, folder, env), sandboxes))
        seconds = time.monotonic() - started
        busiest, total, refused = calls(sandboxes)
        assert refused == 0, f"{refused} calls were answered 429"
        assert busiest <= QUOTA, f"{busiest} calls in a minute"
        assert all(each["numbers"]["patient"]["inserted"] == patients for each in done), done
        memory = max(each["memory_mb"] for each in done)
        compared = {code: compare(one["admin_url"], engine, code, UNTIL) for code, one in sandboxes.items()}
        assert not any(each.problems for each in compared.values()), compared
        records = sum(sum(each.counts.values()) for each in compared.values())
        with reading(engine) as connection:
            rows = connection.execute(text("SELECT ecw_practice, count(*) FROM patient GROUP BY ecw_practice")).all()
            crossed = "SELECT count(*) FROM ecw_link l JOIN patient p ON p.id = l.crm_id WHERE l.resource = 'patient' "
            mixed = connection.scalar(text(crossed + "AND l.practice <> p.ecw_practice"))
        assert dict(rows) == dict.fromkeys(sandboxes, patients)
        assert mixed == 0
        engine.dispose()
    how = f"{practices} practices of {patients} patients, all five resources, all practices at once, one SQLite CRM, "
    how += f"{QUOTA} calls a minute for each, {total} calls, no 429; "
    how += f"{records} records compared with the practices, 0 wrong"
    return [
        Result(name="many_practices_s", value=round(seconds, 1), unit="s", baseline=None, ratio=None, how=how),
        Result(
            name="many_practices_busiest_minute",
            value=busiest,
            unit="calls",
            baseline=QUOTA,
            ratio=round(busiest / QUOTA, 3),
            how=f"{how}; the most calls of one practice in one minute; baseline: its quota",
        ),
        Result(
            name="many_practices_memory_mb",
            value=round(memory),
            unit="MB",
            baseline=None,
            ratio=None,
            how=f"{how}; the largest peak memory of a practice's process",
        ),
    ]


def pull(code: str, folder: str, env: dict[str, str]) -> dict[str, Any]:
    """Pull one practice in a process of its own; return the counts by resource, and the peak memory."""
    command = [
        sys.executable,
        "-c",
        PULL.replace("{until}", UNTIL.isoformat()),
        f"ecw_{code.lower()}",
        f"{folder}/staging",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def calls(sandboxes: dict[str, dict[str, Any]]) -> tuple[int, int, int]:
    """Return the most calls of one practice in a minute, all calls, and the number of responses with 429."""
    counts = [requests.get(f"{one['admin_url']}/counts", timeout=60).json() for one in sandboxes.values()]
    busiest = max(max(each["minutes"].values(), default=0) for each in counts)
    refused = sum(row["count"] for each in counts for row in each["answers"] if row["status"] == 429)
    return busiest, sum(each["total"] for each in counts), refused
