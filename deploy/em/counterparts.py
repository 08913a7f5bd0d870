"""The demo's counterparts as an extra of the stack: the sandbox's Slack, GitHub, GitLab and CI, not the real ones."""

from collections.abc import Mapping

from em import credentials
from em.embedded.ports import CI_SANDBOX, GITHUB_SANDBOX, GITLAB_SANDBOX, HOST, SANDBOX_CONTROL, SLACK_SANDBOX
from em.home import Home
from em.program import Ready
from em.stack import Extra, Ground, python_program

SANDBOX = "sandbox"
APP_ID = "1"
DEADLINE_S = 30.0

# Files of the demo, and the variables that name them to the services.
CATALOG = "catalog.yaml"
POLICY = "policy.yaml"
PAGE = "index.html"
CERTIFICATE = "ci.pem"
CALLBACKS = "ci"  # the target's name


def counterparts(ground: Ground) -> Extra:
    """Wins over the caller's environment: a demo must never reach a real Slack, GitHub or GitLab."""
    slack, github, gitlab, ci, control = (
        ground.ports[name] for name in (SLACK_SANDBOX, GITHUB_SANDBOX, GITLAB_SANDBOX, CI_SANDBOX, SANDBOX_CONTROL)
    )
    kept = credentials.counterparts(ground.home)
    environment = {
        "DEMO": "true",
        "SLACK_API_URL": f"http://{HOST}:{slack}/api/",
        "GITHUB_API_URL": f"http://{HOST}:{github}",
        "GITHUB_APP_ID": APP_ID,
        "GITLAB_API_URL": f"http://{HOST}:{gitlab}/api/v4",
        **kept,
        **trust_ci(ground.home, kept, host=HOST, port=ci),
        **_files(ground.home),
    }
    sandbox = python_program(
        ground.home,
        SANDBOX,
        ("-m", "em.sandbox", *_flags(slack=slack, github=github, gitlab=gitlab, ci=ci, control=control), "--open"),
        environment={**ground.environment, **environment},
        ready=Ready(port=control, deadline_s=DEADLINE_S),
        port=control,
    )
    urls = {
        "slack-sandbox": environment["SLACK_API_URL"],
        "github-sandbox": environment["GITHUB_API_URL"],
        "gitlab-sandbox": environment["GITLAB_API_URL"],
        "sandbox-control": f"http://{HOST}:{control}",
    }
    return Extra(programs=(sandbox,), environment=environment, urls=urls)


def trust_ci(home: Home, kept: Mapping[str, str], *, host: str, port: int) -> dict[str, str]:
    """Its runs may ask for gates, and it is told how they end."""
    home.demo.mkdir(parents=True, exist_ok=True)
    certificate = home.demo / CERTIFICATE
    certificate.write_text(kept["CI_CERTIFICATE"], encoding="utf-8")
    url = f"https://{host}:{port}"
    return {
        "CI_URL": url,
        "REPORT_OIDC_TRUST": f"{url}|*",
        "OIDC_PRIVATE_HOSTS": host,
        "OIDC_CA_FILE": str(certificate),
        "WEBHOOK_TARGETS": f"{CALLBACKS}={url}/callbacks",
        "WEBHOOK_TARGET_SECRETS": f"{CALLBACKS}={kept['CI_CALLBACK_SECRET']}",
        "WEBHOOK_PRIVATE_HOSTS": host,
        "WEBHOOK_CA_FILE": str(certificate),
    }


def _files(home: Home) -> dict[str, str]:
    """The page is written while the demo runs; catalog and policy only count when they exist."""
    rules = {"CATALOG_PATH": home.demo / CATALOG, "POLICY_PATH": home.demo / POLICY}
    present = {variable: str(path) for variable, path in rules.items() if path.exists()}
    return {"DEMO_PAGE_PATH": str(home.demo / PAGE), **present}


def _flags(**ports: int) -> tuple[str, ...]:
    return tuple(word for name, port in ports.items() for word in (f"--{name}-port", str(port)))
