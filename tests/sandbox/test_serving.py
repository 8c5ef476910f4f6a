"""What every call passes: the quota, the clock, the count."""

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


def test_the_quota_is_new_with_the_next_minute(caller):
    caller.sandbox.set(quota=2, minute_seconds=1e6)
    token = caller.token()
    assert [caller.get("Location", token).status_code for _ in range(2)] == [200, 429]
    caller.sandbox.set(clock_offset=1e6)
    token = caller.ask_token(caller.assertion(exp=int(time.time() + 1e6) + 200)).json()["access_token"]
    assert [caller.get("Location", token).status_code for _ in range(2)] == [200, 429]
    assert list(caller.sandbox.counts()["minutes"].values()) == [2, 2]


def test_a_call_that_is_refused_counts_too(caller):
    caller.sandbox.set(quota=3, minute_seconds=1e10)
    assert [caller.get("Location", "no token").status_code for _ in range(4)] == [401, 401, 401, 429]


def test_the_date_header_is_the_servers_clock(caller):
    def date() -> datetime:
        return parsedate_to_datetime(requests.get(f"{caller.sandbox.base_url}/metadata", timeout=600).headers["Date"])

    first = date()
    caller.sandbox.set(clock_offset=-7200)
    assert (first - date()).total_seconds() > 7000


def test_the_admin_counts_what_was_served_and_is_not_counted_itself(caller):
    token = caller.token()
    caller.get("Location", token)
    caller.get("Patient", token)
    caller.get("Patient/nobody", token)
    caller.get("metadata")
    counts = caller.sandbox.counts()
    told = {(row["interaction"], row["resource"], row["status"]): row["count"] for row in counts["answers"]}
    assert told == {
        ("token", "", 200): 2,
        ("search", "Location", 200): 1,
        ("search", "Patient", 400): 1,
        ("read", "Patient", 404): 1,
        ("metadata", "", 200): 1,
    }
    assert counts["total"] == sum(counts["minutes"].values()) == 6


def test_a_call_that_a_reset_overtakes_is_neither_answered_nor_counted(caller):
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
