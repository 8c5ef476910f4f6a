"""Codes without a crosswalk line: the number of records with them and rejected for them, and the line to add."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import Any

from ecw.mapping.definition.crosswalks import for_spreadsheets
from ecw.mapping.definition.model import Mapping
from ecw.mapping.fhirpath.find import find
from ecw.mapping.transform.concepts import codings_of
from ecw.mapping.transform.to_row import Mapper


@dataclass(slots=True)
class Unmapped:
    """One code of one crosswalk, with eCW's text for it."""

    crosswalk: str
    code: str
    system: str = ""
    display: str = ""
    records: int = 0
    records_rejected: int = 0

    @property
    def line(self) -> str:
        """The line for the crosswalk's file; its value is empty if eCW has no text for the code."""
        text = io.StringIO()
        note = f"seen in {self.records} {'record' if self.records == 1 else 'records'}"
        cells = [self.code, self.display, self.system, note]
        csv.writer(text, lineterminator="").writerow(map(for_spreadsheets, cells))
        return text.getvalue()


class UnmappedCodes:
    """Counts the unmapped codes of resources."""

    def __init__(self, mapping: Mapping) -> None:
        self.mapper = Mapper(mapping)
        self.columns = [column for column in mapping.pulled if column.crosswalk]
        self.found: dict[tuple[str, str], Unmapped] = {}

    def add(self, resource: dict[str, Any]) -> None:
        mapped = self.mapper.row(resource)
        for name, code in dict.fromkeys(mapped.unmapped):
            entry = self.found.setdefault((name, code), Unmapped(name, code))
            entry.records += 1
            entry.records_rejected += any(problem.rule == "unmapped code" for problem in mapped.problems) and (
                self.mapper.mapping.crosswalks[name].unmapped == "reject"
            )
            if not entry.display:
                self.describe(entry, resource)

    def describe(self, entry: Unmapped, resource: dict[str, Any]) -> None:
        """Set the entry's display and system from the elements beside the code."""
        for column in self.columns:
            if column.crosswalk != entry.crosswalk:
                continue
            for slot in find(resource, column.steps):
                if column.concept:
                    coding = next((one for one in codings_of(slot.value) if one.get("code") == entry.code), None)
                    if coding is not None:
                        entry.display = str(coding.get("display") or "")
                        entry.system = str(coding.get("system") or "")
                        return
                    continue
                holder = slot.holder
                if isinstance(holder, dict) and str(slot.value).endswith(entry.code):
                    entry.display = str(holder.get("display") or "")
                    entry.system = str(holder.get("system") or "") if "code" in holder else ""
                    return

    def worst_first(self) -> list[Unmapped]:
        return sorted(self.found.values(), key=lambda entry: (-entry.records_rejected, -entry.records, entry.code))
