"""The retry policy decides by the class of an error."""

from __future__ import annotations

import pytest
from airflow.sdk import RetryAction

from ecw import errors
from ecw.errors import (
    AuthenticationError,
    EcwError,
    ExportExpired,
    RateLimited,
    RecordNotFound,
    RetryableError,
    ServerUnavailable,
)
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


def test_the_drawing_of_the_errors_says_which_of_them_are_retried() -> None:
    """Those below RetryableError, and of the others those whose line says so."""
    lines = {line.partition("── ")[2].split()[0]: line for line in (errors.__doc__ or "").splitlines() if "── " in line}
    classes = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, EcwError)]
    retried = {
        each.__name__
        for each in classes
        if RETRY_POLICY.evaluate(each("What.", next_step="do this."), 1, 3).action is RetryAction.RETRY
    }
    below = {each.__name__ for each in classes if issubclass(each, RetryableError)}
    assert retried == below | {name for name, line in lines.items() if "Airflow retries" in line}
    failing = {each.__name__ for each in classes} - retried - {"EcwError"}
    for name in failing:
        error = getattr(errors, name)("What.", next_step="do this.")
        assert RETRY_POLICY.evaluate(error, 1, 3).action is RetryAction.FAIL


def test_a_spent_quota_waits_for_the_next_clock_minute() -> None:
    delay = RETRY_POLICY.evaluate(RateLimited("What.", next_step="wait."), 1, 3).retry_delay
    assert delay is not None
    assert delay.total_seconds() > 60
