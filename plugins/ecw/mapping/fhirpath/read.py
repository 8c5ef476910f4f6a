"""The reading half of paths: steps become Python source, compiled once per mapping.

Values travel as JSON has them: None or [] for nothing, a list for several, else the one value. Paths that begin
alike share their beginning, so that `name` is looked up once for all columns made of it, and filters of one list go
through it once.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
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
    """The statements that go once through a list and sort its elements into several filters' lists."""

    def __init__(self, base: str) -> None:
        self.base = base
        self.filters: list[tuple[str, str, str]] = []  # the list's name, what holds of its elements, the path
        self.members: dict[str, str] = {}  # of each element: the name of the variable that has it

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
    """Collects paths and writes the statements that read them, each beginning once."""

    def __init__(self, prefix: str = "v") -> None:
        self.known: dict[str, str] = {"": "r"}  # path, written out -> the name of the variable that has what it finds
        self.names: dict[str, Any] = {}  # what the statements use beside the helpers
        self.prefix = prefix
        self._sieves: dict[str, Sieve] = {}
        self._written: list[str | Sieve] = []

    @property
    def lines(self) -> list[str]:
        """The statements, in an order in which each finds what it needs."""
        return [line for one in self._written for line in ([one] if isinstance(one, str) else one.lines)]

    def inside(self, prefix: str) -> Reader:
        """Return a reader whose statements may come after those of this one, and be skipped."""
        inner = Reader(prefix)
        inner.known |= self.known
        return inner

    def variable(self, path: Path) -> str:
        """Return the name of the variable that holds what the path finds."""
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
            element = self.variable(tuple(before))  # one, and it has members: current() has read them
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
        """Return the name of the list of those elements of `base` that the path's last step keeps."""
        if base not in self._sieves:
            self._sieves[base] = Sieve(base)
            self._written.append(self._sieves[base])
        sieve = self._sieves[base]
        name = self.known[_key(path)] = f"{self.prefix}{len(self.known)}"
        sieve.filters.append((name, _condition(step, 1, sieve.member), _comment(path)))
        return name

    def value(self, path: Path) -> str:
        """Return the expression of the one value that a column takes of the path."""
        last = path[-1]
        if isinstance(last, Union):
            return "either(" + ", ".join(self.value(branch) for branch in last.branches) + ")"
        name = self.variable(path)
        return (
            name if isinstance(last, Index | First | Current) else f"(one({name}) if type({name}) is list else {name})"
        )

    def all(self, path: Path) -> str:
        """Return the expression of everything that the path finds: nothing, one value, or a list."""
        return self.variable(path)

    def branches(self, helper: str, step: Union) -> str:
        return f"{helper}({', '.join(self.variable(branch) for branch in step.branches)})"


def _key(path: Path) -> str:
    """Return what tells a path from others: `current()` of two columns can look for different things to fill."""
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
    """Return the first value that a path finds; it is compiled once."""
    return _reader(path)(resource)


@cache
def filler(needs: Path) -> Fills:
    """Compile what current() looks for to a function: element -> whether it has it; a text: why it says it has not."""
    if not needs:
        return lambda element: True
    read = reader(needs)
    companion = f"_{needs[0].name}" if isinstance(needs[0], Member) else ""
    return lambda element: True if read(element) is not None else why_absent(element.get(companion)) or False


def why_absent(companion: Any) -> str | None:
    """Return why the companion of a primitive, or of one of several, says that the value is absent; else None."""
    for item in many(companion):
        for each in many(item.get("extension")) if item is not None else ():
            if each.get("url") == ABSENT:
                return str(each.get("valueCode"))
    return None


def holds(test: Test) -> Callable[[dict[str, Any]], bool]:
    """Compile one test of a `where` to a function: element -> whether it holds."""
    return build("holds", ["x1"], [f"return {_test(test, 1)}"], {})


def build(name: str, arguments: list[str], lines: list[str], names: dict[str, Any]) -> Callable[..., Any]:
    """Compile statements to a function that sees the helpers and `names` only."""
    source = f"def {name}({', '.join(arguments)}):\n" + "".join(f"    {line}\n" for line in lines)
    scope: dict[str, Any] = {**HELPERS, **names}
    # Every piece of the source is ours or a repr() of a literal: see where `!r` stands, and the tests of hostile paths.
    exec(compile(source, f"<{name}>", "exec"), scope)  # noqa: S102
    function: Callable[..., Any] = scope[name]
    function.__doc__ = source
    return function


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
    """Return what holds of the elements that a filter keeps; `got` names the variables that have their members."""
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
