"""`ecw mapping diff` compares the rows of an edited mapping with the CRM."""

from __future__ import annotations

import json
from collections.abc import Callable

from click.testing import Result
from sqlalchemy import Engine, text

Run = Callable[..., Result]


def test_a_diff_shows_counts_and_ids_without_values(run: Run, crm: Engine, staged: str) -> None:
    with crm.begin() as connection:
        connection.execute(text("INSERT INTO practitioner (ecw_id, gender) VALUES ('only-in-r1', 'Female')"))
    output = run("diff", "practitioner", "--staging", staged).output
    assert "of 3 staged records 1 would change their row, 0 would not, 1 would be new, 1 would be rejected." in output
    assert "changes in gender: 1" in output
    assert "rejected for gender: unmapped code: 1" in output
    assert "for example only-in-r1" in output
    assert "Doe" not in output
    assert json.loads(run("diff", "practitioner", "--staging", staged, "--json").output)["changed"] == 1
