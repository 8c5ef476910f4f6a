"""What parsing each DAG file adds to `import airflow.sdk`, in fresh processes, side by side."""

from __future__ import annotations

import statistics
import subprocess
import sys
from pathlib import Path

from bench.result import Result

ROOT = Path(__file__).resolve().parents[1]
PROGRAM = """
import sys, time
import airflow.sdk, pendulum
if sys.argv[1:]:
    import runpy
    begin = time.perf_counter()
    runpy.run_path(sys.argv[1])
    print(time.perf_counter() - begin)
"""
ROUNDS = 7


def results() -> list[Result]:
    """Measure the slowest DAG file: seconds beside what `import airflow.sdk` takes by itself."""
    added = {file.name: median(str(file)) for file in sorted((ROOT / "dags").glob("*.py"))}
    slowest, seconds = max(added.items(), key=lambda item: item[1])
    alone = statistics.median(timed_import() for _ in range(ROUNDS))
    return [
        Result(
            name="dag_parse_added_s",
            value=round(seconds, 3),
            unit="s",
            baseline=round(alone, 3),
            ratio=round(seconds / alone, 3),
            how=f"dags/{slowest}, the slowest of {len(added)}: seconds of running it once airflow.sdk and pendulum are "
            f"imported, beside `import airflow.sdk` itself; medians of {ROUNDS} fresh processes",
        )
    ]


def median(file: str) -> float:
    """Return the median of what the file adds, in seconds."""
    return statistics.median(float(run(PROGRAM, file)) for _ in range(ROUNDS))


def timed_import() -> float:
    """Return what `import airflow.sdk` takes, in seconds."""
    return float(
        run("import time; b = time.perf_counter(); from airflow.sdk import dag; print(time.perf_counter() - b)")
    )


def run(program: str, *arguments: str) -> str:
    """Run a program in a fresh interpreter and return the last line it prints."""
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[-1]
