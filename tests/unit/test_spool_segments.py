"""The format of the spool's segments: whatever a crash or a disk does to the file, whole records are found."""

from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.spool.segment import Record, encode, records
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
def test_one_flipped_bit_costs_one_record_at_most(messages: list[Outgoing], data: st.DataObject) -> None:
    parts = list(map(encode, messages))
    file = bytearray(b"".join(parts))
    at = data.draw(st.integers(0, len(file) - 1))
    hit = next(n for n in range(len(parts)) if at < sum(map(len, parts[: n + 1])))
    file[at] ^= 1 << data.draw(st.integers(0, 7))

    kept = [message for message in found(bytes(file)) if message is not None]

    others = messages[:hit] + messages[hit + 1 :]
    assert kept in (messages, others)


def test_a_damaged_record_is_told_with_its_bytes() -> None:
    messages = [Outgoing(subject=f"s{n}", body=b"x" * 50, headers={}) for n in range(3)]
    parts = list(map(encode, messages))
    damaged = bytearray(parts[1])
    damaged[-1] ^= 1

    told = list(records(bytes(parts[0] + damaged + parts[2])))

    start, end = len(parts[0]), len(parts[0] + parts[1])
    assert told[1] == Record(start=start, end=end, message=None)
    assert [record.message for record in told] == [messages[0], None, messages[2]]


def test_a_damaged_header_hides_no_later_record() -> None:
    messages = [Outgoing(subject=f"s{n}", body=b"x" * 50, headers={}) for n in range(3)]
    parts = list(map(encode, messages))
    damaged = b"\x00" * 16 + parts[1][16:]

    assert found(parts[0] + damaged + parts[2]) == [messages[0], None, messages[2]]
