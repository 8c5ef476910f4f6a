"""Read paths: compile their steps to Python source, once per mapping.

A value is None or [] for nothing, a list for several values, else the one JSON value. Paths with the same beginning
share it: `name` is looked up once for all its columns, and all filters of one list need one loop.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, lru_cache
from types import CodeType
from typing import Any

from ecw.mapping.fhirpath.companions import ABSENT
from ecw.mapping.fhirpath.current import Fills
from ecw.mapping.fhirpath.functions import HELPERS, many
from ecw.mapping.fhirpath.paths import (
    Choice,
    Current,
    Equals,
    Extension,
    First,
    Index,
    Member,
    Path,
    Resolve,
    Step,
    Test,
    Union,
    Where,
    show,
)


class Sieve:
    """One loop over a list that sorts its elements into the lists of several filters."""

    def __init__(self, base: str) -> None:
        self.base = base
        self.filters: list[tuple[str, str, str]] = []  # the list's name, the condition of its elements, the path
        self.members: dict[str, str] = {}  # member of the element -> its variable

    def member(self, name: str) -> str:
        """Return the variable that holds this member of the current element."""
        return self.members.setdefault(name, f"m{len(self.members)}")

    @property
    def lines(self) -> list[str]:
        """The statements."""
        return [
            *(f"{name} = []{comment}" for name, _, comment in self.filters),
            f"for x1 in many({self.base}):",
            *(f"    {variable} = x1.get({name!r})" for name, variable in self.members.items()),
            *(f"    if {condition}: {name}.append(x1)" for name, condition, _ in self.filters),
        ]


class Reader:
    """Collects paths and generates the statements that read them; a shared beginning is read once."""

    def __init__(self, prefix: str = "v") -> None:
        self.known: dict[str, str] = {"": "r"}  # path as text -> the variable with its values
        self.names: dict[str, Any] = {}  # objects that the statements use, besides the helpers
        self.prefix = prefix
        self._sieves: dict[str, Sieve] = {}
        self._written: list[str | Sieve] = []

    @property
    def lines(self) -> list[str]:
        """The statements, each after those that it needs."""
        return [line for one in self._written for line in ([one] if isinstance(one, str) else one.lines)]

    def inside(self, prefix: str) -> Reader:
        """Return a reader for statements that run after this reader's, and only if needed."""
        inner = Reader(prefix)
        inner.known |= self.known
        return inner

    def variable(self, path: Path) -> str:
        """Return the name of the variable that holds the values of the path."""
        if _key(path) in self.known:
            return self.known[_key(path)]
        *before, step = path
        if isinstance(step, First) and before and isinstance(before[-1], Union):
            code = f"first({self.branches('either', before[-1])})"
        elif isinstance(step, Union):
            code = self.branches("union", step)
        elif isinstance(step, Current):
            fills = f"{self.prefix}fills{len(self.names)}"
            self.names[fills] = filler(step.needs)
            several = self.variable(tuple(before))
            code = f"current({several}, {step.uses!r}, {fills}) if {several} else None"
        elif isinstance(step, Member) and before and isinstance(before[-1], Current):
            element = self.variable(tuple(before))  # one element with members: current() has read them
            code = f"{element}.get({step.name!r}) if {element} else None"
        elif isinstance(step, Resolve):
            code = f"resolve(r, {self.variable(tuple(before))}) if 'contained' in r else None"
        elif isinstance(step, Extension):
            return self.sifted(path, step, self.variable((*path[:-1], Member("extension"))))
        elif isinstance(step, Where):
            return self.sifted(path, step, self.variable(path[:-1]))
        else:
            code = _step(step, self.variable(path[:-1]))
        name = self.known[_key(path)] = f"{self.prefix}{len(self.known)}"
        self._written.append(f"{name} = {code}{_comment(path)}")
        return name

    def sifted(self, path: Path, step: Where | Extension, base: str) -> str:
        """Return the name of the list of the elements of `base` that the path's last step keeps."""
        if base not in self._sieves:
            self._sieves[base] = Sieve(base)
            self._written.append(self._sieves[base])
        sieve = self._sieves[base]
        name = self.known[_key(path)] = f"{self.prefix}{len(self.known)}"
        sieve.filters.append((name, _condition(step, 1, sieve.member), _comment(path)))
        return name

    def value(self, path: Path) -> str:
        """Return the expression of the one value of the path that a column takes."""
        last = path[-1]
        if isinstance(last, Union):
            return "either(" + ", ".join(self.value(branch) for branch in last.branches) + ")"
        name = self.variable(path)
        return (
            name if isinstance(last, Index | First | Current) else f"(one({name}) if type({name}) is list else {name})"
        )

    def all(self, path: Path) -> str:
        """Return the expression of all values of the path: nothing, one value, or a list."""
        return self.variable(path)

    def branches(self, helper: str, step: Union) -> str:
        return f"{helper}({', '.join(self.variable(branch) for branch in step.branches)})"


def _key(path: Path) -> str:
    """Return the unique text of a path, `needs` included: current() of two columns can have different ones."""
    needs = [show(step.needs) for step in path if isinstance(step, Current)]
    needs += [_key(branch) for step in path if isinstance(step, Union) for branch in step.branches]
    return " ".join([show(path), *needs])


def _comment(path: Path) -> str:
    return f"  # {show(path).encode('unicode_escape').decode()}"


def reader(path: Path) -> Callable[[dict[str, Any]], Any]:
    """Compile one path to a function: resource -> its first value, or None."""
    writer = Reader()
    result = writer.value(path)
    return build("read", ["r"], [*writer.lines, f"return {result}"], writer.names)


@cache
def _reader(path: Path) -> Callable[[dict[str, Any]], Any]:
    return reader(path)


def read_value(path: Path, resource: dict[str, Any]) -> Any:
    """Return the first value of a path; the path is compiled once."""
    return _reader(path)(resource)


@cache
def filler(needs: Path) -> Fills:
    """Compile the `needs` of current() to a function: element -> True if they have a value, else the absent reason."""
    if not needs:
        return lambda element: True
    read = reader(needs)
    companion = f"_{needs[0].name}" if isinstance(needs[0], Member) else ""
    return lambda element: True if read(element) is not None else why_absent(element.get(companion)) or False


def why_absent(companion: Any) -> str | None:
    """Return the data-absent-reason in the companion of a primitive, or of a list of them; None without one."""
    for item in many(companion):
        for each in many(item.get("extension")) if item is not None else ():
            if each.get("url") == ABSENT:
                return str(each.get("valueCode"))
    return None


def holds(test: Test) -> Callable[[dict[str, Any]], bool]:
    """Compile one test of a `where` to a function: element -> True if it satisfies the test."""
    return build("holds", ["x1"], [f"return {_test(test, 1)}"], {})


def build(name: str, arguments: list[str], lines: list[str], names: dict[str, Any]) -> Callable[..., Any]:
    """Compile statements to a function whose scope is the helpers and `names`."""
    source = f"def {name}({', '.join(arguments)}):\n" + "".join(f"    {line}\n" for line in lines)
    scope: dict[str, Any] = {**HELPERS, **names}
    # Safe: the source consists of the project's own text and repr() of literals (`!r`); tests cover hostile paths.
    exec(_code(source, f"<{name}>"), scope)  # noqa: S102
    function: Callable[..., Any] = scope[name]
    function.__doc__ = source
    return function


@lru_cache(maxsize=2000)  # the paths of five mappings, both ways, of several practices
def _code(source: str, name: str) -> CodeType:
    code: CodeType = compile(source, name, "exec")
    return code


def _step(step: Step, base: str, depth: int = 0) -> str:
    if isinstance(step, Member):
        return f"{base}.get({step.name!r})" if base == "r" or base == f"x{depth}" else f"member({base}, {step.name!r})"
    if isinstance(step, Choice):
        return _step(Member(step.keys[0]), base, depth) if step.type else f"choice({base}, {step.keys!r})"
    if isinstance(step, Index):
        return f"item({base}, {step.at})"
    if isinstance(step, First):
        return f"first({base})"
    if isinstance(step, Union):
        return f"union({', '.join(_chain(branch, base, depth) for branch in step.branches)})"
    if isinstance(step, Current | Resolve):
        raise TypeError(f"{step} has no meaning inside of where(…)")
    inner = depth + 1
    return f"[x{inner} for x{inner} in many({base}) if {_condition(step, inner)}]"


def _condition(step: Where | Extension, depth: int, got: Callable[[str], str] | None = None) -> str:
    """Return the condition of the elements that a filter keeps; `got` returns the variable of a member."""
    if isinstance(step, Extension):
        url = got("url") if got else f"x{depth}.get('url')"
        return f"{url} == {step.url!r}"
    return " and ".join(_test(test, depth, got) for test in step.tests)


def _chain(path: Path, base: str, depth: int) -> str:
    for step in path:
        if isinstance(step, Extension):
            base = _step(Member("extension"), base, depth)
        base = _step(step, base, depth)
    return base


def _test(test: Test, depth: int, got: Callable[[str], str] | None = None) -> str:
    head = test.path[0]
    if got is not None and isinstance(head, Member):
        value = _chain(test.path[1:], got(head.name), depth)
    else:
        value = _chain(test.path, f"x{depth}", depth)
    if not isinstance(test, Equals):
        return f"{value} {'not in' if test.present else 'in'} NOTHING"
    if isinstance(test.literal, bool):
        return f"one({value}) is {test.literal}"
    if value.isidentifier():
        return f"({value} == {test.literal!r} or {value} == [{test.literal!r}])"
    return f"equal({value}, {test.literal!r})"
