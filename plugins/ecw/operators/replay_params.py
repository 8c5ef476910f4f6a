"""The form of the Trigger button of a replay; its fields are those of ecw.settings.replay, which reads it."""

from __future__ import annotations

from ecw.operators.form import params
from ecw.settings.replay import FIELDS

PARAMS = params(FIELDS)
