"""The error classes: the class tells who can act, and if a retry can help.

EcwError
├── RetryableError                a later try can work; Airflow retries the task
│   ├── ServerUnavailable         408, 5xx, HTML instead of FHIR, a dropped connection, an incomplete answer
│   │   ├── ConnectionFailed      no connection was made: nothing was sent
│   │   ├── CircuitOpen           many calls failed in a row: no calls for a while
│   │   └── OutcomeUnknown        a write was sent, its outcome is unknown: search before sending again
│   ├── TokenRevoked              eCW refuses tokens that worked before, and new ones too
│   ├── ExportRunning             eCW makes one export at a time, and another one runs
│   ├── ConcurrentRun             another run pulls the practice: this one waits
│   ├── SnapshotPending           another run of the same backfill is fetching the records that this one needs
│   ├── RateLimited               429: the practice's calls of this minute are used up
│   ├── StagingUnavailable        the disk or the object store of the staging area is full, or failed
│   ├── DatabaseUnavailable       the CRM's database does not answer, is busy, or aborted the transaction
│   └── InternalError             an unexpected error; its text is withheld, because it may quote a record
└── FatalError                    the same call would fail again; Airflow fails the task at once (but see ExportExpired)
    ├── ConfigurationError        a connection field, a key, a URL, a setting
    │   └── KeyNotPublished       the published key set and the private key disagree
    ├── AuthenticationError       the token endpoint refused the app
    ├── AccessDenied              401 after renewal, 403: the token does not allow this
    ├── BadRequest                400: eCW refuses the parameters or the record
    ├── RecordNotFound            404, 410
    │   └── ExportExpired         eCW no longer has the export; Airflow retries the task, which starts a new one
    ├── InvalidResponse           the answer is incomplete: pages in a loop, an ignored filter, a foreign link
    │   ├── WrongRecord           a read by id returned another record
    │   └── UnreadableRecord      a required record is broken JSON, too big or nested too deep
    ├── MappingError              a mapping file or a quality suite: file, line, key
    ├── CrmSchemaError            the CRM's table cannot store the values of the mapping
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
    """What happened, who can act, and the next step.

    `what` is a sentence that names what and where; `next_step` continues "Next, ..." in the imperative; `who` is the
    person who can do it, if not the class's default.
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
    """eCW, or a gateway or proxy before it, did not answer completely."""


class ConnectionFailed(ServerUnavailable):
    """No connection was made, so nothing was sent."""


class CircuitOpen(ServerUnavailable):
    """Many calls failed in a row: no calls are made for a while."""


class OutcomeUnknown(ServerUnavailable):
    """A write was sent, and its outcome is unknown."""


class TokenRevoked(RetryableError):
    """eCW refuses tokens that worked before, and new ones too: revoked early, or a temporary fault of the server."""


class ExportRunning(RetryableError):
    """eCW makes one export at a time."""


class ConcurrentRun(RetryableError):
    """Another run pulls the practice; this one would fetch the same records."""


class SnapshotPending(RetryableError):
    """Another run of the same backfill is fetching the records that this one needs."""


class RateLimited(RetryableError):
    """The practice's calls of this clock minute are used up."""


class StagingUnavailable(RetryableError):
    """The disk or the object store of the staging area is full, or failed."""


class DatabaseUnavailable(RetryableError):
    """The CRM's database did not answer, is busy, or aborted a transaction."""


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
    """eCW refuses this request, with any token."""


class RecordNotFound(FatalError):
    """The record does not exist, or no longer exists."""


class ExportExpired(RecordNotFound):
    """eCW does not know the export: expired, cancelled, or never started.  The next try starts a new one."""


class InvalidResponse(FatalError):
    """The answer is incomplete or not valid, so it is not used."""


class WrongRecord(InvalidResponse):
    """A read by id returned a record with another id."""


class UnreadableRecord(InvalidResponse):
    """A record that the caller needs cannot be read."""


class MappingError(FatalError):
    """A mapping file or a quality suite has a mistake."""


class CrmSchemaError(FatalError):
    """The CRM's table cannot store the values of the mapping."""


class RowRefused(CrmSchemaError):
    """A constraint, a trigger or a column's type refuses a row: in a load, the record becomes a reject.

    `rule` is the kind of the constraint, `column` the affected column ('' if unknown), `reason` a clause without
    values.
    """

    def __init__(self, what: str, *, next_step: str, who: str | None = None) -> None:
        super().__init__(what, next_step=next_step, who=who)
        self.rule, self.column, self.reason = "refused", "", "the CRM's database refuses it"


class PushStopped(FatalError):
    """A person has set the kill switch: the request was not sent."""


class PlanExceedsInterval(FatalError):
    """The run would not end before the next one begins."""


class PrerequisiteMissing(FatalError):
    """The strategy needs another resource, which was not loaded, or never pulled."""


class QualityGateFailed(FatalError):
    """A quality rule stops the resource: nothing of this batch is loaded."""


class CorruptBatch(FatalError):
    """A staged batch is missing, cut off or changed."""


class CountMismatch(FatalError):
    """The counts of records do not add up: a bug of the project."""
