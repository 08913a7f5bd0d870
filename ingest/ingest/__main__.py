"""`python -m ingest`."""

from ingest.main import run
from ingest.settings import Settings
from shared.contracts.services import INGEST
from shared.http.process import main

main(INGEST, Settings, run)
