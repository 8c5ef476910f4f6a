"""The retry policy decides by the class of an error."""

from __future__ import annotations

import pytest
from airflow.sdk import RetryAction

from ecw.errors import AuthenticationError, EcwError, ExportExpired, RateLimited, RecordNotFound, ServerUnavailable
from ecw.retry_policy import RETRY_POLICY


@pytest.mark.parametrize(
    ("kind", "action"),
    [
        (ServerUnavailable, RetryAction.RETRY),
        (RateLimited, RetryAction.RETRY),
        (ExportExpired, RetryAction.RETRY),
        (RecordNotFound, RetryAction.FAIL),
        (AuthenticationError, RetryAction.FAIL),
        (ValueError, RetryAction.DEFAULT),
    ],
)
def test_an_error_is_retried_or_fails_at_once(kind: type[Exception], action: RetryAction) -> None:
    error = kind("What.", next_step="do this.") if issubclass(kind, EcwError) else kind("What.")
    assert RETRY_POLICY.evaluate(error, 1, 3).action is action


def test_a_spent_quota_waits_for_the_next_clock_minute() -> None:
    delay = RETRY_POLICY.evaluate(RateLimited("What.", next_step="wait."), 1, 3).retry_delay
    assert delay is not None
    assert delay.total_seconds() > 60
