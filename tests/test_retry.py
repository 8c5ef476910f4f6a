"""The retry policy decides by the class of an error."""

from __future__ import annotations

import pytest
from airflow.sdk import RetryAction

from ecw.errors import AuthRefused, EcwError, ExportGone, QuotaSpent, RecordMissing, ServerTrouble
from ecw.retry import RETRY_POLICY


@pytest.mark.parametrize(
    ("kind", "action"),
    [
        (ServerTrouble, RetryAction.RETRY),
        (QuotaSpent, RetryAction.RETRY),
        (ExportGone, RetryAction.RETRY),
        (RecordMissing, RetryAction.FAIL),
        (AuthRefused, RetryAction.FAIL),
        (ValueError, RetryAction.DEFAULT),
    ],
)
def test_an_error_is_tried_again_or_fails_at_once(kind: type[Exception], action: RetryAction) -> None:
    error = kind("What.", next_move="do this.") if issubclass(kind, EcwError) else kind("What.")
    assert RETRY_POLICY.evaluate(error, 1, 3).action is action


def test_a_spent_quota_waits_for_the_next_clock_minute() -> None:
    delay = RETRY_POLICY.evaluate(QuotaSpent("What.", next_move="wait."), 1, 3).retry_delay
    assert delay is not None
    assert delay.total_seconds() > 60
