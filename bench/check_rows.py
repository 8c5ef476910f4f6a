"""Time and memory of the check step: 100,000 patients against the real suite."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from bench.result import Result

ROOT = Path(__file__).resolve().parents[1]
ROWS, FEW = 100_000, 10_000
# In a process of its own, like a task: the time includes the import of Great Expectations, the memory is the check's.
MEASURE = """
import json, resource, sys, tempfile, time
from pathlib import Path
import orjson
from bench.map_patients import generated
from bench.check_rows import plain_pandas, staged_patients
from ecw.mapping.definition.files import load_mapping
from ecw.quality.check import check_batch
from ecw.quality.suite import suite_of

rows = int(sys.argv[1])
mapping = load_mapping("patient")
suite = suite_of("patient", mapping)
found = []
linked = lambda resource, ids: set(ids)
with tempfile.TemporaryDirectory() as folder:
    batch = staged_patients(mapping, rows, folder)
    begun = time.process_time()
    checked = check_batch({"staging": folder}, batch, suite, linked=linked, report=found.extend)
    seconds = time.process_time() - begun
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    begun = time.process_time()
    broken = plain_pandas(suite, batch["path"], linked) if len(sys.argv) > 2 else None
    plain = time.process_time() - begun
if broken is not None:
    assert broken == [one.broken for one in found if one.rule != "volume"], (broken, found)
print(json.dumps({"seconds": seconds, "plain": plain, "peak": peak, "passed": checked["count"]}))
"""


def results() -> list[Result]:
    """Measure seconds, with plain pandas code as the baseline, and memory, with a tenth of the rows as the baseline."""
    many, few = measure(ROWS, "plain"), measure(FEW)
    return [
        Result(
            name="check_s_100k_rows",
            value=round(many["seconds"], 2),
            unit="s CPU",
            baseline=round(many["plain"], 2),
            ratio=round(many["seconds"] / many["plain"], 2),
            how=f"{ROWS} generated patients, {many['passed']:.0f} pass: import, check, stage; "
            "every reference is linked; the baseline reads all rows into one pandas frame, applies the same rules with "
            "the same result, and stages nothing",
        ),
        Result(
            name="check_peak_mb_100k_rows",
            value=round(many["peak"], 1),
            unit="MB",
            baseline=round(few["peak"], 1),
            ratio=round(many["peak"] / few["peak"], 3),
            how=f"peak memory of a process that checks {ROWS} patients; baseline: {FEW} patients",
        ),
    ]


def measure(rows: int, *options: str) -> dict[str, float]:
    """Run MEASURE in a process of its own and return its figures."""
    command = [sys.executable, "-c", MEASURE, str(rows), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def staged_patients(mapping, rows: int, folder: str):  # type: ignore[no-untyped-def]  # only the process above calls it
    """Stage generated patients as the map step does; every hundredth has a birth date that the suite rejects."""
    import orjson

    from bench.map_patients import generated
    from ecw.mapping.transform.to_row import Mapper
    from ecw.staging import batch_file

    mapper, path = Mapper(mapping), f"{folder}/map.ndjson.gz"
    with batch_file.writer(path) as batch:
        for number, line in enumerate(generated(rows)):
            resource = orjson.loads(line)
            row = mapper.row(resource).row
            if number % 100 == 0:
                row["birth_date"] = "1850-01-01"
            batch.write({"ecw_id": resource["id"], "version": None, "hash": "h", "row": row})
    counts = {"count": rows, "fetched": rows, "rejected": 0, "unchanged": 0, "calls": 1, "seconds": 0.0}
    return {"resource": "patient", "path": path, "rejects": [], **counts}


def plain_pandas(suite, path: str, linked) -> list[int]:  # type: ignore[no-untyped-def]
    """Apply the rules to all rows at once, in the simplest way; return how many rows break each rule."""
    import pandas as pd

    from ecw.staging import batch_file

    frame = pd.DataFrame([line["row"] for line in batch_file.read(path)])
    broken = []
    for rule in suite.rules:
        kwargs, selected = rule.kwargs, frame
        for column in rule.condition:  # all of the suite's are "is null"
            selected = selected[selected[column].isna()]
        values = selected[rule.column]
        present = values[values.notna()]
        match rule.type:
            case "expect_column_values_to_not_be_null":
                wrong = values.isna()
            case "expect_column_values_to_be_unique":
                wrong = present.duplicated(keep=False)
            case "expect_column_values_to_match_regex":
                wrong = ~present.astype(str).str.contains(kwargs["regex"])
            case "expect_column_value_lengths_to_be_between":
                wrong = ~present.astype(str).str.len().between(kwargs["min_value"], kwargs["max_value"])
            case "expect_column_values_to_be_between":
                days = present.str[:10]
                wrong = ~((days > kwargs["min_value"]) & (days < str(suite.days["tomorrow"])))
            case "expect_column_pair_values_a_to_be_greater_than_b":
                wrong = present.str[:10] < frame[rule.columns[1]].str[:10].reindex(present.index)
            case "expect_column_values_to_refer_to_linked_records":
                ids = present.str.partition("/")[2]
                wrong = ~ids.isin(linked("practitioner", ids))
        broken.append(int(wrong.sum()))
    return broken
