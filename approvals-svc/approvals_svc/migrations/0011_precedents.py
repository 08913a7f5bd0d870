"""Past decisions, changes and incidents as documents to search, with vectors where the server has `vector`."""

from alembic import op

revision = "0011"
down_revision = "0010"

# `services`: of all that it may be, for who may see it; `origin`: the platform's references that the catalog reads.
# `embedder`: whose vector it has, empty for none.
DOCUMENT = """
CREATE TABLE document (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('decision', 'change', 'incident')),
    key text NOT NULL,
    services text[] NOT NULL,
    origin text NOT NULL,
    action text NOT NULL,
    environment text NOT NULL,
    content_hash text NOT NULL,
    fields jsonb NOT NULL,
    body text NOT NULL,
    words tsvector NOT NULL GENERATED ALWAYS AS (to_tsvector('english', body)) STORED,
    url text NOT NULL,
    at timestamptz NOT NULL,
    known_at timestamptz NOT NULL,
    embedder text NOT NULL DEFAULT '',
    UNIQUE (kind, key)
)
"""
WORDS = "CREATE INDEX document_words ON document USING gin (words)"
ORIGIN = "CREATE INDEX document_origin ON document (kind, origin)"
EMBEDDER = "CREATE INDEX document_embedder ON document (embedder, id)"
AGE = "CREATE INDEX document_at ON document (at) WHERE kind <> 'decision'"
# Which report of a fact its document tells.
TOLD = [
    "ALTER TABLE change ADD COLUMN documented text",
    "CREATE INDEX change_undocumented ON change (known_at) WHERE documented IS DISTINCT FROM version",
    "ALTER TABLE incident ADD COLUMN documented text",
    "CREATE INDEX incident_undocumented ON incident (known_at) WHERE documented IS DISTINCT FROM version",
    "ALTER TABLE approval ADD COLUMN documented boolean NOT NULL DEFAULT false",
    "CREATE INDEX approval_undocumented ON approval (id) WHERE decision <> '' AND NOT documented",
]
# `em migrate` calls it each time: the extension may come, or go and come again, later than this migration.
COMPLETE = """
CREATE FUNCTION complete_schema() RETURNS void LANGUAGE plpgsql AS
$$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'vector') OR EXISTS (
        SELECT FROM pg_attribute
        WHERE attrelid = 'document'::regclass AND attname = 'embedding' AND NOT attisdropped
    ) THEN
        RETURN;
    END IF;
    ALTER TABLE document ADD COLUMN embedding vector(384);
    UPDATE document SET embedder = '' WHERE embedder <> '';
    CREATE INDEX document_embedding ON document USING hnsw (embedding vector_cosine_ops);
END $$
"""
# What came after a decision.
DEPLOYED = "CREATE INDEX deployment_place ON deployment (repository, environment, finished_at)"
# Days in UTC.
SEARCHES = """
CREATE TABLE searches (
    day date PRIMARY KEY,
    count integer NOT NULL
)
"""


def upgrade() -> None:
    for statement in (DOCUMENT, WORDS, ORIGIN, EMBEDDER, AGE, *TOLD, DEPLOYED, COMPLETE, SEARCHES):
        op.execute(statement)
