"""A dry run reports its result and writes no records, alerts or cursors."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ecw.alerts.conditions import Monitored, Thresholds, facts
from ecw.errors import QualityGateFailed
from ecw.pull import steps
from ecw.reports.status import status
from ecw.resources import RESOURCES
from tests.fixtures.crm import on_sqlite
from tests.fixtures.pulling import Pulling
from tests.fixtures.sandbox import RunningSandbox

pytestmark = on_sqlite
DRY = {"resources": ["location"], "dry_run": True}
RECORDS = ("location", "ecw_link", "ecw_cursor", "ecw_reject", "ecw_journal", "ecw_merge_base", "ecw_alert")


def stored_records(pull: Pulling) -> dict[str, object]:
    return {table: pull.rows(f"SELECT * FROM {table}") for table in RECORDS}  # noqa: S608 - names from above


def monitored(sandbox: RunningSandbox, *resources: str) -> Monitored:
    return Monitored(sandbox.practice, timedelta(hours=2), resources, Thresholds())


@pytest.mark.large_practice
def test_a_dry_run_that_a_rule_stops_opens_no_alert_and_reports_the_reason(
    pull: Pulling, sandbox: RunningSandbox
) -> None:
    pull("location")
    before = stored_records(pull)
    sandbox.delete_all("Location")
    run = pull.begin("manual", options=DRY)

    with pytest.raises(QualityGateFailed):
        pull.resource(run, "location")

    assert stored_records(pull) == before
    with pull.crm.connect() as connection:
        now = datetime.now(UTC)
        assert facts(connection, now, monitored(sandbox, "location")) == []
    location = next(row for row in steps.summary(run) if row["resource"] == "location")
    assert location["state"] == "dry run, failed"
    assert location["next"].startswith("QualityGateFailed: location: eCW gave 0 records, usual are 12")
    report = "SELECT verdict FROM ecw_quality_result WHERE run_id = '{}'"
    assert pull.rows(report.format(run["run_id"])) == [{"verdict": "stop"}], "the results of the rules are stored"
    assert [one.next_step for one in status(pull.crm) if one.resource == "location"] == [None]


def test_a_practice_with_only_dry_runs_is_not_stale(pull: Pulling, sandbox: RunningSandbox) -> None:
    run = pull.begin("manual", options=DRY)
    pull.resource(run, "location")
    with pull.crm.connect() as connection:
        later = datetime.now(UTC) + timedelta(days=9)
        assert facts(connection, later, monitored(sandbox, *RESOURCES)) == []
