"""`make run-cluster`: run an Airflow cluster, as a group of clinics would, on this machine from packages alone.

It starts two practices with one CRM each, two Celery workers with their own homes and working folders, Redis, one
PostgreSQL for Airflow and one for the CRMs, staging in S3, scheduler, DAG processor, API server and triggerer. Then it
pulls both practices in parallel and kills a worker with SIGKILL meanwhile, backfills, and pushes. An independent
checker compares the CRM with the practice after each step. All started processes end with this one.

Settings come from the environment: PATIENTS (of each practice, 40), SEED, SHORT=1 (no backfill), SERVE=1 (serve until
Ctrl-C instead of ending after the journey), CLUSTER_PORT (the first of ten ports), RUN_DIR (default .run/cluster/).
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import requests

from include.cluster import journey
from include.cluster.nodes import Cluster, Options, environment, start_airflow
from include.cluster.services import make_buckets, make_databases, postgresql, start_redis, start_s3
from include.demo.airflow_api import AirflowApi
from include.demo.demo import Trouble, require_running, run, say, wait
from include.demo.keys import make_keys, serve_jwks
from include.demo.processes import Processes

BIN = Path(sys.executable).parent


def main() -> int:
    """Run the journey; the exit code is 0 only if every run succeeded and every record agrees."""
    options = Options.from_environment()
    options.require_free_ports()
    shutil.rmtree(options.folder, ignore_errors=True)
    with Processes(options.folder / "logs") as processes:
        try:
            with cluster(options, processes) as started:
                problems = journey.go(started)
                say(f"Logs     {options.folder / 'logs'}")
                if options.serve:
                    say(f"Airflow  {started.airflow.url}\nServing until Ctrl-C.")
                    wait(processes, "", lambda: False, seconds=float("inf"))
                return 1 if problems else 0
        except KeyboardInterrupt:
            say("\nStopping …")
            return 130
        except Trouble as error:
            say(f"make: {error}")
            return 1
        except requests.RequestException as error:
            say(f"make: Airflow did not answer ({type(error).__name__}); next: read {options.folder / 'logs'}")
            return 1


@contextmanager
def cluster(options: Options, processes: Processes) -> Iterator[Cluster]:
    """Start all parts, and yield the cluster when it is ready."""
    began = time.monotonic()
    say("Starting PostgreSQL (two), Redis, S3, the sandboxes, Airflow and two Celery workers …")
    make_keys(options.folder / "keys", options.folder / "jwks")
    serve_jwks(options.folder / "jwks", options.port("jwks"))
    with ExitStack() as stack:
        airflow_db, crm_db = (stack.enter_context(postgresql()) for _ in range(2))
        make_databases(airflow_db, "airflow")
        make_databases(crm_db, *(f"crm_{practice}" for practice in options.practices))
        env = environment(options, airflow_db.format("airflow"), crm_db)
        start_redis(processes, options.folder / "redis", options.port("redis"), env)
        start_s3(processes, options.port("s3"), env)
        for practice, command in options.sandboxes().items():
            processes.start(f"sandbox-{practice}", command, env)
        wait(processes, "S3 did not answer", lambda: make_buckets(options.url("s3"), "staging", "logs"))
        run([BIN / "airflow", "db", "migrate"], env, processes.log("airflow-db"))
        start_airflow(processes, options, env)
        airflow = AirflowApi(options.url("airflow"), before_retry=lambda: require_running(processes))
        wait(processes, "Airflow did not come up", airflow.ready)
        pools = ["--only", "pools"]
        run([BIN / "ecw", "settings", "apply", *pools], env, processes.log("settings"))
        for practice in options.practices:
            run([BIN / "ecw", "migrate", "--crm-conn-id", f"crm_{practice}"], env, processes.log(f"migrate-{practice}"))
        airflow.login()
        started = Cluster(options, processes, airflow, env, crm_db)
        dags = [f"{dag}__{practice}" for dag in ("ecw_pull", "ecw_push_patients") for practice in options.practices]
        wait(processes, "Airflow did not read the DAG files", lambda: all(map(airflow.has_dag, dags)))
        say(f"Ready after {time.monotonic() - began:.0f} s.")
        yield started
