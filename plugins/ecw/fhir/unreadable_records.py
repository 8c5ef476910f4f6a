"""Unreadable records: each is rejected alone, with a reason; the rest of its page or file is loaded.

A stand-in replaces the record: `{"resourceType": …, "id": …, "unreadable": {"reason": …}}`. The pull rejects it. A
caller that needs every record (a push that searches for a patient) gets an error instead.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import orjson

from ecw.errors import ServerUnavailable

MAX_BYTES = 4 << 20  # of one record; a patient with a photograph has some hundred kilobytes
MAX_NESTING = 250  # orjson writes at most 254 levels; FHIR's deepest records have about twenty
KEY = "unreadable"
NO_OBJECT = "it is not a JSON object"
BROKEN = "its JSON is broken, or holds characters that are none"
BOM = b"\xef\xbb\xbf"
Json = dict[str, Any]

_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"|["{}\[\],:]', re.DOTALL)  # a lone quotation mark: the text is cut off
_NAME = re.compile(rb'"([A-Z][A-Za-z]{1,40})"')
_ID = re.compile(rb'"([A-Za-z0-9.-]{1,64})"')


class _Child(NamedTuple):
    """A member of an object, or an item of a list: the position of its value in the text."""

    key: bytes
    start: int
    end: int


def reason_of(resource: Mapping[str, Any]) -> str | None:
    """Return why a record cannot be read; None if it is readable."""
    found = resource.get(KEY)
    return str(found.get("reason")) if isinstance(found, Mapping) else None


def as_line(record: Mapping[str, Any]) -> tuple[bytes, Mapping[str, Any]]:
    """Return a record as one line of JSON, and the record; for one that is too big or too deep, its stand-in twice."""
    try:
        line = orjson.dumps(record)
        if len(line) <= MAX_BYTES:
            return line, record
        found = _known(record, too_big(len(line)), line)
    except TypeError:
        found = _known(record, f"it is nested more than {MAX_NESTING} levels deep", repr(sorted(record)).encode())
    return orjson.dumps(found), found


def too_big(size: int) -> str:
    """Return the reason for a record of so many bytes."""
    return f"it has {size:,} bytes, and the limit is {MAX_BYTES:,}"


def stand_in(text: bytes, reason: str, fhir_type: str | None = None) -> Json:
    """Return the stand-in for a record with this text; type and id are read from the text if it has them."""
    members = {child.key: text[child.start : child.end].strip() for child in _children(text) or ()}
    named, known = _NAME.fullmatch(members.get(b'"resourceType"', b"")), _ID.fullmatch(members.get(b'"id"', b""))
    fhir_type = named[1].decode() if named else fhir_type
    found: Json = {"resourceType": fhir_type} if fhir_type else {}
    if known:
        found["id"] = known[1].decode()
    return found | _why(reason, text)


def salvaged(text: bytes) -> Json | None:
    """Return the resource of a text that orjson refuses, with stand-ins for the unreadable records.

    None if the text is not a FHIR JSON object, or is cut off: then nothing in it can be trusted.
    """
    start = len(text) - len(text.lstrip())
    children = _children(text, start)
    if children is None:
        return None
    members = {child.key: child for child in children}
    kind = members.get(b'"resourceType"')
    named = _NAME.fullmatch(text[kind.start : kind.end].strip()) if kind else None
    if named is None:
        return None
    if named[1] not in (b"Bundle", b"OperationOutcome"):
        return stand_in(text[start:], BROKEN)
    if named[1] != b"Bundle" or (entries := members.get(b'"entry"')) is None:
        return None
    at = entries.start + len(text[entries.start :]) - len(text[entries.start :].lstrip())
    listed = _children(text, at) if text[at : at + 1] == b"[" else None
    if listed is None:
        return None
    try:
        bundle: Json = orjson.loads(text[:at] + b"[]" + text[entries.end :])
    except orjson.JSONDecodeError:
        return None
    bundle["entry"] = [_entry(text[item.start : item.end]) for item in listed]
    return bundle


def _entry(text: bytes) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        stripped = text.strip()
        for child in _children(stripped) or ():
            if child.key == b'"resource"':
                stripped = stripped[child.start : child.end].strip()
        return {"resource": stand_in(stripped, BROKEN)}


def _known(record: Mapping[str, Any], reason: str, text: bytes) -> Json:
    found = {name: record[name] for name in ("resourceType", "id") if isinstance(record.get(name), str)}
    return found | _why(reason, text)


def _why(reason: str, text: bytes) -> Json:
    # The digest tells two records without ids apart.
    return {KEY: {"reason": reason, "sha256": hashlib.sha256(text).hexdigest()}}


def _children(text: bytes, start: int = 0) -> list[_Child] | None:
    """Return the members or items of the object or list that begins at `start`; None if its end is missing."""
    if text[start : start + 1] not in (b"{", b"["):
        return None
    found: list[_Child] = []
    depth, begin, key = 0, start + 1, b""
    for token in _TOKEN.finditer(text, start):
        sign = token.group()
        if sign == b'"':
            return None
        if sign in (b"{", b"["):
            depth += 1
        elif sign in (b"}", b"]"):
            depth -= 1
            if not depth:
                if text[begin : token.start()].strip():
                    found.append(_Child(key, begin, token.start()))
                return found
        elif depth == 1 and sign == b",":
            found.append(_Child(key, begin, token.start()))
            begin, key = token.end(), b""
        elif depth == 1 and sign == b":":
            key, begin = text[begin : token.start()].strip(), token.end()
    return None


class Line(NamedTuple):
    """A line of a file: its text, cut off at MAX_BYTES; its whole length; and True if it ended with a newline."""

    text: bytes
    length: int
    ended: bool


def split_lines(pieces: Iterable[bytes]) -> Iterator[Line]:
    """Yield the lines that are not empty; of a line longer than MAX_BYTES, only its beginning."""
    kept, length = bytearray(), 0
    for piece in pieces:
        *ended, rest = piece.split(b"\n")
        for part in ended:
            kept += part[: MAX_BYTES - len(kept)]
            if kept.strip():
                yield Line(bytes(kept), length + len(part), True)
            kept, length = bytearray(), 0
        kept += rest[: MAX_BYTES - len(kept)]
        length += len(rest)
    if kept.strip():
        yield Line(bytes(kept), length, False)


def record_of(line: Line, fhir_type: str, number: int) -> dict[str, Any]:
    """Return the record of a line, or its stand-in; `number` is the line number.

    Raises ServerUnavailable if the line is cut off: the lines after it may be missing.
    """
    text = line.text.strip().removeprefix(BOM)
    if line.length > len(line.text):
        return stand_in(text, too_big(line.length), fhir_type)
    try:
        record = orjson.loads(text)
    except orjson.JSONDecodeError:
        # A last line without a newline may be half a record: then the rest of the file is missing.
        whole = line.ended and text.startswith(b"{")
        if not whole and salvaged(text) is None:
            raise ServerUnavailable(
                f"Line {number} of the export's {fhir_type} file is cut off or damaged.",
                next_step="try again: the file is read from its start.",
            ) from None
        return stand_in(text, BROKEN, fhir_type)
    if isinstance(record, dict):
        return record
    return stand_in(text, NO_OBJECT, fhir_type)
