"""Records with an unmapped code are rejected; after a fix of the crosswalk the next pull loads them."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from ecw.cli import group
from tests.fixtures.pulling import Pulling


@pytest.mark.large_practice
def test_after_a_fix_of_the_crosswalk_the_rejected_rows_are_loaded(pull: Pulling, mappings: Path) -> None:
    file = mappings / "crosswalks" / "gender.csv"
    whole = file.read_text()
    file.write_text("".join(line for line in whole.splitlines(keepends=True) if not line.startswith("female,")))

    held_back = pull("patient")["patient"]
    assert 20 < held_back["rejected"] < held_back["fetched"] == 120
    assert held_back["inserted"] == 120 - held_back["rejected"]
    rejects = pull.rows(
        "SELECT step, rule, \"column\", count(*) AS n FROM ecw_reject WHERE state = 'open' GROUP BY 1, 2, 3"
    )
    assert rejects == [{"step": "map", "rule": "unmapped code", "column": "gender", "n": held_back["rejected"]}]
    listed = (
        CliRunner().invoke(group, ["mapping", "unmapped", "--staging", pull.staging], catch_exceptions=False).output
    )
    assert f"crosswalks/gender.csv: unmapped codes 1, records rejected {held_back['rejected']}" in listed
    assert "female," in listed

    file.write_text(whole)
    fixed = pull("patient")["patient"]
    assert (fixed["rejected"], fixed["inserted"]) == (0, held_back["rejected"])
    assert pull.rows("SELECT count(*) AS n FROM ecw_reject WHERE state = 'open'") == [{"n": 0}]
    assert pull.rows("SELECT count(*) AS n FROM patient WHERE gender = 'Female'") == [{"n": held_back["rejected"]}]
