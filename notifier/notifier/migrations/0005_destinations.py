"""A thing may have a card in each of several places, and what needs a word goes into the card's thread."""

from alembic import op

revision = "0005"
down_revision = "0004"

# `thing`: a card, shown as the thing is known then. `root`: a note in the thread of that card, whose content is fixed.
COLUMNS = """
ALTER TABLE message
    DROP CONSTRAINT message_key_fkey,
    ADD thing text REFERENCES thing (key),
    ADD root text REFERENCES message (key),
    ADD content json
"""
CARDS = "UPDATE message SET thing = key"
ONE_SORT = """
ALTER TABLE message
    ADD CONSTRAINT message_content CHECK ((thing IS NULL) = (content IS NOT NULL)),
    ADD CONSTRAINT message_root CHECK (root IS NULL OR thing IS NULL)
"""
BY_THING = "CREATE UNIQUE INDEX message_thing ON message (thing, channel) WHERE thing IS NOT NULL"
BY_ROOT = "CREATE INDEX message_root ON message (root) WHERE root IS NOT NULL"


def upgrade() -> None:
    for statement in (COLUMNS, CARDS, ONE_SORT, BY_THING, BY_ROOT):
        op.execute(statement)
