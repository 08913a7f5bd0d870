"""Contracts may grow and never break: schemas are generated and compared, and old readers meet new messages."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from em import schemas
from shared.contracts.envelope import encode_event, event_headers, read_event
from shared.contracts.events import KINDS
from shared.contracts.examples import EXAMPLES
from shared.contracts.streams import DURABLES, STREAMS

ROOT = Path(__file__).parent.parent.parent
FOLDER = ROOT / schemas.SCHEMAS


def test_schemas_are_not_stale() -> None:
    written = {path.stem: path.read_text() for path in FOLDER.glob("*.json")}
    assert written == {kind: schemas.text_of(schema) for kind, schema in schemas.schemas().items()}, "run: make docs"


def test_asyncapi_is_not_stale() -> None:
    assert (ROOT / schemas.ASYNCAPI).read_text() == schemas.asyncapi(), "run: make docs"


def test_no_contract_breaks_the_readers_of_the_committed_ones() -> None:
    assert schemas.breaks(schemas.committed(FOLDER), schemas.schemas()) == []


def _remove(schema: Any) -> None:
    del schema["properties"]["title"]


def _retype(schema: Any) -> None:
    schema["properties"]["number"] = {"type": "string"}


def _require(schema: Any) -> None:
    schema["required"].append("draft")


def _retype_optional(schema: Any) -> None:
    schema["properties"]["merge_sha"] = {"type": "string"}


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (_remove, "change.merged: field title was removed"),
        (_retype, "change.merged: field number was retyped"),
        (_require, "change.merged: field draft became required"),
        (_retype_optional, "change.merged: field merge_sha was retyped"),
    ],
)
def test_breaking_change_is_named(edit: Callable[[Any], None], said: str) -> None:
    old = schemas.schemas()
    new = copy.deepcopy(old)
    edit(new["change.merged"])
    assert schemas.breaks(old, new) == [said]


def test_breaking_change_of_a_part_is_named() -> None:
    old = schemas.schemas()
    new = copy.deepcopy(old)
    del new["commits.pushed"]["$defs"]["Commit"]["properties"]["sha"]
    assert schemas.breaks(old, new) == ["commits.pushed (Commit): field sha was removed"]


def test_removed_kind_is_named() -> None:
    old = schemas.schemas()
    new = {kind: schema for kind, schema in old.items() if kind != "release.published"}
    assert schemas.breaks(old, new) == ["release.published: the kind was removed"]


def test_new_optional_field_new_kind_and_new_words_break_nobody() -> None:
    old = schemas.schemas()
    new = copy.deepcopy(old)
    new["change.merged"]["properties"]["queue"] = {"type": "string", "default": ""}
    new["change.merged"]["properties"]["title"]["description"] = "said better"
    new["change.queued"] = new["change.merged"]
    assert schemas.breaks(old, new) == []


def test_every_kind_has_an_example_that_reads_as_it_was_written() -> None:
    assert sorted(event.kind for event in EXAMPLES) == sorted(KINDS)
    for event in EXAMPLES:
        assert read_event(event_headers(event), encode_event(event)) == event


def test_every_required_field_and_no_unknown_one_is_in_the_example() -> None:
    for kind, schema in schemas.schemas().items():
        [example] = schema["examples"]
        assert {*schema["required"]} <= {*example} <= {*schema["properties"]}, kind


def test_every_reference_of_asyncapi_leads_somewhere() -> None:
    document = yaml.safe_load(schemas.asyncapi())
    assert set(document["channels"]) == {stream.name for stream in STREAMS}
    assert sum(operation["action"] == "receive" for operation in document["operations"].values()) == len(DURABLES)
    for reference in _references(document):
        if reference.startswith("#/"):
            place = document
            for part in reference.removeprefix("#/").split("/"):
                place = place[part]
        else:
            assert (ROOT / "docs" / reference).exists(), reference


def _references(node: Any) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"]] if "$ref" in node else []
        return own + [found for value in node.values() for found in _references(value)]
    return [found for value in node for found in _references(value)] if isinstance(node, list) else []


# ---- a reader of version N meets version N + 1 -----------------------------------------------------------------------


@pytest.mark.parametrize("event", EXAMPLES, ids=lambda event: event.kind)
def test_unknown_field_is_ignored(event: Any) -> None:
    body = json.loads(encode_event(event)) | {"field_of_next_year": {"deep": [1]}}
    assert read_event(event_headers(event), json.dumps(body).encode()) == event


def test_unknown_kind_is_nothing_to_read() -> None:
    assert read_event({"ce-type": "change.queued"}, b'{"kind":"change.queued"}') is None


@pytest.mark.parametrize("field", ["origin", "state", "outcome", "status", "review_state", "author_kind", "source"])
def test_unknown_word_of_a_vocabulary_is_read_as_it_stands(field: str) -> None:
    """On the wire they are plain strings: what an unknown word means is decided where it is used."""
    speaking = [event for event in EXAMPLES if hasattr(event, field)]
    assert speaking
    for event in speaking:
        body = msgspec.to_builtins(event) | {field: "word_of_next_year"}
        read = read_event(event_headers(event), msgspec.json.encode(body))
        assert getattr(read, field) == "word_of_next_year"
