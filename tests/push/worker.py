"""A push in a separate process, which can be killed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.fixtures.keys import Keys
from tests.fixtures.sandbox import RunningSandbox

# Pushes the patients whose ids it reads from stdin, and prints the status of each. With `stop` it prints "here" before
# or after the request, and waits until it is killed.
WORKER = """
import json, sys, time
from requests import Session
from ecw.fhir.client import EcwClient
from ecw.fhir.retry import Circuit, Retrier, RetryPolicy
from ecw.fhir.connection import EcwSettings
from ecw.crm.db.engine import engine_from_url
from ecw.mapping.definition.files import load_mapping
from ecw.push.context import SendOptions, Pushing, PushRun
from ecw.push.patient.push import push_patient

options = json.loads(sys.argv[1])
session = Session()
session.trust_env = False
settings = EcwSettings(**options["settings"])
retrier = Retrier(RetryPolicy(3, seconds=0), Circuit(10**6), sleep=lambda seconds: None)
client = EcwClient(settings, session, timeout=600, retrier=retrier)

def stop():
    print("here", flush=True)
    time.sleep(600)

transact = client.transact
def stopping(bundle, **arguments):
    if options["stop"] == "before":
        stop()
    answer = transact(bundle, **arguments)
    if options["stop"] == "after":
        stop()
    return answer
client.transact = stopping
push_options = SendOptions(unknown_outcome_wait_seconds=options["unknown_outcome_wait_seconds"])
pushing = Pushing(engine_from_url(options["url"]), client, load_mapping("patient"), PushRun("worker", push_options))
print("ready", flush=True)
for line in sys.stdin:
    print(push_patient(pushing, line.strip()).status, flush=True)
"""


@contextmanager
def worker(
    url: str, sandbox: RunningSandbox, keys: Keys, stop: str = "", unknown_outcome_wait_seconds: float = 0.0
) -> Iterator[subprocess.Popen[str]]:
    """Start a worker process, wait until it is ready, and kill it at the end."""
    settings = {
        "base_url": sandbox.base_url,
        "client_id": keys.client_id,
        "private_key": keys.private_key_pem,
        "key_id": keys.key_id,
        "jwks_url": keys.jwks_url,
    }
    options = {
        "url": url,
        "settings": settings,
        "stop": stop,
        "unknown_outcome_wait_seconds": unknown_outcome_wait_seconds,
    }
    with subprocess.Popen(
        [sys.executable, "-c", WORKER, json.dumps(options)],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as started:
        try:
            assert read_line(started) == "ready"
            yield started
        finally:
            started.kill()


def read_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def write_id(process: subprocess.Popen[str], crm_id: str) -> None:
    assert process.stdin is not None
    process.stdin.write(f"{crm_id}\n")
    process.stdin.flush()
