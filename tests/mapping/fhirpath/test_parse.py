"""Paths are parsed as FHIRPath, or refused with the piece, its place and the nearest supported form."""

from __future__ import annotations

import pytest

from ecw.mapping.fhirpath.parse import PathNotUnderstood, parse
from ecw.mapping.fhirpath.paths import (
    Choice,
    Equals,
    Extension,
    First,
    Index,
    Member,
    Presence,
    Union,
    Where,
    join,
    show,
)


def test_a_path_is_parsed_into_steps() -> None:
    assert parse("name.where(use='usual' and period.end.empty()).given[0]") == (
        Member("name"),
        Where((Equals((Member("use"),), "usual"), Presence((Member("period"), Member("end")), present=False))),
        Member("given"),
        Index(0),
    )


def test_unions_and_groups_are_parsed() -> None:
    a, b = (Member("a"),), (Member("b"),)
    assert parse("a | b") == (Union((a, b)),)
    assert parse("(a | b).first().c") == (Union((a, b)), First(), Member("c"))


@pytest.mark.parametrize(
    ("text", "last"),
    [
        ("extension('u').value.ofType(Coding)", Choice("value", "Coding")),
        ("extension('u').value", Choice("value", None)),
        ("extension.where(url='u').first().value", Choice("value", None)),
        ("identifier.value", Member("value")),
        ("deceased", Choice("deceased", None)),
        ("contact.deceased", Member("deceased")),
        ("extension('it\\'s')", Extension("it's")),
    ],
)
def test_value_and_deceased_are_choices_where_fhir_defines_them_so(text: str, last: object) -> None:
    assert parse(text)[-1] == last


def test_constants_are_replaced_by_their_values() -> None:
    path = parse("identifier.where(system=%npi)", {"npi": "http://hl7.org/fhir/sid/us-npi"})
    assert show(path) == "identifier.where(system = 'http://hl7.org/fhir/sid/us-npi')"


def test_a_union_inside_a_group_is_a_union_of_whole_paths() -> None:
    base = parse("name.first()")
    assert show(join(base, parse("text | family"))) == "(name.first().text | name.first().family)"


@pytest.mark.parametrize(
    "text",
    [
        "name.where(use = 'usual').given[0]",
        "(telecom.where(system = 'phone').value | id)",
        "extension('http://a.b/c').value.ofType(Coding).code",
        "communication.where(preferred = true and language.coding.where(code = 'en').exists()).first()",
        "name.where(family = 'O\\'Hara')",
    ],
)
def test_show_writes_what_parse_reads(text: str) -> None:
    assert show(parse(text)) == text
    assert parse(show(parse(text))) == parse(text)


@pytest.mark.parametrize(
    ("text", "offset", "piece", "nearest"),
    [
        ("name.last()", 5, "'last'", "first()"),
        ("name.frist()", 5, "'frist'", "first()"),
        ("name.whre(use='x')", 5, "'whre'", "where(a='x' and b.empty())"),
        ("name.where(use!='old')", 14, "'!='", "="),
        ("name.where(use='a' or use='b')", 19, "'or'", "a.where(…) | a.where(…)"),
        ('name.where(use="a")', 15, "'\"'", "single quotes"),
        ("name.where(use='a)", 15, '"\'"', "closing quote"),
        ("name[x]", 5, "'x'", "[0]"),
        ("name.", 5, "the path ends too early", "an element's name"),
        ("(name", 5, "the path ends too early", "')'"),
        ("name family", 5, "'family'", "where("),
        ("birthDate > today()", 10, "'>'", "="),
        ("first().ofType(Coding)", 8, "'ofType'", "value.ofType(Type)"),
        ("identifier.where(system=%npo)", 24, "'%npo'", "%npi"),
        ("name.where(use='x').select(given)", 20, "'select'", "a.b"),
        ("name.exists()", 5, "'exists'", "where(a.exists())"),
        ("name.where(use)", 14, "')'", "a='x'"),
        ("name.where(resolve().use='x')", 11, "resolve()", "resolve() and current() outside of where(…)"),
        ("name.where(current().use='x')", 11, "current()", "resolve() and current() outside of where(…)"),
        ("name.'x'", 5, "'x'", "an element's name"),
    ],
)
def test_a_path_outside_the_subset_is_refused_with_the_nearest_supported_form(
    text: str, offset: int, piece: str, nearest: str
) -> None:
    with pytest.raises(PathNotUnderstood) as error:
        parse(text, {"npi": "n"})
    assert error.value.offset == offset
    assert piece in error.value.what
    assert nearest in error.value.nearest
