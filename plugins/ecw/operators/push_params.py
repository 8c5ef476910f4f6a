"""The form of the Trigger button of a push; its fields are those of ecw.settings.push, which reads it."""

from __future__ import annotations

from ecw.operators.form import params
from ecw.settings.push import FIELDS

PARAMS = params(FIELDS)
