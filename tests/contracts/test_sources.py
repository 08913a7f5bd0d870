"""A source is two small files and one fixture folder; this names the missing part."""

from pathlib import Path

import pytest

from ingest.source import declared
from normalizer.translation import translations
from shared.contracts.subjects import TOKEN

FIXTURES = Path(__file__).parent.parent / "fixtures"


@pytest.mark.parametrize("name", sorted({*declared(), *translations()}))
def test_source_has_a_declaration_a_translation_and_fixtures(name: str) -> None:
    missing = [
        part
        for part, present in {
            f"ingest/ingest/sources/{name}.py": name in declared(),
            f"normalizer/normalizer/sources/{name}.py": name in translations(),
            f"tests/fixtures/{name}/": (FIXTURES / name).is_dir(),
        }.items()
        if not present
    ]

    assert missing == []


@pytest.mark.parametrize("name", sorted(declared()))
def test_declaration_is_named_as_its_file_and_fits_a_subject(name: str) -> None:
    assert declared()[name].name == name
    assert TOKEN.fullmatch(name)
