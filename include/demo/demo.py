"""`make run`: start an eCW sandbox, Airflow and an embedded CRM on this machine; pull once, show the result, serve.

Settings come from the environment:

    ONCE=1                  stop after the tables
    STORY=0                 only pull: no edits, no push
    PATIENTS, SEED          the sandbox's population
    SCHEDULE                of the pull: a cron expression in UTC
    AIRFLOW_DB              Airflow's own database (default: a SQLite file)
    AIRFLOW_PORT            Airflow's port
    SANDBOX_PORT            the sandbox's; the next two ports serve its token endpoint and the client's JWKS
    RUN_DIR                 the folder of all files that the demo writes (default .run/); it can be deleted at any time
"""

from __future__ import annotations

import os
import shlex
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import requests

from ecw.pull.summary import as_text
from ecw.push.kill_switch import WATCH as AUTO_START
from ecw.resources import RESOURCES
from include.demo.airflow_api import AirflowApi, wait_until
from include.demo.keys import make_keys, serve_jwks, write_secret
from include.demo.processes import Processes
from include.demo.setting_up import BIN, PRACTICE, ROOT, environment, for_a_shell, sandbox_command, settings_changes
from include.demo.story import Clinic, Crm, dirty, edit, table, waiting

SETTINGS = ROOT / "include" / "demo" / "airflow_settings.yaml"  # the project's own file has no connection
DAG = "ecw_pull"
WATCH = "ecw_monitor"
PUSH_DAG = "ecw_push_patients"
CONSOLE = "emr-sync/overview"
# What `airflow standalone` starts, but without the log servers of the scheduler and the triggerer: they listen on every
# address of the machine (airflow/utils/serve_logs/core.py). This Airflow reads its logs from the disk.
AIRFLOW_PARTS = {
    "api-server": [],
    "scheduler": ["--skip-serve-logs"],
    "dag-processor": [],
    "triggerer": ["--skip-serve-logs"],
}
STEPS = ("extract", "map", "check", "load")


@dataclass(frozen=True)
class Options:
    """The options of the demo."""

    folder: Path
    once: bool
    story: bool  # also damage two charts, edit patients in the CRM, and push the edits
    patients: int
    seed: int
    schedule: str
    airflow_db: str
    airflow_port: int
    sandbox_port: int

    @property
    def token_port(self) -> int:
        """Like eCW, the sandbox has its token endpoint on another host than the FHIR API; here on another port."""
        return self.sandbox_port + 1

    @property
    def jwks_port(self) -> int:
        """The port at which the client publishes its public key."""
        return self.sandbox_port + 2

    @property
    def base_url(self) -> str:
        """The practice's FHIR base URL."""
        return f"http://127.0.0.1:{self.sandbox_port}/fhir/r4/{PRACTICE}"

    @classmethod
    def from_environment(cls) -> Options:
        """Read the options; end with one line if a value is not a number."""
        return cls(
            folder=(ROOT / os.environ.get("RUN_DIR", ".run")).resolve(),
            once=os.environ.get("ONCE", "0") not in ("", "0"),
            story=os.environ.get("STORY", "1") not in ("", "0"),
            patients=_number("PATIENTS", 200),
            seed=_number("SEED", 7),
            schedule=os.environ.get("SCHEDULE", ""),
            airflow_db=os.environ.get("AIRFLOW_DB", ""),
            airflow_port=_number("AIRFLOW_PORT", 8080, most=65_535),
            sandbox_port=_number("SANDBOX_PORT", 8765, most=65_533),
        )


def main() -> int:
    """Run the demo; the exit code is 0 only if the pull succeeded."""
    options = Options.from_environment()
    require_free_ports(options)
    make_keys(options.folder / "keys", options.folder / "jwks")
    env = environment(options)
    write_secret(options.folder / "env", for_a_shell(env).encode())
    with Processes(options.folder / "logs") as processes:
        try:
            return demo(options, env, processes)
        except KeyboardInterrupt:
            say("\nStopping …")
            return 130
        except Trouble as error:
            say(f"make: {error}")
            return 1
        except requests.RequestException as error:
            # only the class: the text of a refused connection fills a screen
            say(f"make: Airflow did not answer ({type(error).__name__}); next: read {options.folder / 'logs'}")
            return 1


def demo(options: Options, env: dict[str, str], processes: Processes) -> int:
    """Start everything, pull once, show the result, and serve."""
    say("Starting the eCW sandbox, the CRM and Airflow …")
    serve_jwks(options.folder / "jwks", options.jwks_port)
    processes.start("sandbox", sandbox_command(options), env)
    clinic = Clinic(f"http://127.0.0.1:{options.token_port}/admin")
    wait(processes, "The sandbox did not come up", clinic.ready)
    if options.story:
        dirty(clinic)
    run([BIN / "airflow", "db", "migrate"], env, processes.log("airflow-db"))
    for part, arguments in AIRFLOW_PARTS.items():
        processes.start(part, [str(BIN / "airflow"), part, *arguments], env)
    airflow = AirflowApi(f"http://127.0.0.1:{options.airflow_port}", before_retry=lambda: require_running(processes))
    wait(processes, "Airflow did not come up", airflow.ready)
    run(
        [BIN / "ecw", "settings", "apply", "--file", SETTINGS, *settings_changes(options)],
        env,
        processes.log("settings"),
    )
    run([BIN / "ecw", "migrate"], env, processes.log("migrate"))
    airflow.login()
    wait(processes, "Airflow did not read dags/", lambda: all(map(airflow.has_dag, (DAG, WATCH, PUSH_DAG))))

    airflow.end_interrupted(DAG)
    earlier_runs = airflow.runs(DAG)
    airflow.unpause(DAG)
    airflow.unpause(WATCH)
    if earlier_runs:
        run_id = airflow.trigger(DAG)
    else:  # the schedule starts a run for the interval that has just ended
        wait(processes, "Airflow did not begin a run", lambda: bool(airflow.runs(DAG)))
        run_id = airflow.runs(DAG)[0]["dag_run_id"]
    say(f"Pulling {', '.join(RESOURCES)} ({airflow.url}/dags/{DAG}/runs/{run_id}) …")
    succeeded = follow(airflow, run_id, processes)
    say("")
    if airflow.task_states(DAG, run_id).get("summary") != "success":
        logs = f"{options.folder}/airflow/logs/dag_id={DAG}/run_id={run_id}"
        raise Trouble(f"the summary of the run did not succeed; next: read its log in {logs}")
    say(as_text(airflow.returned(DAG, run_id, "summary")))
    if options.story and not earlier_runs:
        succeeded = push_edits(airflow, processes, Crm(options.folder / "crm.db"), clinic) and succeeded
    say(f"\nConsole  {airflow.url}/plugin/{CONSOLE}\nAirflow  {airflow.url}")
    say(f"CRM      {options.folder / 'crm.db'} (SQLite)\nLogs     {options.folder / 'logs'}")
    say(f"ecw      . {shlex.quote(str(options.folder / 'env'))} && ecw status")
    if not options.once:
        say("Serving until Ctrl-C.")
        wait(processes, "", lambda: False, seconds=float("inf"))
    return 0 if succeeded else 1


def push_edits(airflow: AirflowApi, processes: Processes, crm: Crm, clinic: Clinic) -> bool:
    """Edit patients in the CRM and push them; print the results and what waits for a person; return True on success."""
    edits = edit(crm, clinic)
    airflow.set_variable(AUTO_START, "no")  # one run with all edits, not two that the watcher starts
    airflow.unpause(PUSH_DAG)
    run_id = airflow.trigger(PUSH_DAG, patients=[f"crm:{one.crm_id}" for one in edits])
    say(f"\nPushing {len(edits)} edits of the CRM ({airflow.url}/dags/{PUSH_DAG}/runs/{run_id}) …")
    ended = ("success", "failed")
    wait(processes, "The push did not end", lambda: airflow.run_state(PUSH_DAG, run_id) in ended, seconds=7200)
    airflow.delete_variable(AUTO_START)
    say("\n" + table(crm, run_id, edits))
    say("\nWaits for a person:\n" + "\n".join(f"  {line}" for line in waiting(crm, PRACTICE)))
    return airflow.run_state(PUSH_DAG, run_id) == "success"


def follow(airflow: AirflowApi, run_id: str, processes: Processes) -> bool:
    """Print a line for each progress of a resource until the run ends; return True if the run succeeded."""
    shown: dict[str, str] = {}

    def over() -> bool:
        state = airflow.run_state(DAG, run_id)
        tasks = airflow.task_states(DAG, run_id)
        for resource in RESOURCES:
            line = "  ".join(f"{step} {sign(tasks.get(f'{resource}.{step}'))}" for step in STEPS)
            if shown.get(resource, line) != line:
                say(f"  {resource:14} {line}")
            shown[resource] = line
        return state in ("success", "failed")

    wait(processes, "The run did not end", over, seconds=7200)
    return airflow.run_state(DAG, run_id) == "success"


def sign(state: str | None) -> str:
    """Return a sign for the state of a task."""
    return {"success": "✓", "failed": "✗", "upstream_failed": "–", "running": "…", "up_for_retry": "↻"}.get(
        state or "", "·"
    )


def require_free_ports(options: Options) -> None:
    """End with one line if a port is in use."""
    if options.sandbox_port <= options.airflow_port <= options.jwks_port:
        sys.exit(
            f"make: the sandbox uses the ports {options.sandbox_port} to {options.jwks_port}: "
            "choose another AIRFLOW_PORT or SANDBOX_PORT."
        )
    ports = {
        options.airflow_port: "AIRFLOW_PORT",
        options.sandbox_port: "SANDBOX_PORT",
        options.token_port: "SANDBOX_PORT",
        options.jwks_port: "SANDBOX_PORT",
    }
    for port, variable in ports.items():
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                sys.exit(
                    f"make: port {port} is in use: stop its program, or choose another port: {variable}=… make run"
                )


def run(command: Sequence[str | Path], env: dict[str, str], log: Path) -> None:
    """Run a command to its end.

    Raises Trouble with the last line of its output if it fails.
    """
    with log.open("wb") as output:
        done = subprocess.run(command, env=env, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        last = (log.read_text().splitlines() or ["nothing"])[-1]
        raise Trouble(
            f"`{Path(command[0]).name} {' '.join(map(str, command[1:3]))}` failed: {last} (full output: {log})"
        )


def wait(
    processes: Processes, problem: str, condition: Callable[[], bool], seconds: float = 900, every: float = 1
) -> None:
    """Wait until the condition is true.

    Raises Trouble with `problem` after so many seconds, and if a process ends by itself.
    """

    def reached() -> bool:
        require_running(processes)
        return condition()

    if not wait_until(reached, seconds, every):
        raise Trouble(f"{problem} within {seconds:.0f} s; next: read the logs in {processes.log('scheduler').parent}")


def require_running(processes: Processes) -> None:
    """Raise Trouble if a process has ended by itself."""
    if name := processes.ended():
        raise Trouble(f"the process {name} ended by itself; next: read {processes.log(name)}")


class Trouble(Exception):
    """The demo cannot continue; the text is the reason."""


def say(line: str) -> None:
    """Print one line at once."""
    print(line, flush=True)


def _number(name: str, default: int, most: int = 10_000_000) -> int:
    value = os.environ.get(name) or str(default)
    if not value.isdecimal() or int(value) > most:
        sys.exit(f"make: {name}={value} is not a number up to {most}: leave it out for {default}.")
    return int(value)
