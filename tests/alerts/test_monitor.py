"""The monitor sends one notification when an alert opens and one when it is resolved. Real sockets, both databases."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest
import time_machine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text

import ecw.hooks.ecw  # noqa: F401 - the first import of Airflow sets up logging; do it before the tests
from ecw.alerts import store
from ecw.alerts.monitor import monitor, monitor_quietly
from ecw.crm.state import runs
from ecw.errors import ConfigurationError, QualityGateFailed
from tests.fixtures.examples import examples
from tests.fixtures.loads import a_reject, a_row, a_run, load
from tests.fixtures.receiving import MailServer, Webhook

pytestmark = pytest.mark.both_databases

START = datetime(2026, 11, 22, 12, 30, tzinfo=UTC)
STALE = ("stale", "location")
_numbers = count()


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(START, tick=False) as clock:
        yield clock


@pytest.fixture
def set_alerts(monkeypatch: pytest.MonkeyPatch, crm_url: str) -> Callable[..., None]:
    """Set the variable ecw_alerts; the CRM is its connection."""
    monkeypatch.setenv("AIRFLOW_CONN_CRM_DEFAULT", json.dumps({"conn_type": "generic", "extra": {"url": crm_url}}))
    monkeypatch.setenv("AIRFLOW_VAR_ECW_PRACTICES", "ecw_default")
    return lambda **options: monkeypatch.setenv("AIRFLOW_VAR_ECW_ALERTS", json.dumps(options))


@pytest.fixture
def to_webhook(
    monkeypatch: pytest.MonkeyPatch, set_alerts: Callable[..., None], webhook: Webhook, clock: time_machine.Traveller
) -> Webhook:
    monkeypatch.setenv("AIRFLOW_CONN_ALERTS_HTTP", webhook.connection)
    set_alerts(webhook="alerts_http", reject_least=2)
    return webhook


def refresh(engine: Engine, rows: int = 1, **changes: object) -> None:
    """Load a scheduled run that ends now."""
    run = a_run(f"run {next(_numbers)}", window_end=datetime.now(UTC).isoformat())
    load(engine, [a_row(str(n)) for n in range(rows)], run=run, **changes)


def test_a_resource_that_is_not_refreshed_is_reported_once_and_its_refresh_once(
    crm_engine: Engine, to_webhook: Webhook, clock: time_machine.Traveller
) -> None:
    refresh(crm_engine)
    clock.shift(timedelta(hours=6))
    assert monitor() == {"open": 0, "sent": 0}, "three intervals are not over yet"

    clock.shift(timedelta(minutes=1))
    assert monitor() == {"open": 1, "sent": 1}
    clock.shift(timedelta(minutes=30))
    assert monitor() == {"open": 1, "sent": 0}
    refresh(crm_engine)
    assert monitor() == {"open": 0, "sent": 1}
    assert monitor() == {"open": 0, "sent": 0}

    assert to_webhook.events() == [("begin", *STALE), ("over", *STALE)]
    begun, over = to_webhook.received
    assert begun["text"] == (
        "eCW P1: location stale.\nlocation was last refreshed 2026-11-22 12:30 UTC.\nSince 2026-11-22 18:31 UTC.\n"
        "Next: see that Airflow's scheduler runs and ecw_pull is not paused, then read `ecw status` and its last run."
    )
    assert over["resolved_at"] == "2026-11-22T19:01:00+00:00"
    assert over["next_step"] is None


def test_a_resource_that_was_never_refreshed_is_stale_from_its_first_run_on(
    crm_engine: Engine, to_webhook: Webhook, clock: time_machine.Traveller
) -> None:
    runs.begin(crm_engine, a_run(), ["location"])
    clock.shift(timedelta(hours=7))
    runs.fail(crm_engine, a_run("r2"), "location", KeyError("x"))
    monitor()
    assert to_webhook.events() == [("begin", *STALE)]
    assert "never refreshed since its first run" in to_webhook.received[0]["message"]


def test_a_backfill_does_not_count_as_a_refresh(
    crm_engine: Engine, to_webhook: Webhook, clock: time_machine.Traveller
) -> None:
    refresh(crm_engine)
    clock.shift(timedelta(hours=7))
    load(crm_engine, [a_row("b")], run=a_run("back", run_type="backfill"))
    monitor()
    assert to_webhook.events() == [("begin", *STALE)]


def test_counts_of_a_run_that_do_not_add_up_open_an_alert(crm_engine: Engine, to_webhook: Webhook) -> None:
    refresh(crm_engine)
    with crm_engine.begin() as connection:
        connection.execute(text("UPDATE ecw_run SET fetched = 9"))
    monitor()
    assert to_webhook.events() == [("begin", "equation", "location")]
    assert "fetched 9, rejected 0, inserted 1" in to_webhook.received[0]["message"]


def test_a_resource_that_a_quality_rule_stopped_is_reported_until_it_is_refreshed(
    crm_engine: Engine, to_webhook: Webhook, clock: time_machine.Traveller
) -> None:
    refresh(crm_engine)
    clock.shift(timedelta(minutes=5))
    stop = QualityGateFailed("eCW gave 5 records, the last run fetched 12.", next_step="look.")
    runs.fail(crm_engine, a_run("stopped", run_type="manual"), "location", stop)
    monitor()
    clock.shift(timedelta(minutes=5))
    refresh(crm_engine)
    monitor()
    assert to_webhook.events() == [("begin", "stopped", "location"), ("over", "stopped", "location")]


def test_half_the_usual_records_open_an_alert_and_only_full_scans_are_compared(
    crm_engine: Engine, to_webhook: Webhook, clock: time_machine.Traveller
) -> None:
    for fetched in (10, 12, 11):
        refresh(crm_engine, fetched, full_scan=True)
        clock.shift(timedelta(minutes=5))
    refresh(crm_engine, 1)  # not a full scan: the run fetched a window or single records
    monitor()
    assert to_webhook.events() == []
    clock.shift(timedelta(minutes=5))
    refresh(crm_engine, 5, full_scan=True)
    monitor()
    assert to_webhook.events() == [("begin", "volume", "location")]
    assert to_webhook.received[0]["message"] == "eCW gave 5 records of location; 11 are usual."
    clock.shift(timedelta(minutes=5))
    refresh(crm_engine, 6, full_scan=True)
    monitor()
    assert to_webhook.events()[1:] == [("over", "volume", "location")]


def test_rejects_open_an_alert_only_when_they_reach_both_thresholds(
    crm_engine: Engine, to_webhook: Webhook, set_alerts: Callable[..., None]
) -> None:
    load(crm_engine, [a_row(str(n)) for n in range(18)], [a_reject("x"), a_reject("x", "format"), a_reject("y")])
    set_alerts(webhook="alerts_http", reject_least=3)
    monitor()
    set_alerts(webhook="alerts_http", reject_least=2, reject_percent=11)
    monitor()
    assert to_webhook.events() == []
    set_alerts(webhook="alerts_http", reject_least=2, reject_percent=10)
    monitor()
    assert to_webhook.events() == [("begin", "rejects", "location")]
    assert to_webhook.received[0]["message"] == "2 of 20 records of location are rejected (10 %)."


def test_notifications_that_could_not_be_sent_are_sent_later_in_order(
    crm_engine: Engine, to_webhook: Webhook, clock: time_machine.Traveller, caplog: pytest.LogCaptureFixture
) -> None:
    refresh(crm_engine)
    clock.shift(timedelta(hours=7))
    to_webhook.status = 500
    assert monitor() == {"open": 1, "sent": 0}
    assert "The notification 'eCW P1: location stale' could not be sent" in caplog.text
    assert "check that the HTTP connection 'alerts_http' exists and its server answers." in caplog.text
    refresh(crm_engine)
    assert monitor() == {"open": 0, "sent": 0}
    to_webhook.status = 200
    assert monitor() == {"open": 0, "sent": 2}
    assert to_webhook.events() == [("begin", *STALE), ("over", *STALE)]


def test_a_target_that_is_down_does_not_make_another_target_receive_a_notification_twice(
    crm_engine: Engine,
    to_webhook: Webhook,
    mail_server: MailServer,
    monkeypatch: pytest.MonkeyPatch,
    set_alerts: Callable[..., None],
    clock: time_machine.Traveller,
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", mail_server.connection)
    set_alerts(webhook="alerts_http", email=["a@example.org"])
    to_webhook.status = 503
    refresh(crm_engine)
    clock.shift(timedelta(hours=7))
    monitor()
    monitor()
    to_webhook.status = 200
    monitor()
    assert to_webhook.events() == [("begin", *STALE)]
    [mail] = mail_server.received
    assert (mail["To"], mail["From"], mail["Subject"]) == ("a@example.org", "ecw@example.org", "eCW P1: location stale")
    body = mail.get_body(("html",))
    assert body is not None
    assert "<p>location was last refreshed 2026-11-22 12:30 UTC.</p>" in body.get_content()


def test_a_target_added_later_receives_open_alerts_and_not_resolved_ones(
    crm_engine: Engine, to_webhook: Webhook, set_alerts: Callable[..., None], clock: time_machine.Traveller
) -> None:
    set_alerts()
    refresh(crm_engine)
    clock.shift(timedelta(hours=7))
    assert monitor() == {"open": 1, "sent": 0}
    refresh(crm_engine)
    assert monitor() == {"open": 0, "sent": 0}
    clock.shift(timedelta(hours=7))
    monitor()
    set_alerts(webhook="alerts_http")
    monitor()
    assert to_webhook.events() == [("begin", *STALE)]


def test_a_notification_claimed_by_a_sender_that_was_killed_is_sent_after_the_claim_expires(
    crm_engine: Engine, to_webhook: Webhook, clock: time_machine.Traveller
) -> None:
    refresh(crm_engine)
    clock.shift(timedelta(hours=7))
    to_webhook.status = 500
    monitor()
    to_webhook.status = 200
    [notification] = store.to_send(crm_engine, "P1", "webhook alerts_http")
    assert store.claim(crm_engine, notification, datetime.now(UTC))
    assert monitor() == {"open": 1, "sent": 0}, "its sender may still be at work"
    clock.shift(timedelta(minutes=11))
    assert monitor() == {"open": 1, "sent": 1}


def test_two_monitors_at_once_send_one_notification(
    crm_engine: Engine, to_webhook: Webhook, clock: time_machine.Traveller
) -> None:
    refresh(crm_engine)
    # The processes below use the real clock: their last refresh is made old.
    with crm_engine.begin() as connection:
        connection.execute(text("UPDATE ecw_cursor SET moved_at = '2020-01-01 00:00:00+00:00'"))
    script = (
        "import sys; from ecw.alerts.monitor import monitor; print('ready', flush=True); sys.stdin.readline();"
        "print(monitor()['sent'])"
    )
    started = [
        subprocess.Popen(
            [sys.executable, "-c", script],
            cwd=Path(__file__).parents[2] / "plugins",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for process in started:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in started:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    sent = [int(process.communicate(timeout=600)[0].split()[-1]) for process in started]
    assert sorted(sent) == [0, 1]
    assert to_webhook.events() == [("begin", *STALE)]


def test_without_the_variable_the_log_reports_each_alert_once(
    crm_engine: Engine, set_alerts: Callable[..., None], clock: time_machine.Traveller, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    refresh(crm_engine)
    clock.shift(timedelta(hours=7))
    monitor()
    monitor()
    assert caplog.text.count("Practice P1: location was last refreshed") == 1
    refresh(crm_engine)
    monitor()
    assert caplog.text.count("Practice P1: over: location was last refreshed") == 1


OF = "of a notification in the variable ecw_alerts"


@pytest.mark.parametrize(
    ("variable", "message"),
    [
        ("{", "The options of a notification in the variable ecw_alerts are not a JSON object"),
        ("[]", "The options of a notification in the variable ecw_alerts are not a JSON object"),
        ('{"web": "x"}', f"There is no option 'web' {OF}"),
        ('{"webhook": 1}', f"The option 'webhook' {OF} should be a valid string"),
        (
            '{"email": ["x"]}',
            f"The option 'email' (1) {OF} should be an e-mail address",
        ),
        (
            '{"stale_intervals": 0}',
            f"The option 'stale_intervals' {OF} should be greater than 0",
        ),
        (
            '{"reject_least": true}',
            f"The option 'reject_least' {OF} should be a valid number",
        ),
    ],
)
def test_a_variable_that_is_wrong_fails_the_monitor_and_not_the_pull(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, variable: str, message: str
) -> None:
    monkeypatch.setenv("AIRFLOW_VAR_ECW_ALERTS", variable)
    with pytest.raises(ConfigurationError, match="in the variable ecw_alerts") as raised:
        monitor()
    assert message in str(raised.value)
    monitor_quietly("crm_default")
    assert f"Alerts: ConfigurationError: {message}" in caplog.text


@settings(max_examples=examples(25), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(["good", "stop", "wait", "down", "up", "rejects"]), max_size=12))
def test_for_each_subject_begin_and_over_alternate(
    crm_engine: Engine, to_webhook: Webhook, clock: time_machine.Traveller, events: list[str]
) -> None:
    with crm_engine.begin() as connection:
        for table in (
            "ecw_run",
            "ecw_cursor",
            "ecw_reject",
            "ecw_link",
            "location",
            "ecw_alert",
            "ecw_alert_notification",
        ):
            connection.execute(text(f"DELETE FROM {table}"))  # noqa: S608 - names from above
    to_webhook.received.clear()
    to_webhook.status = 200
    for step in [*events, "up"]:
        clock.shift(timedelta(hours=1))
        match step:
            case "good":
                refresh(crm_engine)
            case "stop":
                stopped = a_run(f"run {next(_numbers)}")
                runs.fail(crm_engine, stopped, "location", QualityGateFailed("No.", next_step="look."))
            case "wait":
                clock.shift(timedelta(hours=7))
            case "rejects":
                run = a_run(f"run {next(_numbers)}", window_end=datetime.now(UTC).isoformat())
                load(crm_engine, [], [a_reject("0"), a_reject("1")], run=run)
            case _:
                to_webhook.status = 500 if step == "down" else 200
        monitor()
    open_now = {(one.kind, one.subject) for one in store.open_alerts(crm_engine)}
    received: dict[tuple[str, str], list[str]] = {}
    for event, *subject in to_webhook.events():
        received.setdefault((subject[0], subject[1]), []).append(event)
    for subject, events in received.items():
        assert events == (["begin", "over"] * len(events))[: len(events)]
        assert (events[-1] == "begin") == (subject in open_now)
    assert open_now <= set(received)
