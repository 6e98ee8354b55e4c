"""The first schema."""

from alembic import op

from quintet.storage import sql
from quintet.storage.tables import metadata
from quintet.storage.tx import EngineKind

revision = "0001"
down_revision = None


def upgrade() -> None:
    bind = op.get_bind()
    metadata.create_all(bind)
    kind = EngineKind.SQLITE if bind.dialect.name == "sqlite" else EngineKind.POSTGRES
    for statement in sql.extra_ddl(kind):
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TABLE IF EXISTS interactions_fts")
    metadata.drop_all(op.get_bind())
