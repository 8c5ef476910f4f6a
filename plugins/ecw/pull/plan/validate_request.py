"""Validate the options of a run: a contradictory form is refused before anything is fetched."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from ecw.errors import ConfigurationError
from ecw.models import RunType
from ecw.resources import OF_PATIENTS
from ecw.settings.pull import CHANGES, FULL, PATIENTS, SCHEDULE, Options


def settled(options: Options, form: Options, run_type: str, usual: list[str], *, now: datetime) -> Options:
    """Return the options with the resources that the run covers.

    `options` are the connection's and the form's together, `form` is the form alone, which a person filled in for this
    run. `usual` are the resources that the schedule pulls.

    Raises ConfigurationError with all mistakes in the form at once.
    """
    wrong = list(_wrong(form, run_type, now))
    if wrong:
        raise ConfigurationError(f"The form is refused: {'; '.join(wrong)}.", next_step="fix it and trigger again.")
    if options.mode in (PATIENTS, SCHEDULE):
        chosen = [name for name in OF_PATIENTS if name in (options.resources or usual)]
    elif options.ids:
        # Named records are pulled even if the schedule does not pull their resource; a patient's insurance and
        # encounters are pulled with the patient if the schedule pulls them.
        with_them = OF_PATIENTS if "patient" in options.ids else ()
        chosen = options.resources or [*dict.fromkeys([*options.ids, *(name for name in with_them if name in usual)])]
    else:
        chosen = options.resources or usual
    if not chosen:
        raise ConfigurationError(
            "The form is refused: the schedule pulls none of patient, insurance and encounter.",
            next_step="choose patient, insurance or encounter under Resources and trigger again.",
        )
    if options.mode == SCHEDULE and "encounter" not in chosen:
        raise ConfigurationError(
            "The form is refused: the schedule does not pull encounter, and the mode is schedule.",
            next_step="choose encounter under Resources too and trigger again.",
        )
    return replace(options, resources=chosen)


def _wrong(options: Options, run_type: str, now: datetime) -> Iterator[str]:
    mode = options.mode
    for field, title, wanted in (
        ("patients", "Only these patients", PATIENTS),
        ("practitioners", "Practitioners", SCHEDULE),
    ):
        filled = bool(getattr(options, field))
        if mode == wanted and not filled:
            yield f"{title} is empty, and the mode is {mode}"
        if mode != wanted and filled:
            yield f"{title} is filled in, and the mode is {mode}: choose the mode {wanted}, or empty the field"
    if mode in (PATIENTS, SCHEDULE):
        if others := [name for name in options.resources if name not in OF_PATIENTS]:
            yield f"{', '.join(others)} under Resources do not belong to patients, and the mode is {mode}"
        if mode == SCHEDULE and options.resources and "encounter" not in options.resources:
            yield "encounter is not among the Resources, and the mode is schedule"
        if options.strategies:
            yield f"a strategy is chosen, and the mode is {mode}, which has its own"
    elif options.resources and (unused := [name for name in options.strategies if name not in options.resources]):
        yield from (f"a strategy is chosen for {name}, which is not among the Resources" for name in unused)
    if run_type == RunType.BACKFILL and (options.few or options.patients or options.own_window):
        yield "a backfill covers its intervals: it takes no patients, practitioners, records, From or Until"
    yield from _wrong_window(options, now)


def _wrong_window(options: Options, now: datetime) -> Iterator[str]:
    if not options.own_window:
        return
    if options.mode in (FULL, PATIENTS) or options.full or options.ids:
        yield "From and Until are for the modes changes and schedule"
        return
    times: dict[str, datetime] = {}
    for title, text in (("From", options.since), ("Until", options.until)):
        if text:
            try:
                times[title] = datetime.fromisoformat(text)
            except ValueError:
                yield f"{title} is not a date and time"
                return
            if times[title].tzinfo is None:
                yield f"{title} has no time zone"
                return
    since, until = times.get("From"), times.get("Until")
    if since and until and until <= since:
        yield "Until is not after From"
    if options.mode == CHANGES:
        if until and not since:
            yield "Until needs From: without it a run begins where the last one ended"
        if since and since >= now:
            yield "From is in the future"
        if until and until > now:
            yield "Until is in the future: changes that eCW does not have yet cannot be pulled"


def window_of(options: Options, now: datetime) -> tuple[str, str]:
    """Return the window of a form with From or Until, or with the mode schedule; ISO 8601 in UTC."""
    day = timedelta(days=1)
    ahead = now + options.look_ahead_days * day if options.mode == SCHEDULE else now
    until = _utc(options.until) or ahead
    since = _utc(options.since) or min(now, until) - options.look_back_days * day
    return since.isoformat(), until.isoformat()


def _utc(text: str) -> datetime | None:
    return datetime.fromisoformat(text).astimezone(UTC) if text else None
