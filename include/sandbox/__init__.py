"""A server that behaves like eClinicalWorks does in public traces, for the demo and the tests.

Start: `python -m include.sandbox`.

In reading order:
    population   the records of a practice, generated on demand from a seed, or loaded from NDJSON
    store        these records, and the later changes
    settings     all settings, for the start and for run time
    profiles     the search parameters and combinations that each profile accepts: `ecw` or `fhir`
    searching    how a parameter matches a resource
    oauth        the token endpoint: fetches the JWKS, verifies the RS384 assertion, grants scopes
    serving      what every call passes: quota, latency, bearer, faults, count, access log
    fhir, bundles, capability, writes, write_rules, export      the responses
    faults, fault_rule, page_faults, response_faults            faults that rules switch on
    admin        the admin API for tests, without quota and without authentication: never expose it
"""
