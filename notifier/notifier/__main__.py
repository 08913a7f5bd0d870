"""`python -m notifier`."""

from notifier.main import run
from notifier.settings import Settings
from shared.contracts.services import NOTIFIER
from shared.http.process import main

main(NOTIFIER, Settings, run)
