"""Compare a batch's number of records with the usual one."""

from __future__ import annotations

from ecw.crm.db.enums import VolumeScope
from ecw.crm.state.quality_results import PASS, STOP, VOLUME, WARN, Finding, Usual
from ecw.errors import QualityGateFailed
from ecw.quality.suite import Suite

LEAST_RUNS = 3  # earlier partial runs that all found something, before an empty partial run is reported


def judge(suite: Suite, found: int, usual: Usual) -> Finding:
    """Compare the number of records that eCW has with what comparable runs usually find; return the finding.

    The suite's `volume` applies to full scans and to runs of parts of similar size. A full scan that finds nothing,
    although there were records before, is always reported; a partial run only if none of the earlier runs was empty.
    """
    volume = suite.volume if usual.full_scan or usual.alike else None
    least = volume.at_least if volume is not None else 0.0
    verdict = PASS
    if usual.number and volume is not None and found < least * usual.number:
        # Records that an earlier run found deleted are reported, but do not stop another run.
        known = usual.without_deleted is not None and found >= least * usual.without_deleted
        verdict = WARN if known else volume.on_fail
    elif usual.number and not found and (usual.full_scan or usual.never_nothing >= LEAST_RUNS):
        verdict = WARN
    return Finding(
        rule=VOLUME,
        column="",
        demand=f"at least {least:.0%} of the usual number"
        if least
        else "at least one record, if there usually are any",
        on_fail=volume.on_fail if least and volume is not None else WARN,
        reason=volume.reason if volume is not None else "",
        rows=found,
        broken=0 if verdict == PASS or usual.number is None else usual.number - found,
        verdict=verdict,
        usual=usual.number,
        scope=VolumeScope.FULL if usual.full_scan else VolumeScope.PARTIAL,
    )


def message(suite: Suite, found: Finding) -> str:
    """Return what is wrong with a batch's volume."""
    return f"{suite.resource}: eCW gave {found.rows} records, usual are {found.usual}"


def require(suite: Suite, found: Finding) -> None:
    """Raise QualityGateFailed if the volume stops the resource."""
    if found.verdict == STOP:
        raise QualityGateFailed(
            f"{message(suite, found)} (the median of the last comparable runs); {found.demand} must be found again.",
            next_step="check in eCW whether the records were deleted. If they were, set volume.at_least in "
            f"{suite.path.name} lower, clear the resource's check task, and set it back once the run is loaded; if "
            "not, clear its extract task.",
        )
