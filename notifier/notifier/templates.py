"""The words of cards: a Jinja2 template for each kind of thing, ours or an operator's in its place.

A template has up to four blocks: `text` (decides alone), `title`, `body` (a blank line begins another section) and
`context` (the small line). Buttons are no template's. Values come in escaped (`Mrkdwn`); any other string is escaped as
it is put in. An operator's template may begin with `{% extends "ours/approval.j2" %}` and replace single blocks.
"""

from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
from jinja2 import (
    BaseLoader,
    ChoiceLoader,
    FileSystemLoader,
    PackageLoader,
    PrefixLoader,
    StrictUndefined,
    Template,
    TemplateError,
    TemplateSyntaxError,
)
from jinja2.sandbox import ImmutableSandboxedEnvironment

from notifier.mrkdwn import Mrkdwn, text
from shared.telemetry import logs

log = logs.get(__name__)

SUFFIX = ".j2"
NAMES = ("approval", "bulletin", "deployment", "incident", "news", "nudge", "summary")
BLOCKS = ("text", "title", "body", "context")
VALUE_MAX_CHARACTERS = 3_000
# What a template can raise beside Jinja's own errors: a filter that was given what it can't take.
FAILURES = (TemplateError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError, RecursionError)

Values = Mapping[str, Any]


class Pieces(msgspec.Struct, frozen=True, kw_only=True):
    """What a template says, block by block; None where it has no such block."""

    text: str
    title: str | None = None
    body: str | None = None
    context: str | None = None


class Templates:
    """`problems`: of the operator's files, by file name; ours takes the place of what has one."""

    def __init__(self, directory: Path | None = None) -> None:
        self.problems: dict[str, str] = {}
        self._theirs: dict[str, Template] = {}
        if directory is not None:
            self._read(directory)

    @property
    def own(self) -> list[str]:
        """The kinds that the operator's templates are in use for."""
        return sorted(self._theirs)

    def pieces(self, name: str, values: Values) -> Pieces:
        if theirs := self._theirs.get(name):
            try:
                return _pieces(theirs, values)
            except FAILURES as error:
                self._refuse(name, described(error))
        return _pieces(_ours().get_template(name + SUFFIX), values)

    def _read(self, directory: Path) -> None:
        if not directory.is_dir():
            self.problems[str(directory)] = "is no directory"
            log.warning("template.refused", template=str(directory), reason="is no directory")
            return
        environment = _environment(
            ChoiceLoader([FileSystemLoader(directory), PrefixLoader({"ours": PackageLoader("notifier", "templates")})])
        )
        for file in sorted(directory.glob(f"*{SUFFIX}")):
            if file.stem not in NAMES:
                self._refuse(file.stem, f"is no kind: {', '.join(NAMES)}")
                continue
            try:
                self._theirs[file.stem] = environment.get_template(file.name)
            except (TemplateError, OSError, UnicodeDecodeError) as error:
                self._refuse(file.stem, described(error))

    def _refuse(self, name: str, why: str) -> None:
        """Ours again, from now on."""
        self._theirs.pop(name, None)
        self.problems[name + SUFFIX] = why
        log.warning("template.refused", template=name + SUFFIX, reason=why)


def described(error: Exception) -> str:
    if isinstance(error, TemplateSyntaxError):
        return f"line {error.lineno}: {error.message}"
    return f"{type(error).__name__}: {error}"


@cache
def _ours() -> ImmutableSandboxedEnvironment:
    return _environment(PackageLoader("notifier", "templates"))


def _environment(loader: BaseLoader) -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        loader=loader,
        autoescape=True,
        finalize=_escaped,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters.update(dots=_dots, words=_words, by=_by, code=_code, before=_before, after=_after)
    return environment


def _pieces(template: Template, values: Values) -> Pieces:
    """Jinja's low-level API: the root runs once for what is set there, then each block that is there."""
    context = template.new_context(dict(values))
    for _ in template.root_render_func(context):
        pass
    said = {name: "".join(context.blocks[name][0](context)).strip() for name in BLOCKS if name in context.blocks}
    if not said.get("text"):
        raise TemplateError("block `text` says nothing")
    return Pieces(**said)


def _escaped(value: Any) -> Any:
    """Mrkdwn knows three entities; Jinja's own escaping, of HTML, never sees a plain string."""
    if hasattr(value, "__html__"):
        return value
    return text(str(value), characters_max=VALUE_MAX_CHARACTERS)


# ---- filters ---------------------------------------------------------------------------------------------------------


def _joined(between: str, parts: Iterable[Any]) -> Mrkdwn:
    said = (str(_escaped(part)).strip() for part in parts if part)
    return Mrkdwn(between.join(filter(None, said)))


def _dots(parts: Iterable[Any], first: str = "") -> Mrkdwn:
    """Those that say something; `first` before them if there are any."""
    joined = _joined(" · ", parts)
    return Mrkdwn(f"{first}{joined}") if joined else joined


def _words(parts: Iterable[Any]) -> Mrkdwn:
    return _joined(" ", parts)


def _by(who: Any) -> Mrkdwn:
    return _before(who, "by")


def _code(value: Any) -> Mrkdwn:
    return Mrkdwn(f"`{_escaped(value)}`" if value else "")


def _before(value: Any, word: str) -> Mrkdwn:
    return Mrkdwn(f"{word} {_escaped(value)}" if value else "")


def _after(value: Any, word: str) -> Mrkdwn:
    return Mrkdwn(f"{_escaped(value)} {word}" if value else "")
