"""A server that behaves like eClinicalWorks does in public traces, for the demo and the tests.

Start: `python -m include.sandbox`.

In reading order:
    population   the records of a practice, generated on demand from a seed, or loaded from NDJSON
    store        these records, and the later changes
    settings     all settings, for the start and for run time
    profiles     the search parameters and combinations that each profile accepts: `ecw` or `fhir`
    searching    how a parameter matches a resource
    oauth        the token endpoint: fetches the JWKS, verifies the RS384 assertion, grants scopes
    export       the bulk export
    bundles      the form of all responses
    faults       faults that rules switch on: `apply` has the points at which a call meets them
    endpoints    the HTTP servers: `serving` is what every call passes (quota, latency, bearer, faults, access log);
                 fhir, capability, writes and write_rules are the responses;
                 admin is the admin API for tests, without quota and without authentication: never expose it
"""
