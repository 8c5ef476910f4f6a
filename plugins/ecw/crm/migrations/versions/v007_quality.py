"""The quality reports of the runs."""

revision = "007"
down_revision = "006"


def upgrade() -> None:
    """Nothing yet."""
