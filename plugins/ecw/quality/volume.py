"""Whether a batch is as large as such batches usually are."""

from __future__ import annotations

from ecw.crm.db.enums import VolumeScope
from ecw.crm.state.quality_results import PASS, STOP, VOLUME, WARN, Finding, Usual
from ecw.errors import QualityGateFailed
from ecw.quality.suite import Suite

LEAST_RUNS = 3  # runs that all found something, before nothing at all is news where a run sees only a part


def judge(suite: Suite, found: int, usual: Usual) -> Finding:
    """Hold the number of records that eCW has against what comparable runs usually find.

    The suite's `volume` is about runs that see everything that eCW has, or parts of like size. Nothing at all where
    there had been something is always reported; of a run that sees a part, only if no run before found nothing.
    """
    volume = suite.volume if usual.full_scan or usual.alike else None
    least = volume.at_least if volume is not None else 0.0
    verdict = PASS
    if usual.number and volume is not None and found < least * usual.number:
        # What is known to be gone is reported, and stops nothing again.
        known = usual.without_deleted is not None and found >= least * usual.without_deleted
        verdict = WARN if known else volume.on_fail
    elif usual.number and not found and (usual.full_scan or usual.never_nothing >= LEAST_RUNS):
        verdict = WARN
    return Finding(
        rule=VOLUME,
        column="",
        demand=f"at least {least:.0%} of the usual number" if least else "something, where there is something usually",
        on_fail=volume.on_fail if least and volume is not None else WARN,
        reason=volume.reason if volume is not None else "",
        rows=found,
        broken=0 if verdict == PASS or usual.number is None else usual.number - found,
        verdict=verdict,
        usual=usual.number,
        scope=VolumeScope.FULL if usual.full_scan else VolumeScope.PARTIAL,
    )


def said(suite: Suite, found: Finding) -> str:
    """Say what is wrong with a batch's volume."""
    return f"{suite.resource}: eCW gave {found.rows} records, usual are {found.usual}"


def require(suite: Suite, found: Finding) -> None:
    """Raise QualityGateFailed where the volume stops the resource."""
    if found.verdict == STOP:
        raise QualityGateFailed(
            f"{said(suite, found)} (the median of the last runs that saw as much); {found.demand} must come again.",
            next_step="look into eCW whether the records are gone. If they are, set volume.at_least in "
            f"{suite.path.name} lower, clear the resource's check task, and set it back once the run is loaded; if "
            "not, clear its extract task.",
        )
