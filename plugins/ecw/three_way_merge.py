"""Merge one row three ways: the merge base (the last agreed values), the CRM's values now, eCW's values now.

Pull and push share the merge.  A pull writes only the CRM's side, a push only eCW's side.  Changes for the other
direction stay different from the merge base, so that the next merge of either direction finds them again.

The merge base has values for each side: a value that eCW spells differently from the CRM, such as a phone number, is
agreed although the two values differ.  A side has changed if it differs from its own agreed value.

The merge base also keeps what was sent to eCW and not yet read back.  If eCW then shows the sent value, eCW has
not changed.  If eCW still shows its old value, eCW did not take the sent value, or the clinic reverted it; then a
further edit of the CRM is a conflict.  An empty value and a value that was never agreed are equal.

Values that differ only in spelling (case, accents, blanks, apostrophes: see ecw.identity.text) are equal: no change, no
conflict, and each side keeps its own.  Values have the form of the mapping's rows: JSON, dates as ISO 8601 texts.
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
        """Return True if the column is written to that side."""
        return self.sync != ("push" if side == "crm" else "pull")


@dataclass(frozen=True, slots=True)
class MergeBase:
    """The last agreed values of both sides, by column, and the values that were sent to eCW since."""

    crm: Values = field(default_factory=dict)
    emr: Values = field(default_factory=dict)
    sent: Values = field(default_factory=dict)

    @classmethod
    def on(cls, row: Row) -> Self:
        """Return the merge base of two sides that have the same row."""
        return cls(dict(row), dict(row))

    def holding(self, written: Row, before: Row, after: Row) -> Self:
        """Return the merge base after `written` was written into the CRM's row: the values in `after` are agreed.

        They may differ from `written`, because a trigger of the CRM may change a value, or another column. Columns that
        the CRM had edited before stay edited.
        """
        crm = dict(self.crm)
        for name in after.keys() & (crm.keys() | written.keys()):
            meant = written.get(name, before.get(name))
            if crm.get(name) == meant and after[name] != meant:
                crm[name] = after[name]
        return type(self)(crm, self.emr, self.sent)

    def supposing(self, sent: Values, emr: Row) -> Self:
        """Return the merge base after a push without a known outcome: sent values that eCW shows now are agreed.

        That holds also if such a value was agreed earlier, because eCW had another value when it was sent.
        """
        shown = {name: value for name, value in sent.items() if name in emr and value == emr[name]}
        waiting = {name: value for name, value in self.sent.items() if name not in shown}
        return type(self)(self.crm | shown, self.emr | shown, waiting)

    def texts(self) -> dict[str, str | None]:
        """Return three JSON texts: eCW's values, the CRM's values where they differ, the sent values; None if empty."""
        names = self.crm.keys() | self.emr.keys()
        differing = {name: self.crm.get(name) for name in names if self.crm.get(name) != self.emr.get(name)}
        return {
            "emr": text(self.emr),
            "crm": _dumps(differing) if differing else None,
            "sent": _dumps(self.sent) if self.sent else None,
        }

    @classmethod
    def parse(cls, emr: str | None, crm: str | None, sent: str | None) -> Self:
        """Parse the three texts of `texts`; without them the merge base is empty."""
        values: Values = orjson.loads(emr) if emr else {}
        return cls(values | (orjson.loads(crm) if crm else {}), values, orjson.loads(sent) if sent else {})


@dataclass(slots=True)
class Merged:
    """The result of a merge: the values to write to each side; None empties a column.

    `conflicts` are the columns that both sides changed, each with the winning side; None: held for a person.
    """

    to_crm: Values = field(default_factory=dict)
    to_emr: Values = field(default_factory=dict)
    conflicts: dict[str, Side | None] = field(default_factory=dict)
    pulled: MergeBase = field(default_factory=MergeBase)  # the merge base once `to_crm` is written
    pushed: MergeBase = field(default_factory=MergeBase)  # the merge base once `to_emr` is written

    @property
    def held(self) -> list[str]:
        """The columns that wait for a person."""
        return [name for name, winner in self.conflicts.items() if winner is None]

    def unseen(self, base: MergeBase) -> MergeBase:
        """Return the merge base after `to_emr` was sent and before eCW's record is read back."""
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

    `newer` is for the rule `newest`: the side that changed last, or a function that returns it for a column. If it is
    None, the column is held. `choices` are a person's choices for columns that both sides changed.
    """
    seen = {name for name, value in base.sent.items() if name in emr and emr[name] != base.emr.get(name)}
    # eCW took these values, so a later return to eCW's old value is an edit of the clinic.
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
        side for side, now, agreed in zip(_SIDES, (crm, emr), before, strict=True) if not says_the_same(now, agreed)
    ]
    undone = changed == ["crm"] and name in base.sent
    if undone:  # eCW does not show the sent value: the clinic reverted it, or eCW never took it
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
        # The first value stays, on each side its own, unless one side is empty.
        if crm is not None and emr is not None:
            _agree(merged, name, (crm, emr), (crm, emr))
        return
    if len(changed) == 2:
        merged.conflicts[name] = winner
    loser: Side = "emr" if winner == "crm" else "crm"
    is_written = rule.reaches(loser)
    # The loser's value becomes agreed.  The winner's value waits for the direction that writes it.
    waiting = (before[0], emr) if winner == "crm" else (crm, before[1])
    if winner == "crm":
        if is_written:
            merged.to_emr[name] = crm
        _agree(merged, name, waiting, (crm, crm) if is_written else waiting)
    else:
        if is_written:
            merged.to_crm[name] = emr
        _agree(merged, name, (emr, emr) if is_written else waiting, waiting)


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
    """Return True if the shown value can result from the sent one: equal, respelled, truncated, empty, or the eCW id.

    Any other value is an edit of the clinic.
    """
    if shown is None or shown in (sent, ecw_id):
        return True
    return isinstance(sent, str) and isinstance(shown, str) and is_respelled(sent, shown)


def learn(base: MergeBase, emr: Row, ecw_id: str) -> tuple[MergeBase, list[str]]:
    """Take eCW's spelling of sent values as agreed; return the new merge base, and the respelled columns."""
    respelled = {
        name: emr[name]
        for name, sent in base.sent.items()
        if emr.get(name) not in (None, sent, base.emr.get(name)) and echoes(sent, emr[name], ecw_id)
    }
    if not respelled:
        return base, []
    waiting = {name: value for name, value in base.sent.items() if name not in respelled}
    return MergeBase(base.crm, base.emr | respelled, waiting), sorted(respelled)


def text(row: Row) -> str:
    """Return agreed values as the stored JSON text, without empty values."""
    return _dumps({name: value for name, value in row.items() if value is not None})


def _dumps(values: Values) -> str:
    return orjson.dumps(values, option=orjson.OPT_SORT_KEYS).decode()
