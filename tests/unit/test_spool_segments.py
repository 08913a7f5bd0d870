"""The format of the spool's segments: whatever a crash or a disk does to the file, whole records are found."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest.spool.files import SEARCH_BYTES, SegmentFile, read
from ingest.spool.segment import HEADER_BYTES, MAGIC, Record, encode, records
from shared.contracts.envelope import Outgoing

MESSAGES = st.lists(
    st.builds(
        Outgoing,
        subject=st.text(max_size=20),
        body=st.binary(max_size=200),
        headers=st.dictionaries(st.text(max_size=10), st.text(max_size=20), max_size=3),
    ),
    max_size=6,
)


def found(file: bytes) -> list[Outgoing | None]:
    return [record.message for record in records(file)]


@given(MESSAGES)
def test_what_was_written_is_read_in_its_order(messages: list[Outgoing]) -> None:
    file = b"".join(map(encode, messages))

    assert found(file) == messages
    assert [record.end for record in records(file)][-1:] == ([len(file)] if messages else [])


@given(MESSAGES)
@settings(max_examples=20)
def test_file_cut_at_any_byte_yields_the_records_that_are_whole(messages: list[Outgoing]) -> None:
    parts = list(map(encode, messages))
    file = b"".join(parts)
    ends = [sum(map(len, parts[:count])) for count in range(len(parts) + 1)]

    for cut in range(len(file) + 1):
        whole = sum(end <= cut for end in ends) - 1
        assert found(file[:cut]) == messages[:whole]


@given(MESSAGES.filter(bool), st.data())
def test_one_flipped_bit_costs_one_record_and_is_told(messages: list[Outgoing], data: st.DataObject) -> None:
    parts = list(map(encode, messages))
    file = bytearray(b"".join(parts))
    at = data.draw(st.integers(0, len(file) - 1))
    hit = next(n for n in range(len(parts)) if at < sum(map(len, parts[: n + 1])))
    file[at] ^= 1 << data.draw(st.integers(0, 7))

    assert found(bytes(file)) == [*messages[:hit], None, *messages[hit + 1 :]]


def test_a_damaged_record_is_told_with_its_bytes() -> None:
    messages = [Outgoing(subject=f"s{n}", body=b"x" * 50, headers={}) for n in range(3)]
    parts = list(map(encode, messages))
    damaged = bytearray(parts[1])
    damaged[-1] ^= 1

    told = list(records(bytes(parts[0] + damaged + parts[2])))

    start, end = len(parts[0]), len(parts[0] + parts[1])
    assert told[1] == Record(start=start, end=end, message=None)
    assert [record.message for record in told] == [messages[0], None, messages[2]]


@pytest.mark.parametrize("hit", range(3))
def test_a_damaged_header_hides_no_other_record_and_is_no_torn_tail(hit: int) -> None:
    messages = [Outgoing(subject=f"s{n}", body=b"x" * 50, headers={}) for n in range(3)]
    parts = list(map(encode, messages))
    parts[hit] = b"\x00" * HEADER_BYTES + parts[hit][HEADER_BYTES:]

    assert found(b"".join(parts)) == [*messages[:hit], None, *messages[hit + 1 :]]


@pytest.mark.parametrize("length", [10, 10_000])
def test_what_looks_like_a_header_in_somebodys_body_hides_nothing(length: int) -> None:
    header = encode(Outgoing(subject="s", body=b"x" * length, headers={}))[:HEADER_BYTES]
    messages = [Outgoing(subject="s", body=body, headers={}) for body in (b"aa" + header, b"b" * 200, b"c" * 200)]
    file = bytearray(b"".join(map(encode, messages)))
    file[5] ^= 1

    assert found(bytes(file)) == [None, *messages[1:]]


@given(MESSAGES.filter(bool), st.data())
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_file_reads_as_its_bytes_do(tmp_path: Path, messages: list[Outgoing], data: st.DataObject) -> None:
    content = bytearray(b"".join(map(encode, messages)))
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1
    path = tmp_path / "file"
    path.write_bytes(content)

    assert list(read(path)) == list(records(bytes(content)))
    assert list(read(path, size=len(content) // 2)) == list(records(bytes(content[: len(content) // 2])))


@pytest.mark.parametrize("at", [0, SEARCH_BYTES - 3, SEARCH_BYTES - 1, SEARCH_BYTES, 3 * SEARCH_BYTES])
def test_a_magic_is_found_wherever_it_lies(tmp_path: Path, at: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"\x00" * at + MAGIC)

    with SegmentFile(path) as file:
        assert file.find(MAGIC, 0) == at
        assert file.find(MAGIC, at + 1) == -1
