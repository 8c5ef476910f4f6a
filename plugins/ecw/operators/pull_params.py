"""The form of the Trigger button of a pull; its fields are those of ecw.settings.pull, which reads it."""

from __future__ import annotations

from ecw.operators.form import params
from ecw.settings.pull import FIELDS

PARAMS = params(FIELDS)
