"""An eClinicalWorks that behaves as its public traces say, for the demo and the tests.

Start: `python -m include.sandbox`.

In reading order:
    population   the records of a practice, made on demand from a seed; or loaded from NDJSON
    store        those records and what was changed since
    settings     everything that can be set, at the start or while it runs
    profiles     which parameters and combinations each profile takes: `ecw` or `fhir`
    searching    how a parameter matches a resource
    oauth        the token endpoint: JWKS fetched, RS384 assertion verified, scopes granted
    serving      what every call passes: quota, latency, bearer, faults, count, access log
    fhir, bundles, capability, writes, export      the answers
    faults       what can go wrong, switched on by rule
    admin        the test's door, not counted and without a password: never expose it
"""
