"""Mapping files to edit, a CRM, staged records, and the command `ecw mapping`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import Engine

from ecw.cli import group
from ecw.mapping.definition.files import mappings_folder
from ecw.staging import batch_file, filesystem

PRACTITIONER: dict[str, Any] = {
    "resourceType": "Practitioner",
    "id": "p.1",
    "gender": "male",
    "name": [{"use": "old", "family": "Secret"}, {"use": "usual", "family": "Doe"}],
}


@pytest.fixture(autouse=True)
def _packaged_mappings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ECW_MAPPINGS", raising=False)


@pytest.fixture
def crm(monkeypatch: pytest.MonkeyPatch, crm_url: str, crm_engine: Engine) -> Engine:
    monkeypatch.setenv("AIRFLOW_CONN_CRM_DEFAULT", json.dumps({"conn_type": "generic", "extra": {"url": crm_url}}))
    return crm_engine


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with two of the project's mapping files, to edit."""
    shutil.copytree(mappings_folder(), tmp_path / "mappings")
    for name in ("patient", "insurance", "encounter"):
        (tmp_path / "mappings" / f"{name}.yaml").unlink()
    for file in (tmp_path / "mappings" / "crosswalks").glob("*.csv"):
        if file.stem != "gender":
            file.unlink()
    return tmp_path / "mappings"


@pytest.fixture
def staged(tmp_path: Path) -> str:
    """Return a staging area with two runs; the later one has the newer version of the practitioner."""
    for run, gender in (("r1", "unknown"), ("r2", "x")):
        at = batch_file.run_folder(str(tmp_path / "staging"), "P1", run)
        batch_file.open_folder(at)
        with batch_file.writer(filesystem.join(at, "practitioner", "extract.ndjson.gz")) as batch:
            batch.write({**PRACTITIONER, "gender": gender})
            batch.write({**PRACTITIONER, "id": f"only-in-{run}"})
    return str(tmp_path / "staging")


@pytest.fixture
def practitioner() -> dict[str, Any]:
    return PRACTITIONER


@pytest.fixture
def run() -> Callable[..., Result]:
    """Return a function that runs `ecw mapping` with these arguments and this standard input."""

    def invoke(*arguments: str, stdin: str | None = None) -> Result:
        return CliRunner().invoke(group, ["mapping", *arguments], catch_exceptions=False, input=stdin)

    return invoke
