"""A data engineer adds a column to the CRM's table and to the mapping file; nothing else is needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from click.testing import CliRunner
from sqlalchemy import Engine, text

from ecw.cli import group
from tests.fixtures.pulling import Pulling
from tests.fixtures.sandbox import RunningSandbox

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


def output_of(*arguments: str) -> str:
    result = CliRunner().invoke(group, ["mapping", *arguments], catch_exceptions=False)
    assert result.exit_code == 0
    return result.output


def test_a_column_is_added_without_python(
    pull: Pulling, sandbox: RunningSandbox, crm_engine: Engine, mappings: Path
) -> None:
    others = len(sandbox.records("Practitioner"))
    sandbox.put(PRACTITIONER)
    assert pull("practitioner")["practitioner"]["inserted"] == others + 1
    assert pull("practitioner")["practitioner"]["unchanged"] == others + 1

    with crm_engine.begin() as connection:
        connection.execute(text("ALTER TABLE practitioner ADD COLUMN fax VARCHAR(20)"))
    file = mappings / "practitioner.yaml"
    file.write_text(file.read_text().replace("      - name: email\n", f"{COLUMN}      - name: email\n"))
    at_staging = ("--staging", pull.staging)
    assert f"1 would change their row, {others} would not" in output_of("diff", "practitioner", *at_staging)
    assert "changes in fax: 1" in output_of("diff", "practitioner", *at_staging)

    numbers = pull("practitioner")["practitioner"]
    assert (numbers["updated"], numbers["unchanged"]) == (1, others)
    assert pull.rows("SELECT ecw_id, last_name, fax FROM practitioner WHERE fax IS NOT NULL") == [
        {"ecw_id": "p.1", "last_name": "Doe", "fax": "9135550100"}
    ]
    assert f"0 would change their row, {others + 1} would not" in output_of("diff", "practitioner", *at_staging)
    assert pull("practitioner")["practitioner"]["unchanged"] == others + 1
