"""The local embedder: the same bytes everywhere, like things near each other, unlike ones far."""

import hashlib
import math
import random
import struct
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvals_svc.document import Document, document
from approvals_svc.lexical import DIMENSIONS, vector, words_of
from approvals_svc.precedents import SIMILARITY_MIN
from tests.planted import noise, planted, precision_at_5, trigrams

GOLDEN = document(
    title="Retry the card charge once – Größe geändert, ſ and İ",
    text="CHK-12: backoff",
    action="deploy",
    service="checkout",
    environment="production",
    labels=("payments", "hotfix"),
    paths=("src/charge/retry.py", "src/charge/card.py", "README.md"),
    size="M",
    author_class="human",
    hour="night",
)


def nearness(one: Document, other: Document) -> float:
    return sum(a * b for a, b in zip(vector(one), vector(other), strict=True))


def test_vector_has_the_same_bytes_on_every_machine_and_python() -> None:
    data = struct.pack(f"<{DIMENSIONS}f", *vector(GOLDEN))

    assert hashlib.sha256(data).hexdigest() == "6e0666aee0188614b4b2edf100b8e6ca2bb883ab105525561adfacc5665e450c"


@given(st.text(max_size=300), st.text(max_size=100))
def test_any_text_gives_a_vector_of_length_one_or_zero(title: str, label: str) -> None:
    found = vector(document(title=title, text=title, labels=(label,)))

    length = math.sqrt(sum(value * value for value in found))
    assert len(found) == DIMENSIONS
    assert length == 0 or math.isclose(length, 1, abs_tol=1e-5)


def test_words_are_those_of_a_unicode_that_no_newer_python_changes() -> None:
    assert words_of("Größe ＡＢＣ x_y-2") == ["größe", "abc", "x", "y", "2"]
    assert words_of("a\U0001e900b") == ["a", "b"]  # a capital letter, but of Unicode 9


def test_misspelt_words_stay_near() -> None:
    right, wrong, other = (Document(title=title) for title in ("retry card charge", "rerty card chagre", "smtp queue"))

    assert nearness(right, wrong) > 0.25 > 2 * nearness(right, other)


def test_what_looks_like_a_secret_is_not_in_the_document() -> None:
    told = document(title="Set token=abc123secret and ghp_0123456789abcdef", text="https://ana:hunter2@db.example/x")

    assert not any(secret in told.words for secret in ("abc123secret", "ghp_0123", "hunter2"))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_p3_four_of_five_nearest_are_of_the_same_family_and_more_than_bytrigrams(seed: int) -> None:
    rows = planted(seed=seed, per_family=30)
    vectors = [vector(row.document) for row in rows]
    grams = [trigrams(row.document.words) for row in rows]

    ours = precision_at_5(rows, lambda i, j: sum(a * b for a, b in zip(vectors[i], vectors[j], strict=True)))
    baseline = precision_at_5(rows, lambda i, j: len(grams[i] & grams[j]) / len(grams[i] | grams[j]))

    assert ours >= 0.8
    assert ours > baseline


def test_fewer_than_one_in_a_hundred_random_pairs_pass_the_threshold() -> None:
    vectors = [vector(each) for each in islice(noise(seed=5), 500)]
    rng = random.Random(7)
    pairs = [rng.sample(vectors, 2) for _ in range(10_000)]

    passing = sum(sum(a * b for a, b in zip(one, other, strict=True)) >= SIMILARITY_MIN for one, other in pairs)

    assert passing < len(pairs) / 100
