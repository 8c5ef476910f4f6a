"""Drop the records that did not change, and map the others to rows."""

from __future__ import annotations

import logging
import re
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ecw.crm.db.enums import DELETED, LinkStatus, RejectStep
from ecw.fhir.fingerprint import content_hash
from ecw.fhir.unreadable_records import KEY as UNREADABLE
from ecw.fhir.unreadable_records import reason_of
from ecw.mapping.validation.resource import judge
from ecw.mapping.vocabulary import is_null_date
from ecw.models import Batch, Run, passed_on
from ecw.pull.extract.dedupe import version
from ecw.pull.tombstone import is_tombstone, merged_into
from ecw.staging import batch_file, filesystem

if TYPE_CHECKING:
    from ecw.crm.state.links import Known
    from ecw.mapping.transform.to_row import Mapper

WARNED = 20  # the most kinds of warnings that the log names for a batch
_POSITION = re.compile(r"\[\d+\]")
MOST_NAMED = 5  # the most elements that a reject names if a record is not valid FHIR
ID = re.compile(r"[A-Za-z0-9.-]{1,64}")  # FHIR R4, id
Problem = tuple[str | None, str, str]  # column, rule, reason
log = logging.getLogger(__name__)


@dataclass(slots=True)
class Noted:
    """Counts for a batch's log lines: codes that a crosswalk lacks, by (crosswalk, code), and kinds of warnings."""

    unmapped: Counter[tuple[str, str]] = field(default_factory=Counter)
    warned: Counter[str] = field(default_factory=Counter)


def map_batch(run: Run, batch: Batch, mapper: Mapper, known: Known, *, full: bool = False) -> Batch:
    """Stage a row for every record that is new, changed, or mapped by another version of the mapping.

    Of an unchanged record with a newer version than its link, only the version is staged; the load updates the link.
    `full` maps everything. Invalid records, and records that the mapping cannot map, are rejects.
    """
    name, mapping_version, started = batch["resource"], mapper.mapping.version, time.monotonic()
    staged_as = ("map", "map-rejects", "map-newer")
    path, rejects, newer = (filesystem.join(run["staging"], name, f"{file}.ndjson.gz") for file in staged_as)
    unchanged = rejected = deleted = 0
    noted = Noted()
    with (
        batch_file.writer(path) as mapped_file,
        batch_file.writer(rejects) as rejects_file,
        batch_file.writer(newer) as newer_file,
    ):
        mapped_file.extra["mapping_version"] = mapping_version
        for resource in batch_file.read(batch["path"]):
            digest = content_hash(resource)
            ecw_id, record_version = _id(resource), version(resource)
            if not full and ecw_id is not None and known.unchanged(ecw_id, digest, mapping_version):
                unchanged += 1
                if known.older(ecw_id, digest, mapping_version, record_version):
                    newer_file.write({"ecw_id": ecw_id, "version": record_version, "hash": digest})
                continue
            line = {"ecw_id": ecw_id or _no_id(digest), "version": record_version, "hash": digest}
            row, problems = _mapped(resource, ecw_id, mapper, noted)
            for problem in problems:
                rejects_file.write(line | _reject(problem, batch["path"]))
            if problems:
                rejected += 1
                deleted += is_tombstone(resource)
            else:
                status = what_became(resource)
                mapped_file.write(line | {"row": row} | ({"status": status} if status else {}))
    _log(name, noted)
    log.info("%s: %d rows, %d unchanged, %d rejected.", name, mapped_file.count, unchanged, rejected)
    staged = passed_on(batch, path, mapped_file.count, rejects, rejected, time.monotonic() - started)
    return staged | {"unchanged": batch["unchanged"] + unchanged, "newer": newer, "deleted_at_source": deleted}


def _reject(problem: Problem, batch: str) -> dict[str, str | None]:
    column, rule, reason = problem
    return {"step": RejectStep.MAP, "rule": rule, "column": column, "reason": reason, "batch": batch}


def _log(resource: str, noted: Noted) -> None:
    for crosswalk in sorted({crosswalk for crosswalk, _ in noted.unmapped}):
        counts = [times for (name, _), times in noted.unmapped.items() if name == crosswalk]
        log.warning(
            "%s: the crosswalk %s lacks %d codes of %d records; `ecw mapping unmapped` writes the lines to fill in.",
            *(resource, crosswalk, len(counts), sum(counts)),
        )
    for reason, times in noted.warned.most_common(WARNED):
        log.warning("%s: %d records are mapped with a warning: %s.", resource, times, reason)


def what_became(resource: Mapping[str, Any]) -> tuple[LinkStatus, str] | None:
    """Return a person's status in eCW and its reason: merged, deceased or inactive; None for an active person.

    eCW merges patients by deactivating one of them, and links it to the other only in some cases. Its null date is not
    a date of death (reference, section 3).
    """
    if other := merged_into(resource):
        return LinkStatus.MERGED, f"into {other}"
    died = resource.get("deceasedDateTime")
    if resource.get("deceasedBoolean") is True or (isinstance(died, str) and not is_null_date(died)):
        return LinkStatus.DECEASED, "eCW says so"
    if resource.get("active") is False:
        return LinkStatus.INACTIVE, "eCW has deactivated it"
    return None


def _mapped(
    resource: dict[str, Any], ecw_id: str | None, mapper: Mapper, noted: Noted
) -> tuple[dict[str, Any] | None, list[Problem]]:
    """Return a record's row, or None if the record is invalid, and its problems.

    Problems in elements that the mapping does not use are warnings, without positions.
    """
    if reason := reason_of(resource):
        return None, [(None, UNREADABLE, f"eCW's record cannot be read: {reason}")]
    if ecw_id is None:
        return None, [(None, "id", "the record has no id that FHIR allows")]
    if is_tombstone(resource):
        return None, [(None, DELETED, "eCW no longer has this record: it was deleted, or merged into another")]
    wrong, spared = judge(resource, mapper.elements)
    if wrong:
        return None, [(None, wrong[0].rule, "; ".join(problem.reason for problem in wrong[:MOST_NAMED]))]
    if spared:
        noted.warned.update({_POSITION.sub("", problem.reason) for problem in spared})
    mapped = mapper.row(resource)
    if mapped.unmapped:
        noted.unmapped.update(mapped.unmapped)
    if mapped.warnings and not mapped.problems:
        noted.warned.update(f"{p.column} is empty: {p.reason}" for p in mapped.warnings)
    return mapped.row, [(p.column, p.rule, p.reason) for p in mapped.problems]


def ecw_id_of(resource: Mapping[str, Any]) -> str:
    """Return the id of a record in the rejects: its FHIR id, or a digest of its content if it has no valid id."""
    return _id(resource) or _no_id(content_hash(resource))


def _no_id(digest: str) -> str:
    return f"no-id-{digest[:16]}"


def _id(resource: Mapping[str, Any]) -> str | None:
    ecw_id = resource.get("id")
    return ecw_id if isinstance(ecw_id, str) and ID.fullmatch(ecw_id) else None
