"""What all tests share: an odd time zone, and the fixtures of tests/fixtures."""

from __future__ import annotations

import os
import time

# A zone with a 45-minute offset: code that forgets zones shows it. Set before anything imports pandas or Airflow.
os.environ["TZ"] = "Asia/Kathmandu"
time.tzset()

pytest_plugins = [
    "tests.fixtures.keys",
    "tests.fixtures.sandbox",
    "tests.fixtures.crm",
    "tests.fixtures.pulling",
    "tests.fixtures.demo",
    "tests.fixtures.browser",
]
