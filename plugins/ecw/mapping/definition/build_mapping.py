"""Build a Mapping from a mapping file, and check the rules that involve several keys.

ecw.mapping.definition.mapping_file defines and checks the single keys.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping as MappingType
from pathlib import Path as FilePath
from types import MappingProxyType
from typing import Any

from ecw.did_you_mean import did_you_mean
from ecw.mapping.definition.crosswalks import POLICIES, Crosswalk, available, load_crosswalks
from ecw.mapping.definition.mapping_file import ColumnEntry, Constants, GroupEntry, MappingFile
from ecw.mapping.definition.model import Column, Fallback, Mapping
from ecw.mapping.definition.overlap import overlaps
from ecw.mapping.definition.yaml_file import Place, YamlFile, as_text
from ecw.mapping.fhirpath.parse import PathNotUnderstood, parse
from ecw.mapping.fhirpath.paths import Current, First, Index, Member, Path, filling, join
from ecw.mapping.fhirpath.write import writable
from ecw.mapping.vocabulary import SET_WITH_WORDS
from ecw.resources import NoPush, no_push

# Increase it when a change of this package makes different rows from the same file and the same resource.
RULES = 2

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}\Z")


def build_mapping(
    path: FilePath, instead: MappingType[str, str], crosswalk_folders: list[FilePath]
) -> tuple[Mapping | None, list[str]]:
    """Return a file's mapping and no problems, or None and every problem of the file and its crosswalks.

    Each problem has its file and line. `instead` are constants that replace the file's own. A crosswalk is read from
    the first of the folders that has it.
    """
    building = _Building(YamlFile(path, as_text), instead, crosswalk_folders)
    mapping = building.mapping()
    return mapping, building.file.problems + building.crosswalk_problems


class _Building:
    """Reads one file part by part and adds each mistake to the problems of the file."""

    def __init__(self, file: YamlFile, instead: MappingType[str, str], folders: list[FilePath]) -> None:
        self.file, self.folders = file, folders
        own = file.read(Constants, ("constant",))
        self.constants = {name: instead.get(name, value) for name, value in own.root.items()} if own else {}
        self.columns: dict[str, Column] = {}
        self.places: dict[str, Place] = {}
        self.crosswalk_places: dict[str, Place] = {}
        self.crosswalk_problems: list[str] = []
        self.no_push: NoPush | None = None

    def mapping(self) -> Mapping | None:
        head = self.file.read(MappingFile)
        self.no_push = no_push(head.resource) if head else None
        for place in self.file.places(("select",)):
            self.group(place)
        if head and not self.file.problems:
            self.check_key(head.key)
            self.check_time_zone(head.time_zone)
        self.check_overlaps()
        crosswalks = self.crosswalks()
        if head is None or self.file.problems or self.crosswalk_problems:
            return None
        return Mapping(
            name=self.file.path.stem,
            resource=head.resource,
            table=head.table,
            key=head.key,
            description=head.description,
            columns=tuple(self.columns.values()),
            excluded=MappingProxyType(head.excluded),
            crosswalks=MappingProxyType(crosswalks),
            constants=MappingProxyType(self.constants),
            time_zone=head.time_zone,
            profile=head.profile,
            file=self.file.path,
            version=_version(self.file.content, self.constants, crosswalks),
        )

    def group(self, place: Place) -> None:
        group = self.file.read(GroupEntry, place)
        if group is None:
            return
        base = self.path((*place, "forEachOrNull"), group.for_each, ()) if group.for_each else ()
        if base and not isinstance(base[-1], First | Index | Current):
            self.file.wrong(
                (*place, "forEachOrNull"),
                "a group starts from one element: end the path in first() or [n], or in current()",
                offset=len(group.for_each),
            )
        if base and group.column:
            base = filling(base, self.first_path(group.column[0]))
        for at in self.file.places((*place, "column")):
            if (entry := self.file.read(ColumnEntry, at)) is not None:
                self.column(at, entry, group.for_each, base)

    def first_path(self, column: Any) -> Path:
        """Return the path of a group's first column, which current() must fill; `column` reports its mistakes."""
        text = column.get("path") if isinstance(column, dict) else None
        try:
            return parse(text, self.constants, (Member("$this"),)) if isinstance(text, str) else ()
        except PathNotUnderstood:
            return ()

    def column(self, place: Place, entry: ColumnEntry, group: str, base: Path) -> None:
        if entry.name in self.columns:
            line = self.columns[entry.name].line
            self.file.wrong((*place, "name"), f"{entry.name!r} is a column already, in line {line}")
        if entry.crosswalk:
            self.crosswalk_places.setdefault(entry.crosswalk, (*place, "crosswalk"))
        same = ("name", "label", "type", "description", "required", "sync", "on_conflict", "update", "clean")
        column = Column(
            **{key: getattr(entry, key) for key in (*same, "null_if", "to", "several", "crosswalk")},
            path=entry.path,
            steps=self.path((*place, "path"), entry.path, base),
            group=group,
            fallback=self.fallback(place, entry, base),
            write_path=self.path((*place, "write_path"), entry.write_path, base) if entry.write_path else (),
            set_with=self.set_with((*place, "set_with"), entry.set_with, base),
            line=self.file.line(place),
        )
        self.check_column(place, column)
        self.columns.setdefault(column.name, column)
        self.places.setdefault(column.name, place)

    def fallback(self, place: Place, entry: ColumnEntry, base: Path) -> Fallback | None:
        if entry.fallback is None:
            return None
        text = entry.fallback.path
        return Fallback(text, self.path((*place, "fallback", "path"), text, base), entry.fallback.take or "")

    def set_with(self, place: Place, entry: dict[str, str], base: Path) -> tuple[tuple[Path, str], ...]:
        found = []
        for path, text in entry.items():
            if text.startswith("%") and text[1:] not in self.constants and text not in SET_WITH_WORDS:
                self.file.wrong(
                    (*place, path), f"{text!r} is not a value of set_with; {did_you_mean(text, SET_WITH_WORDS)}"
                )
            found.append((self.path((*place, path), path, base, key=True), self.constants.get(text[1:], text)))
        return tuple(found)

    def path(self, place: Place, text: str, base: Path, *, key: bool = False) -> Path:
        try:
            return filling(join(base, parse(text, self.constants, base)))
        except PathNotUnderstood as error:
            self.file.wrong(place, f"path: {error}", key=key, offset=error.offset)
            return ()

    def check_column(self, place: Place, column: Column) -> None:
        """Report keys that contradict each other."""

        def wrong(key: str, problem: str) -> None:
            self.file.wrong((*place, key), problem)

        if column.pushed and self.no_push:
            wrong("sync", f"sync {column.sync}: {self.no_push.why}; write pull. {self.no_push.instead}")
        writes = ("write_path", column.write_path) if column.write_path else ("path", column.steps)
        for key, steps in (writes, *(("set_with", steps) for steps, _ in column.set_with)):
            if column.pushed and (reason := writable(steps)):
                wrong(key, f"{key}: sync {column.sync} writes, and {reason}")
        if column.type in ("date", "datetime"):
            for at, word in enumerate(column.null_if):
                if not _DAY.match(word):
                    self.file.wrong((*place, "null_if", at), f"null_if of a {column.type} is a day, as in 1899-12-30")
        if column.to and column.type != "reference":
            wrong("to", "to names the types of a reference: the column's type must be reference")
        if column.several and not column.concept:
            wrong("several", "several joins the values of concepts: the column's type must be concept")
        if column.concept and column.pushed and not column.crosswalk:
            wrong("type", "a concept that is pushed needs a crosswalk: a text alone is not a code")
        if column.write_path and not column.pushed:
            wrong("write_path", "write_path is where a push writes, and the column is pulled only")
        if column.crosswalk and column.type in ("boolean", "integer", "decimal"):
            wrong("crosswalk", "a crosswalk translates a text into a text: the type must be code, string or reference")

    def check_key(self, key: str) -> None:
        column = self.columns.get(key)
        if column is None:
            self.file.wrong(("key",), f"key: there is no column {key!r}; {did_you_mean(key, self.columns)}")
        elif column.type != "string" or not column.required or not column.pulled or column.crosswalk:
            self.file.wrong(
                ("key",), f"key: {key!r} must be a required string column that is pulled without a crosswalk"
            )

    def check_time_zone(self, zone: str | None) -> None:
        if zone is None and any(column.type in ("date", "datetime") for column in self.columns.values()):
            self.file.wrong((), "date and datetime columns need a `time_zone`, e.g. America/New_York")

    def check_overlaps(self) -> None:
        for one, other, what in overlaps(self.columns.values()):
            self.file.wrong(
                self.places[other.name],
                f"{other.name!r} and {one.name!r} of line {one.line} can write to the same place, {what}; one of the "
                "values would be lost: choose with write_path which one writes there",
            )

    def crosswalks(self) -> dict[str, Crosswalk]:
        folder_of = {name: folder for folder in reversed(self.folders) for name in available(folder)}
        for name, place in self.crosswalk_places.items():
            if name not in folder_of:
                near = did_you_mean(name, dict.fromkeys(sorted(folder_of)))
                self.file.wrong(place, f"crosswalk: there is no crosswalks/{name}.csv; {near}")
        found: dict[str, Crosswalk] = {}
        for folder in self.folders:
            names = {name for name in self.crosswalk_places if folder_of.get(name) == folder}
            # A practice's folder without policies.yaml uses the policies of the default folder.
            policies = next((each for each in (folder, *self.folders) if (each / POLICIES).is_file()), folder)
            some, problems = load_crosswalks(folder, names, policies)
            found |= some
            self.crosswalk_problems += problems
        return {name: found[name] for name in sorted(found)}


def _version(content: Any, constants: dict[str, str], crosswalks: dict[str, Crosswalk]) -> str:
    """Return a hash of the content: comments and blank lines do not change it."""
    tables = [[c.name, c.lines, c.displays, c.unmapped, c.default] for c in crosswalks.values()]
    text = json.dumps([RULES, content, constants, tables], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
