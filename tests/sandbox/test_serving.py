"""The quota, the clock and the counts, which apply to every call."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from email.utils import parsedate_to_datetime

import pytest
import requests


def test_the_quota_counts_tokens_and_calls_and_answers_429_for_the_rest_of_the_minute(caller):
    caller.sandbox.set(quota=4, minute_seconds=1e10)
    used = sum(caller.sandbox.counts()["minutes"].values())
    assert used == 0
    token = caller.token()
    assert [caller.get("Location", token).status_code for _ in range(5)] == [200, 200, 200, 429, 429]
    answer = caller.get("Location", token)
    assert answer.json()["issue"][0]["code"] == "throttled"
    assert not {"retry-after", "x-ratelimit-limit", "x-ratelimit-remaining"} & {each.lower() for each in answer.headers}
    assert caller.ask_token().status_code == 429
    assert list(caller.sandbox.counts()["minutes"].values()) == [4]


def test_the_quota_starts_again_with_the_next_minute(caller):
    caller.sandbox.set(quota=2, minute_seconds=1e6)
    token = caller.token()
    assert [caller.get("Location", token).status_code for _ in range(2)] == [200, 429]
    caller.sandbox.set(clock_offset=1e6)
    token = caller.ask_token(caller.assertion(exp=int(time.time() + 1e6) + 200)).json()["access_token"]
    assert [caller.get("Location", token).status_code for _ in range(2)] == [200, 429]
    assert list(caller.sandbox.counts()["minutes"].values()) == [2, 2]


def test_a_refused_call_counts_towards_the_quota(caller):
    caller.sandbox.set(quota=3, minute_seconds=1e10)
    assert [caller.get("Location", "no token").status_code for _ in range(4)] == [401, 401, 401, 429]


def test_the_date_header_has_the_servers_time(caller):
    def date() -> datetime:
        return parsedate_to_datetime(requests.get(f"{caller.sandbox.base_url}/metadata", timeout=600).headers["Date"])

    first = date()
    caller.sandbox.set(clock_offset=-7200)
    assert (first - date()).total_seconds() > 7000


def test_answers_are_counted_and_calls_of_the_administration_api_are_not(caller):
    token = caller.token()
    caller.get("Location", token)
    caller.get("Patient", token)
    caller.get("Patient/nobody", token)
    caller.get("metadata")
    counts = caller.sandbox.counts()
    answers = {(row["interaction"], row["resource"], row["status"]): row["count"] for row in counts["answers"]}
    assert answers == {
        ("token", "", 200): 2,
        ("search", "Location", 200): 1,
        ("search", "Patient", 400): 1,
        ("read", "Patient", 404): 1,
        ("metadata", "", 200): 1,
    }
    assert counts["total"] == sum(counts["minutes"].values()) == 6


def test_a_call_during_a_reset_is_neither_answered_nor_counted(caller):
    caller.sandbox.fault("latency", resource="Location", seconds=4.0)
    headers = {"Authorization": f"Bearer {caller.token()}"}
    with ThreadPoolExecutor() as pool:
        slow = pool.submit(requests.get, f"{caller.sandbox.base_url}/Location", headers=headers, timeout=600)
        while not caller.sandbox.faults()[0]["fired"]:
            time.sleep(0.01)
        caller.sandbox.reset()
        with pytest.raises(requests.ConnectionError):
            slow.result()
    assert caller.sandbox.counts()["total"] == 0
