"""Templates: an operator's in our place where they work, ours where they don't, and nothing unescaped in either."""

from pathlib import Path

import msgspec
import pytest

from notifier.mrkdwn import Mrkdwn, text
from notifier.render import render
from notifier.samples import samples, tried
from notifier.templates import NAMES, Templates

DEPLOYMENT = samples("deployment")[-1]


def own(directory: Path, name: str, template: str) -> Templates:
    (directory / name).write_text(template)
    return tried(directory)


@pytest.mark.parametrize("name", NAMES)
def test_the_examples_have_cards_of_every_template(name: str) -> None:
    assert [render(card).text for card in samples(name)]


def test_single_blocks_are_replaced_and_the_others_stay_ours(tmp_path: Path) -> None:
    extended = '{% extends "ours/deployment.j2" %}{% block text %}{{ what }}!{% endblock %}'

    templates = own(tmp_path, "deployment.j2", extended)

    assert (templates.own, templates.problems) == (["deployment"], {})
    assert render(DEPLOYMENT, templates).text == "Deploy checkout to production!"
    assert render(DEPLOYMENT, templates).blocks == render(DEPLOYMENT).blocks


@pytest.mark.parametrize(
    ("name", "template", "problem"),
    [
        ("deployment.j2", "{% block text %}{{ servise }}{% endblock %}", "'servise' is undefined"),
        ("deployment.j2", "{% block text %}x{% endblock %}\n{% if %}", "line 2: Expected an expression"),
        ("deployment.j2", "Deploy {{ service }}", "block `text` says nothing"),
        ("deployment.j2", "{% block text %}{{ service.__class__.mro() }}{% endblock %}", "is unsafe"),
        ("deployment.j2", '{% include "../../secret" %}', "TemplateNotFound"),
        ("deployment.j2", "{% block text %}{{ 1 // 0 }}{% endblock %}", "ZeroDivisionError"),
        ("deploy.j2", "{% block text %}x{% endblock %}", "is no kind: approval, bulletin"),
    ],
)
def test_a_template_that_fails_gives_way_to_ours_and_says_why(
    name: str, template: str, problem: str, tmp_path: Path
) -> None:
    templates = own(tmp_path, name, template)

    assert render(DEPLOYMENT, templates) == render(DEPLOYMENT)
    assert templates.own == []
    assert list(templates.problems) == [name] and problem in templates.problems[name]


def test_a_template_that_fails_later_gives_way_then(tmp_path: Path) -> None:
    picky = "{% block text %}{{ {'checkout': 1}[service ~ ''] + 1 }}{% endblock %}"
    templates = own(tmp_path, "deployment.j2", picky)
    odd = msgspec.structs.replace(DEPLOYMENT, service="web")

    assert templates.own == ["deployment"] and render(DEPLOYMENT, templates).text == "2"
    assert render(odd, templates) == render(odd)
    assert list(templates.problems) == ["deployment.j2"]


def test_a_directory_that_is_none_is_a_problem_and_no_more(tmp_path: Path) -> None:
    templates = tried(tmp_path / "missing")

    assert render(DEPLOYMENT, templates) == render(DEPLOYMENT)
    assert templates.problems == {str(tmp_path / "missing"): "is no directory"}


def test_what_is_no_markup_of_ours_is_escaped_as_it_is_put_in(tmp_path: Path) -> None:
    said = '{{ raw }} {{ [raw, safe] | dots }} {{ raw | before("by") }} {{ raw ~ safe }} {{ raw | code }} {{ n }}'
    (tmp_path / "nudge.j2").write_text(f"{{% block text %}}{said}{{% endblock %}}")
    values = {"raw": "<!here> & \u202e", "safe": Mrkdwn("<@U1>"), "n": 3}

    told = Templates(tmp_path).pieces("nudge", values).text

    here = "&lt;!here&gt; &amp;"
    assert told == f"{here} {here} · <@U1> by {here} {here} \u202e<@U1> `{here}` 3"


def test_a_blank_line_begins_another_section(tmp_path: Path) -> None:
    body = "{% block text %}x{% endblock %}{% block body %}\none\ntwo\n\nthree\n{% endblock %}"
    templates = own(tmp_path, "deployment.j2", body)

    assert [block["text"]["text"] for block in render(DEPLOYMENT, templates).blocks] == ["one\ntwo", "three"]


def test_words_stay_escaped_whatever_is_done_to_them(tmp_path: Path) -> None:
    tricks = "{{ title | striptags }} {{ title.unescape() }} {{ title | string }} {{ [title] | join }} {{ title | e }}"
    (tmp_path / "nudge.j2").write_text(f"{{% block text %}}{tricks}{{% endblock %}}")

    said = Templates(tmp_path).pieces("nudge", {"title": text("<!here>", characters_max=99)}).text

    assert "<" not in said and said.count("&lt;!here&gt;") == 5
