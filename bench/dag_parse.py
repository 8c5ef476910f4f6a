"""CPU time to parse each DAG file, beyond `import airflow.sdk`, and the additional time of 20 practices."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.result import Result

ROOT = Path(__file__).resolve().parents[1]
PROGRAM = """
import sys, time
import airflow.sdk, pendulum
if sys.argv[1:]:
    import runpy
    begin = time.process_time()
    runpy.run_path(sys.argv[1])
    print(time.process_time() - begin)
"""
ROUNDS = 7
PRACTICES = 20


def results() -> list[Result]:
    """Measure the slowest DAG file with one practice, and all files with 20 practices."""
    return [*one_practice(), twenty_practices()]


def twenty_practices() -> Result:
    """Measure what 20 practices in practices.yaml add to parsing all DAG files with one practice."""
    files = sorted((ROOT / "dags").glob("*.py"))
    with TemporaryDirectory() as folder:
        file = Path(folder) / "practices.yaml"
        file.write_text("practices:\n" + "".join(f"  site{n}: {{schedule: '{n} * * * *'}}\n" for n in range(PRACTICES)))
        with_one = {each.name: median(str(each)) for each in files}
        with_all = {each.name: median(str(each), ECW_PRACTICES=str(file)) for each in files}
    each_adds = {name: with_all[name] - with_one[name] for name in with_all}
    most = max(each_adds, key=lambda name: each_adds[name])
    one, added = sum(with_one.values()), sum(each_adds.values())
    return Result(
        name="dag_parse_20_practices_added_s",
        value=round(added, 3),
        unit="s",
        baseline=round(one, 3),
        ratio=round(added / one, 3),
        how=f"all {len(files)} DAG files: additional CPU seconds of {PRACTICES} practices in practices.yaml; baseline: "
        f"one practice; largest: dags/{most}, {each_adds[most]:.3f} s; medians of {ROUNDS} fresh processes",
    )


def one_practice() -> list[Result]:
    """Measure the slowest DAG file with one practice."""
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
            how=f"dags/{slowest}, the slowest of {len(added)}: CPU seconds after airflow.sdk and pendulum are "
            f"imported; baseline: `import airflow.sdk`; medians of {ROUNDS} fresh processes",
        )
    ]


def median(file: str, **env: str) -> float:
    """Return the median CPU seconds of parsing a file, with these environment variables."""
    return statistics.median(float(run(PROGRAM, file, **env)) for _ in range(ROUNDS))


def timed_import() -> float:
    """Return the CPU seconds of `import airflow.sdk`."""
    return float(
        run("import time; b = time.process_time(); from airflow.sdk import dag; print(time.process_time() - b)")
    )


def run(program: str, *arguments: str, **env: str) -> str:
    """Run a program in a new interpreter and return the last line of its output."""
    command = [sys.executable, "-c", program, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | env)
    return done.stdout.splitlines()[-1]
