"""What em prints: live lines on a terminal, plain ones elsewhere; errors without tracebacks."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape

from em import state
from em.errors import EmError

PLAIN_WIDTH = 120  # of a file or a pipe

MARKS = {state.READY: "[green]✓[/]", state.DONE: "[green]✓[/]", state.FAILED: "[red]✗[/]", state.STOPPED: "[dim]·[/]"}


class Screen:
    """Answers go to standard output, errors to standard error."""

    def __init__(self) -> None:
        self.out = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else PLAIN_WIDTH)
        self.err = Console(stderr=True, highlight=False, soft_wrap=True)

    def line(self, text: str = "") -> None:
        self.out.print(escape(text))

    @contextmanager
    def busy(self, what: str) -> Iterator[None]:
        """A spinner on a terminal, one line elsewhere, beside the answer; `progress` prints above it."""
        if not self.err.is_terminal:
            self.err.print(escape(what))
            yield
            return
        with self.err.status(escape(what)):
            yield

    def progress(self, name: str, new: str) -> None:
        mark = MARKS.get(new)
        if not self.out.is_terminal:
            self.line(f"{name}: {new}")
        elif mark:
            self.out.print(f"{mark} {escape(name)} [dim]{new}[/]")

    def urls(self, urls: dict[str, str]) -> None:
        width = max(map(len, urls), default=0)
        for name, url in urls.items():
            self.line(f"  {name:<{width}}  {url}")

    def error(self, error: EmError) -> None:
        self.err.print(f"[red]error:[/] {escape(error.message)}")
        if error.detail:
            self.err.print("\n".join(f"  | {escape(line)}" for line in error.detail.splitlines()))
        if error.hint:
            self.err.print(f"[dim]→[/] {escape(error.hint)}")


SCREEN = Screen()
