"""Parse the text of a path to steps; an error names the wrong piece and the nearest correct form."""

from __future__ import annotations

import re
from collections.abc import Mapping as MappingType
from typing import NoReturn

from ecw import did_you_mean
from ecw.mapping.fhirpath.paths import (
    CHOICES,
    Choice,
    Current,
    Equals,
    Extension,
    First,
    Index,
    Literal,
    Member,
    Path,
    Presence,
    Resolve,
    Step,
    Test,
    Union,
    Where,
)

FUNCTIONS = {
    "where": "where(a='x' and b.empty())",
    "first": "first()",
    "current": "current() or current('home')",
    "resolve": "resolve()",
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
    """A path outside the subset: the offset, the wrong piece, and the nearest correct form."""

    def __init__(self, offset: int, what: str, nearest: str) -> None:
        self.offset = offset
        self.what = what
        self.nearest = nearest
        super().__init__(f"{what}; the nearest form is {nearest}")


def parse(text: str, constants: MappingType[str, str] | None = None, base: Path = ()) -> Path:
    """Return the steps of a path's text; `base` is the path before it.

    Raises PathNotUnderstood with the offset in `text`.
    """
    parser = _Parser(text, constants or {})
    path = parser.expression(base)
    kind, piece, offset = parser.now
    if piece == ".":  # the parser stops before the dot only if a test follows: empty(), exists()
        kind, piece, offset = parser.tokens[parser.at + 1]
        parser.refuse(piece, offset, f"where(a.{piece}())")
    if kind != "end":
        parser.refuse(piece, offset)
    return path


class _Parser:
    """A recursive-descent parser; `now` is the current token, as (kind, piece, offset)."""

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
            self.refuse(self.now[1], self.now[2], NEAREST.get(self.now[1], f"{piece!r}"))

    def refuse(self, piece: str, offset: int, nearest: str | None = None) -> NoReturn:
        if nearest is None:
            known = {**FUNCTIONS, **TESTS}
            near = did_you_mean.nearest(piece, known)
            nearest = NEAREST.get(piece) or (known[near] if near is not None else ", ".join(FUNCTIONS.values()))
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
        elif piece == "current":
            step = Current(self.uses())
        elif piece == "resolve":
            step = Resolve()
        elif piece == "ofType":
            last = path[-1] if path else None
            if not isinstance(last, Member | Choice):
                self.refuse(piece, offset, "value.ofType(Type), after an element's name")
            path, step = path[:-1], Choice(last.name, self.name())
        else:
            self.refuse(piece, offset)
        self.need(")")
        return (*path, step)

    def uses(self) -> tuple[str, ...]:
        """Return the literals between the parentheses, possibly none."""
        if self.now[1] == ")":
            return ()
        uses = [str(self.literal())]
        while self.take(","):
            uses.append(str(self.literal()))
        return tuple(uses)

    def tests(self) -> tuple[Test, ...]:
        tests = [self.test()]
        while self.take("and"):
            tests.append(self.test())
        return tuple(tests)

    def test(self) -> Test:
        offset = self.now[2]
        path = self.chain((Member("$this"),))  # not the resource's own level
        if misplaced := next((step for step in path if isinstance(step, Resolve | Current)), None):
            self.refuse(str(misplaced), offset, "resolve() and current() outside of where(…)")
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
            near = did_you_mean.nearest(name, self.constants)
            self.refuse(
                f"%{name}", offset, f"%{near}" if near is not None else "a name that the file's `constant` declares"
            )
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
    """Return the step of a name: `value` of an extension is polymorphic, `value` of an identifier is not."""
    parent = "" if not before else None
    for step in reversed(before):
        if not isinstance(step, Where | First | Index | Current):
            parent = "extension" if isinstance(step, Extension) else step.name if isinstance(step, Member) else None
            break
    return Choice(name, None) if (parent, name) in CHOICES else Member(name)
