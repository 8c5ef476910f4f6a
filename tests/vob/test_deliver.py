"""Each VOB request is delivered to the webhook once, whatever the receiver does."""

from __future__ import annotations

import json
import logging
from threading import Timer

import pytest
from sqlalchemy import text

from ecw.errors import BadRequest, ConfigurationError, ServerUnavailable
from tests.fixtures.webhook import SECRET, Receiver
from tests.vob.conftest import Vob


@pytest.fixture
def three(vob: Vob, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> Vob:
    """Open three requests, which wait for delivery."""
    monkeypatch.setenv("AIRFLOW_CONN_HOOK_TEST", receiver.connection())
    vob.initial_sync()
    vob.patients(1, 2, 3, phone="555-0100")
    assert vob.open()["opened"] == 3
    return vob


def delivery_states(vob: Vob) -> list[str]:
    return [row["delivery"] for row in vob.rows()]


def test_each_request_is_posted_once_with_ids_and_column_names_only(
    three: Vob, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        assert three.deliver() == {"delivered": 3, "refused": 0}
    assert three.deliver() == {"delivered": 0, "refused": 0}

    rows = three.rows()
    assert receiver.keys == [row["key"] for row in sorted(rows, key=lambda row: row["key"])]
    first = receiver.bodies[0]
    row = next(row for row in rows if row["key"] == first["key"])
    assert first == {
        **{name: row[name] for name in ("key", "practice", "patient_id", "patient_ecw_id", "resource")},
        "record_ecw_ids": [row["patient_ecw_id"]],
        "change": ["phone"],
        "requested_at": first["requested_at"],
    }
    assert first["requested_at"].endswith("+00:00")
    assert receiver.headers[0]["X-Token"] == "t0ken"
    assert delivery_states(three) == ["delivered"] * 3
    assert all(row["sent_at"] is not None and row["attempts"] == 1 for row in rows)
    assert "555-0100" not in str(receiver.bodies)
    assert SECRET not in caplog.text
    assert "t0ken" not in caplog.text


def test_requests_that_were_opened_without_a_webhook_are_never_posted(
    vob: Vob, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    vob.initial_sync()
    vob.patients(1, phone="2")
    vob.open()
    assert vob.deliver() == {"delivered": 0, "refused": 0}
    monkeypatch.setenv("AIRFLOW_CONN_HOOK_TEST", receiver.connection())
    assert vob.deliver() == {"delivered": 0, "refused": 0}
    assert receiver.bodies == []


def test_a_request_answered_with_5xx_is_posted_again_with_the_same_key(
    three: Vob, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.answers = [503]
    with (
        caplog.at_level(logging.DEBUG),
        pytest.raises(ServerUnavailable, match=r"2 requests were delivered, others wait.*503"),
    ):
        three.deliver()
    assert sorted(delivery_states(three)) == ["delivered", "delivered", "waiting"]
    assert three.deliver() == {"delivered": 1, "refused": 0}
    assert receiver.keys[0] == receiver.keys[3]
    assert len(set(receiver.keys)) == 3
    assert sorted(row["attempts"] for row in three.rows()) == [1, 1, 2]
    assert SECRET not in caplog.text


def test_delivery_stops_after_a_few_requests_if_the_receiver_is_down(
    three: Vob, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    three.patients(1, 2, 3, phone="3")
    three.open()
    receiver.answers = [500] * 9
    with pytest.raises(ServerUnavailable, match="0 requests were delivered"):
        three.deliver()
    assert len(receiver.bodies) == 3
    monkeypatch.setenv("AIRFLOW_CONN_HOOK_TEST", '{"conn_type": "http", "host": "http://127.0.0.1:1/secret-path"}')
    with pytest.raises(ServerUnavailable, match="did not answer") as error:
        three.deliver()
    assert "secret-path" not in str(error.value)
    assert delivery_states(three) == ["waiting"] * 6


def test_a_receiver_that_hangs_is_a_retryable_error(
    three: Vob, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_HOOK_TEST", receiver.connection(timeout=0.2))
    receiver.hang = True
    with pytest.raises(ServerUnavailable, match="did not answer"):
        three.deliver()
    receiver.hang = False
    monkeypatch.setenv("AIRFLOW_CONN_HOOK_TEST", receiver.connection())
    assert three.deliver() == {"delivered": 3, "refused": 0}


def test_a_slow_answer_ends_at_the_deadline(three: Vob, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a deadline it would end only when the receiver gives up, after twenty seconds."""
    monkeypatch.setenv("AIRFLOW_CONN_HOOK_TEST", receiver.connection(timeout=0.3))
    receiver.trickle = True
    give_up = Timer(20, receiver.over.set)
    give_up.start()
    with pytest.raises(ServerUnavailable, match="did not answer"):
        three.deliver()
    give_up.cancel()
    assert not receiver.over.is_set(), "the deadline did not end it"
    assert delivery_states(three) == ["waiting"] * 3


@pytest.mark.parametrize("off", [{"verify": False}, {"verify_ssl": "no"}, {"verify": 0}])
def test_the_check_of_the_receivers_certificate_cannot_be_switched_off(
    three: Vob, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, off: dict[str, object]
) -> None:
    document = {"conn_type": "http", "host": "https://vob.example.com/secret-path", "extra": off}
    monkeypatch.setenv("AIRFLOW_CONN_HOOK_TEST", json.dumps(document))
    with pytest.raises(ConfigurationError, match="switches the check") as error:
        three.deliver()
    assert "secret-path" not in str(error.value)
    assert delivery_states(three) == ["waiting"] * 3
    monkeypatch.setenv(
        "AIRFLOW_CONN_HOOK_TEST", receiver.connection(**off)
    )  # allowed, because the receiver is on this machine
    assert three.deliver() == {"delivered": 3, "refused": 0}


def test_a_refused_request_is_reported_and_does_not_stop_the_others(three: Vob, receiver: Receiver) -> None:
    receiver.answers = [200, 422]
    with pytest.raises(BadRequest, match="refused 1 requests"):
        three.deliver()
    assert sorted(delivery_states(three)) == ["delivered", "delivered", "refused"]
    [note] = [row["delivery_note"] for row in three.rows() if row["delivery"] == "refused"]
    assert note.endswith("answered HTTP 422.")
    assert three.deliver() == {"delivered": 0, "refused": 0}, "a refused request is not posted again"

    with three.crm.begin() as connection:
        connection.execute(text("UPDATE vob_request SET delivery = 'waiting' WHERE delivery = 'refused'"))
    assert three.deliver() == {"delivered": 1, "refused": 0}


@pytest.mark.parametrize("status", [301, 401, 403, 404])
def test_a_wrong_connection_fails_at_once_and_the_requests_stay_waiting(
    three: Vob, receiver: Receiver, status: int
) -> None:
    receiver.answers = [status]
    with pytest.raises(ConfigurationError, match=f"HTTP {status}"):
        three.deliver()
    assert len(receiver.bodies) == 1
    assert delivery_states(three) == ["waiting"] * 3
    assert three.deliver() == {"delivered": 3, "refused": 0}


def test_a_connection_without_a_url_is_reported(three: Vob, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_HOOK_TEST", '{"conn_type": "http"}')
    with pytest.raises(ConfigurationError, match="is not a valid URL"):
        three.deliver()


def test_a_task_killed_after_the_post_posts_again_with_the_same_key(three: Vob, receiver: Receiver) -> None:
    three.deliver()
    with three.crm.begin() as connection:  # the state of a task that was killed before it wrote the outcome
        connection.execute(text("UPDATE vob_request SET delivery = 'waiting', sent_at = NULL, attempts = 0"))
    assert three.deliver() == {"delivered": 3, "refused": 0}
    assert receiver.keys[:3] == receiver.keys[3:]
