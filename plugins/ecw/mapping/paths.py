"""The FHIRPath subset of mapping files: one that can be read and written.

    name.family                                   a member
    given[0]                                      an index
    first()                                       the first of several
    telecom.where(system='phone' and use.empty()) a filter: `=` a literal, empty(), exists(), joined by `and`
    extension('http://…')                         the extension of that URL
    value.ofType(Coding)                          a polymorphic element of one type; `value` alone reads any
    name.text | id                                a union: the first that has a value
    %name                                         a constant of the mapping file

https://hl7.org/fhirpath/ has the whole language; what a path means here, it means there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping as MappingType
from dataclasses import dataclass
from difflib import get_close_matches
from typing import NoReturn, TypeAlias

Literal: TypeAlias = str | bool | int
Path: TypeAlias = "tuple[Step, ...]"


@dataclass(frozen=True, slots=True)
class Member:
    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Choice:
    """A polymorphic element (`value[x]`): of one type, or of whatever type it comes in."""

    name: str
    type: str | None

    def __str__(self) -> str:
        return f"{self.name}.ofType({self.type})" if self.type else self.name

    @property
    def keys(self) -> tuple[str, ...]:
        """The JSON keys it can have, e.g. `deceasedBoolean`."""
        types = (self.type,) if self.type else CHOICE_TYPES
        return tuple(f"{self.name}{kind[0].upper()}{kind[1:]}" for kind in types)


@dataclass(frozen=True, slots=True)
class Index:
    at: int

    def __str__(self) -> str:
        return f"[{self.at}]"


@dataclass(frozen=True, slots=True)
class First:
    def __str__(self) -> str:
        return "first()"


@dataclass(frozen=True, slots=True)
class Equals:
    path: Path
    literal: Literal

    def __str__(self) -> str:
        return f"{show(self.path)} = {_show_literal(self.literal)}"


@dataclass(frozen=True, slots=True)
class Presence:
    path: Path
    present: bool

    def __str__(self) -> str:
        return f"{show(self.path)}.{'exists' if self.present else 'empty'}()"


Test: TypeAlias = Equals | Presence


@dataclass(frozen=True, slots=True)
class Where:
    tests: tuple[Test, ...]

    def __str__(self) -> str:
        return f"where({' and '.join(str(test) for test in self.tests)})"


@dataclass(frozen=True, slots=True)
class Extension:
    url: str

    def __str__(self) -> str:
        return f"extension({_show_literal(self.url)})"


@dataclass(frozen=True, slots=True)
class Union:
    branches: tuple[Path, ...]

    def __str__(self) -> str:
        return f"({' | '.join(show(branch) for branch in self.branches)})"


Step: TypeAlias = Member | Choice | Index | First | Where | Extension | Union

# Extension.value[x] of R4, in the order in which a server is likely to use them. https://hl7.org/fhir/R4/extensibility.html
CHOICE_TYPES = (  # fmt: skip
    "string", "code", "boolean", "Coding", "CodeableConcept", "Reference", "dateTime", "date", "integer",
    "decimal", "Identifier", "Period", "Quantity", "Address", "HumanName", "ContactPoint", "uri", "url",
    "canonical", "oid", "uuid", "id", "markdown", "instant", "time", "positiveInt", "unsignedInt",
    "base64Binary", "Age", "Annotation", "Attachment", "Count", "Distance", "Duration", "Money", "Range",
    "Ratio", "SampledData", "Signature", "Timing", "ContactDetail", "Contributor", "DataRequirement",
    "Expression", "ParameterDefinition", "RelatedArtifact", "TriggerDefinition", "UsageContext", "Dosage",
    "Meta",
)  # fmt: skip
# The polymorphic elements of the five resources, with the step they follow ("" for the resource itself).
CHOICES = {("", "deceased"), ("", "multipleBirth"), ("extension", "value"), ("costToBeneficiary", "value")}

FUNCTIONS = {
    "where": "where(a='x' and b.empty())",
    "first": "first()",
    "extension": "extension('url')",
    "ofType": "ofType(Type)",
}
TESTS = {"empty": "empty()", "exists": "exists()"}
NEAREST = {
    "last": "[n] or first()",
    "single": "first()",
    "take": "first()",
    "skip": "[n]",
    "tail": "[n]",
    "not": "empty()",
    "as": "ofType(Type)",
    "is": "ofType(Type)",
    "or": "a union: a.where(…) | a.where(…)",
    "xor": "and",
    "union": "|",
    "combine": "|",
    "select": "a member: a.b",
    "resolve": "a column of type reference",
    "all": "exists()",
    "any": "exists()",
    "!=": "=",
    "~": "=",
    "!~": "=",
    ">": "=",
    "<": "=",
    ">=": "=",
    "<=": "=",
    "&": "|",
    "+": "|",
    "in": "= with one literal, and a union",
    "{": "empty()",
    '"': "'text' in single quotes",
    "'": "'text' with its closing quote",
}
_TOKEN = re.compile(
    r"(?P<space>\s+)"
    r"|(?P<string>'(?:[^'\\]|\\.)*')"
    r"|(?P<number>\d+)"
    r"|(?P<constant>%[A-Za-z_]\w*)"
    r"|(?P<name>[A-Za-z_]\w*)"
    r"|(?P<sign>!=|!~|>=|<=|.)",
    re.DOTALL,
)


class PathNotUnderstood(ValueError):
    """A path outside the subset: where, what, and the nearest thing that is in it."""

    def __init__(self, offset: int, what: str, nearest: str) -> None:
        self.offset = offset
        self.what = what
        self.nearest = nearest
        super().__init__(f"{what}; the nearest that a path can say is {nearest}")


def parse(text: str, constants: MappingType[str, str] | None = None, base: Path = ()) -> Path:
    """Turn a path's text into steps, as they continue from `base`.

    Raises PathNotUnderstood with the offset in `text`.
    """
    parser = _Parser(text, constants or {})
    path = parser.expression(base)
    kind, piece, offset = parser.now
    if kind != "end":
        parser.refuse(piece, offset)
    return path


def join(base: Path, path: Path) -> Path:
    """Let `path` continue from `base`; a union's branches each do."""
    if base and path and isinstance(path[0], Union):
        return (Union(tuple(join(base, branch) for branch in path[0].branches)), *path[1:])
    return base + path


def show(path: Path) -> str:
    """Write the path as FHIRPath again."""
    text = ""
    for step in path:
        text += str(step) if isinstance(step, Index) or not text else f".{step}"
    return text


def _show_literal(literal: Literal) -> str:
    if isinstance(literal, bool):
        return "true" if literal else "false"
    return str(literal) if isinstance(literal, int) else "'" + literal.replace("\\", "\\\\").replace("'", "\\'") + "'"


class _Parser:
    """Recursive descent over the tokens; `now` is (kind, piece, offset)."""

    def __init__(self, text: str, constants: MappingType[str, str]) -> None:
        found = [(m.lastgroup or "", m.group(), m.start()) for m in _TOKEN.finditer(text)]
        self.tokens = [token for token in found if token[0] != "space"] + [("end", "", len(text))]
        self.at = 0
        self.constants = constants

    @property
    def now(self) -> tuple[str, str, int]:
        return self.tokens[self.at]

    def take(self, piece: str) -> bool:
        if self.now[1] != piece or self.now[0] not in ("sign", "name"):
            return False
        self.at += 1
        return True

    def need(self, piece: str) -> None:
        if not self.take(piece):
            self.refuse(self.now[1], self.now[2], f"{piece!r}")

    def refuse(self, piece: str, offset: int, nearest: str | None = None) -> NoReturn:
        if nearest is None:
            known = [*FUNCTIONS, *TESTS]
            near = get_close_matches(piece, known, n=1)
            nearest = NEAREST.get(piece) or ({**FUNCTIONS, **TESTS}[near[0]] if near else ", ".join(FUNCTIONS.values()))
        raise PathNotUnderstood(offset, f"{piece!r} is not understood" if piece else "the path ends too early", nearest)

    def expression(self, base: Path) -> Path:
        branches = [self.chain(base)]
        while self.take("|"):
            branches.append(self.chain(base))
        return branches[0] if len(branches) == 1 else (Union(tuple(branches)),)

    def chain(self, base: Path) -> Path:
        if self.take("("):
            path = self.expression(base)
            self.need(")")
        else:
            path = self.step((), base)
        while True:
            if self.take("["):
                path = (*path, Index(self.number()))
                self.need("]")
            elif self.now[1] == "." and self.tokens[self.at + 1][1] not in TESTS:
                self.at += 1
                path = self.step(path, base)
            else:
                return path

    def step(self, path: Path, base: Path) -> Path:
        """Read one member or function and return the path with it."""
        kind, piece, offset = self.now
        if kind != "name":
            self.refuse(piece, offset, None if kind == "sign" else "an element's name")
        self.at += 1
        if not self.take("("):
            return (*path, _member(piece, path or base))
        step: Step
        if piece == "first":
            step = First()
        elif piece == "where":
            step = Where(self.tests())
        elif piece == "extension":
            url = self.literal()
            step = Extension(str(url))
        elif piece == "ofType":
            last = path[-1] if path else None
            if not isinstance(last, Member | Choice):
                self.refuse(piece, offset, "value.ofType(Type), after an element's name")
            path, step = path[:-1], Choice(last.name, self.name())
        else:
            self.refuse(piece, offset)
        self.need(")")
        return (*path, step)

    def tests(self) -> tuple[Test, ...]:
        tests = [self.test()]
        while self.take("and"):
            tests.append(self.test())
        return tuple(tests)

    def test(self) -> Test:
        path = self.chain((Member("$this"),))  # not the resource's own level
        if self.take("."):
            present = self.name() == "exists"
            self.need("(")
            self.need(")")
            return Presence(path, present)
        if not self.take("="):
            self.refuse(self.now[1], self.now[2], NEAREST.get(self.now[1], "a='x', a.empty() or a.exists()"))
        return Equals(path, self.literal())

    def literal(self) -> Literal:
        kind, piece, offset = self.now
        if kind not in ("string", "number", "constant") and piece not in ("true", "false"):
            self.refuse(piece, offset, NEAREST.get(piece, "a literal: 'text', true, false or a number"))
        self.at += 1
        if kind == "constant":
            return self.constant(piece[1:], offset)
        if kind == "number":
            return int(piece)
        return re.sub(r"\\(.)", r"\1", piece[1:-1]) if kind == "string" else piece == "true"

    def constant(self, name: str, offset: int) -> str:
        if name not in self.constants:
            near = get_close_matches(name, self.constants, n=1)
            self.refuse(f"%{name}", offset, f"%{near[0]}" if near else "a name that the file's `constant` declares")
        return self.constants[name]

    def number(self) -> int:
        kind, piece, offset = self.now
        if kind != "number":
            self.refuse(piece, offset, "[0], [1] …")
        self.at += 1
        return int(piece)

    def name(self) -> str:
        kind, piece, offset = self.now
        if kind != "name":
            self.refuse(piece, offset, "a name")
        self.at += 1
        return piece


def _member(name: str, before: Path) -> Member | Choice:
    """Tell `value` of an extension, which is polymorphic, from `value` of an identifier, which is not."""
    parent = "" if not before else None
    for step in reversed(before):
        if not isinstance(step, Where | First | Index):
            parent = "extension" if isinstance(step, Extension) else step.name if isinstance(step, Member) else None
            break
    return Choice(name, None) if (parent, name) in CHOICES else Member(name)
