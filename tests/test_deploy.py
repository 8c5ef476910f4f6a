"""The files for deployment are linted: the images, the compose file and the values of the Helm chart."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
pytestmark = pytest.mark.cluster


def lint(*command: str) -> None:
    done = subprocess.run([BIN / command[0], *command[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_images_have_no_finding() -> None:
    lint("hadolint", "Dockerfile", "deploy/Dockerfile")


def test_the_compose_file_is_what_the_specification_allows() -> None:
    lint("check-jsonschema", "--builtin-schema", "vendor.compose-spec", "deploy/compose.yaml")


@pytest.mark.parametrize("name", ["compose.yaml", "values.yaml"])
def test_the_files_are_good_yaml(name: str) -> None:
    lint(
        "yamllint",
        "--strict",
        "--config-data",
        "{extends: relaxed, rules: {line-length: {max: 120}}}",
        f"deploy/{name}",
    )


def test_no_port_of_the_compose_file_is_open_to_others() -> None:
    services = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())["services"]
    ports = [port for service in services.values() for port in service.get("ports", [])]
    assert ports
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []


def test_all_nodes_of_the_compose_file_share_secrets_and_staging() -> None:
    services = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())["services"]
    nodes = {name: services[name] for name in ("api-server", "scheduler", "dag-processor", "triggerer", "worker")}
    shared = ("AIRFLOW__CORE__FERNET_KEY", "AIRFLOW__API_AUTH__JWT_SECRET", "AIRFLOW_VAR_ECW_STAGING")
    for name, node in nodes.items():
        assert {key for key in shared if not node["environment"].get(key)} == set(), name
        assert "staging:/opt/airflow/staging" in node["volumes"], name
