"""`ecw mapping unmapped` and `ecw mapping propose`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from sqlalchemy import Engine, text

from ecw.errors import ConfigurationError
from ecw.mapping.definition.files import mappings_folder

Run = Callable[..., Result]


def test_unmapped_codes_are_shown_as_lines_to_add(run: Run, staged: str) -> None:
    output = run("unmapped", "--staging", staged).output
    assert output == "crosswalks/gender.csv: unmapped codes 1, records rejected 1\n  x,,,seen in 1 record\n"
    [entry] = json.loads(run("unmapped", "--staging", staged, "--json").output)
    assert (entry["mapping"], entry["crosswalk"], entry["code"], entry["records_rejected"]) == (
        "practitioner",
        "gender",
        "x",
        1,
    )


def test_without_staged_records_no_code_is_unmapped(run: Run, tmp_path: Path) -> None:
    assert run("unmapped", "--staging", str(tmp_path)).output == "Every staged code is in its crosswalk.\n"


@pytest.fixture
def places(crm: Engine, tmp_path: Path) -> Path:
    """Return the project's mapping files; the CRM has two pulled locations and a list of its own."""
    with crm.begin() as connection:
        connection.execute(
            text("INSERT INTO location (ecw_id, name) VALUES ('a.1', 'Main St. Clinic'), ('b.2', 'Annex')")
        )
        connection.execute(text("CREATE TABLE facility (name TEXT, active BOOLEAN)"))
        connection.execute(
            text("INSERT INTO facility VALUES ('Main St Clinic', true), ('Annexe', false), ('Gym', true)")
        )
    shutil.copytree(mappings_folder(), tmp_path / "all")
    return tmp_path / "all"


def test_a_location_crosswalk_is_proposed_from_both_sides(run: Run, places: Path) -> None:
    result = run("propose", "location", "--folder", str(places), "--write")

    assert result.exit_code == 0, result.output
    assert "1 lines proposed, 0 to be decided" in result.output
    assert "- Location/b.2 (Annex): no similar name in the CRM" in result.output
    assert "No code of eCW is similar to: Gym" in result.output
    written = (places / "crosswalks" / "location.csv").read_text()
    assert written == "code,value,system,note\nLocation/a.1,Main St Clinic,,eCW: Main St. Clinic\n"
    again = run("propose", "location", "--folder", str(places))
    assert "0 lines proposed" in again.output
    checked = run("check", "--folder", str(places))
    assert "Coverage: crosswalk location has 1 of eCW's 2 (location.ecw_id) and 1 of the CRM's 2" in checked.output


def test_without_a_list_in_the_crm_the_message_names_the_value_that_is_loaded(run: Run, crm: Engine) -> None:
    for crosswalk, message in (
        ("location", "eCW's own names are loaded"),
        ("treatment_program", "every row gets 'Unassigned'"),
    ):
        result = run("propose", crosswalk)
        assert result.exit_code == 0, result.output
        assert message in result.output


def test_a_misspelled_crosswalk_gets_a_suggestion(run: Run, crm: Engine) -> None:
    with pytest.raises(ConfigurationError, match="did you mean 'location'"):
        run("propose", "locations")
