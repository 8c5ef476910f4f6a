"""The commands and the environment of the demo's processes."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from include.demo.keys import kept

if TYPE_CHECKING:
    from include.demo.demo import Options

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
PRACTICE = "DEMO01"
CLIENT = "demo-client"


def sandbox_command(options: Options) -> list[str]:
    """Return the command that starts the sandbox."""
    return [
        *(sys.executable, "-m", "include.sandbox"),
        *("--practice", PRACTICE, "--port", str(options.sandbox_port), "--token-port", str(options.token_port)),
        *("--patients", str(options.patients), "--seed", str(options.seed)),
        *("--client", f"{CLIENT}=http://127.0.0.1:{options.jwks_port}/jwks.json"),
    ]


def settings_changes(options: Options) -> list[str]:
    """Return the arguments that put this demo's ports and folder into the values of airflow_settings.yaml."""
    changes = {
        "ecw_default.conn_host": options.base_url,
        "ecw_default.conn_extra.jwks_url": f"http://127.0.0.1:{options.jwks_port}/jwks.json",
        "ecw_default.conn_extra.private_key": options.folder / "keys" / "private.pem",
        "crm_default.conn_host": options.folder / "crm.db",
        "ecw_staging.variable_value": options.folder / "staging",
    }
    return [argument for key, value in changes.items() for argument in ("--set", f"{key}={value}")]


def environment(options: Options) -> dict[str, str]:
    """Return the environment of all processes: Airflow listens on this machine only, without a login."""
    airflow = f"http://127.0.0.1:{options.airflow_port}"
    from_options = {
        "AIRFLOW_VAR_ECW_PULL_SCHEDULE": options.schedule,
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": options.airflow_db,
        # Otherwise Airflow derives a URL for asyncpg, which is not installed.
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC": options.airflow_db,
    }
    return {
        **{key: value for key, value in os.environ.items() if not key.startswith("AIRFLOW_")},
        "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}",
        "PYTHONDONTWRITEBYTECODE": "",  # every task is a process that imports the package: cache its bytecode
        "PYTHONWARNINGS": "ignore",
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
        "AIRFLOW_HOME": str(options.folder / "airflow"),
        "AIRFLOW__API__BASE_URL": airflow,
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(options.airflow_port),
        "AIRFLOW__API__SECRET_KEY": kept(options.folder / "keys" / "api_secret", "token"),
        "AIRFLOW__API_AUTH__JWT_SECRET": kept(options.folder / "keys" / "jwt_secret", "token"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{airflow}/execution/",
        "AIRFLOW__CORE__FERNET_KEY": kept(options.folder / "keys" / "fernet", "fernet"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__PARALLELISM": "4",
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
        **{key: value for key, value in from_options.items() if value},
    }


def for_a_shell(env: dict[str, str]) -> str:
    """Return shell commands after which `ecw` and `airflow` use the demo."""
    exports = [f"export {key}={shlex.quote(value)}" for key, value in sorted(env.items()) if key.startswith("AIRFLOW_")]
    return "\n".join([f'export PATH={shlex.quote(str(BIN))}:"$PATH"', *exports, ""])
