"""The steps of `make run-cluster`: pull and kill a worker, backfill, push; a comparison follows each step."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import psutil
from sqlalchemy import create_engine, text

from include.cluster.checker import compare, held
from include.cluster.nodes import WORKERS, Cluster
from include.demo.demo import say, wait

OVER = ("success", "failed")
RUN_S = 3600.0


def go(cluster: Cluster) -> list[str]:
    """Do all steps; return all problems found."""
    problems = timed("Pulled both practices; a worker was killed with -9", lambda: pull_and_kill(cluster))
    if not cluster.options.short:
        problems += timed("Backfilled two intervals of each practice", lambda: backfill(cluster))
    problems += timed("Pushed a change of each practice", lambda: push(cluster))
    for problem in problems:
        say(f"  PROBLEM: {problem}")
    say("Every record agrees." if not problems else f"{len(problems)} problems.")
    return problems


def timed(what: str, step: Callable[[], list[str]]) -> list[str]:
    """Do a step, print how long it took, and return its problems."""
    began = time.monotonic()
    problems = step()
    say(f"{what}: {time.monotonic() - began:.0f} s.")
    return problems


def pull_and_kill(cluster: Cluster) -> list[str]:
    """Pull both practices in parallel, kill a worker while it extracts, and compare after both runs have ended."""
    runs = {practice: first_run(cluster, f"ecw_pull__{practice}") for practice in cluster.options.practices}
    victim = WORKERS[1]
    at_work = partial(busy, cluster, victim, runs)  # on a fast machine true for only a second or two
    wait(cluster.processes, f"{victim} was given no extract", at_work, seconds=RUN_S, every=0.2)
    killed = time.monotonic()
    cluster.processes.kill(victim)
    timeout = cluster.options.heartbeat_timeout_s
    say(f"  {victim} is dead; without a heartbeat for {timeout} s its tasks are tried again.")
    problems = [
        f"the pull of {practice} ended as {state}" for practice, state in ended(cluster, "ecw_pull", runs).items()
    ]
    again = [
        task
        for practice, run_id in runs.items()
        for task in tasks(cluster, f"ecw_pull__{practice}", run_id)
        if task["try_number"] > 1
    ]
    if not again:
        problems.append("no task was tried again: the killed worker had none")
    say(f"  {len(again)} tasks were tried again; both runs ended {time.monotonic() - killed:.0f} s after the kill.")
    return problems + compared(cluster)


def first_run(cluster: Cluster, dag_id: str) -> str:
    """Unpause the DAG; the schedule starts a run for the interval that has just ended. Return the run's id."""
    cluster.airflow.unpause(dag_id)
    wait(cluster.processes, f"Airflow did not begin a run of {dag_id}", lambda: bool(cluster.airflow.runs(dag_id)))
    return str(cluster.airflow.runs(dag_id)[0]["dag_run_id"])


def busy(cluster: Cluster, worker: str, runs: dict[str, str]) -> bool:
    """Return True if the worker runs an extract task now."""
    extracting = [
        task
        for practice, run_id in runs.items()
        for task in tasks(cluster, f"ecw_pull__{practice}", run_id)
        if task["state"] == "running" and task["task_id"].endswith(".extract")
    ]
    main, *below = cluster.processes.family(worker)
    at_work = [process for process in below if parent(process) not in (None, main.pid)]
    return bool(at_work) and bool({task["pid"] for task in extracting} & {process.pid for process in at_work})


def parent(process: psutil.Process) -> int | None:
    """Return the process id of the parent, None if the process has just ended."""
    try:
        return int(process.ppid())
    except psutil.NoSuchProcess:
        return None


def backfill(cluster: Cluster) -> list[str]:
    """Backfill two intervals of yesterday, in parallel, for one practice after the other."""
    start = (datetime.now(UTC) - timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    problems = []
    for practice in cluster.options.practices:
        dag = f"ecw_pull__{practice}"
        body = {
            "dag_id": dag,
            "from_date": start.isoformat(),
            "to_date": (start + timedelta(hours=3)).isoformat(),
            "max_active_runs": 2,
        }
        cluster.airflow._post("backfills", body)
        wait(cluster.processes, f"the backfill of {practice} did not end", lambda dag=dag: filled(cluster, dag), RUN_S)
        states = [run["state"] for run in cluster.airflow.runs(dag) if run["run_type"] == "backfill"]
        problems += [f"a backfill of {practice} ended as {state}" for state in states if state != "success"]
        if len(states) < 2:
            problems.append(f"the backfill of {practice} made {len(states)} runs instead of 2")
    return problems + compared(cluster)


def filled(cluster: Cluster, dag: str) -> bool:
    """Return True if the DAG's backfill has runs, and all of them have ended."""
    states = [run["state"] for run in cluster.airflow.runs(dag) if run["run_type"] == "backfill"]
    return bool(states) and all(state in OVER for state in states)


def push(cluster: Cluster) -> list[str]:
    """Change a patient of each practice in the CRM, push, and check that eCW has this change and no other."""
    before = {name: held(cluster.options.admin(name), "Patient") for name in cluster.options.practices}
    changed: dict[str, str] = {}
    for practice in cluster.options.practices:
        engine = create_engine(cluster.crm(practice))
        with engine.begin() as connection:
            row = connection.execute(
                text("SELECT ecw_id FROM patient WHERE city IS NOT NULL AND active ORDER BY ecw_id LIMIT 1")
            ).one()
            connection.execute(
                text("UPDATE patient SET city = 'Trialtown' WHERE ecw_id = :ecw_id"), {"ecw_id": row.ecw_id}
            )
            changed[practice] = row.ecw_id
        engine.dispose()
    for name in cluster.options.practices:
        cluster.airflow.unpause(f"ecw_push_patients__{name}")
    runs = {name: cluster.airflow.trigger(f"ecw_push_patients__{name}") for name in cluster.options.practices}
    problems = [
        f"the push of {practice} ended as {state}"
        for practice, state in ended(cluster, "ecw_push_patients", runs).items()
    ]
    for practice, ecw_id in changed.items():
        now = held(cluster.options.admin(practice), "Patient")
        if not any(address.get("city") == "Trialtown" for address in now[ecw_id].get("address", [])):
            problems.append(f"the change of {practice}'s patient {ecw_id} did not arrive")
        others = [one for one, record in now.items() if one != ecw_id and before[practice].get(one) != record]
        problems += [f"the push of {practice} changed patient {one}, which was not edited" for one in others]
    return problems + compared(cluster)


def ended(cluster: Cluster, dag: str, runs: dict[str, str]) -> dict[str, str]:
    """Wait until the runs have ended; return the states of those that did not succeed."""

    def states() -> dict[str, str]:
        return {name: cluster.airflow.run_state(f"{dag}__{name}", run_id) for name, run_id in runs.items()}

    wait(cluster.processes, f"{dag} did not end", lambda: all(state in OVER for state in states().values()), RUN_S)
    return {name: state for name, state in states().items() if state != "success"}


def tasks(cluster: Cluster, dag_id: str, run_id: str) -> list[dict[str, Any]]:
    """Return the task instances of a run."""
    answer = cluster.airflow._call("GET", f"dags/{dag_id}/dagRuns/{run_id}/taskInstances")
    instances: list[dict[str, Any]] = answer["task_instances"]
    return instances


def compared(cluster: Cluster) -> list[str]:
    """Compare each practice with its CRM."""
    problems = []
    for practice in cluster.options.practices:
        engine = create_engine(cluster.crm(practice))
        found = compare(cluster.options.admin(practice), engine)
        engine.dispose()
        say(f"  {practice}: {found}")
        problems += [f"{practice}: {problem}" for problem in found.problems]
    return problems
