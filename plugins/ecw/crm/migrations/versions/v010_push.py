"""What the push's DAG needs."""

revision = "010"
down_revision = "009"


def upgrade() -> None:
    """Nothing yet."""
