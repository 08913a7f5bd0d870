"""Why something is asked for and which signal asks; effects that are withdrawn; indexes of filtered lists."""

from alembic import op

revision = "0009"
down_revision = "0008"

COLUMNS = """
ALTER TABLE approval
    ADD COLUMN reason text NOT NULL DEFAULT '',
    ADD COLUMN signal text NOT NULL DEFAULT ''
"""
WITHDRAWN = """
ALTER TABLE effect
    DROP CONSTRAINT effect_state_check,
    ADD CONSTRAINT effect_state_check CHECK (state IN ('pending', 'leased', 'done', 'dead', 'withdrawn'))
"""
# Each filter has an index in the order of the list, so that a page costs what it shows.
FILTERED = tuple(
    f"CREATE INDEX approval_{column}_id ON approval ({column}, id)"
    for column in ("subject", "requested_by", "service", "action")
)


def upgrade() -> None:
    for statement in (COLUMNS, WITHDRAWN, *FILTERED):
        op.execute(statement)
