"""Notices that are open."""

revision = "009"
down_revision = "008"


def upgrade() -> None:
    """Nothing yet."""
