"""Links of the server: repaired, refused, and logged without values."""

import pytest

from ecw.errors import InvalidResponse
from ecw.fhir.urls import parameters, pinned, without_values

BASE = "https://fhir.example.org/fhir/r4/ABC"


@pytest.mark.parametrize(
    ("link", "repaired"),
    [
        (f"{BASE}/Patient?page=2", f"{BASE}/Patient?page=2"),
        ("http://fhir.example.org/fhir/r4/ABC/Patient?page=2", f"{BASE}/Patient?page=2"),
        ("http://fhir.example.org:80/fhir/r4/ABC/Patient?page=2", f"{BASE}/Patient?page=2"),
        ("https://fhir.example.org:443/fhir/r4/ABC?page=2", f"{BASE}?page=2"),
        (f"{BASE}/Patient?page=2&amp;name=a", f"{BASE}/Patient?page=2&name=a"),
        (f"{BASE}/Patient?_count=50&page=2", f"{BASE}/Patient?page=2"),
        (f"{BASE}/Patient?page=a%2Bb%20c&flag", f"{BASE}/Patient?page=a%2Bb%20c&flag"),
        ("Patient?page=2", f"{BASE}/Patient?page=2"),
        (f"{BASE}/Patient?page=2#part", f"{BASE}/Patient?page=2"),
    ],
)
def test_a_link_of_the_practice_is_repaired(link, repaired):
    assert pinned(link, BASE, {"_count"}) == repaired


@pytest.mark.parametrize(
    "link",
    [
        "https://elsewhere.example.org/fhir/r4/ABC/Patient?page=2",
        "https://fhir.example.org.evil.org/fhir/r4/ABC/Patient?page=2",
        "https://fhir.example.org@evil.org/fhir/r4/ABC/Patient",
        "https://user@fhir.example.org/fhir/r4/ABC/Patient",
        "https://fhir.example.org:8443/fhir/r4/ABC/Patient",
        "http://fhir.example.org:8080/fhir/r4/ABC/Patient",
        "https://fhir.example.org/fhir/r4/OTHER/Patient?page=2",
        "https://fhir.example.org/fhir/r4/ABCD/Patient?page=2",
        "https://fhir.example.org/fhir/r4/ABC/../OTHER/Patient",
        "https://fhir.example.org/fhir/r4/ABC/%2e%2E/OTHER/Patient",
        "https://fhir.example.org:port/fhir/r4/ABC/Patient",
        "file:///fhir/r4/ABC/Patient",
        "//evil.org/fhir/r4/ABC/Patient",
    ],
)
def test_a_link_that_leads_elsewhere_is_refused(link):
    with pytest.raises(InvalidResponse, match=r"outside https://fhir\.example\.org/fhir/r4/ABC"):
        pinned(link, BASE)


def test_the_error_about_a_link_that_leads_elsewhere_quotes_none_of_it():
    for link in ("https://marked.example/marked?marked=1", f"{BASE}/../marked?marked", "marked://marked"):
        with pytest.raises(InvalidResponse) as error:
            pinned(link, BASE)
        assert "marked" not in str(error.value)


def test_http_is_kept_if_the_base_url_uses_it():
    base = "http://127.0.0.1:8080/fhir/r4/ABC"
    assert pinned(f"{base}/Location?page=2", base) == f"{base}/Location?page=2"


def test_a_url_is_logged_without_its_values():
    assert without_values(f"{BASE}/Patient?family=Doe&birthdate=1980-01-02") == f"{BASE}/Patient?family&birthdate"
    assert without_values("http://[half/Patient?family=Doe") == "(not a URL)"
    assert without_values(f"{BASE}/Patient?_getpages=1&Jane%20Doe&name:exact=Doe&Doe") == (
        f"{BASE}/Patient?_getpages&…&name:exact&…"
    )


def test_the_names_of_a_links_parameters_are_returned():
    assert parameters(f"{BASE}/Patient?page=2&_count=&flag") == {"page", "_count", "flag"}
