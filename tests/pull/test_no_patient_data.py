"""No value of a record ever reaches a log, an exception or an XCom."""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ecw.errors import EcwError
from ecw.pull import steps
from ecw.staging import batch_file
from tests.fixtures.crm import on_sqlite
from tests.fixtures.pulling import Pulling
from tests.fixtures.sandbox import RunningSandbox

pytestmark = pytest.mark.large_practice

IDENTIFYING = ("family", "given", "text", "line", "city", "value", "birthDate", "postalCode")


def values(resource: Any, name: str = "") -> Iterator[str]:
    """Yield the values of the identifying elements."""
    if isinstance(resource, dict):
        for key, value in resource.items():
            yield from values(value, key)
    elif isinstance(resource, list):
        for value in resource:
            yield from values(value, name)
    elif name in IDENTIFYING and isinstance(resource, str) and len(resource) > 4:
        yield resource


@contextmanager
def failing(texts: list[str], expected: type[Exception] = EcwError) -> Iterator[None]:
    """Expect an error, and add its traceback with all causes to `texts`."""
    with pytest.raises(expected) as error:
        yield
    texts += traceback.format_exception(error.value)


def broken_file(pull: Pulling, monkeypatch: pytest.MonkeyPatch) -> None:
    run = pull.begin()
    batch = steps.extract(run, "practitioner")
    Path(batch["path"]).write_bytes(b"cut")
    steps.map(batch)


def refused_by_the_database(pull: Pulling, monkeypatch: pytest.MonkeyPatch) -> None:
    run = pull.begin()
    batch = steps.check(steps.map(steps.extract(run, "practitioner")))
    lines = list(batch_file.read(batch["path"]))
    with batch_file.writer(batch["path"]) as again:
        for line in lines:
            again.write({**line, "row": {**line["row"], "surprise": line["row"]["last_name"]}})
    steps.load(batch)


def every_name_empty(pull: Pulling, monkeypatch: pytest.MonkeyPatch) -> None:
    run = pull.begin()
    batch = steps.map(steps.extract(run, "practitioner"))
    lines = list(batch_file.read(batch["path"]))
    with batch_file.writer(batch["path"]) as again:
        for line in lines:
            again.write({**line, "row": {**line["row"], "last_name": None, "name_text": None}})
    steps.check(batch)


@pytest.mark.parametrize("failure", [broken_file, refused_by_the_database, every_name_empty])
@on_sqlite
def test_no_failure_quotes_a_value(
    pull: Pulling,
    sandbox: RunningSandbox,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    failure: Callable[[Pulling, pytest.MonkeyPatch], None],
) -> None:
    caplog.set_level(logging.DEBUG)
    secrets = set(values(sandbox.records("Practitioner")))
    assert len(secrets) > 50
    texts: list[str] = []

    with failing(texts):
        failure(pull, monkeypatch)

    texts += [caplog.text, json.dumps(pull.rows("SELECT error FROM ecw_run"))]
    assert not [secret for text in texts for secret in secrets if secret in text]


@pytest.mark.parametrize("kind", ["server_error", "truncate", "drop"])
@on_sqlite
def test_a_retried_server_error_logs_no_value(
    pull: Pulling, sandbox: RunningSandbox, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    caplog.set_level(logging.DEBUG)
    secrets = set(values(sandbox.records("Practitioner")))
    sandbox.fault(kind, resource="Practitioner", nth=2)

    assert steps.extract(pull.begin(), "practitioner")["count"] == 30

    assert sandbox.faults()[0]["fired"] == 1
    assert "Attempt 1" in caplog.text
    assert not [secret for secret in secrets if secret in caplog.text]


@pytest.mark.parametrize("kind", ["next_loops", "next_elsewhere", "next_gone"])
@on_sqlite
def test_a_server_that_fails_between_pages_makes_no_error_quote_a_value(
    pull: Pulling, sandbox: RunningSandbox, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    caplog.set_level(logging.DEBUG)
    secrets = set(values(sandbox.records("Practitioner")))
    sandbox.fault(kind, resource="Practitioner", page=2)
    texts: list[str] = []

    with failing(texts):
        steps.extract(pull.begin(), "practitioner")

    texts.append(caplog.text)
    assert not [secret for text in texts for secret in secrets if secret in text]


def test_a_pull_puts_no_value_into_the_log_or_xcoms(
    pull: Pulling, sandbox: RunningSandbox, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    records = [*sandbox.records("Practitioner"), *sandbox.records("Location")]
    secrets = set(values(records))
    sandbox.put({**records[3], "name": [{"use": "usual", "given": ["Nobody"]}]})
    sandbox.put({**records[4], "gender": {"not": "FHIR"}})

    run = pull.begin()
    passed = [pull.resource(run, name) for name in ("practitioner", "location")]
    texts = json.dumps([run, passed, pull.batches, steps.summary(run)])

    assert passed[0]["rejected"] == 2
    assert not [secret for secret in secrets if secret in caplog.text or secret in texts]
