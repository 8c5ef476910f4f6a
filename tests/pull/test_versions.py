"""A record is still updated after eCW once returned a version in the future, or returns an older one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ecw.pull.extract.dedupe import Seen, last_updated, version

NOW = datetime.now(UTC)


def stamped(moment: datetime | None, **more: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "id": "a", "meta": {"lastUpdated": moment.isoformat()} if moment else {}} | more


def test_a_version_in_the_future_is_none() -> None:
    assert version(stamped(NOW + timedelta(days=1))) is None
    assert last_updated(stamped(NOW + timedelta(days=1))) is not None
    assert version(stamped(NOW + timedelta(minutes=5))) is not None, "clocks differ"


@pytest.mark.parametrize("first", [True, False])
def test_of_two_copies_in_a_run_one_with_a_version_in_the_future_does_not_win(first: bool) -> None:
    seen = Seen()
    copies = [stamped(NOW + timedelta(days=900)), stamped(NOW)]
    for moment, copy in enumerate(copies if first else copies[::-1]):
        seen.add(copy, 0, moment)
    assert seen.lines(0) == {1}, "the later answer"
    seen.close()


@pytest.mark.parametrize("full", [False, True])
def test_a_patient_that_once_had_a_version_of_2099_is_updated_again(sandbox: Any, pull: Any, full: bool) -> None:
    [one, *_] = sandbox.records("Patient")
    late = one | {"meta": {**one["meta"], "lastUpdated": "2099-01-01T00:00:00.000-05:00"}}
    sandbox.put(late | {"birthDate": "1971-01-02"}, stamp=False)
    pull("patient")
    before = {**one["meta"], "lastUpdated": "2020-01-01T00:00:00.000-05:00"}
    sandbox.put(one | {"meta": before, "birthDate": "1971-01-03"}, stamp=False)
    pull("patient", full=full)
    [row] = pull.rows(f"SELECT birth_date FROM patient WHERE ecw_id = '{one['id']}'")  # noqa: S608
    assert str(row["birth_date"]) == "1971-01-03"
