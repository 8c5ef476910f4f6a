"""The API of rejects: the pages list what a group counts; the journal records a dismissal with the user's name."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Engine, select

from ecw.crm.db.engine import reading
from ecw.crm.db.tables import ecw_journal
from ecw.reports.rejects import PAGE
from tests.fixtures.loads import a_reject, load
from tests.ui.conftest import Client

P1 = {"practice": "P1"}


def listed(console: Client, **filters: Any) -> list[dict[str, Any]]:
    rejects, cursor = [], ""
    while True:
        page = console.get("/api/rejects", params=P1 | filters | {"cursor": cursor}).json()
        rejects += page["rejects"]
        if (cursor := page["next"] or "") == "":
            return rejects


def test_a_group_s_filter_lists_the_rejects_that_it_counts(console: Client, crm_engine: Engine) -> None:
    about_all = [a_reject("a000", rule="pattern", column=None)]
    load(crm_engine, rejects=[a_reject(f"a{at:03}") for at in range(PAGE + 1)] + about_all)
    groups = console.get("/api/rejects/groups", params=P1).json()["groups"]
    assert [one["records"] for one in groups] == [PAGE + 1, 1]
    for one in groups:
        filters = {name: one[name] for name in ("resource", "step", "rule")} | {"column": one["column"] or "-"}
        assert len(listed(console, **filters)) == one["records"]
    assert console.get("/api/rejects/groups", params=P1 | {"resource": "patient"}).json()["groups"] == []


def test_a_dismissal_has_a_note_and_the_users_name_and_can_be_taken_back(console: Client, crm_engine: Engine) -> None:
    load(crm_engine, rejects=[a_reject("a"), a_reject("b")])
    chosen = P1 | {"resource": "location", "ids": ["a"]}
    assert console.post("/api/rejects/dismiss", chosen).status_code == 422
    assert console.post("/api/rejects/dismiss", chosen | {"note": "a test site"}).json() == {"records": 1}
    assert [one["ecw_id"] for one in listed(console)] == ["b"]
    assert [one["ecw_id"] for one in listed(console, state="dismissed")] == ["a"]
    assert console.post("/api/rejects/reopen", chosen).json() == {"records": 1}
    assert [one["ecw_id"] for one in listed(console)] == ["a", "b"]
    with reading(crm_engine) as connection:
        by = select(ecw_journal.c.decided_by).where(ecw_journal.c.direction == "decision")
        assert connection.scalars(by).all() == ["uma", "uma"]


@pytest.mark.parametrize(
    "params",
    [{"state": "lost"}, {"resource": "claim"}, {"cursor": "nonsense"}, {"cursor": "WzFd"}, {"rule": "x" * 129}],
)
def test_invalid_filters_are_refused(console: Client, params: dict[str, str]) -> None:
    assert console.get("/api/rejects", params=P1 | params).status_code in (400, 422)


def test_more_ids_than_a_decision_takes_are_refused(console: Client) -> None:
    chosen = P1 | {"resource": "location", "ids": [str(at) for at in range(501)], "note": "why not"}
    assert console.post("/api/rejects/dismiss", chosen).status_code == 422
