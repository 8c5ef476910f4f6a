"""A mapping file becomes a Mapping, or one error with every problem of the file."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping as MappingType
from functools import lru_cache
from pathlib import Path as FilePath
from types import MappingProxyType
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml

from ecw import project_files
from ecw.errors import MappingError
from ecw.mapping.definition.crosswalks import POLICIES, Crosswalk, available, load_crosswalks
from ecw.mapping.definition.model import Column, Fallback, Mapping
from ecw.mapping.definition.overlap import overlaps
from ecw.mapping.definition.yaml_positions import Sheet
from ecw.mapping.fhirpath.parse import PathNotUnderstood, parse
from ecw.mapping.fhirpath.paths import Current, First, Index, Member, Path, filling, join
from ecw.mapping.fhirpath.write import writable
from ecw.mapping.values.clean import CLEANERS
from ecw.mapping.values.name_text import TAKES
from ecw.mapping.vocabulary import (
    COLUMN_KEYS,
    FALLBACK_KEYS,
    FILE_KEYS,
    GROUP_KEYS,
    ON_CONFLICT,
    SET_WITH_WORDS,
    SYNC,
    TYPES,
    UPDATE,
)
from ecw.resources import NoPush, no_push
from ecw.settings.did_you_mean import did_you_mean

# Raise it when a change of this package makes other rows of the same file and the same resource.
RULES = 2

_FIX = "fix the lines named above, then run `ecw mapping check`."
# Takes every value as the text that it is, as the rest of this file does.
_AS_TEXT = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
_SQL_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}\Z")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}\Z")
_NESTED = ("constant", "select", "excluded")  # the other words of a file are texts


def mappings_folder(folder: str | os.PathLike[str] | None = None) -> FilePath:
    """Return the folder of the mapping files: the argument, else what ecw.project_files finds.

    Raises MappingError where the folder does not exist.
    """
    found = FilePath(folder) if folder else project_files.folder_of("mappings")
    if found is not None and found.is_dir():
        return found
    raise MappingError(
        f"There is no folder {found or 'include/mappings'} for mapping files.",
        next_step="name the folder that holds them (--folder, ECW_MAPPINGS), or write the project's own with "
        "`ecw init`.",
    )


def mapping_files(folder: str | os.PathLike[str] | None = None) -> list[FilePath]:
    """Return the mapping files by name: those of the folder alone, or those that ecw.project_files finds."""
    found = mappings_folder(folder)
    return sorted(found.glob("*.yaml")) if folder else project_files.files_of("mappings", "*.yaml")


def all_mappings(folder: str | os.PathLike[str] | None = None) -> dict[str, Mapping]:
    """Load every mapping file of the folder, by file name; MappingError tells the problems of all of them."""
    found: dict[str, Mapping] = {}
    problems: list[str] = []
    for path in mapping_files(folder):
        try:
            found[path.stem] = load_mapping(path)
        except MappingError as error:
            problems.append(error.what)
    if problems:
        raise MappingError("\n".join(problems), next_step=_FIX)
    return found


def load_mapping(
    path: str | os.PathLike[str], constants: MappingType[str, str] | None = None, own: FilePath | None = None
) -> Mapping:
    """Load one mapping file with its crosswalks; a name alone, as `patient`, is looked up in the default folder.

    `constants` stand in for the file's own of those names, where practices differ; `own` is a practice's folder, whose
    files and crosswalks stand in for those of the default folder, each by its name.
    Raises MappingError with file, line and column of every problem.
    """
    file = FilePath(path)
    shared = file.parent
    if str(path) == file.stem:
        file = project_files.file_of("mappings", f"{path}.yaml") or mappings_folder() / f"{path}.yaml"
        shared = file.parent
        if own is not None and (own / f"{path}.yaml").is_file():
            file = own / f"{path}.yaml"
        if not file.is_file():
            known = dict.fromkeys(found.stem for found in sorted(file.parent.glob("*.yaml")))
            raise MappingError(
                f"{file.parent} has no mapping file {path!r}; {did_you_mean(str(path), known)}",
                next_step="name a file of that folder, or the path of another with its .yaml.",
            )
    folders = tuple(folder / "crosswalks" for folder in ([shared] if own is None else [own, shared]))
    contents = hashlib.sha256()
    for each in (file, *(found for folder in folders for found in sorted(folder.glob("*")))):
        contents.update(f"{each}\0".encode() + each.read_bytes() if each.is_file() else b"")
    return _load(file, folders, tuple(sorted((constants or {}).items())), contents.digest())


@lru_cache(maxsize=128)
def _load(
    file: FilePath, folders: tuple[FilePath, ...], constants: tuple[tuple[str, str], ...], contents: bytes
) -> Mapping:
    """Load a mapping; every step of a run does, so a process keeps those whose files hold what they held."""
    sheet = Sheet(file)
    if sheet.root is None and not sheet.found:
        sheet.add(1, 1, "the file is empty")
    reading = _Reading(sheet, dict(constants), list(folders))
    mapping = reading.mapping(sheet.root) if sheet.root is not None else None
    if mapping is None:
        problems = sheet.problems + reading.crosswalk_problems
        mistakes = f"{len(problems)} {'mistake' if len(problems) == 1 else 'mistakes'}"
        raise MappingError(f"{mistakes} in {file.name}:\n" + "\n".join(problems) + "\n", next_step=_FIX)
    return mapping


class _Reading:
    """Goes through one file; what it does not understand becomes a problem of the sheet."""

    def __init__(self, sheet: Sheet, instead: MappingType[str, str], folders: list[FilePath]) -> None:
        self.sheet, self.folders = sheet, folders  # of the crosswalks: the first that has one counts
        self.instead = instead
        self.constants: dict[str, str] = {}
        self.columns: dict[str, Column] = {}
        self.nodes: dict[str, yaml.Node] = {}
        self.crosswalk_nodes: dict[str, yaml.Node] = {}
        self.crosswalk_problems: list[str] = []
        self.no_push: NoPush | None = None

    def mapping(self, root: yaml.Node) -> Mapping | None:
        sheet = self.sheet
        keys = self.need(root, FILE_KEYS, "a mapping file", ("resource", "table", "key", "select", "excluded"))
        text = {word: sheet.string(node, word) for word, node in keys.items() if word not in _NESTED}
        for word in ("table", "key"):
            if text.get(word) and not _SQL_NAME.match(text[word]):
                sheet.wrong(keys[word], f"{word} is a name of letters, digits and _, 63 at most")
        if "constant" in keys:
            said = {
                key.value: sheet.string(node, key.value) for key, node in sheet.entries(keys["constant"], "constant")
            }
            self.constants = {name: self.instead.get(name, value) for name, value in said.items()}
        self.no_push = no_push(text.get("resource") or "")
        for group in sheet.items(keys["select"], "select") if "select" in keys else []:
            self.group(group)
        excluded = {
            key.value: sheet.string(node, f"the reason why {key.value} is left out")
            for key, node in (sheet.entries(keys["excluded"], "excluded") if "excluded" in keys else [])
        }
        self.check_key(keys, text.get("key"))
        self.check_time_zone(root, keys.get("time_zone"), text.get("time_zone"))
        for one, other, what in overlaps(self.columns.values()):
            sheet.wrong(
                self.nodes[other.name],
                f"{other.name!r} and {one.name!r} of line {one.line} can write to one place, {what}, where one of them "
                "would be lost: say with write_path which one writes there",
            )
        crosswalks = self.crosswalks()
        if sheet.found or self.crosswalk_problems:
            return None
        return Mapping(
            name=sheet.path.stem,
            resource=text["resource"],
            table=text["table"],
            key=text["key"],
            description=text.get("description", ""),
            columns=tuple(self.columns.values()),
            excluded=MappingProxyType(excluded),
            crosswalks=MappingProxyType(crosswalks),
            constants=MappingProxyType(self.constants),
            time_zone=text.get("time_zone"),
            profile=text.get("profile"),
            file=sheet.path,
            version=_version(sheet.text, self.constants, crosswalks),
        )

    def need(
        self, node: yaml.Node, words: MappingProxyType[str, str], what: str, needed: tuple[str, ...]
    ) -> dict[str, yaml.Node]:
        keys = self.sheet.keys(node, words, what)
        for word in needed:
            if word not in keys and isinstance(node, yaml.MappingNode):
                self.sheet.wrong(node, f"{what} has a `{word}`: {words[word]}")
        return keys

    def group(self, node: yaml.Node) -> None:
        keys = self.need(node, GROUP_KEYS, "a group of columns", ("column",))
        text = ""
        base: Path = ()
        if "forEachOrNull" in keys:
            text = self.sheet.string(keys["forEachOrNull"], "forEachOrNull")
            base = self.path(keys["forEachOrNull"], text, ())
            if base and not isinstance(base[-1], First | Index | Current):
                self.sheet.wrong(
                    keys["forEachOrNull"],
                    "a group starts from one element: end the path in first() or [n], or in current()",
                    len(text),
                )
        columns = self.sheet.items(keys["column"], "column") if "column" in keys else []
        if base and columns:
            base = filling(base, self.first_path(columns[0]))
        for column in columns:
            self.column(column, text, base)

    def first_path(self, node: yaml.Node) -> Path:
        """Return the path of a group's first column, which current() looks for; its mistakes are found later."""
        for key, value in node.value if isinstance(node, yaml.MappingNode) else ():
            if getattr(key, "value", "") == "path" and isinstance(value, yaml.ScalarNode):
                try:
                    return parse(value.value, self.constants, (Member("$this"),))
                except PathNotUnderstood:
                    break
        return ()

    def column(self, node: yaml.Node, group: str, base: Path) -> None:
        sheet = self.sheet
        keys = self.need(node, COLUMN_KEYS, "a column", ("name", "label", "path", "type"))
        text = {
            word: sheet.string(keys[word], word) if word in keys else ""
            for word in ("name", "label", "path", "description", "crosswalk")
        }
        name = text["name"]
        if "name" in keys and not _SQL_NAME.match(name):
            sheet.wrong(keys["name"], "name is a column's name of letters, digits and _, 63 at most")
        if name and name in self.columns:
            sheet.wrong(keys["name"], f"{name!r} is a column already, in line {self.columns[name].line}")
        if text["crosswalk"]:
            self.crosswalk_nodes.setdefault(text["crosswalk"], keys["crosswalk"])
        clean = sheet.strings(keys["clean"], "clean") if "clean" in keys else []
        for item, word in clean:
            sheet.word(item, CLEANERS, "cleaning function") if word else None
        null_if = sheet.strings(keys["null_if"], "null_if") if "null_if" in keys else []
        column = Column(
            name=name,
            label=text["label"],
            path=text["path"],
            steps=self.path(keys["path"], text["path"], base) if text["path"] else (),
            group=group,
            type=self.word(keys, "type", TYPES, "string"),
            description=text["description"],
            required="required" in keys and sheet.boolean(keys["required"], "required"),
            sync=self.word(keys, "sync", SYNC, "pull"),
            on_conflict=self.word(keys, "on_conflict", ON_CONFLICT, "emr"),
            update=self.word(keys, "update", UPDATE, "always"),
            clean=tuple(word for _, word in clean),
            null_if=tuple(word for _, word in null_if),
            to=tuple(word for _, word in sheet.strings(keys["to"], "to")) if "to" in keys else (),
            several=str(keys["several"].value)
            if "several" in keys and sheet.string(keys["several"], "several")
            else "",
            fallback=self.fallback(keys["fallback"], base) if "fallback" in keys else None,
            write_path=self.path(keys["write_path"], sheet.string(keys["write_path"], "write_path"), base)
            if "write_path" in keys
            else (),
            crosswalk=text["crosswalk"] or None,
            set_with=self.set_with(keys["set_with"], base) if "set_with" in keys else (),
            line=node.start_mark.line + 1,
        )
        if column.pushed and self.no_push:
            sheet.wrong(keys["sync"], f"sync {column.sync}: {self.no_push.why}; write pull. {self.no_push.instead}")
        writes = ("write_path", column.write_path) if column.write_path else ("path", column.steps)
        for key, steps in (writes, *(("set_with", steps) for steps, _ in column.set_with)):
            reason = writable(steps) if column.pushed else None
            if reason:
                sheet.wrong(keys[key], f"{key}: sync {column.sync} writes, and {reason}")
        if column.type in ("date", "datetime"):
            for item, word in null_if:
                if word and not _DAY.match(word):
                    sheet.wrong(item, f"null_if of a {column.type} is a day, as in 1899-12-30")
        self.check_words(keys, column)
        if column.crosswalk and column.type in ("boolean", "integer", "decimal"):
            sheet.wrong(
                keys["crosswalk"], "a crosswalk turns a text into a text: the type is code, string or reference"
            )
        if name:
            self.columns.setdefault(name, column)
            self.nodes.setdefault(name, node)

    def check_words(self, keys: dict[str, yaml.Node], column: Column) -> None:
        """Refuse words that mean nothing together."""
        wrong = self.sheet.wrong
        if column.to and column.type != "reference":
            wrong(keys["to"], "to names the types of a reference: the column's type is reference")
        if column.several and not column.concept:
            wrong(keys["several"], "several joins the values of concepts: the column's type is concept")
        if column.concept and column.pushed and not column.crosswalk:
            wrong(keys["type"], "a concept that is pushed needs a crosswalk: a text alone is no code")
        if column.write_path and not column.pushed:
            wrong(keys["write_path"], "write_path is where a push writes, and the column is pulled only")

    def fallback(self, node: yaml.Node, base: Path) -> Fallback | None:
        keys = self.need(node, FALLBACK_KEYS, "a fallback", ("path",))
        if "path" not in keys:
            return None
        text = self.sheet.string(keys["path"], "path")
        take = self.sheet.word(keys["take"], TAKES, "part of a name") if "take" in keys else ""
        return Fallback(text, self.path(keys["path"], text, base), take)

    def set_with(self, node: yaml.Node, base: Path) -> tuple[tuple[Path, str], ...]:
        found = []
        for key, value in self.sheet.entries(node, "set_with"):
            text = self.sheet.string(value, "what is written beside the value")
            if text.startswith("%") and text[1:] not in self.constants:
                self.sheet.word(value, dict.fromkeys(SET_WITH_WORDS), "word of `set_with`")
            found.append((self.path(key, key.value, base), self.constants.get(text[1:], text)))
        return tuple(found)

    def path(self, node: yaml.Node, text: str, base: Path) -> Path:
        try:
            return filling(join(base, parse(text, self.constants, base)))
        except PathNotUnderstood as error:
            self.sheet.wrong(node, f"path: {error}", error.offset)
            return ()

    def word(self, keys: dict[str, yaml.Node], key: str, words: MappingProxyType[str, str], default: str) -> str:
        return self.sheet.word(keys[key], words, key) if key in keys else default

    def check_key(self, keys: dict[str, yaml.Node], key: str | None) -> None:
        if not key or not self.columns:
            return
        column = self.columns.get(key)
        if column is None:
            self.sheet.wrong(keys["key"], f"key: there is no column {key!r}; {did_you_mean(key, self.columns)}")
        elif column.type != "string" or not column.required or not column.pulled or column.crosswalk:
            self.sheet.wrong(keys["key"], f"key: {key!r} is a required string column that is pulled as it is")

    def check_time_zone(self, root: yaml.Node, node: yaml.Node | None, zone: str | None) -> None:
        if node is None:
            if any(column.type in ("date", "datetime") for column in self.columns.values()):
                self.sheet.wrong(root, "date and datetime columns need a `time_zone`, e.g. America/New_York")
            return
        try:
            ZoneInfo(zone or "UTC")
        except (ZoneInfoNotFoundError, ValueError, OSError):
            self.sheet.wrong(node, f"{zone!r} is not a time zone; write it as in America/New_York")

    def crosswalks(self) -> dict[str, Crosswalk]:
        there = {name: folder for folder in reversed(self.folders) for name in available(folder)}
        for name, node in self.crosswalk_nodes.items():
            if name not in there:
                near = did_you_mean(name, dict.fromkeys(sorted(there)))
                self.sheet.wrong(node, f"crosswalk: there is no crosswalks/{name}.csv; {near}")
        found: dict[str, Crosswalk] = {}
        for folder in self.folders:
            names = {name for name in self.crosswalk_nodes if there.get(name) == folder}
            # A practice's own table may leave the policy to that of the default folder.
            policies = next((each for each in (folder, *self.folders) if (each / POLICIES).is_file()), folder)
            some, problems = load_crosswalks(folder, names, policies)
            found |= some
            self.crosswalk_problems += problems
        return {name: found[name] for name in sorted(found)}


def _version(text: str, constants: dict[str, str], crosswalks: dict[str, Crosswalk]) -> str:
    """Hash what the file says, not how: comments and blank lines make no new version."""
    tables = [[c.name, c.lines, c.displays, c.unmapped, c.default] for c in crosswalks.values()]
    said = json.dumps([RULES, yaml.load(text, Loader=_AS_TEXT), constants, tables], sort_keys=True)  # noqa: S506 - it makes only texts
    return hashlib.sha256(said.encode()).hexdigest()[:16]
