"""A data engineer adds a column: in the CRM's table and in the mapping file, and nowhere else."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import Engine, text

from ecw.cli import group
from ecw.crm.engine import reading
from ecw.pull import staging, steps, store
from ecw.words import Batch, Run
from tests.fixtures.loads import a_run

COLUMN = """\
      - name: fax
        label: Fax
        path: telecom.where(system='fax').value
        type: string
        clean: [phone_digits]
"""
PRACTITIONER: dict[str, Any] = {
    "resourceType": "Practitioner",
    "id": "p.1",
    "name": [{"use": "usual", "family": "Doe", "given": ["Jo"]}],
    "telecom": [{"system": "fax", "value": "(913) 555-0100"}],
}


@pytest.fixture
def mappings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, crm_url: str) -> Path:
    """A copy of the mapping files to edit, and the CRM as its connection."""
    from ecw.mapping.files import mappings_folder

    folder = tmp_path / "mappings"
    shutil.copytree(mappings_folder(), folder)
    monkeypatch.setenv("ECW_MAPPINGS", str(folder))
    monkeypatch.setenv("AIRFLOW_CONN_CRM_DEFAULT", json.dumps({"conn_type": "generic", "extra": {"url": crm_url}}))
    return folder


def staged(folder: Path, run_id: str) -> tuple[Run, Batch]:
    """Stage what eCW has, as the extract step leaves it."""
    run = a_run(run_id, staging=staging.run_folder(str(folder / "staging"), "P1", run_id))
    staging.open_folder(run["staging"])
    path = store.join(run["staging"], "practitioner", "extract.ndjson.gz")
    with staging.writer(path) as batch:
        batch.write(PRACTITIONER)
    numbers = {"count": 1, "fetched": 1, "rejected": 0, "unchanged": 0, "rejects": [], "calls": 1, "seconds": 0.1}
    return run, Batch(resource="practitioner", path=path, **numbers)  # type: ignore[typeddict-item]  # numbers and a list


def pull(folder: Path, run_id: str) -> dict[str, int]:
    run, batch = staged(folder, run_id)
    mapped = steps.map(run, batch)
    return steps.load(run, mapped)


def said(*arguments: str) -> str:
    result = CliRunner().invoke(group, ["mapping", *arguments], catch_exceptions=False)
    assert result.exit_code == 0
    return result.output


def test_a_column_is_added_without_python(crm_engine: Engine, mappings: Path, tmp_path: Path) -> None:
    assert pull(tmp_path, "r1") == {"fetched": 1, "rejected": 0, "inserted": 1, "updated": 0, "unchanged": 0}
    assert pull(tmp_path, "r2") == {"fetched": 1, "rejected": 0, "inserted": 0, "updated": 0, "unchanged": 1}

    with crm_engine.begin() as connection:
        connection.execute(text("ALTER TABLE practitioner ADD COLUMN fax VARCHAR(20)"))
    file = mappings / "practitioner.yaml"
    file.write_text(file.read_text().replace("      - name: email\n", f"{COLUMN}      - name: email\n"))
    at_staging = ("--staging", str(tmp_path / "staging"))
    assert "1 would change their row" in said("diff", "practitioner", *at_staging)
    assert "changes in fax: 1" in said("diff", "practitioner", *at_staging)

    assert pull(tmp_path, "r3") == {"fetched": 1, "rejected": 0, "inserted": 0, "updated": 1, "unchanged": 0}
    with reading(crm_engine) as connection:
        assert connection.execute(text("SELECT ecw_id, last_name, fax FROM practitioner")).all() == [
            ("p.1", "Doe", "9135550100")
        ]
    assert "0 would change their row, 1 would not" in said("diff", "practitioner", *at_staging)
    assert pull(tmp_path, "r4")["unchanged"] == 1
