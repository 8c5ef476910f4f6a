"""A push reads /metadata once a run, and no step uses a statement of another run or an old one."""

from __future__ import annotations

import copy
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ecw.push import steps
from ecw.push.step_context import IN_FLIGHT, open_step
from tests.fixtures.crm import on_sqlite
from tests.push.names import person

pytestmark = on_sqlite


@pytest.mark.parametrize("profile", ["ecw", "fhir"])
def test_a_whole_run_reads_metadata_once(sandbox: Any, crm: Any, run: Any, profile: str) -> None:
    sandbox.set(profile=profile)
    first = crm.add(**person(0))
    assert run()["counts"] == {"created": 1}
    assert sandbox.served("metadata") == 1
    crm.edit(first, city="Lawrence")
    for at in range(1, IN_FLIGHT + 3):
        crm.add(**person(at))
    assert run()["counts"] == {"created": IN_FLIGHT + 2, "updated": 1}
    assert sandbox.served("metadata") == 2, "once for begin, send, confirm and summary of a run"


def test_a_retried_step_does_not_read_metadata_again(sandbox: Any, crm: Any, run: Any) -> None:
    crm.add(**person(0))
    push = run.begin()
    for _ in range(2):
        steps.send(push)
        steps.confirm(push)
    assert sandbox.served("metadata") == 1


def test_a_run_without_patients_or_with_the_kill_switch_makes_no_call(
    sandbox: Any, crm: Any, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run()
    crm.add(**person(0))
    monkeypatch.setenv("AIRFLOW_VAR_ECW_PUSH_KILL_SWITCH", "yes")
    run()
    assert sandbox.served() == 0


def test_each_run_uses_the_statement_that_it_has_read(sandbox: Any, crm: Any, run: Any) -> None:
    crm.add(**person(0))
    before = run.begin()
    sandbox.set(profile="fhir")
    crm.add(**person(1))
    after = run.begin()
    assert before["server"] != after["server"]
    assert [plain_writes(push) for push in (before, after)] == [False, True]


def plain_writes(push: Any) -> bool:
    with open_step(push) as step:
        return step.pushing().plain


def damaged(push: Any, defect: str) -> Any:
    push = copy.deepcopy(push)
    if defect == "old":
        push["server"]["read_at"] = (datetime.now(UTC) - timedelta(days=2)).isoformat()
    elif defect == "without a zone":
        push["server"]["read_at"] = "2026-11-22T10:00:00"
    elif defect == "another release's":
        push["server"]["statement"] = '{"resources": {"Patient": {"interactions": []}}}'
    elif defect == "no JSON":
        push["server"]["statement"] = "{"
    elif defect == "of another kind":
        push["server"] = "R4"
    else:
        del push["server"]
    return push


@pytest.mark.parametrize(
    "defect", ["old", "without a zone", "another release's", "no JSON", "of another kind", "absent"]
)
def test_a_statement_that_cannot_be_used_is_read_again(sandbox: Any, crm: Any, run: Any, defect: str) -> None:
    sandbox.set(profile="fhir")
    crm.add(**person(0))
    push = damaged(run.begin(), defect)
    assert (plain_writes(push), sandbox.served("metadata")) == (True, 2)


def test_the_next_step_reads_the_statement_if_begin_could_not(sandbox: Any, crm: Any, run: Any) -> None:
    crm.add(**person(0))
    sandbox.fault("server_error", interaction="metadata", times=1)
    push = run.begin()
    assert "server" not in push
    assert run.finish(push)["counts"] == {"created": 1}
