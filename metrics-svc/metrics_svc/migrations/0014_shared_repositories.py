"""A repository may hold several services: what is theirs is told by the files that a commit touches."""

from alembic import op

revision = "0014"
down_revision = "0013"

# A change has a row for each service that it is of.
OF_SERVICES = (
    "ALTER TABLE commit ADD COLUMN files text[]",
    "ALTER TABLE repository DROP CONSTRAINT repository_pkey, ADD PRIMARY KEY (name, service)",
    "ALTER TABLE change_flow DROP CONSTRAINT change_flow_pkey, ADD PRIMARY KEY (change, service)",
    "ALTER TABLE change_link DROP CONSTRAINT change_link_pkey, ADD PRIMARY KEY (change, service)",
)


def upgrade() -> None:
    for statement in OF_SERVICES:
        op.execute(statement)
