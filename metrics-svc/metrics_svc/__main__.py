"""`python -m metrics_svc`."""

from metrics_svc.main import run
from metrics_svc.settings import Settings
from shared.contracts.services import METRICS_SVC
from shared.http.process import main

main(METRICS_SVC, Settings, run)
