"""`python -m normalizer`."""

from normalizer.main import run
from normalizer.settings import Settings
from shared.contracts.services import NORMALIZER
from shared.http.process import main

main(NORMALIZER, Settings, run)
