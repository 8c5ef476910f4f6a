"""Errors are named for the decision they ask for.

EcwError
├── RetryableError                a later try can work; Airflow retries the task
│   ├── ServerUnavailable         408, 5xx, HTML instead of FHIR, a connection dropped, an answer cut off
│   │   ├── ConnectionFailed      no connection was made: nothing was sent
│   │   ├── CircuitOpen           many calls failed in a row: no calls for a while
│   │   └── OutcomeUnknown        a write was sent, its outcome is unknown: search before sending again
│   ├── TokenRevoked              tokens that worked before are refused, new ones too
│   ├── ExportRunning             eCW makes one export at a time, and another one runs
│   ├── ConcurrentRun             another run pulls the practice: this one waits
│   ├── SnapshotPending           another run of the same backfill still fetches what this one needs
│   ├── RateLimited               429: the practice's calls of this minute are used up
│   ├── StagingUnavailable        the disk or the object store of the staging area is full, or failed
│   ├── DatabaseUnavailable       the CRM's database does not answer, is busy, or gave up
│   └── InternalError             an unexpected error; its text is withheld, it may quote a record
└── FatalError                    the same call would fail again; Airflow fails the task at once
    ├── ConfigurationError        a connection field, a key, a URL, a setting
    │   └── KeyNotPublished       the published key set and the private key disagree
    ├── AuthenticationError       the token endpoint refused the app
    ├── AccessDenied              401 after renewal, 403: the token does not allow this
    ├── BadRequest                400: eCW refuses the parameters or the record
    ├── RecordNotFound            404, 410
    │   └── ExportExpired         eCW no longer has the export
    ├── InvalidResponse           the answer is incomplete: pages in a loop, an ignored filter, a foreign link
    │   ├── WrongRecord           a read by id returned another record
    │   └── UnreadableRecord      a record that is needed in full is broken JSON, too big or nested too deep
    ├── MappingError              a mapping file or a quality suite: file, line, key
    ├── CrmSchemaError            the CRM's table cannot hold what the mapping puts into it
    │   └── RowRefused            a constraint or a trigger of the CRM refuses a row
    ├── PushStopped               a person set the kill switch of the push: no request is sent
    ├── PlanExceedsInterval       the run would not end before the next one begins
    ├── PrerequisiteMissing       the strategy needs another resource, which was not loaded
    ├── QualityGateFailed         a quality rule stops the resource: nothing of this batch is loaded
    ├── CorruptBatch              a staged batch is missing, cut off or changed
    └── CountMismatch             fetched is not rejected + inserted + updated + unchanged

A message never holds a patient's data: ids, counts, codes and names of fields only.
"""

from __future__ import annotations


class EcwError(Exception):
    """What happened, then who does what next.

    `what` is a sentence that names what and where; `next_step` finishes the sentence "Next, ..." in the
    imperative; `who` overrides the class's answer to who can do it.
    """

    who = "data engineer"

    def __init__(self, what: str, *, next_step: str, who: str | None = None) -> None:
        self.what = what
        self.next_step = next_step
        self.who = who or type(self).who
        super().__init__(f"{what} Next ({self.who}): {next_step}")

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.what, self.next_step, self.who)


def _rebuild(cls: type[EcwError], what: str, next_step: str, who: str) -> EcwError:
    return cls(what, next_step=next_step, who=who)


class RetryableError(EcwError):
    """A later try can work."""

    who = "Airflow"


class ServerUnavailable(RetryableError):
    """eCW, or something before it, did not answer in full."""


class ConnectionFailed(ServerUnavailable):
    """No connection was made, so nothing was sent."""


class CircuitOpen(ServerUnavailable):
    """So many calls failed in a row that none is made for a while."""


class OutcomeUnknown(ServerUnavailable):
    """A write was sent, and no answer says what happened to it."""


class TokenRevoked(RetryableError):
    """Tokens that had worked are refused, fresh ones too: revoked early, or a hiccup of the server."""


class ExportRunning(RetryableError):
    """eCW makes one export at a time."""


class ConcurrentRun(RetryableError):
    """Another run pulls the practice; this one would fetch the same."""


class SnapshotPending(RetryableError):
    """Another run of the same backfill still fetches what this one needs."""


class RateLimited(RetryableError):
    """The practice's calls of this clock minute are used up."""


class StagingUnavailable(RetryableError):
    """The disk or the object store of the staging area is full, or failed."""


class DatabaseUnavailable(RetryableError):
    """The CRM's database did not answer, or gave up on a transaction."""


class InternalError(RetryableError):
    """An unexpected error; its text is withheld."""

    who = "data engineer"


class FatalError(EcwError):
    """The same call would fail again."""


class ConfigurationError(FatalError):
    """A connection field, a key, a URL or a setting."""


class KeyNotPublished(ConfigurationError):
    """The published key set and the private key disagree."""


class AuthenticationError(FatalError):
    """The token endpoint refused the app."""


class AccessDenied(FatalError):
    """The token is valid, but does not allow this."""


class BadRequest(FatalError):
    """eCW does not take this request, whoever asks."""


class RecordNotFound(FatalError):
    """The record is not there, or no longer."""


class ExportExpired(RecordNotFound):
    """An export that eCW no longer knows: expired, cancelled, or never there."""


class InvalidResponse(FatalError):
    """The answer cannot be whole, so it is not used."""


class WrongRecord(InvalidResponse):
    """A read by id brought a record of another id."""


class UnreadableRecord(InvalidResponse):
    """A record that the caller must know in full cannot be read."""


class MappingError(FatalError):
    """A mapping file or a quality suite has a mistake."""


class CrmSchemaError(FatalError):
    """The CRM's table cannot hold what the mapping puts into it."""


class RowRefused(CrmSchemaError):
    """A constraint, a trigger or a column's type refuses a row: in a load, that record's reject.

    `rule` says which kind of thing refused it, `column` which column it is about ('' where that is not known), `reason`
    is a clause without values.
    """

    def __init__(self, what: str, *, next_step: str, who: str | None = None) -> None:
        super().__init__(what, next_step=next_step, who=who)
        self.rule, self.column, self.reason = "refused", "", "the CRM's database refuses it"


class PushStopped(FatalError):
    """A person has set the kill switch: the request was not made."""


class PlanExceedsInterval(FatalError):
    """The run cannot be done before the next one begins."""


class PrerequisiteMissing(FatalError):
    """The strategy needs the records of another resource, and those did not load, or were never pulled."""


class QualityGateFailed(FatalError):
    """A quality rule stops the resource: nothing of this batch may enter."""


class CorruptBatch(FatalError):
    """A staged batch is not what was written."""


class CountMismatch(FatalError):
    """Records went missing inside the project: a bug."""
