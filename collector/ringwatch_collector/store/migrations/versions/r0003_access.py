"""Who may talk to the collector: tokens, certificates that were issued, the deny list."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "access_tokens",
        sa.Column("id", sa.String(16), primary_key=True),
        sa.Column("digest", sa.String(64), nullable=False, unique=True),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("nodes", sa.String(128), nullable=False),
        sa.Column("uses_left", sa.Integer, nullable=False),
        sa.Column("created_ns", sa.BigInteger, nullable=False),
        sa.Column("expires_ns", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "access_certificates",
        sa.Column("serial", sa.String(48), primary_key=True),
        sa.Column("node", sa.String(64), nullable=False),
        sa.Column("issued_ns", sa.BigInteger, nullable=False),
        sa.Column("expires_ns", sa.BigInteger, nullable=False),
    )
    op.create_index("access_certificates_node", "access_certificates", ["node"])
    op.create_table(
        "access_denied",
        sa.Column("credential", sa.String(48), primary_key=True),
        sa.Column("denied_ns", sa.BigInteger, nullable=False),
        sa.Column("by", sa.String(64), nullable=False),
    )
