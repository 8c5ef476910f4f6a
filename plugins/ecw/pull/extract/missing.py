"""Records that a strategy did not return: known ones, rejected ones, required ones, and those of merged patients."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

from ecw.pull.extract.context import ExtractContext
from ecw.pull.extract.rotation import number_of_slots, number_of_turn, turns
from ecw.pull.extract.search_request import SearchRequest, of_patient, read
from ecw.resources import StrategyName

REFUSED_AT_ONCE = 10  # missing rejected records that are all read in one run; of more, only the due ones
READ_AT_ONCE = 250  # missing records that are all read in one run (a minute's calls); of more, only the due ones


def unseen(context: ExtractContext, ecw_ids: Iterable[str]) -> list[str]:
    """Return the ids that the strategy has not returned."""
    return [ecw_id for ecw_id in ecw_ids if ecw_id not in context.seen]


def not_come(context: ExtractContext) -> list[str]:
    """Return the known and rejected ids that are missing from the result, without those known to be deleted."""
    deleted_ids = context.known_ids.deleted_ids(context.resource.name)
    once = dict.fromkeys(
        [*context.known_ids.known(context.resource.name), *context.known_ids.refused(context.resource.name)]
    )
    return [ecw_id for ecw_id in unseen(context, once) if ecw_id not in deleted_ids]


def of_list(context: ExtractContext) -> list[str]:
    """Return the ids to read after a list of everything; none if the list was empty, which proves nothing."""
    return in_turn(context, not_come(context)) if len(context.seen) else []


def in_turn(context: ExtractContext, missing: list[str]) -> list[str]:
    """Return the ids to read in this run: all up to READ_AT_ONCE; of more, those that are due."""
    if len(missing) <= READ_AT_ONCE:
        return missing
    turn = turns(context)
    return [ecw_id for ecw_id in missing if turn(ecw_id)]


def refused(context: ExtractContext, besides: Iterable[str]) -> list[str]:
    """Return the rejected ids to read in this run: they are missing from the result, so eCW may have deleted them.

    `besides` are ids that are read anyway. Up to REFUSED_AT_ONCE ids are all read; of more, those that are due, and
    never more than READ_AT_ONCE. The CRM has no row of them, so it is unknown whether they belong to the window; too
    many of them would be most of a quiet run's batch.
    """
    excluded = context.known_ids.deleted_ids(context.resource.name).union(besides)
    missing = [
        ecw_id for ecw_id in unseen(context, context.known_ids.refused(context.resource.name)) if ecw_id not in excluded
    ]
    if len(missing) > REFUSED_AT_ONCE:
        turn = turns(context)
        missing = [ecw_id for ecw_id in missing if turn(ecw_id)]
    # If too many are due, each cycle reads another part of them.
    cycles = number_of_turn(context.run, timedelta(minutes=context.options.every_minutes)) // number_of_slots(
        context.options
    )
    first = cycles * READ_AT_ONCE % max(len(missing), 1)
    return [*missing[first:], *missing[:first]][:READ_AT_ONCE]


def required_ids(context: ExtractContext) -> list[SearchRequest]:
    """Return the reads of required records that the strategy has not returned."""
    return [
        read(ecw_id) for ecw_id in context.known_ids.required_ids(context.resource.name) if ecw_id not in context.seen
    ]


def moved(context: ExtractContext) -> list[SearchRequest]:
    """Return the searches and reads for the records of merged or deleted patients, whatever the strategy.

    A merge moves a patient's records to another patient, but changes neither their `lastUpdated` nor the other patient.
    The records of a deleted patient are read as well: eCW may have merged that patient without saying so.
    """
    left = (
        context.known_ids.left("patient", context.resource.name)
        if StrategyName.PER_PATIENT in context.resource.strategies
        else []
    )
    if not left or context.options.few:
        return []
    into = dict.fromkeys(ecw_id for _, ecw_id in left if ecw_id is not None)
    records = unseen(context, context.known_ids.of_patients(context.resource.name, [ecw_id for ecw_id, _ in left]))
    if len(records) > READ_AT_ONCE:  # many patients were deleted at once: their records are read in turns
        merged = [ecw_id for ecw_id, other in left if other]
        records = unseen(context, context.known_ids.of_patients(context.resource.name, merged))
    return [*(replace(of_patient(ecw_id), optional=True) for ecw_id in into), *map(read, records)]
