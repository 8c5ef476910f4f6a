"""Read the one record for a command: from a JSON file, a line of NDJSON, or standard input."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import orjson

from ecw.errors import ConfigurationError


def read_record(source: str, line: int) -> dict[str, Any]:
    """Return the JSON object of a file, or of standard input if the source is "-"; `line` is the NDJSON line, from 1.

    Raises ConfigurationError if the file cannot be read or has no such object.
    """
    try:
        text = sys.stdin.buffer.read() if source == "-" else Path(source).read_bytes()
    except OSError as error:
        raise ConfigurationError(
            f"{source} cannot be read: {type(error).__name__}.", next_step="name a JSON file, or - for standard input."
        ) from None
    lines = text.splitlines()
    for candidate in (text if line == 1 else b"", lines[line - 1] if 0 < line <= len(lines) else b""):
        try:
            found = orjson.loads(candidate)
        except orjson.JSONDecodeError:
            continue
        if isinstance(found, dict):
            return found
    raise ConfigurationError(
        f"{source} holds no JSON object{f' in line {line}' if line != 1 else ''}.",
        next_step="name a JSON file with one record, or an NDJSON file with one in each line.",
    )
