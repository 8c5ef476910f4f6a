"""Three-way merge: no edit is lost without a conflict, a second merge changes nothing, the order does not matter."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecw.three_way_merge import MergeBase, Merged, Rule, Side, merge
from tests.fixtures.examples import examples

VALUES = st.sampled_from([None, "a", "b", "c"])
RULES = st.builds(
    Rule,
    sync=st.sampled_from(["pull", "push", "both"]),
    on_conflict=st.sampled_from(["emr", "crm", "newest", "hold"]),
    update=st.sampled_from(["always", "once"]),
)
NEWER: st.SearchStrategy[Side | None] = st.sampled_from(["crm", "emr", None])


def one(rule: Rule, base: Any, crm: Any, emr: Any, **options: Any) -> Merged:
    """Merge a row with one column, `x`; a base of two values has another agreed value on each side."""
    both = base if isinstance(base, tuple) else (base, base)
    return merge({"x": rule}, MergeBase({"x": both[0]}, {"x": both[1]}), {"x": crm}, {"x": emr}, **options)


@dataclass
class World:
    """Two sides with one column.

    `known` of a side is that side's value when the other side last received it or a conflict was reported. `common` is
    the last value that both sides had: a side that returns to it has withdrawn its edit.
    """

    rule: Rule
    newer: Side | None
    value: dict[Side, Any] = field(default_factory=lambda: {"crm": None, "emr": None})
    known: dict[Side, Any] = field(default_factory=lambda: {"crm": None, "emr": None})
    common: Any = None
    agreed: MergeBase = field(default_factory=MergeBase)

    def sync(self, to: Side) -> Merged:
        now = self.value
        merged = merge({"x": self.rule}, self.agreed, {"x": now["crm"]}, {"x": now["emr"]}, newer=self.newer)
        if merged.conflicts:
            self.known = dict(now)
        written = merged.to_crm if to == "crm" else merged.to_emr
        if "x" in written:
            assert now[to] in (self.known[to], self.common), f"an edit of {to} was overwritten in silence"
            now[to] = written["x"]
        if now["crm"] == now["emr"]:
            self.known, self.common = dict(now), now["crm"]
        self.agreed = merged.pulled if to == "crm" else merged.pushed
        return merged


STEPS = st.lists(
    st.one_of(st.tuples(st.sampled_from(["crm", "emr"]), VALUES), st.sampled_from([("pull", None), ("push", None)])),
    max_size=12,
)


def play(rule: Rule, newer: Side | None, steps: list[tuple[str, Any]]) -> World:
    world = World(rule, newer)
    for what, value in steps:
        if what == "pull":
            world.sync("crm")
        elif what == "push":
            world.sync("emr")
        else:
            world.value[what] = value  # type: ignore[index]
    return world


@settings(max_examples=examples(400))
@given(RULES, NEWER, STEPS)
def test_no_edit_is_overwritten_without_a_conflict(rule: Rule, newer: Side | None, steps: list[Any]) -> None:
    play(rule, newer, steps)


@settings(max_examples=examples(300))
@given(RULES, NEWER, STEPS, st.sampled_from(["crm", "emr"]))
def test_merging_twice_changes_nothing(rule: Rule, newer: Side | None, steps: list[Any], to: Side) -> None:
    world = play(rule, newer, steps)
    first = world.sync(to)
    before = (dict(world.value), world.agreed)
    again = world.sync(to)
    assert (world.value, world.agreed) == before
    assert again.conflicts == dict.fromkeys(first.held), "a settled conflict is reported once"
    assert not (again.to_crm if to == "crm" else again.to_emr)


@settings(max_examples=examples(300))
@given(RULES, NEWER, STEPS)
def test_both_orders_of_pull_and_push_end_equal(rule: Rule, newer: Side | None, steps: list[Any]) -> None:
    ends = []
    for order in (("crm", "emr"), ("emr", "crm")):
        world = play(rule, newer, steps)
        conflicts: set[Any] = set()
        for to in order:
            conflicts |= set(world.sync(to).conflicts.items())  # type: ignore[arg-type]
        ends.append((world.value, world.agreed, conflicts))
    assert ends[0] == ends[1]


@settings(max_examples=examples(200))
@given(st.sampled_from(["emr", "crm"]), NEWER, STEPS, st.permutations(["crm", "emr"]))
def test_a_column_of_both_directions_ends_equal_on_both_sides(
    on_conflict: str, newer: Side | None, steps: list[Any], order: list[Side]
) -> None:
    world = World(Rule("both", on_conflict), newer)
    for what, value in [*steps, ("pull", None)]:
        if what in ("crm", "emr"):
            world.value[what] = value  # type: ignore[index]
            continue
        for to in order:
            world.sync(to)
        assert world.value["crm"] == world.value["emr"]


@pytest.mark.parametrize(
    ("on_conflict", "newer", "to_crm", "to_emr", "winner"),
    [
        ("emr", None, {"x": "e"}, {}, "emr"),
        ("crm", None, {}, {"x": "c"}, "crm"),
        ("newest", "crm", {}, {"x": "c"}, "crm"),
        ("newest", "emr", {"x": "e"}, {}, "emr"),
        ("newest", None, {}, {}, None),
        ("hold", "crm", {}, {}, None),
    ],
)
def test_the_rule_decides_a_conflict(
    on_conflict: str, newer: Side | None, to_crm: Any, to_emr: Any, winner: Side | None
) -> None:
    merged = one(Rule("both", on_conflict), "b", "c", "e", newer=newer)
    assert (merged.to_crm, merged.to_emr, merged.conflicts) == (to_crm, to_emr, {"x": winner})


def test_a_held_column_stays_as_it_is_until_a_person_chooses() -> None:
    rule = Rule("both", "hold")
    held = one(rule, "b", "c", "e")
    assert held.held == ["x"]
    assert held.pulled == held.pushed == MergeBase.on({"x": "b"})
    assert one(rule, "b", "c", "e", choices={"x": "crm"}).to_emr == {"x": "c"}
    assert one(rule, "b", "c", "e", choices={"x": "emr"}).to_crm == {"x": "e"}
    assert one(rule, "b", "b", "e", choices={"x": "crm"}).to_crm == {"x": "e"}, "no conflict, no choice"


def test_only_the_edited_value_is_synchronised() -> None:
    assert one(Rule(), "b", "c", "b").to_emr == {"x": "c"}
    assert one(Rule(), "b", "b", "e").to_crm == {"x": "e"}
    assert one(Rule(), "b", None, "b").to_emr == {"x": None}
    assert one(Rule("pull"), "b", "c", "b").to_emr == {}
    assert one(Rule("push"), "b", "b", "e").to_crm == {}


def test_without_a_merge_base_the_gaps_of_both_sides_are_filled() -> None:
    rules = {"x": Rule(), "y": Rule(), "z": Rule(on_conflict="hold")}
    merged = merge(rules, MergeBase(), {"x": "a", "y": None, "z": "c"}, {"x": None, "y": "b", "z": "e"})
    assert (merged.to_emr, merged.to_crm, merged.held) == ({"x": "a"}, {"y": "b"}, ["z"])


def test_a_sent_value_that_ecw_shows_does_not_count_as_changed() -> None:
    rules = {"city": Rule()}
    merged = merge(rules, MergeBase.on({"city": "Topeka"}), {"city": "Lawrence"}, {"city": "Topeka"})
    agreed = merged.unseen(MergeBase.on({"city": "Topeka"}))
    back = merge(rules, agreed, {"city": "Topeka"}, {"city": "Lawrence"})
    assert (back.to_emr, back.conflicts) == ({"city": "Topeka"}, {})
    assert merge(rules, agreed, {"city": "Lawrence"}, {"city": "Lawrence"}).pulled == MergeBase.on({"city": "Lawrence"})


def test_a_value_that_ecw_did_not_store_is_neither_pulled_nor_pushed_again() -> None:
    rules = {"country": Rule()}
    merged = merge(rules, MergeBase(), {"country": "US"}, {"country": None})
    agreed = merged.unseen(MergeBase())
    again = merge(rules, agreed, {"country": "US"}, {"country": None})
    assert (again.to_crm, again.to_emr, again.conflicts) == ({}, {}, {})
    assert again.pulled == again.pushed == agreed
    assert merge(rules, agreed, {"country": "US"}, {"country": "CA"}).to_crm == {"country": "CA"}


def test_an_edit_of_the_crm_over_one_that_the_clinic_has_undone_is_a_conflict() -> None:
    agreed = MergeBase({"city": "Lawrence"}, {"city": "Topeka"}, {"city": "Lawrence"})
    undone = merge({"city": Rule(on_conflict="hold")}, agreed, {"city": "Salina"}, {"city": "Topeka"})
    assert (undone.to_emr, undone.held) == ({}, ["city"])
    assert merge({"city": Rule(on_conflict="crm")}, agreed, {"city": "Salina"}, {"city": "Topeka"}).to_emr


def test_ecw_s_spelling_is_agreed_although_the_sides_differ() -> None:
    rules = {"phone": Rule()}
    agreed = MergeBase({"phone": "555 2003"}, {"phone": "5552003"})
    again = merge(rules, agreed, {"phone": "555 2003"}, {"phone": "5552003"})
    assert (again.to_crm, again.to_emr, again.conflicts) == ({}, {}, {})
    assert merge(rules, agreed, {"phone": "555 2003"}, {"phone": "5559999"}).to_crm == {"phone": "5559999"}


def test_a_static_column_fills_gaps_and_replaces_nothing() -> None:
    rule = Rule("both", "crm", "once")
    assert one(rule, None, "c", None).to_emr == {"x": "c"}
    assert one(rule, "b", "b", "e").to_crm == {}
    assert one(rule, "b", "c", "b").to_emr == {}


def test_a_column_that_one_side_lacks_is_not_changed() -> None:
    merged = merge({"x": Rule("push")}, MergeBase.on({"x": "b"}), {"x": "c"}, {})
    assert (merged.to_emr, merged.to_crm, merged.pulled) == ({}, {}, MergeBase.on({"x": "b"}))


@given(st.dictionaries(st.text("abc", max_size=2), VALUES), st.dictionaries(st.text("abc", max_size=2), VALUES))
def test_the_merge_base_is_the_same_after_storing_and_reading(crm: dict[str, Any], emr: dict[str, Any]) -> None:
    parsed = MergeBase.parse(**MergeBase(crm, emr, emr).texts())
    assert parsed.sent == emr
    for name in crm.keys() | emr.keys():
        assert (parsed.crm.get(name), parsed.emr.get(name)) == (crm.get(name), emr.get(name))


def test_two_equal_sides_are_stored_once() -> None:
    assert MergeBase.on({"x": "a"}).texts() == {"emr": '{"x":"a"}', "crm": None, "sent": None}
