"""The errors that Airflow retries: the tree of ecw.errors as an Airflow retry policy.

The same call would fail again for an expired export, but the next try of the task starts a new one.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule

RETRY_POLICY = ExceptionRetryPolicy(
    rules=[
        # eCW counts calls per clock minute: a minute later the full quota is available again.
        RetryRule(
            "ecw.errors.RateLimited", RetryAction.RETRY, timedelta(seconds=70), "The minute's calls were used up"
        ),
        RetryRule("ecw.errors.ExportExpired", RetryAction.RETRY, reason="The next try starts a new export"),
        RetryRule("ecw.errors.RetryableError", RetryAction.RETRY, timedelta(minutes=2), "A later try can work"),
        RetryRule("ecw.errors.FatalError", RetryAction.FAIL, reason="The same call would fail again"),
    ]
)
