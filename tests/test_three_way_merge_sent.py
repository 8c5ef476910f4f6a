"""The merge after a push: the sent value is stored, respelled or ignored by eCW, or the push's response is lost."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from hypothesis import given, settings
from hypothesis import strategies as st

from ecw.three_way_merge import MergeBase, Merged, Rule, Side, Values, learn, merge
from tests.fixtures.examples import examples
from tests.test_three_way_merge import NEWER, RULES, VALUES

# How a push ends. "spelled": eCW stores another spelling; "ignored": eCW reports success and stores nothing; "lost":
# eCW stores the value and its response is lost; "not done": nothing reached eCW, and the CRM does not know it.
End = Literal["done", "spelled", "ignored", "lost", "not done"]
ENDS: st.SearchStrategy[End] = st.sampled_from(["done", "spelled", "ignored", "lost", "not done"])
Step = tuple[str, Any]


@dataclass
class World:
    """Two sides with one column, and the state that pull and push keep in the CRM.

    `known` of a side is that side's value when the other side last received it or a conflict was reported. `common` are
    the values that both sides last had: a side that returns to one of them has withdrawn its edit. `unknown` is the
    value that was sent last, if its push has no known outcome.
    """

    rule: Rule
    newer: Side | None
    value: dict[Side, Any] = field(default_factory=lambda: {"crm": None, "emr": None})
    known: dict[Side, Any] = field(default_factory=lambda: {"crm": None, "emr": None})
    common: frozenset[Any] = frozenset({None})
    agreed: MergeBase = field(default_factory=MergeBase)
    unknown: Values = field(default_factory=dict)
    doubt: bool = False  # True from an unknown outcome until both sides have the same value
    conflicts: dict[str, Side | None] = field(default_factory=dict)  # of all merges

    @property
    def emr(self) -> Values:
        return {"x": self.value["emr"]}

    def merge(self, base: MergeBase) -> Merged:
        crm = {"x": self.value["crm"]}
        merged = merge({"x": self.rule}, base, crm, self.emr, newer=self.newer)
        self.conflicts |= merged.conflicts
        if merged.conflicts:
            self.known = dict(self.value)
        return merged

    def pull(self) -> Merged:
        """Pull as ecw.crm.load.merge does; it does not resolve the unknown outcome of a push."""
        base, _ = learn(self.agreed.supposing(self.unknown, self.emr), self.emr, "e.1")
        merged = self.merge(base)
        self.write("crm", merged.to_crm)
        self.agreed = merged.pulled
        return merged

    def push(self, end: End = "done") -> Merged:
        """Push as ecw.push does: resolve the unknown outcome, merge, send, store the merge base."""
        base, _ = learn(self.agreed.supposing(self.unknown, self.emr), self.emr, "e.1")
        self.unknown = {}
        merged, before = self.merge(base), self.emr
        if not merged.to_emr:
            self.agreed = merged.pushed
            self.write("emr", {})
            return merged
        if end not in ("ignored", "not done"):
            self.write("emr", merged.to_emr, spelled=end == "spelled")
        if end in ("lost", "not done"):
            self.agreed, self.unknown, self.doubt = base, merged.to_emr, True
        else:
            self.agreed = merged.unseen(MergeBase(emr=before))
            self.known["crm"] = self.value["crm"]  # eCW reported success
        return merged

    def write(self, to: Side, written: Values, *, spelled: bool = False) -> None:
        now = self.value
        if "x" in written:
            assert now[to] in {self.known[to], *self.common}, f"an edit of {to} was overwritten in silence"
            now[to] = written["x"].upper() if spelled and written["x"] else written["x"]
        if "x" in written or now["crm"] == now["emr"]:
            self.known, self.common, self.doubt = dict(now), frozenset(now.values()), False

    def is_reported_already(self, side: str, value: Any) -> bool:
        """Return True if the value does not look like an edit: it was sent, or agreed before an unknown outcome."""
        if side == "emr" and value in (*self.unknown.values(), *self.agreed.sent.values()):
            return True
        agreed = self.agreed.emr if side == "emr" else self.agreed.crm
        return (self.doubt or bool(self.unknown)) and value == agreed.get("x")

    def play(self, steps: Iterable[Step]) -> World:
        for what, how in steps:
            if what == "pull":
                self.pull()
            elif what == "push":
                self.push(how)
            else:
                self.value[what] = how  # type: ignore[index]  # a side
                if self.is_reported_already(what, how):
                    self.known[what] = how  # type: ignore[index]
        return self


STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["crm", "emr"]), VALUES),
        st.tuples(st.just("push"), ENDS),
        st.just(("pull", None)),
    ),
    max_size=12,
)


@settings(max_examples=examples(1_000))
@given(RULES, NEWER, STEPS)
def test_no_edit_is_overwritten_without_a_conflict(rule: Rule, newer: Side | None, steps: list[Step]) -> None:
    World(rule, newer).play(steps)


@settings(max_examples=examples(500))
@given(RULES, NEWER, STEPS, st.sampled_from(["pull", "push"]))
def test_merging_twice_changes_nothing(rule: Rule, newer: Side | None, steps: list[Step], direction: str) -> None:
    world = World(rule, newer).play(steps)
    first = world.pull() if direction == "pull" else world.push()
    before = dict(world.value)
    again = world.pull() if direction == "pull" else world.push()
    assert world.value == before
    assert again.conflicts == dict.fromkeys(first.held), "a settled conflict is reported once"
    agreed = world.agreed
    world.pull() if direction == "pull" else world.push()
    assert world.agreed == agreed


@settings(max_examples=examples(1_000))
@given(RULES, NEWER, STEPS)
def test_both_orders_of_pull_and_push_end_equal(rule: Rule, newer: Side | None, steps: list[Step]) -> None:
    ends = []
    for order in (("pull", "push"), ("push", "pull")):
        world = World(rule, newer).play(steps)
        conflicts: set[Any] = set()
        for direction in (*order, *order):
            merged = world.pull() if direction == "pull" else world.push()
            conflicts |= set(merged.conflicts.items())
        ends.append((world.value, world.agreed, conflicts))
    assert ends[0] == ends[1]


@settings(max_examples=examples(500))
@given(st.sampled_from(["push", "both"]), st.sampled_from(["emr", "crm", "newest", "hold"]), NEWER, STEPS)
def test_edits_of_the_crm_only_are_pushed_without_a_conflict(
    sync: str, on_conflict: str, newer: Side | None, steps: list[Step]
) -> None:
    world = World(Rule(sync, on_conflict), newer)
    for step in (*steps, ("push", "done")):
        if step[0] == "emr" or step[1] == "ignored":
            continue
        world.play([step])
        assert world.conflicts == {}
    crm, emr = world.value["crm"], world.value["emr"]
    assert emr in (crm, crm and crm.upper())


def test_an_edit_in_ecw_back_to_the_value_before_the_push_is_an_edit() -> None:
    rules = {"x": Rule("push", "hold")}
    agreed = merge(rules, MergeBase(), {"x": "sent"}, {"x": None}).unseen(MergeBase())
    agreed = merge(rules, agreed, {"x": "sent"}, {"x": "clinic"}).pulled
    assert merge(rules, agreed, {"x": "crm"}, {"x": None}).held == ["x"]
