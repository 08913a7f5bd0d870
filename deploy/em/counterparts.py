"""The demo's counterparts as an extra of the stack: Slack and GitHub of the sandbox instead of the real ones."""

from em import credentials
from em.embedded.ports import GITHUB_SANDBOX, HOST, SANDBOX_CONTROL, SLACK_SANDBOX
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


def counterparts(ground: Ground) -> Extra:
    """Wins over the caller's environment: a demo must never reach a real Slack or GitHub."""
    slack, github, control = (ground.ports[name] for name in (SLACK_SANDBOX, GITHUB_SANDBOX, SANDBOX_CONTROL))
    environment = {
        "DEMO": "true",
        "SLACK_API_URL": f"http://{HOST}:{slack}/api/",
        "GITHUB_API_URL": f"http://{HOST}:{github}",
        "GITHUB_APP_ID": APP_ID,
        **credentials.counterparts(ground.home),
        **_files(ground.home),
    }
    sandbox = python_program(
        ground.home,
        SANDBOX,
        ("-m", "em.sandbox", *_flag("slack", slack), *_flag("github", github), *_flag("control", control), "--open"),
        environment={**ground.environment, **environment},
        ready=Ready(port=control, deadline_s=DEADLINE_S),
        port=control,
    )
    urls = {
        "slack-sandbox": environment["SLACK_API_URL"],
        "github-sandbox": environment["GITHUB_API_URL"],
        "sandbox-control": f"http://{HOST}:{control}",
    }
    return Extra(programs=(sandbox,), environment=environment, urls=urls)


def _files(home: Home) -> dict[str, str]:
    """The page is written while the demo runs; catalog and policy only count when they exist."""
    rules = {"CATALOG_PATH": home.demo / CATALOG, "POLICY_PATH": home.demo / POLICY}
    present = {variable: str(path) for variable, path in rules.items() if path.exists()}
    return {"DEMO_PAGE_PATH": str(home.demo / PAGE), **present}


def _flag(name: str, port: int) -> tuple[str, str]:
    return f"--{name}-port", str(port)
