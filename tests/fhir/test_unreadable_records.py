"""One broken record is left out with a reason; the rest of its page, file and run is read."""

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecw.errors import OutcomeUnknown, ServerUnavailable, UnreadableRecord
from ecw.fhir import bulk_export
from ecw.fhir.transport import Limits
from ecw.fhir.unreadable_records import MAX_BYTES, as_line, reason_of, salvaged, stand_in
from include.sandbox.faults.response_faults import BROKEN

TOKEN = b'{"access_token": "t", "expires_in": 300}'
PARSED = {"deep", "large"}  # orjson parses these; they are rejected when they are staged


@pytest.mark.parametrize("kind", sorted(set(BROKEN) - PARSED))
def test_the_other_records_of_a_page_are_read(sandbox, connect, kind):
    expected = {record["id"] for record in sandbox.records("Practitioner")}
    sandbox.fault("break_record", interaction="search", resource="Practitioner", value=kind, times=1)
    pages = list(connect(sandbox).pages("Practitioner"))
    found = [record for page in pages for record in page.resources]
    assert {record["id"] for record in found} == expected  # the id of the broken record, too
    (broken,) = (record for record in found if reason_of(record))
    assert set(broken) == {"resourceType", "id", "unreadable"}


@pytest.mark.parametrize("kind", sorted(set(BROKEN) - PARSED))
def test_a_search_that_must_return_every_record_raises_an_error_for_a_broken_one(sandbox, connect, kind):
    (first, *_) = sandbox.records("Practitioner")
    sandbox.fault("break_record", resource="Practitioner", value=kind)
    client = connect(sandbox)
    with pytest.raises(UnreadableRecord, match="cannot be read"):
        list(client.search("Practitioner"))
    with pytest.raises(UnreadableRecord, match=r"cannot be read.*" + first["id"]):
        client.read("Practitioner", first["id"])


def test_a_byte_order_mark_before_an_answer_is_ignored(wire, respond, connect):
    body = b'\xef\xbb\xbf{"resourceType": "CapabilityStatement"}'
    wire.answer = lambda request: respond(request, 200, body)
    wire.base_url = f"{wire.url}/fhir/r4/T1"
    assert connect(wire).capability() == {"resourceType": "CapabilityStatement"}


@pytest.mark.parametrize(
    "body", [b'{"resourceType": "Bundle", "entry": [{"response": {"status": "\\ud800"}}]}', b" " * 2000]
)
def test_an_unreadable_answer_to_a_write_is_an_unknown_outcome(wire, respond, connect, body):
    wire.answer = lambda request: respond(request, 200, body if request.path.endswith("T1") else TOKEN)
    wire.base_url = f"{wire.url}/fhir/r4/T1"
    client = connect(wire, token_url=f"{wire.url}/token")
    client.transport.limits = Limits(answer_bytes=1000)
    with pytest.raises(OutcomeUnknown):
        client.transact({"resourceType": "Bundle", "type": "transaction", "entry": []})


def entry(text: bytes) -> bytes:
    return b'{"fullUrl": "urn:x", "resource": ' + text + b"}"


@pytest.mark.parametrize(
    "text",
    [
        b'{"resourceType": "Patient", "id": "b", "x": "\\ud83d"}',
        b'{"resourceType": "Patient", "id": "b", "x": "}]\\" \\ud83d [{"}',
        b'{"x": {"id": "inner", "y": [1,]}, "resourceType": "Patient", "id": "b"}',
        b'{"resourceType": "Patient", "id": "b", "x": tru}',
        b'{"resourceType": "Patient" "id": "b"}',
    ],
)
def test_a_broken_record_is_replaced_and_its_id_is_kept_where_it_is_readable(text):
    template = b'{"resourceType": "Bundle", "type": "searchset", "entry": [%s, %s, %s], "total": 3}'
    good = entry(b'{"resourceType": "Patient", "id": "a"}'), entry(b'{"resourceType": "Patient", "id": "c"}')
    found = salvaged(b" \n" + template % (good[0], entry(text), good[1]))
    assert found is not None
    first, broken, last = (each["resource"] for each in found["entry"])
    assert (first["id"], last["id"], found["total"]) == ("a", "c", 3)
    assert reason_of(broken)
    assert broken.get("id", "b") == "b"


@pytest.mark.parametrize(
    "text",
    [
        b'{"resourceType": "Bundle", "entry": [{"resource": {"resourceType": "Patient", "x": "\\ud800"}}',
        b'{"resourceType": "Bundle", "entry": [{"resource": {"resourceType": "Patient", "x": "\\ud8',
        b'{"resourceType": "OperationOutcome", "issue": [{"code": "\\ud800"}]}',
        b'{"entry": [{"x": "\\ud800"}]}',
        b"[]",
        b"",
        b"<html>",
        b'{"resourceType": "Bundle", "total": NaN, "entry": []}',
    ],
)
def test_an_answer_that_is_cut_off_or_not_a_bundle_is_not_salvaged(text):
    assert salvaged(text) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)


@given(records=st.lists(st.dictionaries(st.text(max_size=6), JSON, max_size=4), max_size=4), indent=st.integers(0, 3))
def test_salvaging_a_readable_bundle_changes_nothing(records, indent):
    bundle = {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": one} for one in records]}
    assert salvaged(json.dumps(bundle, indent=indent or None).encode()) == bundle


@given(JSON)
def test_no_answer_that_is_cut_off_is_salvaged(value):
    text = orjson.dumps({"resourceType": "Bundle", "entry": [{"resource": {"resourceType": "Patient", "x": value}}]})
    for end in range(len(text)):
        assert salvaged(text[:end]) is None


def test_a_record_that_is_too_large_or_too_deep_is_replaced_when_it_is_staged():
    nested: object = "x"
    for _ in range(300):
        nested = [nested]
    for value in ("x" * MAX_BYTES, nested):
        line, staged = as_line({"resourceType": "Patient", "id": "p1", "x": value})
        assert orjson.loads(line) == staged
        assert {name: staged[name] for name in ("resourceType", "id")} == {"resourceType": "Patient", "id": "p1"}
        assert reason_of(staged)
    assert as_line({"id": "p1"}) == (b'{"id":"p1"}', {"id": "p1"})


def test_two_broken_records_without_ids_stay_different():
    assert stand_in(b'{"a": NaN}', "broken") != stand_in(b'{"b": NaN}', "broken")


class Export:
    """A client whose export has one file."""

    def __init__(self, connect, wire, respond, body: bytes) -> None:
        def answer(request) -> None:
            respond(request, 200, TOKEN if request.command == "POST" else body)

        wire.answer = answer
        wire.base_url = f"{wire.url}/fhir/r4/T1"
        self.client = connect(wire, token_url=f"{wire.url}/token", timeout=5)
        self.file = bulk_export.File("Patient", f"{wire.base_url}/file", None)

    def lines(self) -> list[dict]:
        return list(bulk_export.lines(self.client, self.file))


@pytest.mark.parametrize(
    "broken",
    [
        b'{"resourceType": "Patient", "id": "b", "x": "\\ud800"}',
        b'{"resourceType": "Patient", "id": "b", "x": ',
        b'{"resourceType": "Patient", "id": "b", "x": ' + b"[" * 2000 + b"]" * 2000 + b"}",
        b'{"resourceType": "Patient", "id": "b", "x": "' + b"x" * (MAX_BYTES * 3) + b'"}',
        b'["b"]',
    ],
)
def test_the_other_lines_of_an_export_are_read(connect, wire, respond, broken):
    good = b'{"resourceType": "Patient", "id": "%s"}'
    body = b"\xef\xbb\xbf" + b"\n".join([good % b"a", broken, b"", good % b"c", b""])
    first, second, third = Export(connect, wire, respond, body).lines()
    assert (first["id"], third["id"]) == ("a", "c")
    assert second["resourceType"] == "Patient"
    assert reason_of(second)


@pytest.mark.parametrize(
    "body",
    [b'{"resourceType": "Patient", "id": "a"}\n{"resourceType": "Pat', b"<html>\n</html>\n", b'{"id": "a"}\noops\n'],
)
def test_an_export_file_that_is_cut_off_or_a_web_page_is_server_unavailable(connect, wire, respond, body):
    with pytest.raises(ServerUnavailable, match="cut off or damaged"):
        Export(connect, wire, respond, body).lines()
