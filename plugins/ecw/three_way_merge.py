"""The three-way merge of one row: what both sides last agreed on, what the CRM has now, what eCW has now.

Pull and push share it.  A pull writes the CRM's side only, a push eCW's side only; what the other direction still has
to do waits in what is agreed, and is found again by the next merge, whichever direction comes first.

What is agreed is kept for each side: a value that eCW spells differently from the CRM (a phone number, say) is agreed
although the two differ, and a side has changed when it differs from its own agreed value.  What was sent to eCW and not
seen there since is kept as well: when eCW shows it, that is not a change of eCW's; when eCW goes on showing what it
had,
it has not taken it, or the clinic has undone it, so that a further edit of the CRM is a conflict.  Nothing and never
agreed are the same.

What differs in its spelling only (case, accents, blanks, apostrophes: see ecw.identity.text) is the same: no change, no
conflict, and each side keeps its own.  Values are as the mapping's rows have them: JSON, dates as ISO texts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self

import orjson

from ecw.identity.text import says_the_same
from ecw.spelling import is_respelled

if TYPE_CHECKING:
    from ecw.mapping.definition.model import Column

Side = Literal["crm", "emr"]
Values = dict[str, Any]
Row = Mapping[str, Any]
Newer = Side | Callable[[str], Side | None] | None  # which side changed last: the row as a whole, or by column


@dataclass(frozen=True, slots=True)
class Rule:
    """How a column is merged, in the mapping file's words (see mapping.vocabulary)."""

    sync: str = "both"
    on_conflict: str = "emr"
    update: str = "always"

    @classmethod
    def of(cls, column: Column) -> Self:
        return cls(column.sync, column.on_conflict, column.update)

    def reaches(self, side: Side) -> bool:
        """Return True if the column travels to that side."""
        return self.sync != ("push" if side == "crm" else "pull")


@dataclass(frozen=True, slots=True)
class MergeBase:
    """The last agreed values of both sides, by column, and what was sent to eCW since."""

    crm: Values = field(default_factory=dict)
    emr: Values = field(default_factory=dict)
    sent: Values = field(default_factory=dict)

    @classmethod
    def on(cls, row: Row) -> Self:
        """Return the agreement of two sides that have the same row."""
        return cls(dict(row), dict(row))

    def holding(self, written: Row, before: Row, after: Row) -> Self:
        """Return it after `written` went into the CRM's row: what the row holds then is agreed, whatever was written.

        A trigger of the CRM may have changed it, or another column with it. What the CRM had edited stays an edit.
        """
        crm = dict(self.crm)
        for name in after.keys() & (crm.keys() | written.keys()):
            meant = written.get(name, before.get(name))
            if crm.get(name) == meant and after[name] != meant:
                crm[name] = after[name]
        return type(self)(crm, self.emr, self.sent)

    def supposing(self, sent: Values, emr: Row) -> Self:
        """Return it after a write whose outcome is not known: what eCW shows of it now, both sides had.

        Also where that was agreed once: eCW had something else when it was sent.
        """
        shown = {name: value for name, value in sent.items() if name in emr and value == emr[name]}
        waiting = {name: value for name, value in self.sent.items() if name not in shown}
        return type(self)(self.crm | shown, self.emr | shown, waiting)

    def texts(self) -> dict[str, str | None]:
        """Return it as JSON texts: eCW's side, the columns in which the CRM's side differs, what was sent (if any)."""
        names = self.crm.keys() | self.emr.keys()
        differing = {name: self.crm.get(name) for name in names if self.crm.get(name) != self.emr.get(name)}
        return {
            "emr": text(self.emr),
            "crm": _dumps(differing) if differing else None,
            "sent": _dumps(self.sent) if self.sent else None,
        }

    @classmethod
    def parse(cls, emr: str | None, crm: str | None, sent: str | None) -> Self:
        """Read the texts of `texts`; without them nothing was agreed yet."""
        values: Values = orjson.loads(emr) if emr else {}
        return cls(values | (orjson.loads(crm) if crm else {}), values, orjson.loads(sent) if sent else {})


@dataclass(slots=True)
class Merged:
    """What each side gets; None takes a value away.

    `conflicts` are the columns that both sides changed, each with the side that wins; None: held for a person.
    """

    to_crm: Values = field(default_factory=dict)
    to_emr: Values = field(default_factory=dict)
    conflicts: dict[str, Side | None] = field(default_factory=dict)
    pulled: MergeBase = field(default_factory=MergeBase)  # what is agreed once `to_crm` is written
    pushed: MergeBase = field(default_factory=MergeBase)  # what is agreed once `to_emr` is written

    @property
    def held(self) -> list[str]:
        """Name the columns that wait for a person."""
        return [name for name, winner in self.conflicts.items() if winner is None]

    def unseen(self, base: MergeBase) -> MergeBase:
        """Return what is agreed once `to_emr` was sent, as long as eCW's record was not read again."""
        emr = self.pushed.emr | {name: base.emr.get(name) for name in self.to_emr}
        return MergeBase(self.pushed.crm, emr, self.pushed.sent | self.to_emr)


def merge(
    rules: Mapping[str, Rule],
    base: MergeBase,
    crm: Row,
    emr: Row,
    *,
    newer: Newer = None,
    choices: Mapping[str, Side] | None = None,
) -> Merged:
    """Merge the columns of `rules` that both rows have.

    `newer` is the side that changed last, for the rule `newest`, or says it of a column; where that is not known such a
    column is held.
    `choices` are a person's answers for columns that both sides changed.
    """
    seen = {name for name, value in base.sent.items() if name in emr and emr[name] != base.emr.get(name)}
    # eCW took it, whatever it shows now: should the clinic go back to what eCW had before, that is an edit.
    taken = {name: base.sent[name] for name in seen}
    base = MergeBase(base.crm, base.emr | taken, {name: base.sent[name] for name in base.sent.keys() - seen})
    merged = Merged(pulled=_copy(base), pushed=_copy(base))
    for name, rule in rules.items():
        if name in crm and name in emr:
            _column(merged, base, _Column(name, rule, crm[name], emr[name], (choices or {}).get(name)), newer)
    return merged


class _Column(NamedTuple):
    """One column of a merge: both values now, and a person's choice."""

    name: str
    rule: Rule
    crm: Any
    emr: Any
    choice: Side | None


def _column(merged: Merged, base: MergeBase, column: _Column, newer: Newer) -> None:
    name, rule, crm, emr, choice = column
    before = (base.crm.get(name), base.emr.get(name))
    if says_the_same(crm, emr):
        _agree(merged, name, (crm, emr), (crm, emr))
        return
    changed: list[Side] = [
        side for side, now, then in zip(_SIDES, (crm, emr), before, strict=True) if not says_the_same(now, then)
    ]
    undone = changed == ["crm"] and name in base.sent
    if undone:  # what was sent is not there: by the clinic, or it was never taken
        changed, before = ["crm", "emr"], (before[0], base.sent[name])
    if not changed:
        return
    winner = changed[0] if len(changed) == 1 else choice or _winner(rule, name, newer)
    if winner is None:
        merged.conflicts[name] = None
        return
    if undone:
        del merged.pulled.sent[name], merged.pushed.sent[name]
    if rule.update == "once" and (emr if winner == "crm" else crm) is not None:
        # The first value stays, on each side its own.  One that was taken away is no value that could stay.
        if crm is not None and emr is not None:
            _agree(merged, name, (crm, emr), (crm, emr))
        return
    if len(changed) == 2:
        merged.conflicts[name] = winner
    loser: Side = "emr" if winner == "crm" else "crm"
    travels = rule.reaches(loser)
    # A side that lost has had its say: its value counts as agreed.  The winner's waits for the direction that takes it.
    waiting = (before[0], emr) if winner == "crm" else (crm, before[1])
    if winner == "crm":
        if travels:
            merged.to_emr[name] = crm
        _agree(merged, name, waiting, (crm, crm) if travels else waiting)
    else:
        if travels:
            merged.to_crm[name] = emr
        _agree(merged, name, (emr, emr) if travels else waiting, waiting)


_SIDES: tuple[Side, Side] = ("crm", "emr")


def _winner(rule: Rule, name: str, newer: Newer) -> Side | None:
    if rule.on_conflict == "newest":
        return newer(name) if callable(newer) else newer
    return {"crm": "crm", "emr": "emr"}.get(rule.on_conflict)  # type: ignore[return-value]  # the values are sides


def _agree(merged: Merged, name: str, pulled: tuple[Any, Any], pushed: tuple[Any, Any]) -> None:
    merged.pulled.crm[name], merged.pulled.emr[name] = pulled
    merged.pushed.crm[name], merged.pushed.emr[name] = pushed


def _copy(base: MergeBase) -> MergeBase:
    return MergeBase(dict(base.crm), dict(base.emr), dict(base.sent))


def echoes(sent: Any, shown: Any, ecw_id: str) -> bool:
    """Return True if what eCW shows is what was sent, spelled its way or cut short; nothing: not taken; or its own id.

    Anything else is somebody's edit.
    """
    if shown is None or shown in (sent, ecw_id):
        return True
    return isinstance(sent, str) and isinstance(shown, str) and is_respelled(sent, shown)


def learn(base: MergeBase, emr: Row, ecw_id: str) -> tuple[MergeBase, list[str]]:
    """Take eCW's spelling of what was sent as agreed; return what is agreed then, and the columns that it spells so."""
    found = {
        name: emr[name]
        for name, sent in base.sent.items()
        if emr.get(name) not in (None, sent, base.emr.get(name)) and echoes(sent, emr[name], ecw_id)
    }
    if not found:
        return base, []
    left = {name: value for name, value in base.sent.items() if name not in found}
    return MergeBase(base.crm, base.emr | found, left), sorted(found)


def text(row: Row) -> str:
    """Return agreed values as they are kept: what is nothing is left out."""
    return _dumps({name: value for name, value in row.items() if value is not None})


def _dumps(values: Values) -> str:
    return orjson.dumps(values, option=orjson.OPT_SORT_KEYS).decode()
