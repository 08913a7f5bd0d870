"""Messages as a phone shows them: an HTML page of their blocks, and a picture of it by Chromium where that is there."""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from em.demo import mrkdwn
from em.errors import EmError

if TYPE_CHECKING:
    from notifier.render import Message

WIDTH_PX = 390
HEIGHT_MAX_PX = 20_000
SCALE = 2
PICTURE_TIMEOUT_S = 60
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
HEIGHT = re.compile(r"<title>(\d+)</title>")


def page(messages: "Sequence[Message]") -> str:
    """Everything from outside is escaped; it loads nothing. Its title is its height in pixels, once it is shown."""
    return _template().render(messages=messages, width=WIDTH_PX)


def picture(html: str, to: Path) -> None:
    """PNG, twice as dense as CSS pixels. Raises EmError without a browser."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        raise EmError("a picture needs Chromium", hint="apt install chromium, or --html and a browser of yours")
    with tempfile.TemporaryDirectory() as directory:
        source, shot = Path(directory, "page.html"), Path(directory, "page.png")
        source.write_text(html, encoding="utf-8")
        dom = _run(browser, directory, "--dump-dom", source.as_uri(), height=800)
        height = int(found[1]) if (found := HEIGHT.search(dom)) else HEIGHT_MAX_PX
        _run(browser, directory, f"--screenshot={shot}", source.as_uri(), height=min(height, HEIGHT_MAX_PX))
        if not shot.exists():
            raise EmError("Chromium made no picture")
        shutil.copyfile(shot, to)


def _run(browser: str, directory: str, *arguments: str, height: int) -> str:
    """As root Chromium refuses its own sandbox; the page has nothing but our markup."""
    command = [browser, "--headless=new", "--disable-gpu", "--hide-scrollbars", f"--user-data-dir={directory}/profile"]
    command += [f"--window-size={WIDTH_PX},{height}", f"--force-device-scale-factor={SCALE}"]
    command += ["--no-sandbox"] if os.geteuid() == 0 else []
    try:
        done = subprocess.run(
            [*command, *arguments], check=True, capture_output=True, text=True, timeout=PICTURE_TIMEOUT_S
        )
    except (subprocess.SubprocessError, OSError) as error:
        raise EmError("Chromium failed", detail=str(getattr(error, "stderr", "") or error)) from None
    return done.stdout


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("em", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["mrkdwn"] = mrkdwn.as_html
    return environment.get_template("phone.html.j2")
