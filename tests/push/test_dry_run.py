"""The next steps of a dry run for patients that a person must decide about are right, although it writes nothing."""

from __future__ import annotations

from typing import Any

import pytest
from click.testing import CliRunner

from ecw.cli.conflicts import command as conflicts
from ecw.cli.matches import command as matches
from tests.push.names import person
from tests.push.patient.test_push import ecw_record, edit_in_ecw

CONNECTIONS = ["--conn-id", "ecw_test", "--crm-conn-id", "crm_test"]


def listed(command: Any) -> str:
    shown = CliRunner().invoke(command, ["list", *CONNECTIONS])
    assert shown.exit_code == 0, shown.output
    return str(shown.output)


@pytest.fixture
def near(crm: Any, run: Any) -> str:
    """Return the CRM id of a patient that nearly matches one of eCW."""
    crm.add(**person(0) | {"first_name": "Eva"})
    run()
    return str(crm.add(**person(0) | {"identifier": "other", "first_name": "Ewa"}))


def test_a_dry_run_says_that_a_patient_it_would_hold_is_not_listed_yet(crm: Any, run: Any, near: str) -> None:
    [one] = run(dry_run=True)["shown"]
    assert (one["crm_id"], one["status"]) == (near, "held")
    assert one["next_step"] == (
        "push without dry run, then `ecw matches list` has the patient; a dry run holds no patient."
    )
    assert "No match is held." in listed(matches)
    run()
    assert near in listed(matches)


def test_a_dry_run_names_the_command_for_a_patient_that_is_held_already(run: Any, near: str) -> None:
    run()
    [one] = run(dry_run=True, patients=[near])["shown"]
    assert one["status"] == "held"
    assert f"`ecw matches show {near}`" in one["next_step"]
    assert near in listed(matches)


def test_a_conflict_is_listed_after_a_push_without_dry_run(sandbox: Any, crm: Any, run: Any) -> None:
    crm_id = crm.add(**person(0))
    run()
    ecw_id = crm.row(crm_id)["ecw_id"]
    edit_in_ecw(sandbox, ecw_id, name=[ecw_record(sandbox, ecw_id)["name"][0] | {"family": "Clinic"}])
    crm.edit(crm_id, last_name="Intake")
    [one] = run(dry_run=True)["shown"]
    assert one["reason"] == "both sides changed last_name"
    assert one["next_step"] == "push without dry run: then `ecw conflicts` lists them and takes the choice."
    assert crm_id not in listed(conflicts)
    [one] = run()["shown"]
    assert one["next_step"] == "`ecw conflicts` lists them and takes the choice."
    assert "last_name" in listed(conflicts)
