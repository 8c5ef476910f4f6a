"""A patient's erasure from the staging area: every staged copy of the patient, and of what refers to the patient."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from ecw.crm.state.forget import PATIENT, Records
from ecw.resources import RESOURCES
from ecw.staging import batch_file, filesystem

SUFFIX = ".ndjson.gz"


def forget(root: str, practice: str, records: Records) -> int:
    """Rewrite every batch of the practice without the patient's lines; return how many lines went.

    The ids of what is found on the way (a visit that was never loaded) are added to the records.
    """
    gone = 0
    folder = filesystem.join(root, batch_file.segment(practice))
    for run in filesystem.names(folder, hidden=True):
        for resource in RESOURCES:
            for path in _batches(filesystem.join(folder, run, resource)):
                gone += _without(path, resource, records)
    # Last: by now the ids of all that is about the patient are known.
    named = _named(records)
    for run in filesystem.names(folder, hidden=True):
        for resource in RESOURCES:
            for path in _batches(filesystem.join(folder, run, resource)):
                _rewritten(batch_file.manifest_path(path), named)
            _rewritten(filesystem.join(folder, run, resource, "left.json"), named)
            _rewritten(filesystem.join(folder, run, resource, "export.json"), named)
        gone += _plan_without(filesystem.join(folder, run), named)
    return gone


def _plan_without(folder: str, named: re.Pattern[str] | None) -> int:
    """Take the patient out of what a run was to fetch; return 1 where it named the patient.

    One that named nobody else goes: without a name in it a task that is cleared would take everybody.
    """
    plan, chosen = (filesystem.join(folder, name) for name in ("plan.json", "chosen.json"))
    before = [(path, batch_file.read_json(path)) for path in (plan, chosen)]
    theirs = [_left(found, named) != found for _, found in before]
    if any(its and _emptied(found, _left(found, named)) for its, (_, found) in zip(theirs, before, strict=True)):
        for path in (plan, chosen):
            filesystem.remove(path)
        return 1
    for path in (plan, chosen):
        _rewritten(path, named)
    return int(any(theirs))


def _rewritten(path: str, named: re.Pattern[str] | None) -> None:
    found = batch_file.read_json(path)
    left = _left(found, named)
    if left != found:
        batch_file.write_json(path, left)


def _named(records: Records) -> re.Pattern[str] | None:
    """Return what a text fits that names one of the records: the id as a word of its own."""
    ids = sorted({one for each in records.ecw_ids.values() for one in each if one})
    return re.compile(rf"(?<![\w.-])(?:{'|'.join(map(re.escape, ids))})(?![\w-]|\.[\w-])") if ids else None


def _left(value: Any, named: re.Pattern[str] | None) -> Any:
    """Return what was read of a JSON file without what names the records: items of lists, entries by their key."""
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return [one for one in value if named is None or not named.search(one)]
    if isinstance(value, list):
        return [_left(one, named) for one in value]
    if isinstance(value, dict):
        return {key: _left(one, named) for key, one in value.items() if named is None or not named.search(key)}
    return value


def _emptied(before: Any, left: Any) -> bool:
    """Return True if a list has lost all that it had."""
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


def _without(path: str, resource: str, records: Records) -> int:
    if (manifest := batch_file.manifest(path)) is None:
        filesystem.remove(path)  # what is not whole nobody reads
        return 0
    lines = list(batch_file.read_lines(path))
    theirs = [_is_theirs(line, resource, records) for line in lines]
    if not any(theirs):
        return 0
    with batch_file.writer(path) as again:
        again.extra = {name: value for name, value in manifest.items() if name not in ("count", "sha256", "bytes")}
        for line, its in zip(lines, theirs, strict=True):
            if not its:
                again.write_line(line)
            elif ecw_id := _id(batch_file.parsed(line)):
                records.add(resource, [ecw_id])
    return sum(theirs)


def _is_theirs(raw: bytes, resource: str, records: Records) -> bool:
    ids = records.ecw_ids.get(resource, set()) | records.ecw_ids.get(PATIENT, set())
    if not any(one.encode() in raw for one in ids):  # most lines, without being parsed
        return False
    line = batch_file.parsed(raw)
    return _id(line) in records.ecw_ids.get(resource, ()) or _mentions(line, frozenset(records.references), records)


def _id(line: Any) -> str | None:
    found = line.get("ecw_id") or line.get("id") if isinstance(line, dict) else None
    return found if isinstance(found, str) else None


def _mentions(value: Any, references: frozenset[str], records: Records) -> bool:
    """Return True if a reference to the patient stands anywhere in it, whatever its base, or the id as one asked
    about."""
    if isinstance(value, dict):
        asked = value.get("patient")
        if isinstance(asked, str) and asked in records.ecw_ids.get(PATIENT, ()):
            return True
        return any(_mentions(one, references, records) for one in value.values())
    if isinstance(value, list):
        return any(_mentions(one, references, records) for one in value)
    return isinstance(value, str) and "/".join(value.split("/")[-2:]) in references
