"""The FHIR client: reads, searches, pages, filters, errors and permits."""

import orjson
import pytest
from requests import Session

from ecw.errors import AccessDenied, BadRequest, InvalidResponse, RateLimited, RecordNotFound, ServerUnavailable
from ecw.fhir.thread_pool import concurrent


def ids(pages):
    return [resource["id"] for page in pages for resource in page]


def test_a_search_reads_every_page(sandbox, connect):
    client = connect(sandbox)
    found = ids(client.search("Practitioner"))
    assert sorted(found) == sorted(record["id"] for record in sandbox.records("Practitioner"))
    assert len(found) == 30
    # discovery, token, three pages; and /metadata, because the links hold a _count
    assert client.calls == sandbox.counts()["total"] == 6
    assert sandbox.counts()["elsewhere"] == 0


def test_the_client_has_the_practice_and_base_url_of_its_settings(sandbox, connect):
    client = connect(sandbox)
    assert client.practice == sandbox.practice
    assert client.base_url == sandbox.base_url


def test_the_capability_statement_needs_no_token(sandbox, connect):
    assert connect(sandbox).capability()["resourceType"] == "CapabilityStatement"
    assert sandbox.served("token") == 0


@pytest.mark.parametrize("dotted", [True, False])
def test_a_practitioner_whose_id_has_a_dot_is_searched_and_not_read(sandbox, connect, dotted):
    one = next(record for record in sandbox.records("Practitioner") if ("." in record["id"]) is dotted)
    assert connect(sandbox).read("Practitioner", one["id"]) == one
    assert sandbox.served("search" if dotted else "read", "Practitioner") == 1


def test_a_location_is_read_by_its_path_even_with_a_dot(sandbox, connect):
    for record in sandbox.records("Location"):
        assert connect(sandbox).read("Location", record["id"])["id"] == record["id"]
    assert sandbox.served("search") == 0


def test_a_missing_record_is_record_not_found(sandbox, connect):
    for missing in ("a" * 43, "a.b"):
        with pytest.raises(RecordNotFound):
            connect(sandbox).read("Practitioner", missing)


@pytest.mark.parametrize("bad", ["", "../Patient/x", "a b", "a?b=c", "x" * 65])
def test_an_invalid_id_is_not_sent(sandbox, connect, bad):
    with pytest.raises(BadRequest):
        connect(sandbox).read("Location", bad)
    assert sandbox.counts()["total"] == 0


def test_a_filter_that_the_server_ignored_is_an_error(sandbox, connect):
    dotted = next(record["id"] for record in sandbox.records("Practitioner") if "." in record["id"])
    sandbox.fault("ignore_filter", value="_id")
    with pytest.raises(InvalidResponse, match="ignored the filter"):
        connect(sandbox).read("Practitioner", dotted)


def test_an_answer_with_another_record_is_an_error(wire, respond, sandbox, connect):
    wire.answer = lambda request: respond(request, 200, b'{"resourceType": "Patient", "id": "other"}')
    client = connect(sandbox, base_url=f"{wire.url}/fhir/r4/X", token_url=sandbox.token_url)
    with pytest.raises(InvalidResponse, match="returned another record"):
        client.read("Patient", "mine")


def test_several_values_of_one_parameter_are_sent(wire, respond, sandbox, connect):
    wire.answer = lambda request: respond(request, 200, b'{"resourceType": "Bundle", "type": "searchset"}')
    client = connect(sandbox, base_url=f"{wire.url}/fhir/r4/X", token_url=sandbox.token_url)
    assert list(client.search("Encounter", {"practitioner": "p", "date": ["ge2026-01-01", "lt2026-02-01"]})) == [[]]
    assert wire.requests == ["GET /fhir/r4/X/Encounter?practitioner=p&date=ge2026-01-01&date=lt2026-02-01"]


def test_http_links_of_an_https_practice_become_https(secure_wire, respond, sandbox, connect):
    def answer(request):
        link = {"relation": "next", "url": f"{base.replace('https:', 'http:')}/Location?page=2"}
        body = {"resourceType": "Bundle", "type": "searchset", "link": [] if "page" in request.path else [link]}
        respond(request, 200, orjson.dumps(body))

    secure_wire.answer = answer
    base = f"{secure_wire.url}/fhir/r4/X"
    client = connect(sandbox, base_url=base, token_url=sandbox.token_url)
    client.transport.session.verify = secure_wire.certificate
    assert len(list(client.search("Location"))) == 2
    assert secure_wire.requests == ["GET /fhir/r4/X/Location", "GET /fhir/r4/X/Location?page=2"]


@pytest.mark.parametrize(("profile", "pages"), [("ecw", 3), ("fhir", 5)])
def test_count_stays_in_links_only_where_it_is_declared(sandbox, connect, profile, pages):
    sandbox.set(profile=profile)
    parameters = {"_count": "7"} if profile == "fhir" else {}
    assert len(set(ids(connect(sandbox).search("Practitioner", parameters)))) == 30
    assert sandbox.served("search", "Practitioner", 200) == pages
    assert sandbox.served("search", "Practitioner", 400) == 0


@pytest.mark.parametrize(
    ("fault", "error", "message"),
    [
        ({"kind": "next_loops", "page": 2}, InvalidResponse, "lead back"),
        ({"kind": "next_elsewhere"}, InvalidResponse, "outside"),
        ({"kind": "next_gone"}, RecordNotFound, "HTTP 410"),
        ({"kind": "too_many", "nth": 2}, RateLimited, "HTTP 429"),
        ({"kind": "server_error", "nth": 2}, ServerUnavailable, "HTTP 500"),
        ({"kind": "request_timeout", "nth": 2}, ServerUnavailable, "HTTP 408"),
        ({"kind": "truncate", "nth": 2}, ServerUnavailable, "cut off"),
        ({"kind": "drop", "nth": 2}, ServerUnavailable, "in the middle of the answer"),
        ({"kind": "lose_response", "nth": 2}, ServerUnavailable, "dropped"),
    ],
)
def test_a_page_that_fails_fails_the_search(sandbox, connect, fault, error, message):
    sandbox.fault(interaction="search", **fault)
    with pytest.raises(error, match=message):
        list(connect(sandbox).search("Practitioner"))
    assert sandbox.counts()["elsewhere"] == 0


def test_a_wrong_total_is_ignored(sandbox, connect):
    sandbox.fault("wrong_total", value="3")
    assert len(ids(connect(sandbox).search("Practitioner"))) == 30


def test_the_error_about_a_refused_parameter_names_it_and_does_not_quote_its_value(sandbox, connect):
    with pytest.raises(BadRequest, match="HTTP 400") as refused:
        list(connect(sandbox).search("Practitioner", {"birthdate": "1980-01-02"}))
    assert "birthdate" in refused.value.what
    assert "1980" not in str(refused.value)


def test_a_resource_outside_the_scopes_is_access_denied(sandbox, connect):
    with pytest.raises(AccessDenied, match="HTTP 403"):
        list(connect(sandbox, read_scopes=("system/Location.read",)).search("Practitioner"))


def test_the_token_is_not_stored_in_the_session(sandbox, connect):
    client = connect(sandbox)
    list(client.search("Location"))
    assert isinstance(client.transport.session, Session)
    assert "Authorization" not in client.transport.session.headers
    assert client.transport.session.auth is None


def test_pages_continue_from_a_saved_url(sandbox, connect):
    first = next(connect(sandbox).pages("Practitioner"))
    rest = [page.resources for page in connect(sandbox).pages("Practitioner", start=first.next_url)]
    assert len(set(ids([first.resources, *rest]))) == 30


def test_a_saved_url_of_another_server_is_not_called(wire, sandbox, connect):
    with pytest.raises(InvalidResponse, match="outside"):
        next(connect(sandbox).pages("Practitioner", start=f"{wire.url}/fhir/r4/X/Practitioner?page=2"))
    assert wire.requests == []
    assert sandbox.counts()["total"] == 0


def test_pages_that_fail_are_retried_and_every_record_is_read(sandbox, connect, quick):
    for fault in ("server_error", "drop", "truncate", "too_many", "lose_response", "request_timeout"):
        sandbox.fault(fault, interaction="search", probability=0.1, seed=7)
    sandbox.fault("server_error", interaction="token", every=2)
    sandbox.fault("revoke_token", interaction="search", every=5)
    client = connect(sandbox, retrier=quick)
    for fhir_type in ("Practitioner", "Location"):
        expected = sorted(record["id"] for record in sandbox.records(fhir_type))
        for _ in range(3):
            assert sorted(ids(client.search(fhir_type))) == expected
    assert sum(fault["fired"] for fault in sandbox.faults()) > 5


def test_sixteen_threads_read_every_patient_in_spite_of_faults(sandbox, connect, quick):
    sandbox.fault("server_error", interaction="read", probability=0.1, seed=1)
    sandbox.fault("drop", interaction="read", probability=0.1, seed=2)
    sandbox.fault("revoke_token", interaction="read", every=20)
    client = connect(sandbox, retrier=quick)
    expected = [record["id"] for record in sandbox.records("Patient")]
    found = [patient["id"] for _, patient in concurrent(lambda one: client.read("Patient", one), expected)]
    assert sorted(found) == sorted(expected)
    assert client.calls == sandbox.counts()["total"]


def test_a_dead_server_costs_few_calls_for_all_threads(sandbox, connect, quick):
    sandbox.fault("server_error")
    client = connect(sandbox, token_url=sandbox.token_url, retrier=quick)
    with pytest.raises(ServerUnavailable):
        list(concurrent(lambda one: client.read("Patient", str(one)), range(200)))
    assert 10 <= client.calls < 40


def test_every_call_takes_a_permit_and_so_do_token_calls(sandbox, connect):
    permit_events = []

    class Permits:
        def __call__(self):
            permit_events.append("permit")
            return lambda: False

        def spent(self):
            permit_events.append("spent")

        def server_date(self, date):
            permit_events.append("date")

    client = connect(sandbox, permits=Permits())
    list(client.search("Practitioner"))
    assert permit_events.count("permit") == permit_events.count("date") == client.calls == sandbox.counts()["total"]
    assert "spent" not in permit_events
    sandbox.fault("too_many")
    with pytest.raises(RateLimited):
        list(client.search("Practitioner"))
    assert permit_events[-2:] == ["date", "spent"]
