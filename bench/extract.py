"""Calls of an extraction of 1,000 patients, the first one and one two hours later, and memory for 50,000 patients."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from bench.result import Result

ROOT = Path(__file__).resolve().parents[1]
FEW, MANY, LIMIT = 1_000, 50_000, 1.2
CLIENT, KEY = "bench", "bench-1"


def results() -> list[Result]:
    """Measure calls and memory, each against a new sandbox."""
    with practice(FEW) as sandbox:
        full, steady = calls(sandbox)
        naive = naive_calls(sandbox)
    many, few = peak(MANY), peak(FEW)
    five = "practitioners, locations, patients, insurance, encounters; token calls included"
    return [
        Result(
            name="calls_per_1000_patients_full",
            value=full,
            unit="calls",
            baseline=naive,
            ratio=round(full / naive, 3),
            how=f"a first pull of {FEW} patients: {five}; the baseline requests every resource of every patient",
        ),
        Result(
            name="calls_per_1000_patients_steady",
            value=steady,
            unit="calls",
            baseline=naive,
            ratio=round(steady / naive, 3),
            how=f"a pull two hours later, insurance within a day: {five}; the same baseline",
        ),
        Result(
            name="extract_peak_mb_ratio",
            value=round(many / few, 3),
            unit="times",
            baseline=LIMIT,
            ratio=round(many / few / LIMIT, 3),
            how=f"peak memory of extracting {MANY} patients by name_sweep: {many:.0f} MB ({FEW}: {few:.0f} MB)",
        ),
    ]


def calls(sandbox: dict[str, Any]) -> tuple[int, int]:
    """Return the calls of a first extraction of all resources, and of one two hours later."""
    from bench.extracting import Practice, as_in_a_task

    with tempfile.TemporaryDirectory() as folder:
        runs = Practice(as_in_a_task(sandbox), folder)
        first = runs.extract_everything("first", None, "2026-11-22T10:00:00+00:00")
        runs.load("first")
        return first, runs.extract_everything("second", "2026-11-22T10:00:00+00:00", "2026-11-22T12:00:00+00:00")


def naive_calls(sandbox: dict[str, Any]) -> int:
    """Return the calls of a client that knows every id and makes one call at a time, with tokens of 300 seconds.

    They are computed, not made: two lists, then every patient, their insurance and their encounters. A call takes the
    3.5 seconds of eCW's reads, so a token lasts for 85 calls.
    """
    reads = 2 + 3 * FEW
    return reads + -(-reads // 85)


def peak(patients: int) -> float:
    """Return the peak memory, in MB, of a process that extracts so many patients by name_sweep."""
    with practice(patients) as sandbox, tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "bench.extracting", folder]
        done = subprocess.run(command, input=json.dumps(sandbox), capture_output=True, text=True, check=True, cwd=ROOT)
        count, kilobytes = done.stdout.splitlines()[-1].split()
        assert int(count) == patients, f"{count} of {patients} patients were extracted"
        return int(kilobytes) / 1024


@contextmanager
def practice(patients: int, code: str = "FFSAND", quota: int = 0) -> Iterator[dict[str, Any]]:
    """Start a sandbox with so many patients and a quota (0: none); yield its addresses and a client's credentials."""
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
    from jwt.algorithms import RSAAlgorithm

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    jwk = {**RSAAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": KEY, "alg": "RS384", "use": "sig"}
    with published(json.dumps({"keys": [jwk]}).encode()) as url:
        command = [sys.executable, "-m", "include.sandbox", "--quiet", "--patients", str(patients)]
        command += ["--practice", code, "--quota", str(quota)]
        command += ["--client", f"{CLIENT}={url}", "--today", "2026-11-22"]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env=os.environ) as process:
            try:
                assert process.stdout is not None
                pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
                started = json.loads(process.stdout.readline())
                credentials = {"client_id": CLIENT, "key_id": KEY, "private_key": pem}
                yield credentials | {name: started[name] for name in ("base_url", "admin_url")}
            finally:
                process.terminate()
                process.wait(timeout=20)


@contextmanager
def published(document: bytes) -> Iterator[str]:
    """Serve a document on this machine; yield its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # http.server's name
            self.send_response(200)
            self.send_header("Content-Length", str(len(document)))
            self.end_headers()
            self.wfile.write(document)

        def log_message(self, format: str, *args: Any) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/jwks.json"
    finally:
        server.shutdown()
        server.server_close()
