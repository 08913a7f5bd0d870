"""Generated documents are what the code says, and the example file is usable as it is."""

import re
import subprocess
from pathlib import Path

from em import reference

ROOT = Path(__file__).parent.parent.parent


def test_settings_page_is_not_stale() -> None:
    assert (ROOT / reference.SETTINGS).read_text() == reference.settings_page(), "run: make docs"


def test_example_file_is_not_stale() -> None:
    assert (ROOT / reference.EXAMPLE).read_text() == reference.example_file(), "run: make docs"


def test_readme_is_not_stale() -> None:
    text = (ROOT / reference.README).read_text()

    assert text == reference.readme(text), "run: make docs"


def test_compose_file_is_not_stale() -> None:
    text = (ROOT / reference.COMPOSE_FILE).read_text()

    assert text == reference.compose_file(text), "run: make docs"


def test_table_of_transitions_is_not_stale() -> None:
    text = (ROOT / reference.APPROVALS).read_text()

    assert text == reference.approvals(text), "run: make docs"


def test_table_of_messages_is_not_stale() -> None:
    text = (ROOT / reference.NOTIFIER).read_text()

    assert text == reference.messages(text), "run: make docs"


def test_example_file_can_be_sourced_by_a_plain_shell() -> None:
    script = "set -aeu; . ./.env.example; set +a; echo $ENV"

    done = subprocess.run(["sh", "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)

    assert done.stdout == "development\n"


def test_compose_passes_on_every_variable_of_the_example_file() -> None:
    # The image's own; the demo's own; for tests; a file there; a volume there.
    only_here = {"HOST", "DEMO", "DEMO_PAGE_PATH", "FAILPOINT", "NATS_NKEY_SEED", "SPOOL_DIR"}
    example = re.findall(r"^#?([A-Z][A-Z0-9_]+)=", (ROOT / reference.EXAMPLE).read_text(), re.MULTILINE)
    compose = (ROOT / "compose.yaml").read_text()

    assert [name for name in example if f"${{{name}" not in compose and name not in only_here] == []


def test_every_setting_is_described() -> None:
    assert [name for name, (field, _) in reference.fields().items() if not field.description] == []


def test_no_tracked_lock_names_a_registry_or_lacks_a_hash() -> None:
    for lock in ("requirements.lock", "embedded.lock", "runtime.lock"):
        text = (ROOT / lock).read_text()
        pins = [block for block in text.split("\n") if "==" in block and not block.startswith((" ", "#"))]
        assert "://" not in text
        assert pins
        assert all(line.rstrip().endswith("\\") for line in pins), lock


def test_every_feature_of_approvals_is_shown_by_a_test_that_exists_or_is_missing() -> None:
    _, _, table = (ROOT / reference.APPROVALS).read_text().partition("## Features\n")
    shown = re.findall(r"^\| [^|]+ \| [^|]+ \| (?:`(\w+\.py)::(\w+)`|\*missing\*) \|$", table, re.MULTILINE)
    tests: dict[str, str] = {}
    for path in (ROOT / "tests").rglob("test_*.py"):
        tests[path.name] = tests.get(path.name, "") + path.read_text()

    assert len(shown) == len([line for line in table.splitlines() if line.startswith("| ")]) - 1
    assert [(file, name) for file, name in shown if file and f"def {name}(" not in tests.get(file, "")] == []
