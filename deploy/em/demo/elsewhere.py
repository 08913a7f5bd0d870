"""A demo stack that em did not start itself, e.g. Docker Compose: what it needs, and where it is found."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from em import credentials
from em.counterparts import APP_ID, CATALOG, POLICY, trust_ci
from em.demo.cast import catalog, policy
from em.home import Home

# Names and ports of the stand-ins inside the stack's own network.
SANDBOX = "sandbox"
CI_PORT = 8024
SLACK_API_URL = "http://sandbox:8020/api/"
GITHUB_API_URL = "http://sandbox:8022"
GITLAB_API_URL = "http://sandbox:8023/api/v4"
PORTS = {
    "ingest": ("INGEST_PORT", "8000"),
    "normalizer": ("NORMALIZER_PORT", "8001"),
    "metrics-svc": ("METRICS_SVC_PORT", "8002"),
    "approvals-svc": ("APPROVALS_SVC_PORT", "8003"),
    "notifier": ("NOTIFIER_PORT", "8004"),
    "sandbox-control": ("SANDBOX_CONTROL_PORT", "8021"),
}


def write_rules(home: Home) -> None:
    """Catalog and policy of the story, where the services look for them."""
    home.demo.mkdir(parents=True, exist_ok=True)
    (home.demo / CATALOG).write_text(catalog(datetime.now(UTC)), encoding="utf-8")
    (home.demo / POLICY).write_text(policy(), encoding="utf-8")


def write_environment(home: Home, path: Path) -> None:
    """An environment file for shells and for `docker compose --env-file`."""
    home.prepare()
    write_rules(home)
    kept = credentials.counterparts(home)
    variables = {
        **credentials.development(home, {}),
        **kept,
        **trust_ci(home, kept, host=SANDBOX, port=CI_PORT),
        "POSTGRES_PASSWORD": credentials.password(home),
        "GITHUB_APP_ID": APP_ID,
        "SLACK_API_URL": SLACK_API_URL,
        "GITHUB_API_URL": GITHUB_API_URL,
        "GITLAB_API_URL": GITLAB_API_URL,
        "CATALOG_PATH": str(home.demo / CATALOG),
        "POLICY_PATH": str(home.demo / POLICY),
    }
    lines = [f"{name}='{value.strip()}'" for name, value in sorted(variables.items())]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    path.chmod(0o600)


def attached(environ: Mapping[str, str]) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """Addresses and secrets of that stack, from the environment that `write_environment` made."""
    urls = {name: f"http://127.0.0.1:{environ.get(variable, port)}" for name, (variable, port) in PORTS.items()}
    # As the services reach it: the story's callback addresses are compared with what they are configured with.
    return {**urls, "github-sandbox": environ["GITHUB_API_URL"]}, environ
