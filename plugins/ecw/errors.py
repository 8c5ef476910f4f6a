"""Errors are named for the decision they ask for.

EcwError
├── TryAgain                  a later try can work; Airflow retries the task
│   ├── ServerTrouble         408, 5xx, HTML instead of FHIR, a connection dropped, an answer cut off
│   │   ├── NotReached        no connection came about: nothing was sent
│   │   ├── CircuitOpen       so many calls failed in a row that no more are made for a while
│   │   └── OutcomeUnknown    a write was sent, and whether eCW did it is not known: search before sending again
│   ├── TokenLost             tokens that had worked are refused, fresh ones too
│   ├── ExportRunning         eCW makes one export at a time, and another one runs
│   ├── RunAhead              another run pulls the practice: this one waits for it
│   ├── SnapshotPending       another run of the same backfill still fetches what this one goes by
│   ├── QuotaSpent            429: the practice's calls of this minute are used up
│   ├── StagingUnavailable    the disk or the object store of the staging area is full, or failed
│   ├── CrmTrouble            the CRM's database does not answer, is busy, or gave up
│   └── InternalError         an error that nobody foresaw, without its text, which may quote a record
└── PersonMustAct             the same call would fail again; Airflow fails the task at once
    ├── ConfigurationWrong    a connection field, a key, a URL, a setting
    │   └── KeyNotPublished   the published key set and the private key disagree
    ├── AuthRefused           the token endpoint said no
    ├── AccessDenied          401 after renewal, 403: the token does not reach this
    ├── RequestRefused        400: a parameter set or a record that eCW does not take
    ├── RecordMissing         404, 410
    │   └── ExportGone        an export that eCW no longer knows
    ├── AnswerIncomplete      the server's answer cannot be whole: a loop of pages, a filter ignored, a foreign link
    │   ├── AnotherRecord     a read by id brought a record of another id
    │   └── UnreadableRecord  a record that somebody must know in full is broken JSON, too big or nested too deep
    ├── MappingWrong          a mapping file or a quality suite: file, line, key
    ├── CrmTableWrong         the CRM's table cannot hold what the mapping puts into it
    ├── PushStopped           a person has set the kill switch of the push: no request is made
    ├── PlanTooLong           the run cannot be done before the next one begins
    ├── RosterMissing         a look goes by records of another resource, and those did not load
    ├── QualityStop           a quality rule stops the resource: nothing of this batch may enter
    ├── BatchDamaged          a staged batch is absent, cut or not what was written
    └── NumbersDoNotAddUp     fetched is not rejected + inserted + updated + unchanged

A message never holds a patient's data: ids, counts, codes and names of fields only.
"""

from __future__ import annotations


class EcwError(Exception):
    """What happened, then who does what next.

    `what` is a sentence that names what and where; `next_move` finishes the sentence "Next, ..." in the
    imperative; `who` overrides the class's answer to who can do it.
    """

    who = "data engineer"

    def __init__(self, what: str, *, next_move: str, who: str | None = None) -> None:
        self.what = what
        self.next_move = next_move
        self.who = who or type(self).who
        super().__init__(f"{what} Next ({self.who}): {next_move}")

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.what, self.next_move, self.who)


def _rebuild(cls: type[EcwError], what: str, next_move: str, who: str) -> EcwError:
    return cls(what, next_move=next_move, who=who)


class TryAgain(EcwError):
    """A later try can work."""

    who = "Airflow"


class ServerTrouble(TryAgain):
    """eCW, or something before it, did not answer in full."""


class NotReached(ServerTrouble):
    """No connection came about, so nothing was sent."""


class CircuitOpen(ServerTrouble):
    """So many calls failed in a row that none is made for a while."""


class OutcomeUnknown(ServerTrouble):
    """A write was sent, and no answer says what became of it."""


class TokenLost(TryAgain):
    """Tokens that had worked are refused, fresh ones too: revoked early, or a hiccup of the server."""


class ExportRunning(TryAgain):
    """eCW makes one export at a time."""


class RunAhead(TryAgain):
    """Another run pulls the practice; this one would fetch the same."""


class SnapshotPending(TryAgain):
    """Another run of the same backfill still fetches what this one goes by."""


class QuotaSpent(TryAgain):
    """The practice's calls of this clock minute are used up."""


class StagingUnavailable(TryAgain):
    """The disk or the object store of the staging area is full, or failed."""


class CrmTrouble(TryAgain):
    """The CRM's database did not answer, or gave up on a transaction."""


class InternalError(TryAgain):
    """An error that nobody foresaw; its text is withheld."""

    who = "data engineer"


class PersonMustAct(EcwError):
    """The same call would fail again."""


class ConfigurationWrong(PersonMustAct):
    """A connection field, a key, a URL or a setting."""


class KeyNotPublished(ConfigurationWrong):
    """The published key set and the private key disagree."""


class AuthRefused(PersonMustAct):
    """The token endpoint said no."""


class AccessDenied(PersonMustAct):
    """The token is good, but does not reach this."""


class RequestRefused(PersonMustAct):
    """eCW does not take this request, whoever asks."""


class RecordMissing(PersonMustAct):
    """The record is not there, or no longer."""


class ExportGone(RecordMissing):
    """An export that eCW no longer knows: expired, cancelled, or never there."""


class AnswerIncomplete(PersonMustAct):
    """The answer cannot be whole, so it is not used."""


class AnotherRecord(AnswerIncomplete):
    """A read by id brought a record of another id."""


class UnreadableRecord(AnswerIncomplete):
    """A record that the caller must know in full cannot be read."""


class MappingWrong(PersonMustAct):
    """A mapping file or a quality suite has a mistake."""


class CrmTableWrong(PersonMustAct):
    """The CRM's table cannot hold what the mapping puts into it."""


class PushStopped(PersonMustAct):
    """A person has set the kill switch: the request was not made."""


class PlanTooLong(PersonMustAct):
    """The run cannot be done before the next one begins."""


class RosterMissing(PersonMustAct):
    """A look goes by the records of another resource, and those did not load, or were never pulled."""


class QualityStop(PersonMustAct):
    """A quality rule stops the resource: nothing of this batch may enter."""


class BatchDamaged(PersonMustAct):
    """A staged batch is not what was written."""


class NumbersDoNotAddUp(PersonMustAct):
    """Records went missing inside the project: a bug."""
