"""`python -m approvals_svc`."""

from approvals_svc.main import run
from approvals_svc.settings import Settings
from shared.contracts.services import APPROVALS_SVC
from shared.http.process import main

main(APPROVALS_SVC, Settings, run)
