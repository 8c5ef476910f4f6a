"""Following the next links of a search: to the end, or with an error."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecw.errors import InvalidResponse
from ecw.fhir import paging
from ecw.fhir.unreadable_records import reason_of

BASE = "https://fhir.example.org/fhir/r4/ABC"


def page(number: int) -> str:
    return f"{BASE}/Patient?page={number}"


def bundle(*ids: str, link: str | None = None, **more):
    return {
        "resourceType": "Bundle",
        "type": "searchset",
        "link": [{"relation": "self", "url": "http://x"}] + ([{"relation": "next", "url": link}] if link else []),
        "entry": [{"resource": {"resourceType": "Patient", "id": one}} for one in ids],
        **more,
    }


def walk(graph, first=None):
    return [
        resource["id"]
        for one in paging.pages(first or page(0), graph.__getitem__, BASE, lambda link: frozenset())
        for resource in one.resources
    ]


def test_pages_are_followed_to_the_last_one_whatever_the_total():
    graph = {
        page(0): bundle("a", "b", link=page(1).replace("https", "http"), total=2),
        page(1): {"resourceType": "Bundle", "type": "searchset", "link": [{"relation": "next", "url": page(2)}]},
        page(2): bundle("c"),
    }
    assert walk(graph) == ["a", "b", "c"]


def test_a_loop_of_links_is_an_error():
    with pytest.raises(InvalidResponse, match="lead back to one already read, after 2"):
        walk({page(0): bundle("a", link=page(1)), page(1): bundle("b", link=page(0))})


def test_endless_links_are_an_error_after_the_maximum_of_pages(monkeypatch):
    monkeypatch.setattr(paging, "MAX_PAGES", 50)

    class Endless(dict):
        def __missing__(self, url):
            return bundle("a", link=page(int(url.rsplit("=", 1)[1]) + 1))

    with pytest.raises(InvalidResponse, match="do not end: 50 read"):
        walk(Endless())


@pytest.mark.parametrize(
    "answer",
    [
        {"resourceType": "Patient", "id": "a"},
        {"resourceType": "Bundle", "type": "transaction-response"},
        bundle("a") | {"entry": [{"fullUrl": f"{BASE}/Patient/a"}]},
        bundle() | {"entry": [{"resource": {"resourceType": "OperationOutcome", "issue": [{"severity": "error"}]}}]},
        bundle() | {"entry": [{"resource": {"resourceType": "OperationOutcome", "issue": "an error"}}]},
        bundle() | {"entry": [{"resource": {"resourceType": "OperationOutcome", "issue": ["an error"]}}]},
        bundle("a") | {"link": "https://fhir.example.org"},
        bundle("a") | {"link": ["https://fhir.example.org"]},
    ],
)
def test_an_answer_that_is_not_a_searchset_is_an_error(answer):
    with pytest.raises(InvalidResponse):
        walk({page(0): answer})


def test_a_warning_among_the_entries_is_not_a_record():
    remark = {"resource": {"resourceType": "OperationOutcome", "issue": [{"severity": "warning"}]}}
    answer = bundle("a")
    answer["entry"].append(remark)
    assert walk({page(0): answer}) == ["a"]


LINKS = st.one_of(
    st.none(),
    st.integers(0, 12).map(page),
    st.integers(0, 12).map(lambda n: page(n).replace("https", "http")),
    st.sampled_from(["https://evil.example.org/Patient", f"{BASE}/../OTHER/Patient", "http://[", f"{BASE}?page=3"]),
)


@given(st.lists(LINKS, min_size=13, max_size=13))
def test_any_graph_of_links_is_read_to_its_end_or_is_an_error(links):
    graph = {page(n): bundle(str(n), link=link) for n, link in enumerate(links)} | {f"{BASE}?page=3": bundle("x")}
    read: list[str] = []

    def fetch(url):
        read.append(url)
        return graph[url]

    try:
        found = [one.resources[0]["id"] for one in paging.pages(page(0), fetch, BASE, lambda link: frozenset())]
    except InvalidResponse:
        pass
    else:
        assert paging.next_link(graph[read[-1]]) is None
        assert len(found) == len(read)
    assert len(read) == len(set(read)) <= len(graph)
    assert all(url in graph for url in read)


NO_URL = [{"relation": "next", "url": ""}]


@pytest.mark.parametrize(
    ("last", "complete"),
    [
        (bundle("c", total=3), True),
        (bundle("c", total=4), False),
        (bundle("c"), True),  # fewer records than a page before
        (bundle("c", "d"), False),
        (bundle(), True),
    ],
)
def test_a_next_link_without_a_url_ends_a_search_only_if_nothing_is_missing(last, complete):
    graph = {page(0): bundle("a", "b", link=page(1)), page(1): last | {"link": NO_URL}}
    if complete:
        assert len(walk(graph)) == 2 + len(last["entry"])
    else:
        with pytest.raises(InvalidResponse, match="its next link has no url"):
            walk(graph)


def test_a_record_that_is_not_an_object_is_unreadable_and_the_others_are_read():
    found = paging.resources_of(bundle("a") | {"entry": [*bundle("a")["entry"], {"resource": "b"}, ["c"]]}, BASE)
    assert found[0]["id"] == "a"
    assert [bool(reason_of(resource)) for resource in found] == [False, True, True]
