"""The Integration Logs record who decided, when, and the choice before and after."""

from __future__ import annotations

import getpass
from typing import Any

import pytest

from ecw.crm.journal import terminal_user
from ecw.crm.state import conflicts
from ecw.push import intents, steps
from ecw.push.intents import HELD, Place
from tests.fixtures.crm import on_sqlite
from tests.push.names import person

pytestmark = on_sqlite


def decisions(crm: Any) -> list[tuple[Any, ...]]:
    rows = sorted((row for row in crm.all("ecw_journal") if row["direction"] == "decision"), key=lambda row: row["at"])
    return [(row["operation"], row["decided_by"], row["before"], row["after"]) for row in rows]


@pytest.mark.parametrize(
    ("answer", "entry"),
    [
        ({"approved": True, "by": "anna"}, ("anna", "waiting", "approved")),
        ({"approved": False, "by": "anna"}, ("anna", "waiting", "not approved")),
        ({"approved": False, "by": None}, ("nobody in time", "waiting", "not approved")),
    ],
)
def test_an_approval_is_recorded_once(crm: Any, run: Any, answer: Any, entry: tuple[str, ...]) -> None:
    run.connection(max_creates=0)
    crm.add(**person(0))
    push = run.begin()
    run.finish(push, answer)
    steps.send(push, answer)  # a retry decides nothing
    assert decisions(crm) == [("approve", *entry)]


def test_an_approval_after_a_rejection_is_recorded(crm: Any, run: Any) -> None:
    run.connection(max_creates=0)
    crm.add(**person(0))
    push = run.begin()
    run.finish(push, {"approved": False, "by": "anna"})
    run.finish(push, {"approved": True, "by": "ben"})
    assert decisions(crm)[1] == ("approve", "ben", "not approved", "approved")


def test_choices_about_a_match_are_recorded_with_the_terminal_user(crm: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SUDO_USER", raising=False)
    user = f"{getpass.getuser()} at a terminal"
    place = Place("P", "patient")
    with crm.engine.begin() as connection:
        intents.record_unsent(connection, place, "7", intents.Unsent(HELD, "i", "create", "r", "x", ("a", "b")))
    assert intents.choose(crm.engine, place, "7", "a", terminal_user())
    assert intents.choose(crm.engine, place, "7", "a", terminal_user()), "the same choice again is not recorded"
    assert intents.choose(crm.engine, place, "7", "b", terminal_user())
    monkeypatch.setenv("SUDO_USER", "anna")
    assert intents.choose(crm.engine, place, "7", None, terminal_user())
    assert not intents.choose(crm.engine, place, "7", "nobody", terminal_user())
    assert not conflicts.choose(crm.engine, conflicts.Field("P", "patient", "7", "city"), "crm", terminal_user())
    assert decisions(crm) == [
        ("match", user, None, "a"),
        ("match", user, "a", "b"),
        ("match", f"{user} (sudo by anna)", "b", None),
    ]
