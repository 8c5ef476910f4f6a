"""Drop what did not change; make rows of the rest."""

from __future__ import annotations

import logging
import re
import time
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ecw.crm.db.enums import DELETED
from ecw.fhir.fingerprint import content_hash
from ecw.fhir.unreadable_records import KEY as UNREADABLE
from ecw.fhir.unreadable_records import reason_of
from ecw.mapping.validation.resource import judge
from ecw.mapping.vocabulary import is_null_date
from ecw.models import Batch, Run
from ecw.pull.extract.dedupe import version
from ecw.pull.tombstone import is_tombstone, merged_into
from ecw.staging import batch_file, filesystem

if TYPE_CHECKING:
    from ecw.crm.state.links import Known
    from ecw.mapping.transform.to_row import Mapper

WARNED = 20  # kinds of warnings that are named of a batch
_POSITION = re.compile(r"\[\d+\]")
MOST_NAMED = 5  # elements that are named when a record is not FHIR
ID = re.compile(r"[A-Za-z0-9.-]{1,64}")  # FHIR R4, id
log = logging.getLogger(__name__)


def map_batch(run: Run, batch: Batch, mapper: Mapper, known: Known, *, full: bool = False) -> Batch:
    """Stage a row for every record that is new, changed, or mapped by another version; the rest is unchanged.

    Of the unchanged those are staged whose version is newer than that of their link: the load tells the links. `full`
    maps everything. Records that are not what they should be, or that the mapping cannot map, are rejects.
    """
    name, mapping_version, started = batch["resource"], mapper.mapping.version, time.monotonic()
    staged_as = ("map", "map-rejects", "map-newer")
    path, rejects, newer = (filesystem.join(run["staging"], name, f"{file}.ndjson.gz") for file in staged_as)
    unchanged = rejected = deleted = 0
    unmapped: Counter[tuple[str, str]] = Counter()
    warned: Counter[str] = Counter()
    with batch_file.writer(path) as passed, batch_file.writer(rejects) as refused, batch_file.writer(newer) as alike:
        passed.extra["mapping_version"] = mapping_version
        for resource in batch_file.read(batch["path"]):
            digest = content_hash(resource)
            ecw_id, its_version = _id(resource), version(resource)
            if not full and ecw_id is not None and known.unchanged(ecw_id, digest, mapping_version):
                unchanged += 1
                if known.older(ecw_id, digest, mapping_version, its_version):
                    alike.write({"ecw_id": ecw_id, "version": its_version, "hash": digest})
                continue
            line: dict[str, Any] = {
                "ecw_id": ecw_id or _no_id(digest),
                "version": its_version,
                "hash": digest,
            }
            row, problems = None, _refused(resource, ecw_id, mapper, warned)
            if not problems:
                mapped = mapper.row(resource)
                row, problems = mapped.row, [(p.column, p.rule, p.reason) for p in mapped.problems]
                if mapped.unmapped:
                    unmapped.update(mapped.unmapped)
                if mapped.warnings and not problems:
                    warned.update(f"{p.column} is empty: {p.reason}" for p in mapped.warnings)
            for column, rule, reason in problems:
                refusal = {"step": "map", "rule": rule, "column": column, "reason": reason, "batch": batch["path"]}
                refused.write(line | refusal)
            if problems:
                rejected += 1
                deleted += is_tombstone(resource)
            else:
                became = what_became(resource)
                passed.write(line | {"row": row} | ({"status": became} if became else {}))
    for crosswalk in sorted({crosswalk for crosswalk, _ in unmapped}):
        found = [times for (known, _), times in unmapped.items() if known == crosswalk]
        log.warning(
            "%s: the crosswalk %s lacks %d codes of %d records; `ecw mapping unmapped` writes the lines to fill in.",
            *(name, crosswalk, len(found), sum(found)),
        )
    for reason, times in warned.most_common(WARNED):
        log.warning("%s: %d records enter with a warning: %s.", name, times, reason)
    log.info("%s: %d rows, %d unchanged, %d rejected.", name, passed.count, unchanged, rejected)
    staged: Batch = {
        **batch,
        "path": path,
        "count": passed.count,
        "rejected": batch["rejected"] + rejected,
        "unchanged": batch["unchanged"] + unchanged,
        "rejects": [*batch["rejects"], rejects] if rejected else batch["rejects"],
        "newer": newer,
        "deleted_at_source": deleted,
        "seconds": round(batch["seconds"] + time.monotonic() - started, 3),
    }
    return staged


def what_became(resource: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return what happened to somebody in eCW, and why one says so: merged, deceased, inactive; None: nothing.

    eCW merges patients by deactivating one of them, with a link to the other where it says so at all. Its null date is
    no date of death (reference, section 3).
    """
    if other := merged_into(resource):
        return "merged", f"into {other}"
    died = resource.get("deceasedDateTime")
    if resource.get("deceasedBoolean") is True or (isinstance(died, str) and not is_null_date(died)):
        return "deceased", "eCW says so"
    if resource.get("active") is False:
        return "inactive", "eCW has deactivated it"
    return None


def _refused(
    resource: dict[str, Any], ecw_id: str | None, mapper: Mapper, warned: Counter[str]
) -> list[tuple[str | None, str, str]]:
    """Return why a record is not mapped at all, as (column, rule, reason).

    What is wrong in elements that nobody maps is counted in `warned`, without positions.
    """
    if reason := reason_of(resource):
        return [(None, UNREADABLE, f"eCW's record cannot be read: {reason}")]
    if ecw_id is None:
        return [(None, "id", "the record has no id that FHIR allows")]
    if is_tombstone(resource):
        return [(None, DELETED, "eCW no longer has this record: it was deleted, or merged into another")]
    wrong, spared = judge(resource, mapper.elements)
    if spared and not wrong:
        warned.update({_POSITION.sub("", problem.reason) for problem in spared})
    return [(None, wrong[0].rule, "; ".join(problem.reason for problem in wrong[:MOST_NAMED]))] if wrong else []


def ecw_id_of(resource: Mapping[str, Any]) -> str:
    """Return the id by which the rejects know a record: one without an id that FHIR allows is known by its content."""
    return _id(resource) or _no_id(content_hash(resource))


def _no_id(digest: str) -> str:
    return f"no-id-{digest[:16]}"


def _id(resource: Mapping[str, Any]) -> str | None:
    found = resource.get("id")
    return found if isinstance(found, str) and ID.fullmatch(found) else None
