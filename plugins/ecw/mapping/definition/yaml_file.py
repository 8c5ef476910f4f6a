"""Read YAML with a pydantic model; report every mistake with file, line, column, key and "did you mean"."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar, get_args

import yaml

from ecw.did_you_mean import did_you_mean
from ecw.errors import MappingError

if TYPE_CHECKING:
    from pydantic import BaseModel

Model = TypeVar("Model", bound="BaseModel")
Place = tuple[str | int, ...]
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # fifteen times as fast, if PyYAML was built with libyaml
# The plain scalars of YAML 1.2: `no` is not false, postal codes are not octal numbers, and dates stay texts.
_INT = re.compile(r"[-+]?(0|[1-9][0-9]*)\Z")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z")
_WORDS: MappingProxyType[str, Any] = MappingProxyType(
    {"true": True, "True": True, "false": False, "False": False, "null": None, "~": None, "": None}
)
# pydantic's error types as messages for the person who edits the file.
_PROBLEMS = MappingProxyType(
    {
        "list_type": "must be a list, each item after a dash",
        "tuple_type": "must be a list, each item after a dash",
        "dict_type": "must be a list of `key: value` lines",
        "model_type": "must be a list of `key: value` lines",
        "string_type": "must be a text",
        "string_too_short": "must be a text",
        "bool_type": "must be true or false",
        "bool_parsing": "must be true or false",
        "float_type": "must be a number",
        "float_parsing": "must be a number",
        "int_type": "must be a whole number",
        "int_parsing": "must be a whole number",
        "int_from_float": "must be a whole number",
    }
)


class YamlFile:
    """One YAML file, with the problems found in it.

    `scalar` converts a scalar to a value: `as_text` or `as_value`. Raises MappingError if the file cannot be read.
    """

    def __init__(self, path: Path, scalar: Callable[[yaml.ScalarNode], Any]) -> None:
        self.path = path
        self._found: list[tuple[int, int, str]] = []
        self.text = _text(path)
        self.root = self._composed()
        if self.root is None and not self._found:
            self._add(0, 0, "the file is empty")
        try:
            self.content = None if self.root is None else self._plain(self.root, scalar)
        except RecursionError:
            self.root = self.content = None
            self._add(0, 0, "an anchor contains itself")

    @property
    def problems(self) -> list[str]:
        """The problems found so far, in the order of the file, each with the file, the line and the column."""
        return [f"{self.path}:{line}:{column}: {problem}" for line, column, problem in sorted(set(self._found))]

    def read(self, model: type[Model], place: Place = ()) -> Model | None:
        """Return the content at a place as a model; None if there is none, or if it has problems."""
        from pydantic import ValidationError

        if self.root is None:
            return None
        content: Any = self.content
        try:
            for part in place:
                content = content[part]
        except (LookupError, TypeError):
            return None
        try:
            return model.model_validate(content)
        except ValidationError as error:
            for one in error.errors(include_url=False):
                self._translate(one, model, place)
            return None

    def wrong(self, place: Sequence[str | int], problem: str, *, key: bool = False, offset: int = 0) -> None:
        """Add a problem of the value at a place, or of its key; `offset` is a position in its text, in characters."""
        found, value = self._nodes(place)
        if key and found is not None:
            self._add(found.start_mark.line, found.start_mark.column, problem)
        elif value is not None:
            self._add(*self._point(value, offset), problem)

    def places(self, place: Place) -> list[Place]:
        """Return the place of each item of the list at a place; empty if there is no list."""
        _, value = self._nodes(place)
        return [(*place, at) for at in range(len(value.value))] if isinstance(value, yaml.SequenceNode) else []

    def line(self, place: Sequence[str | int]) -> int:
        """Return the line, from 1, in which a value begins."""
        _, value = self._nodes(place)
        return value.start_mark.line + 1 if value is not None else 1

    def _add(self, line: int, column: int, problem: str) -> None:
        self._found.append((line + 1, column + 1, problem))

    def _composed(self) -> yaml.Node | None:
        try:
            root: yaml.Node | None = yaml.compose(self.text, Loader=_LOADER)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            self._add(mark.line if mark else 0, mark.column if mark else 0, f"is not YAML: {error.problem}")
            return None
        except yaml.YAMLError:
            self._add(0, 0, "is not YAML")
            return None
        return root

    def _translate(self, error: Any, model: type[BaseModel], above: Place) -> None:
        """Add a problem for one error of pydantic."""
        place, kind, value = (*above, *error["loc"]), error["type"], error["input"]
        name = next((part for part in reversed(place) if isinstance(part, str)), "the file")
        if kind == "extra_forbidden":
            known = _model_at(model, error["loc"][:-1])
            self.wrong(place, f"{name!r} is not a key here; {did_you_mean(name, _keys(known))}", key=True)
        elif kind == "missing":
            meaning = _keys(_model_at(model, error["loc"][:-1]))[name]
            self.wrong(place[:-1], f"the key {name!r} is missing{f': {meaning}' if meaning else ''}")
        elif kind == "literal_error":
            words = re.findall(r"'([^']+)'", error["ctx"]["expected"])
            self.wrong(place, f"{value!r} is not a value of {name}; {did_you_mean(str(value), words)}")
        elif kind == "value_error":
            self.wrong(place, str(error["ctx"]["error"]))
        else:
            self.wrong(place, f"{name} {_PROBLEMS.get(kind, error['msg'].lower())}")

    def _plain(self, node: yaml.Node, scalar: Callable[[yaml.ScalarNode], Any]) -> Any:
        if isinstance(node, yaml.ScalarNode):
            return scalar(node)
        if isinstance(node, yaml.SequenceNode):
            return [self._plain(item, scalar) for item in node.value]
        found: dict[str, Any] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self._add(key.start_mark.line, key.start_mark.column, "a key must be a text")
            elif key.value in found:
                self._add(key.start_mark.line, key.start_mark.column, f"the key {key.value!r} occurs twice")
            else:
                found[key.value] = self._plain(value, scalar)
        return found

    def _nodes(self, place: Sequence[str | int]) -> tuple[yaml.Node | None, yaml.Node | None]:
        """Return the nodes of the key and the value at a place; parts without a node (a union's branch) are skipped."""
        key, value = None, self.root
        for part in place:
            if isinstance(value, yaml.SequenceNode) and isinstance(part, int) and part < len(value.value):
                key, value = None, value.value[part]
            elif isinstance(value, yaml.MappingNode):
                pairs = [pair for pair in value.value if pair[0].value == part]
                if pairs:
                    key, value = pairs[0]
        return key, value

    def _point(self, node: yaml.Node, offset: int) -> tuple[int, int]:
        """Return line and column, both from 0, of a character of a scalar that may be folded over lines."""
        line, column = node.start_mark.line, node.start_mark.column
        style = getattr(node, "style", None)
        lines = self.text.splitlines()
        if offset and style in ("|", ">"):
            line, column = line + 1, 0
        elif offset and style in ("'", '"'):
            column += 1
        while line < len(lines):
            piece = lines[line][column:]
            indent = len(piece) - len(piece.lstrip()) if column == 0 else 0
            if offset <= len(piece.strip()) or line >= node.end_mark.line:
                return line, column + indent + offset
            offset -= len(piece.strip()) + 1  # YAML folds the line break into a space
            line, column = line + 1, 0
        return line, column


def as_text(node: yaml.ScalarNode) -> str:
    """Return a scalar as text."""
    return str(node.value)


def as_value(node: yaml.ScalarNode) -> Any:
    """Return a scalar as YAML 1.2 reads it: text, number, true, false, null; a date is a text."""
    text = str(node.value)
    if node.style:  # quoted
        return text
    if text in _WORDS:
        return _WORDS[text]
    if _INT.match(text):
        return int(text)
    return float(text) if _FLOAT.match(text) else text


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise MappingError(
            f"{path} cannot be read: {type(error).__name__}.",
            next_step="make the file readable and UTF-8, or name another one.",
        ) from None


def _model_at(model: type[BaseModel], place: Place) -> type[BaseModel]:
    """Return the model at a place within a model."""
    found = model
    for part in place:
        if isinstance(part, str) and part in found.model_fields:
            found = _model_in(found.model_fields[part].annotation) or found
    return found


def _keys(model: type[BaseModel]) -> dict[str, str]:
    """Return the keys of a model, each with its description."""
    return {field.alias or name: field.description or "" for name, field in model.model_fields.items()}


def _model_in(annotation: Any) -> Any:
    if hasattr(annotation, "model_fields"):
        return annotation
    return next((found for each in get_args(annotation) if (found := _model_in(each)) is not None), None)
