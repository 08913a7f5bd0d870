"""`em notify`: messages before anybody is sent one."""

import json
import shutil
import struct
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from em import phone
from em.cli import app
from notifier.render import Message
from notifier.samples import samples
from notifier.templates import NAMES
from shared.contracts.examples import EXAMPLES

RUN = CliRunner()


@pytest.fixture(autouse=True)
def _nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EM_HOME", str(tmp_path / "em"))


def test_a_kind_is_shown_as_text_and_blocks() -> None:
    done = RUN.invoke(app, ["notify", "preview", "approval.requested"])

    text, _, blocks = done.stdout.partition("\n")
    assert text.startswith("Deploy checkout to production? ")
    assert [block["type"] for block in json.loads(blocks)["blocks"]][-1] == "actions"


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"news"}))
def test_a_card_is_shown_step_by_step(name: str) -> None:
    done = RUN.invoke(app, ["notify", "preview", name])

    assert done.exit_code == 0, done.output
    assert done.stdout.count('"blocks": [') == len(samples(name))


def test_an_event_of_a_file_is_shown_with_who_would_be_told(tmp_path: Path) -> None:
    [opened] = [event for event in EXAMPLES if event.kind == "incident.opened"]
    file = tmp_path / "event.json"
    file.write_bytes(msgspec.json.encode(msgspec.structs.replace(opened, title="All <!here> is lost")))

    done = RUN.invoke(app, ["notify", "preview", str(file), "--route"])

    assert done.exit_code == 0, done.output
    assert "All &lt;!here&gt; is lost" in done.stdout
    assert "#engineering" in done.stdout.rpartition("]\n}")[2]


def test_what_nobody_is_told_of_is_named_with_what_is() -> None:
    done = RUN.invoke(app, ["notify", "preview", "coffee"])

    assert done.exit_code == 1
    assert "there is no message of coffee" in done.stderr and "approval.requested" in done.stderr


def test_templates_are_checked_by_file(tmp_path: Path) -> None:
    (tmp_path / "incident.j2").write_text("{% block text %}{{ nonsense }}{% endblock %}")
    (tmp_path / "nudge.j2").write_text("{% block text %}{{ said }}{% endblock %}")

    broken = RUN.invoke(app, ["notify", "check", "--templates", str(tmp_path)])
    (tmp_path / "incident.j2").unlink()
    sound = RUN.invoke(app, ["notify", "check", "--templates", str(tmp_path)])

    assert broken.exit_code == 1 and "incident.j2: UndefinedError: 'nonsense' is undefined" in broken.stderr
    assert (sound.exit_code, sound.stdout) == (0, "in use: nudge, no mistake\n")


def test_the_page_shows_every_kind_of_block_and_runs_nothing_of_others() -> None:
    evil = "<script>alert(1)</script>"
    text = {"type": "mrkdwn", "text": f"*bold* {evil}"}
    button = {"type": "button", "style": "primary", "text": {"type": "plain_text", "text": evil}}
    blocks = (
        {"type": "header", "text": text},
        {"type": "section", "text": text, "fields": [text]},
        {"type": "context", "elements": [text]},
        {"type": "divider"},
        {"type": "actions", "elements": [button]},
    )

    page = phone.page([Message(text="x", blocks=blocks), Message(text=evil)])

    assert page.count("&lt;script&gt;") == 6 and page.count("<script>") == 1
    assert "<b>bold</b>" in page and "<hr>" in page


def test_a_picture_needs_a_browser(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)

    done = RUN.invoke(app, ["notify", "preview", "nudge", "--png", str(tmp_path / "card.png")])

    assert done.exit_code == 1 and "a picture needs Chromium" in done.stderr


@pytest.mark.skipif(not any(map(shutil.which, phone.BROWSERS)), reason="no Chromium here")
def test_a_picture_is_as_wide_as_a_phone(tmp_path: Path) -> None:
    done = RUN.invoke(app, ["notify", "preview", "approval.requested", "--png", str(tmp_path / "card.png")])

    assert done.exit_code == 0, done.output
    width, height = struct.unpack(">II", (tmp_path / "card.png").read_bytes()[16:24])
    assert width == phone.WIDTH_PX * phone.SCALE and 200 < height < 2_000
