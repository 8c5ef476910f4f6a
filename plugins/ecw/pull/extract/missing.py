"""Records that a strategy did not bring: known, refused, waited for, or moved by a merge of patients."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

from ecw.pull.extract.context import ExtractContext
from ecw.pull.extract.rotation import number_of_slots, number_of_turn, turns
from ecw.pull.extract.search_request import SearchRequest, of_patient, read

REFUSED_AT_ONCE = 10  # of what was refused and did not appear; of more, those who are due
READ_AT_ONCE = 250  # of what did not appear; of more, a minute's calls, those who are due


def unseen(ask: ExtractContext, ecw_ids: Iterable[str]) -> list[str]:
    """Return the ids that the strategy has not brought."""
    return [ecw_id for ecw_id in ecw_ids if ecw_id not in ask.seen]


def not_come(ask: ExtractContext) -> list[str]:
    """Return what is known, did not appear, and was not found to be gone before."""
    deleted_ids = ask.roster.deleted_ids(ask.resource.name)
    once = dict.fromkeys([*ask.roster.known(ask.resource.name), *ask.roster.refused(ask.resource.name)])
    return [ecw_id for ecw_id in unseen(ask, once) if ecw_id not in deleted_ids]


def of_list(ask: ExtractContext) -> list[str]:
    """Return what is to be read of a list that should have held everything; an empty one proves nothing."""
    return in_turn(ask, not_come(ask)) if len(ask.seen) else []


def in_turn(ask: ExtractContext, missing: list[str]) -> list[str]:
    """Return those to be read in this run: all of a few; of many, those who are due."""
    if len(missing) <= READ_AT_ONCE:
        return missing
    turn = turns(ask)
    return [ecw_id for ecw_id in missing if turn(ecw_id)]


def refused(ask: ExtractContext, besides: Iterable[str]) -> list[str]:
    """Return what was refused, did not appear and is to be read in this run: eCW may have deleted it.

    All of a few; of more those who are due, and never more than a minute's calls. Which the window would hold
    nobody knows, so they come one by one, and too many at once would be most of a quiet run's batch.
    """
    done = ask.roster.deleted_ids(ask.resource.name).union(besides)
    found = [ecw_id for ecw_id in unseen(ask, ask.roster.refused(ask.resource.name)) if ecw_id not in done]
    if len(found) > REFUSED_AT_ONCE:
        turn = turns(ask)
        found = [ecw_id for ecw_id in found if turn(ecw_id)]
    # Of a large quarantine another part every time that a turn comes round.
    rounds = number_of_turn(ask.run, timedelta(minutes=ask.options.every_minutes)) // number_of_slots(ask.options)
    first = rounds * READ_AT_ONCE % max(len(found), 1)
    return [*found[first:], *found[:first]][:READ_AT_ONCE]


def required_ids(ask: ExtractContext) -> list[SearchRequest]:
    """Read what must be fetched and did not come by the strategy."""
    return [read(ecw_id) for ecw_id in ask.roster.required_ids(ask.resource.name) if ecw_id not in ask.seen]


def moved(ask: ExtractContext) -> list[SearchRequest]:
    """Ask for the records of patients whom eCW has merged, by whatever strategy the others came.

    They are another's now, and that changes neither their time nor the patient who has them. What the CRM has of one
    who is gone without a word is read as well: eCW may have merged them, too.
    """
    left = ask.roster.left("patient", ask.resource.name) if "per_patient" in ask.resource.strategies else []
    if not left or ask.options.few:
        return []
    into = dict.fromkeys(ecw_id for _, ecw_id in left if ecw_id is not None)
    theirs = unseen(ask, ask.roster.of_patients(ask.resource.name, [ecw_id for ecw_id, _ in left]))
    if len(theirs) > READ_AT_ONCE:  # many are gone at once: of those the turns take care
        theirs = unseen(ask, ask.roster.of_patients(ask.resource.name, [one for one, into_ in left if into_]))
    return [*(replace(of_patient(ecw_id), optional=True) for ecw_id in into), *map(read, theirs)]
