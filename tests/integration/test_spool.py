"""The spool's directory with real processes and disks: killed, full, damaged, drained by hand."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ingest.spool import Drain, Spool, SpoolBroken, SpoolFull, SpoolUnusable
from ingest.spool.spool import read, segment_paths
from shared.bus.errors import PublishRejected, PublishUnknown
from shared.contracts.envelope import Outgoing
from tests.e2e.test_ledger import em
from tests.line import Line

MIB = 1024 * 1024
WRITER = """
import asyncio, sys
from pathlib import Path
from ingest.spool import Spool
from shared.contracts.envelope import Outgoing

async def main():
    spool = Spool.open(Path(sys.argv[1]), max_bytes=1 << 30)
    async def one(n):
        await spool.append(Outgoing(subject="s", body=b"x" * 700, headers={"Nats-Msg-Id": str(n)}))
        print(n, flush=True)
    first = int(sys.argv[2])
    while True:
        await asyncio.gather(*(one(first + n) for n in range(20)))
        first += 20

asyncio.run(main())
"""


def message(number: int, size: int = 100) -> Outgoing:
    return Outgoing(subject="s", body=bytes(size), headers={"Nats-Msg-Id": str(number), "Em-Origin": "live"})


def ids(directory: Path) -> list[str]:
    found = [record.message for path in segment_paths(directory) for record, _ in read(path)]
    return [each.headers["Nats-Msg-Id"] for each in found if each]


def test_law_1_what_append_returned_for_survives_kill_9(tmp_path: Path, scale: int) -> None:
    told: list[str] = []
    for round_ in range(10 * scale):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path), str(round_ * 1_000_000)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout
        told += [process.stdout.readline().strip() for _ in range(60 + 7 * (round_ % 10))]
        process.kill()
        told += [line.strip() for line in process.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
        process.wait()

    spool = Spool.open(tmp_path, max_bytes=1 << 30)
    spool.close()

    kept = ids(tmp_path)
    assert set(told) <= set(kept)
    assert len(kept) == len(set(kept))


async def test_a_new_segment_is_on_disk_with_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an fsync of the directory a power cut may lose the file whose content was synced."""
    synced: list[str] = []
    fsync = os.fsync

    def noting(descriptor: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        fsync(descriptor)

    spool = Spool.open(tmp_path, max_bytes=MIB)
    monkeypatch.setattr(os, "fsync", noting)
    await spool.append(message(1))
    spool.close()

    [segment] = segment_paths(tmp_path)
    assert synced == [str(tmp_path), str(segment)]


async def test_bound_counts_what_waits_as_well(tmp_path: Path) -> None:
    spool = Spool.open(tmp_path, max_bytes=MIB)

    answers = await asyncio.gather(*(spool.append(message(n, 200_000)) for n in range(8)), return_exceptions=True)

    assert [type(answer) for answer in answers] == [type(None)] * 5 + [SpoolFull] * 3
    assert spool.records == 5
    assert spool.size <= MIB
    spool.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """One MiB; needs the right to mount."""
    path = tmp_path / "disk"
    path.mkdir()
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "em", path], check=False).returncode:
        pytest.skip("only root may mount a disk that is small enough to fill")
    yield path
    subprocess.run(["umount", path], check=True)


async def test_full_disk_refuses_and_leaves_whole_records(small_disk: Path) -> None:
    spool = Spool.open(small_disk, max_bytes=100 * MIB, forgetful=frozenset())
    kept = []
    with pytest.raises(SpoolBroken, match="No space left"):
        for number in range(100):
            await spool.append(message(number, 50_000))
            kept.append(str(number))
    assert 10 < len(kept) < 21
    assert ids(small_disk) == kept

    with pytest.raises(SpoolBroken):
        await spool.append(message(100, 50_000))
    assert ids(small_disk) == kept
    spool.close()


def test_memory_is_no_place_for_a_spool(small_disk: Path) -> None:
    with pytest.raises(SpoolUnusable, match="tmpfs"):
        Spool.open(small_disk, max_bytes=MIB)


async def test_a_flipped_bit_costs_one_record_and_is_told(tmp_path: Path) -> None:
    spool = Spool.open(tmp_path, max_bytes=MIB)
    for number in range(5):
        await spool.append(message(number))
    spool.close()
    [segment] = segment_paths(tmp_path)
    content = bytearray(segment.read_bytes())
    content[len(content) // 2] ^= 4
    segment.write_bytes(content)
    spool = Spool.open(tmp_path, max_bytes=MIB)
    published: list[str] = []

    async def publish(each: Outgoing) -> None:
        published.append(each.headers["Nats-Msg-Id"])

    while await Drain(spool, publish).drain_oldest():
        pass

    assert sorted(published) == ["0", "1", "3", "4"]
    assert len(list((tmp_path / "damaged").iterdir())) == 1
    assert spool.records == 0
    spool.close()


async def test_what_is_refused_for_good_is_set_aside_and_blocks_nobody(tmp_path: Path) -> None:
    spool = Spool.open(tmp_path, max_bytes=MIB)
    for number in range(5):
        await spool.append(message(number))
    published: list[str] = []

    async def publish(each: Outgoing) -> None:
        if each.headers["Nats-Msg-Id"] == "2":
            raise PublishRejected("too large")
        published.append(each.headers["Nats-Msg-Id"])

    await Drain(spool, publish).drain_oldest()

    assert published == ["0", "1", "3", "4"]
    [aside] = list((tmp_path / "refused").iterdir())
    assert [record.message for record, _ in read(aside)] == [
        Outgoing(subject="s", body=bytes(100), headers={"Nats-Msg-Id": "2", "Em-Origin": "live"})
    ]
    assert segment_paths(tmp_path) == []
    spool.close()


async def test_what_the_broker_does_not_acknowledge_stays(tmp_path: Path) -> None:
    spool = Spool.open(tmp_path, max_bytes=MIB)
    for number in range(100):
        await spool.append(message(number))

    async def publish(each: Outgoing) -> None:
        if int(each.headers["Nats-Msg-Id"]) >= 70:
            raise PublishUnknown("away")

    with pytest.raises(PublishUnknown):
        await Drain(spool, publish).drain_oldest()

    assert spool.records == 36
    spool.close()
    assert len(ids(tmp_path)) == 100


async def test_em_spool_tells_what_is_there_and_drains_it(line: Line, tmp_path: Path) -> None:
    directory = tmp_path / "spool"
    spool = Spool.open(directory, max_bytes=100 * MIB)
    subject = line.subjects.raw(source="github", event="push")
    for number, size in enumerate((10, 900_000, 3_000_000)):
        headers = {"Nats-Msg-Id": str(number), "Em-Origin": "live", "Em-Received": f"2026-03-0{number + 1}T00:00:00Z"}
        await spool.append(Outgoing(subject=subject, body=os.urandom(size), headers=headers))

    busy = await em(line, "spool", "drain", "--dir", str(directory))
    told = await em(line, "spool", "status", "--dir", str(directory))
    spool.close()
    drained = await em(line, "spool", "drain", "--dir", str(directory))
    empty = await em(line, "spool", "status", "--dir", str(directory))

    assert (busy[0], "in use by another process" in busy[1]) == (1, True)
    assert told[0] == 1
    assert told[1].startswith("3 deliveries in 3900")
    assert "oldest received at 2026-03-01T00:00:00Z" in told[1]
    assert (drained[0], drained[1].strip()) == (0, "the spool is empty")
    assert empty == (0, "0 deliveries in 0 bytes\n")
    assert await line.messages("RAW") == 3
