"""The nodes of the cluster: ports, homes and environments."""

from __future__ import annotations

import json
import os
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

from include.demo.airflow_api import AirflowApi
from include.demo.demo import AIRFLOW_PARTS, _number
from include.demo.keys import KEY_ID, kept
from include.demo.processes import Processes
from include.demo.setting_up import CLIENT

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
PORTS = ("airflow", "redis", "s3", "jwks", "north", "north_token", "south", "south_token")
ZONES = {"north": "America/New_York", "south": "America/Los_Angeles"}
WORKERS = ("worker-1", "worker-2")


@dataclass(frozen=True)
class Options:
    """The options of the cluster."""

    folder: Path
    patients: int
    seed: int
    short: bool
    serve: bool
    first_port: int
    practices: tuple[str, ...] = tuple(ZONES)

    @classmethod
    def from_environment(cls) -> Options:
        """Read the options; end with one line if a value is not a number."""
        return cls(
            folder=(ROOT / os.environ.get("RUN_DIR", ".run/cluster")).resolve(),
            patients=_number("PATIENTS", 40),
            seed=_number("SEED", 7),
            short=os.environ.get("SHORT", "0") not in ("", "0"),
            serve=os.environ.get("SERVE", "0") not in ("", "0"),
            first_port=_number("CLUSTER_PORT", 8180, most=65_500),
        )

    @property
    def heartbeat_timeout_s(self) -> int:
        """Seconds without a heartbeat after which a task of a dead worker is tried again; Airflow's default is 300."""
        return 40 if self.short else 60

    def port(self, name: str) -> int:
        """Return the port of a part."""
        return self.first_port + PORTS.index(name)

    def url(self, name: str) -> str:
        """Return the address of a part."""
        return f"http://127.0.0.1:{self.port(name)}"

    def code(self, practice: str) -> str:
        """Return the practice code, the last part of its base URL."""
        return f"{practice.upper()}01"

    def admin(self, practice: str) -> str:
        """Return the address of a sandbox's admin API."""
        return f"{self.url(f'{practice}_token')}/admin"

    def require_free_ports(self) -> None:
        """End with one line if a port is in use."""
        for name in PORTS:
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(("127.0.0.1", self.port(name)))
                except OSError:
                    sys.exit(
                        f"make: port {self.port(name)} is in use: choose others: CLUSTER_PORT=… (the first of ten)."
                    )

    def sandboxes(self) -> dict[str, list[str]]:
        """Return the command that starts the sandbox of each practice; population and time zone differ."""
        return {
            practice: [
                *(sys.executable, "-m", "include.sandbox", "--quiet", "--practice", self.code(practice)),
                *("--port", str(self.port(practice)), "--token-port", str(self.port(f"{practice}_token"))),
                *("--patients", str(self.patients), "--seed", str(self.seed + number), "--zone", ZONES[practice]),
                *("--client", f"{CLIENT}={self.url('jwks')}/jwks.json"),
            ]
            for number, practice in enumerate(self.practices)
        }


@dataclass(frozen=True)
class Cluster:
    """A running cluster."""

    options: Options
    processes: Processes
    airflow: AirflowApi
    env: dict[str, str]
    crm_url: str

    def crm(self, practice: str) -> str:
        """Return the URL of a practice's CRM."""
        return self.crm_url.format(f"crm_{practice}")


def environment(options: Options, airflow_db: str, crm_db: str) -> dict[str, str]:
    """Return the environment that all nodes share; they have no folder in common except the DAG files."""
    airflow, redis = options.url("airflow"), f"redis://127.0.0.1:{options.port('redis')}"
    keys = options.folder / "keys"
    return {
        **{key: value for key, value in os.environ.items() if not key.startswith(("AIRFLOW_", "ECW_", "AWS_"))},
        **connections(options, crm_db),
        "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}",
        "PYTHONDONTWRITEBYTECODE": "",
        "PYTHONWARNINGS": "ignore",
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
        "C_FORCE_ROOT": "1",  # Celery refuses to run as root without it
        "AIRFLOW_HOME": str(options.folder / "home" / "control"),
        "AIRFLOW__API__BASE_URL": airflow,
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(options.port("airflow")),
        "AIRFLOW__API__SECRET_KEY": kept(keys / "api_secret", "token"),
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__API_AUTH__JWT_SECRET": kept(keys / "jwt_secret", "token"),
        "AIRFLOW__CELERY__BROKER_URL": f"{redis}/0",
        "AIRFLOW__CELERY__RESULT_BACKEND": f"{redis}/1",
        "AIRFLOW__CELERY__WORKER_CONCURRENCY": "3",
        "AIRFLOW__CELERY__WORKER_PREFETCH_MULTIPLIER": "1",
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{airflow}/execution/",
        "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
        "AIRFLOW__CORE__FERNET_KEY": kept(keys / "fernet", "fernet"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__PARALLELISM": "8",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        # All parts start at once, so parsing a file may take longer than 30 s. They do not change: parse them rarely.
        "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": "600",
        "AIRFLOW__DAG_PROCESSOR__DAG_FILE_PROCESSOR_TIMEOUT": "900",
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "300",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": airflow_db,
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC": airflow_db,
        "AIRFLOW__LOGGING__REMOTE_LOGGING": "True",
        "AIRFLOW__LOGGING__REMOTE_BASE_LOG_FOLDER": "s3://logs/airflow",
        "AIRFLOW__LOGGING__REMOTE_LOG_CONN_ID": "aws_cluster",
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": str(options.heartbeat_timeout_s),
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",
        "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT": "60",
        "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL": "10",
        "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "60",  # one API server for all nodes, on a machine that may be busy
        "AIRFLOW_VAR_ECW_STAGING": "s3://aws_cluster@staging/ecw",
        "ECW_PRACTICES": str(practices_file(options)),
    }


def connections(options: Options, crm_db: str) -> dict[str, str]:
    """Return the connections as environment variables; the private key is a PEM text, not a file."""
    pem = (options.folder / "keys" / "private.pem").read_text()
    fields_of: dict[str, dict[str, object]] = {
        "aws_cluster": {
            "conn_type": "aws",
            "login": "cluster",
            "password": "cluster",
            "extra": {"endpoint_url": options.url("s3"), "region_name": "us-east-1"},
        }
    }
    for practice in options.practices:
        fields_of[f"ecw_{practice}"] = {
            "conn_type": "ecw",
            "host": f"{options.url(practice)}/fhir/r4/{options.code(practice)}",
            "login": CLIENT,
            "extra": {
                "private_key": pem,
                "key_id": KEY_ID,
                "mapping": {"time_zone": ZONES[practice]},
            },
        }
        fields_of[f"crm_{practice}"] = {"conn_type": "generic", "extra": {"url": crm_db.format(f"crm_{practice}")}}
    return {f"AIRFLOW_CONN_{name.upper()}": json.dumps(fields) for name, fields in fields_of.items()}


def practices_file(options: Options) -> Path:
    """Write the file of practices, which names the connections of each, and return its path."""
    path = options.folder / "practices.yaml"
    lines = [f"  {name}: {{connection: ecw_{name}, crm_connection: crm_{name}}}" for name in options.practices]
    path.write_text("\n".join(["practices:", *lines, ""]))
    return path


def start_airflow(processes: Processes, options: Options, env: dict[str, str]) -> None:
    """Start Airflow's parts and the workers; each worker has its own home and working folder."""
    for part, arguments in AIRFLOW_PARTS.items():
        processes.start(part, [str(BIN / "airflow"), part, *arguments], env)
    for worker in WORKERS:
        start_worker(processes, options, env, worker)


def start_worker(processes: Processes, options: Options, env: dict[str, str], worker: str) -> None:
    """Start a Celery worker, without its log server, which would listen on every address; its logs go to S3."""
    home, folder = options.folder / "home" / worker, options.folder / "work" / worker
    for each in (home, folder):
        each.mkdir(parents=True, exist_ok=True)
    command = [str(BIN / "airflow"), "celery", "worker", "--skip-serve-logs", "--celery-hostname", f"{worker}@here"]
    processes.start(worker, command, env | {"AIRFLOW_HOME": str(home), "HOME": str(home)}, folder)
