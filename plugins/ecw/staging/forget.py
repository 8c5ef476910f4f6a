"""Erase a patient from the staging area: every staged copy of the patient, and of records that refer to the patient."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from ecw.crm.state.forget import PATIENT, Records
from ecw.resources import RESOURCES
from ecw.staging import batch_file, filesystem

SUFFIX = ".ndjson.gz"


def forget(root: str, practice: str, records: Records) -> int:
    """Rewrite every batch of the practice without the patient's lines; return how many lines were removed.

    The ids of further records of the patient that it finds, such as a visit that was never loaded, are added to
    `records`.
    """
    removed = 0
    folder = filesystem.join(root, batch_file.segment(practice))
    for run in filesystem.names(folder, hidden=True):
        for resource in RESOURCES:
            for path in _batches(filesystem.join(folder, run, resource)):
                removed += _remove_from_batch(path, resource, records)
    # Afterwards, because only now all ids of the patient's records are known.
    pattern = _pattern_of_ids(records)
    for run in filesystem.names(folder, hidden=True):
        for resource in RESOURCES:
            for path in _batches(filesystem.join(folder, run, resource)):
                _rewrite(batch_file.manifest_path(path), pattern)
            _rewrite(filesystem.join(folder, run, resource, "left.json"), pattern)
            _rewrite(filesystem.join(folder, run, resource, "export.json"), pattern)
        removed += _remove_from_plan(filesystem.join(folder, run), pattern)
    return removed


def _remove_from_plan(folder: str, pattern: re.Pattern[str] | None) -> int:
    """Remove the patient from the plan of a run; return 1 if the plan named the patient, else 0.

    A plan that named nobody else is deleted: with an empty list a cleared task would fetch all patients.
    """
    plan, chosen = (filesystem.join(folder, name) for name in ("plan.json", "chosen.json"))
    before = [(path, batch_file.read_json(path)) for path in (plan, chosen)]
    names_patient = [_remaining(found, pattern) != found for _, found in before]
    if any(
        is_named and _emptied(found, _remaining(found, pattern))
        for is_named, (_, found) in zip(names_patient, before, strict=True)
    ):
        for path in (plan, chosen):
            filesystem.remove(path)
        return 1
    for path in (plan, chosen):
        _rewrite(path, pattern)
    return int(any(names_patient))


def _rewrite(path: str, pattern: re.Pattern[str] | None) -> None:
    found = batch_file.read_json(path)
    left = _remaining(found, pattern)
    if left != found:
        batch_file.write_json(path, left)


def _pattern_of_ids(records: Records) -> re.Pattern[str] | None:
    """Return a pattern that finds one of the records' ids as a separate word in a text, None without ids."""
    ids = sorted({one for each in records.ecw_ids.values() for one in each if one})
    return re.compile(rf"(?<![\w.-])(?:{'|'.join(map(re.escape, ids))})(?![\w-]|\.[\w-])") if ids else None


def _remaining(value: Any, pattern: re.Pattern[str] | None) -> Any:
    """Return a JSON value without the list items and the keys that name one of the records."""
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return [one for one in value if pattern is None or not pattern.search(one)]
    if isinstance(value, list):
        return [_remaining(one, pattern) for one in value]
    if isinstance(value, dict):
        return {
            key: _remaining(one, pattern) for key, one in value.items() if pattern is None or not pattern.search(key)
        }
    return value


def _emptied(before: Any, left: Any) -> bool:
    """Return True if a list lost all its items."""
    if isinstance(before, dict):
        return any(_emptied(before[key], one) for key, one in left.items())
    return isinstance(before, list) and bool(before) and left == []


def _batches(folder: str) -> Iterator[str]:
    for name in filesystem.names(folder):
        path = filesystem.join(folder, name)
        if name.endswith(SUFFIX):
            yield path
        elif "." not in name:  # the parts of an extraction
            yield from _batches(path)


def _remove_from_batch(path: str, resource: str, records: Records) -> int:
    if (manifest := batch_file.manifest(path)) is None:
        filesystem.remove(path)  # nobody reads an incomplete batch
        return 0
    lines = list(batch_file.read_lines(path))
    of_patient = [_is_of_patient(line, resource, records) for line in lines]
    if not any(of_patient):
        return 0
    with batch_file.writer(path) as rewritten:
        rewritten.extra = {name: value for name, value in manifest.items() if name not in ("count", "sha256", "bytes")}
        for line, is_patients in zip(lines, of_patient, strict=True):
            if not is_patients:
                rewritten.write_line(line)
            elif ecw_id := _id(batch_file.parsed(line)):
                records.add(resource, [ecw_id])
    return sum(of_patient)


def _is_of_patient(raw: bytes, resource: str, records: Records) -> bool:
    ids = records.ecw_ids.get(resource, set()) | records.ecw_ids.get(PATIENT, set())
    if not any(one.encode() in raw for one in ids):  # decides for most lines without parsing them
        return False
    line = batch_file.parsed(raw)
    return _id(line) in records.ecw_ids.get(resource, ()) or _mentions(line, frozenset(records.references), records)


def _id(line: Any) -> str | None:
    found = line.get("ecw_id") or line.get("id") if isinstance(line, dict) else None
    return found if isinstance(found, str) else None


def _mentions(value: Any, references: frozenset[str], records: Records) -> bool:
    """Return True if a JSON value contains a reference to the patient, with any base URL, or the id under `patient`."""
    if isinstance(value, dict):
        patient = value.get("patient")
        if isinstance(patient, str) and patient in records.ecw_ids.get(PATIENT, ()):
            return True
        return any(_mentions(one, references, records) for one in value.values())
    if isinstance(value, list):
        return any(_mentions(one, references, records) for one in value)
    return isinstance(value, str) and "/".join(value.split("/")[-2:]) in references
