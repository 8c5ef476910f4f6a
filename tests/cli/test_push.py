"""`ecw push`, `ecw matches` and `ecw conflicts` from a terminal."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner, Result

from ecw.cli import group
from ecw.errors import ConfigurationError
from tests.push.conftest import Crm, crm, run  # noqa: F401 - fixtures
from tests.push.names import NAMES, person

CONNECTIONS = ("--conn-id", "ecw_test", "--crm-conn-id", "crm_test")


def ecw(*arguments: str, **options: Any) -> Result:
    return CliRunner().invoke(group, [*arguments, *CONNECTIONS], **options)


@pytest.fixture(autouse=True)
def _connected(run: Any) -> None:  # noqa: F811
    """Make the connections."""


def test_a_push_from_the_terminal_sends_the_changed_patients(sandbox: Any, crm: Crm) -> None:  # noqa: F811
    for at in range(3):
        crm.add(**person(at))
    dry = ecw("push", "patient", "--dry-run", "--limit", "2")
    assert "would be created" in dry.output
    assert "last_name" in dry.output
    assert NAMES[0] not in dry.output
    assert sandbox.served("transaction") == 0
    done = ecw("push", "--patient", "P-0001")
    assert done.exit_code == 0, done.output
    assert "created      1" in done.output
    assert sandbox.served("transaction") == 1


def test_a_push_larger_than_usual_needs_a_confirmation(sandbox: Any, crm: Crm, run: Any) -> None:  # noqa: F811
    run.connection(max_creates=0)
    crm.add(**person(0))
    assert "not approved" in ecw("push", input="n\n").output
    assert "not approved" in ecw("push", input="").output
    assert sandbox.served("transaction") == 0
    assert "created      1" in ecw("push", "--yes").output


def test_a_push_that_cannot_run_is_refused_with_the_reason() -> None:
    refused = ecw("push", "encounter")
    assert isinstance(refused.exception, ConfigurationError)
    assert "accepts only patients" in str(refused.exception)
    assert "the next pull loads it" in str(refused.exception)


def test_a_held_match_is_listed_shown_and_chosen(sandbox: Any, crm: Crm) -> None:  # noqa: F811
    assert ecw("matches", "list").output == "No match is held.\n"
    first = crm.add(**person(0) | {"first_name": "Eva"})
    ecw("push")
    near = crm.add(**person(0) | {"identifier": "other", "first_name": "Ewa"})
    ecw("push")
    [linked_id] = [row["ecw_id"] for row in crm.all("ecw_link") if row["crm_id"] == first]
    listed = ecw("matches", "list").output
    assert near in listed
    assert linked_id in listed
    assert NAMES[0] not in listed
    compared = ecw("matches", "show", near).output
    assert {"Eva", "Ewa"} <= set(compared.split())
    wrong = ecw("matches", "choose", near, "e.9")
    assert f"choose one of {linked_id}, new, leave" in str(wrong.exception)
    assert "Left as it is" in ecw("matches", "choose", near, "leave").output
    assert "Chosen" in ecw("matches", "choose", near, "new").output
    assert "created      1" in ecw("push").output
    again = ecw("matches", "choose", near, "new")
    assert isinstance(again.exception, ConfigurationError)


@pytest.mark.parametrize("winner", ["crm", "emr"])
def test_a_conflict_is_listed_and_chosen(sandbox: Any, crm: Crm, winner: str) -> None:  # noqa: F811
    assert ecw("conflicts", "list").output == "No field waits for a choice.\n"
    crm_id = crm.add(**person(0))
    ecw("push")
    [ecw_id] = [row["ecw_id"] for row in crm.all("ecw_link")]
    [stored] = [each for each in sandbox.records("Patient") if each["id"] == ecw_id]
    sandbox.put(stored | {"birthDate": "1950-01-03"})
    crm.edit(crm_id, birth_date="1950-01-04")
    assert "both sides changed birth_date" in ecw("push").output
    listed = ecw("conflicts", "list").output
    assert "birth_date" in listed
    assert "1950" not in listed
    assert "1950-01-03" in ecw("conflicts", "list", "--show").output
    assert isinstance(ecw("conflicts", "choose", crm_id, "city", winner).exception, ConfigurationError)
    assert f"Chosen: {winner}" in ecw("conflicts", "choose", crm_id, "birth_date", winner).output
    again = json.loads(ecw("conflicts", "choose", crm_id, "birth_date", winner, "--json").stdout)
    assert again == {"resource": "patient", "crm_id": crm_id, "column": "birth_date", "choice": winner}
    ecw("push")
    [now] = [each["birthDate"] for each in sandbox.records("Patient") if each["id"] == ecw_id]
    assert now == ("1950-01-04" if winner == "crm" else "1950-01-03")
    assert ecw("conflicts", "list").output == "No field waits for a choice.\n"


def test_a_link_between_two_persons_is_listed_shown_and_decided(sandbox: Any, crm: Crm) -> None:  # noqa: F811
    crm_id = crm.add(**person(0))
    ecw("push")
    [ecw_id] = [row["ecw_id"] for row in crm.all("ecw_link")]
    crm.edit(crm_id, first_name="Bartosz", birth_date="1999-09-09", gender="Male")
    ecw("push")
    listed = ecw("matches", "list").output
    assert "ecw matches same CRM_ID, or ecw matches unlink CRM_ID" in listed
    assert "Bartosz" not in listed
    assert "Bartosz" in ecw("matches", "show", f"0{crm_id}").output
    refused = ecw("matches", "choose", crm_id, ecw_id)
    assert f"ecw matches same {crm_id}" in str(refused.exception)
    assert "The same person" in ecw("matches", "same", f"0{crm_id}").output
    assert "updated      1" in ecw("push").output
    crm.edit(crm_id, first_name="Zofia", birth_date="1985-06-07", gender="Female", identifier="other")
    ecw("push")
    assert f"Unlinked from {ecw_id}" in ecw("matches", "unlink", crm_id).output
    assert isinstance(ecw("matches", "unlink", crm_id).exception, ConfigurationError)
    assert isinstance(ecw("matches", "unlink", "no-such-id").exception, ConfigurationError)
    assert crm.row(crm_id)["ecw_id"] is None
    decided = [row["operation"] for row in crm.all("ecw_journal") if row["operation"] in ("same person", "unlink")]
    assert sorted(decided) == ["same person", "unlink"]
