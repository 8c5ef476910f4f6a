"""YAML that remembers where each value stands, so that a mistake is reported with file, line and column."""

from __future__ import annotations

from collections.abc import Mapping as MappingType
from pathlib import Path
from typing import Any

import yaml

from ecw.errors import MappingError
from ecw.settings.did_you_mean import did_you_mean

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # fifteen times as fast, where PyYAML was built with libyaml


def composed(path: Path) -> tuple[str, yaml.Node | None, tuple[int, int, str] | None]:
    """Return a file's text and its node, or line, column (from 1) and problem where it is not YAML.

    Raises MappingError where it cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise MappingError(
            f"{path} cannot be read: {type(error).__name__}.",
            next_step="put the file there, readable and in UTF-8, or name the right one.",
        ) from None
    try:
        return text, yaml.compose(text, Loader=_LOADER), None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        return text, None, (line, column, f"is not YAML: {error.problem}")
    except yaml.YAMLError:
        return text, None, (1, 1, "is not YAML")


class Sheet:
    """One YAML file being read; it collects every problem that its reader notes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.found: list[tuple[int, int, str]] = []
        self.text, self.root, trouble = composed(path)
        self.lines = self.text.splitlines()
        if trouble:
            self.add(*trouble)

    def add(self, line: int, column: int, problem: str) -> None:
        self.found.append((line, column, problem))

    @property
    def problems(self) -> list[str]:
        """The problems found so far, in the order of the file, each with the file, the line and the column."""
        return [f"{self.path}:{line}:{column}: {problem}" for line, column, problem in sorted(self.found)]

    def wrong(self, node: yaml.Node, problem: str, offset: int = 0) -> None:
        """Note a problem of the node; `offset` counts characters into its text."""
        self.add(*self.place(node, offset), problem)

    def place(self, node: yaml.Node, offset: int) -> tuple[int, int]:
        """Return line and column, both from 1, of a character of a scalar that may be folded over lines."""
        line, column = node.start_mark.line, node.start_mark.column
        style = getattr(node, "style", None)
        if style in ("|", ">"):
            line, column = line + 1, 0
        elif style in ("'", '"'):
            column += 1
        while line < node.end_mark.line and line < len(self.lines):
            piece = self.lines[line][column:]
            indent = len(piece) - len(piece.lstrip())
            length = len(piece.strip())
            if offset <= length:
                return line + 1, column + indent + offset + 1
            offset -= length + 1  # the line break became a space
            line, column = line + 1, 0
        indent = len(self.lines[line]) - len(self.lines[line].lstrip()) if column == 0 and line < len(self.lines) else 0
        return line + 1, column + indent + offset + 1

    def keys(self, node: yaml.Node, words: MappingType[str, Any], what: str) -> dict[str, yaml.Node]:
        """Return the entries of a mapping whose keys are words of the vocabulary; note the others."""
        found: dict[str, yaml.Node] = {}
        for key, value in self.entries(node, what):
            if key.value not in words:
                self.wrong(key, f"{key.value!r} is no word of {what}; {did_you_mean(key.value, words)}")
            else:
                found[key.value] = value
        return found

    def entries(self, node: yaml.Node, what: str) -> list[tuple[yaml.ScalarNode, yaml.Node]]:
        """Return the pairs of a mapping, in order; note a key that is not a text or comes again."""
        if not isinstance(node, yaml.MappingNode):
            self.wrong(node, f"{what} is a list of `key: value` lines")
            return []
        found: dict[str, tuple[yaml.ScalarNode, yaml.Node]] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self.wrong(key, f"a key of {what} is a text")
            elif key.value in found:
                self.wrong(key, f"{key.value!r} is said twice")
            else:
                found[key.value] = (key, value)
        return list(found.values())

    def items(self, node: yaml.Node, what: str) -> list[yaml.Node]:
        """Return the items of a sequence."""
        if not isinstance(node, yaml.SequenceNode):
            self.wrong(node, f"{what} is a list, each item after a dash")
            return []
        return list(node.value)

    def string(self, node: yaml.Node, what: str) -> str:
        """Return the text of a scalar as it was written."""
        if not isinstance(node, yaml.ScalarNode) or not node.value.strip():
            self.wrong(node, f"{what} is a text")
            return ""
        return str(node.value).strip()

    def strings(self, node: yaml.Node, what: str) -> list[tuple[yaml.Node, str]]:
        """Return the texts of a list, or of one text, each with its node."""
        nodes = [node] if isinstance(node, yaml.ScalarNode) else self.items(node, what)
        return [(item, self.string(item, what)) for item in nodes]

    def boolean(self, node: yaml.Node, what: str) -> bool:
        if isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:bool":
            return str(node.value).lower() in ("true", "yes", "on")
        self.wrong(node, f"{what} is true or false")
        return False

    def word(self, node: yaml.Node, words: MappingType[str, Any], what: str) -> str:
        """Return a scalar that must be one of the words."""
        text = self.string(node, what)
        if text and text not in words:
            self.wrong(node, f"{text!r} is no {what}; {did_you_mean(text, words)}")
        return text
