"""Use of a practice's quota, and responses with 429, with four processes of twenty readers each.

The server only counts the calls, by its own clock, and responds after two seconds. The clocks of the server and the
readers run faster than real time; `python -m bench.quota --real` runs six real minutes.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from pathlib import Path

from requests import Session
from requests.adapters import HTTPAdapter

from bench.result import Result
from ecw.crm.db.engine import engine_from_url
from ecw.crm.db.migrations import migrate
from ecw.crm.state.quota_store import QuotaStore
from ecw.errors import EcwError
from ecw.fhir.quota.limiter import Clock, Quota
from ecw.fhir.transport import Transport

PROCESSES, READERS, LATENCY, QUOTA, MINUTES = 4, 20, 2.0, 250, 5
SPEED = 12.0


def results(speed: float = SPEED) -> list[Result]:
    """Measure five full minutes of the server's clock, with an embedded CRM."""
    origin = time.time()
    first = int(origin // 60) + 1  # the first full minute
    end = (first + MINUTES) * 60.0
    with tempfile.TemporaryDirectory() as folder, running("serve", str(speed), str(origin)) as server:
        crm = f"sqlite:///{Path(folder) / 'crm.db'}"
        engine = engine_from_url(crm)
        migrate(engine)
        engine.dispose()
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        arguments = ("read", str(speed), str(origin), url, crm, str(end))
        readers = [subprocess.Popen(command(*arguments)) for _ in range(PROCESSES)]
        if any(reader.wait() for reader in readers):
            raise RuntimeError("a process of readers failed")
        with Session() as session:
            counted = session.get(f"{url}/counts", timeout=10).json()
    minutes = [str(first + n) for n in range(MINUTES)]
    used = [counted["answered"].get(minute, 0) for minute in minutes]
    alone = 60 / LATENCY / QUOTA
    ratio = sum(used) / (QUOTA * MINUTES)
    how = (
        f"{PROCESSES} processes of {READERS} readers, {LATENCY:g} s latency, a quota of {QUOTA} a minute, SQLite, "
        f"{MINUTES} full minutes at {speed:g} times real time; calls a minute: {', '.join(map(str, used))}"
    )
    return [
        Result(
            name="quota_used_ratio",
            value=round(ratio, 3),
            unit="",
            baseline=alone,
            ratio=round(ratio / alone, 1),
            how=f"{how}; baseline: one request at a time",
        ),
        Result(
            name="quota_429", value=sum(counted["refused"].values()), unit="calls", baseline=None, ratio=None, how=how
        ),
    ]


def read(speed: str, origin: str, url: str, crm: str, end: str) -> None:
    """Call the server from twenty threads until the clock shows `end`."""
    clock = Clock(float(speed), float(origin))
    quota = Quota(QuotaStore(engine_from_url(crm)), "P1", "scheduled", calls_per_minute=QUOTA, clock=clock)
    session = Session()
    session.mount("http://", HTTPAdapter(pool_maxsize=READERS))
    transport = Transport(session, quota)
    failed: list[EcwError] = []

    def reader() -> None:
        try:
            while clock.now() < float(end):
                transport.send("GET", f"{url}/fhir")
        except EcwError as error:
            failed.append(error)

    threads = [threading.Thread(target=reader) for _ in range(READERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        sys.exit(f"{len(failed)} readers failed, the first with: {failed[0]}")


def serve(speed: str, origin: str) -> None:
    """Count calls by minute of this process's clock; refuse those over the quota, answer the others after LATENCY."""
    clock = Clock(float(speed), float(origin))
    answered: Counter[int] = Counter()
    refused: Counter[int] = Counter()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await _head(reader):
            status, body = "200 OK", b"{}"
            if b"/counts" in head:
                body = json.dumps({"answered": answered, "refused": refused}).encode()
            else:
                minute = int(clock.now() // 60)
                if answered[minute] < QUOTA:
                    answered[minute] += 1
                    await asyncio.sleep(LATENCY / float(speed))
                else:
                    refused[minute] += 1
                    status = "429 Too Many Requests"
            date = formatdate(clock.now(), usegmt=True)
            writer.write(f"HTTP/1.1 {status}\r\nDate: {date}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        writer.close()

    async def main() -> None:
        server = await asyncio.start_server(talk, "127.0.0.1", 0, backlog=200)
        print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
        await server.serve_forever()

    asyncio.run(main())


async def _head(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionResetError):
        return b""


def command(*arguments: str) -> list[str]:
    """Return the command line of one of this module's processes."""
    return [sys.executable, "-m", "bench.quota", *arguments]


@contextmanager
def running(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run one of this module's processes, and stop it at the end."""
    with subprocess.Popen(command(*arguments), stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.terminate()


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["serve", *arguments]:
            serve(*arguments)
        case ["read", *arguments]:
            read(*arguments)
        case ["--real"]:
            print(json.dumps(results(1.0), indent=2))
        case _:
            print(json.dumps(results(), indent=2))
