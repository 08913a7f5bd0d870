"""A document may be hidden by the labels of what it tells of, as by its services."""

from alembic import op

revision = "0023"
down_revision = "0022"

DECISIONS = """
UPDATE document SET services = services || ARRAY(
    SELECT DISTINCT 'label:' || label FROM jsonb_array_elements_text(facts -> 'labels') AS label
)
FROM approval
WHERE kind = 'decision' AND key = approval.id::text AND services <> '{}'
  AND jsonb_typeof(facts -> 'labels') = 'array'
"""
CHANGES = """
UPDATE document SET services = services || ARRAY(SELECT DISTINCT 'label:' || label FROM unnest(labels) AS label)
FROM change
WHERE kind = 'change' AND key = concat_ws(':', change.source, change.repository, change.number) AND services <> '{}'
"""


def upgrade() -> None:
    for statement in (DECISIONS, CHANGES):
        op.execute(statement)
