"""Requests to verify benefits."""

revision = "008"
down_revision = "007"


def upgrade() -> None:
    """Nothing yet."""
