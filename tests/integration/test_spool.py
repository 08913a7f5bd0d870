"""The spool's directory with real processes and disks: killed, full, damaged, drained by hand."""

import asyncio
import errno
import json
import os
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from ingest.spool import Drain, Spool, SpoolBroken, SpoolFull, SpoolUnusable
from ingest.spool.drain import LAST_CHANCE_S
from ingest.spool.files import read, segment_paths
from shared.bus.errors import PublishRejected, PublishUnknown
from shared.contracts.envelope import Outgoing
from tests.e2e.test_ledger import em
from tests.line import Line
from tests.waiting import until

MIB = 1024 * 1024
WRITER = """
import asyncio, sys
from pathlib import Path
import structlog
from ingest.spool import Spool
from shared.contracts.envelope import Outgoing

structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))

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
    found = [record.message for path in segment_paths(directory) for record in read(path)]
    return [each.headers["Nats-Msg-Id"] for each in found if each]


def test_law_1_what_append_returned_for_survives_kill_9(tmp_path: Path, scale: int) -> None:
    told: list[str] = []
    for round_ in range(20 * scale):
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
    deadline = time.monotonic() + 10
    while subprocess.run(["umount", path], check=False).returncode:  # a directory may still be on its way to the disk
        assert time.monotonic() < deadline, "something holds a file of a spool that was closed"
        time.sleep(0.05)


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
    assert [record.message for record in read(aside)] == [
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

    drain = Drain(spool, publish)
    await drain.drain_oldest()
    with pytest.raises(PublishUnknown):
        await drain.drain_oldest()

    assert spool.records == 30
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


async def test_drain_killed_again_and_again_brings_each_record_once_with_its_bytes(line: Line, tmp_path: Path) -> None:
    directory = tmp_path / "spool"
    spool = Spool.open(directory, max_bytes=100 * MIB)
    subject = line.subjects.raw(source="github", event="push")
    bodies = {f"d{number}": os.urandom(2_000) for number in range(6_000)}
    await asyncio.gather(
        *(
            spool.append(Outgoing(subject=subject, body=body, headers={"Nats-Msg-Id": name, "Em-Origin": "live"}))
            for name, body in bodies.items()
        )
    )
    spool.close()

    stopped_at = [await drain_until(line, directory, share * len(bodies) // 4) for share in (1, 2)]
    assert 0 < stopped_at[0] < stopped_at[1] < len(bodies)
    code, out = await em(line, "spool", "drain", "--dir", str(directory))

    assert (code, out.strip()) == (0, "the spool is empty")
    async with line.broker() as connection:
        js = connection.jetstream()
        stored = [await js.get_msg(line.subjects.stream("RAW"), n) for n in range(1, len(bodies) + 1)]
    assert await line.messages("RAW") == len(bodies)
    assert {(message.headers or {})["Nats-Msg-Id"]: message.data for message in stored} == bodies
    assert {(message.headers or {})["Em-Origin"] for message in stored} == {"spool"}


async def drain_until(line: Line, directory: Path, count: int) -> int:
    """`em spool drain`, killed when RAW holds so many; how many it holds then."""
    environment = {**os.environ, "NATS_URL": line.nats_url, "NATS_PREFIX": line.subjects.prefix}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "em", "spool", "drain", "--dir", str(directory)),
        env=environment,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    async with line.broker() as connection:
        js = connection.jetstream()
        while (await js.stream_info(line.subjects.stream("RAW"))).state.messages < count:
            assert process.returncode is None
            await asyncio.sleep(0.002)
    process.kill()
    await process.wait()
    return await line.messages("RAW")


async def test_status_in_json_names_what_was_set_aside(line: Line, tmp_path: Path) -> None:
    spool = Spool.open(tmp_path, max_bytes=MIB)
    await spool.append(message(1))
    await Drain(spool, rejecting).drain_oldest()
    spool.close()

    code, out = await em(line, "spool", "status", "--dir", str(tmp_path), "--json")

    found = {"records": 0, "bytes": 0, "oldest_received_at": "", "refused": ["00000001-0.rec"], "damaged": []}
    assert (code, json.loads(out)) == (1, found)


async def rejecting(_: Outgoing) -> None:
    raise PublishRejected("never")


async def test_what_one_outage_set_aside_is_not_overwritten_by_the_next(tmp_path: Path) -> None:
    for number in range(3):
        spool = Spool.open(tmp_path, max_bytes=MIB)
        await spool.append(message(number))
        await Drain(spool, rejecting).drain_oldest()
        spool.close()

    kept = [record.message for path in sorted((tmp_path / "refused").iterdir()) for record in read(path)]
    assert kept == [message(number) for number in range(3)]


async def test_bound_counts_what_is_being_written_and_what_was_set_aside(tmp_path: Path) -> None:
    spool = Spool.open(tmp_path, max_bytes=MIB)
    first = asyncio.create_task(spool.append(message(1, 600_000)))
    while not segment_paths(tmp_path):
        await asyncio.sleep(0)
    with pytest.raises(SpoolFull):
        await spool.append(message(2, 600_000))
    await first

    await Drain(spool, rejecting).drain_oldest()

    assert segment_paths(tmp_path) == []
    assert spool.size > 600_000
    with pytest.raises(SpoolFull):
        await spool.append(message(3, 600_000))
    spool.close()
    spool = Spool.open(tmp_path, max_bytes=MIB)
    with pytest.raises(SpoolFull):
        await spool.append(message(3, 600_000))
    spool.close()


@pytest.mark.parametrize("what", ["a directory", "a file"])
async def test_disk_that_fails_to_sync_once_costs_that_append_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    spool = Spool.open(tmp_path, max_bytes=MIB)
    if what == "a file":
        await spool.append(message(0))
    failures = [OSError(errno.EIO, "Input/output error")]
    fsync = os.fsync

    def failing_once(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode) == (what == "a directory") and failures:
            raise failures.pop()
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", failing_once)
    with pytest.raises(SpoolBroken, match="Input/output error"):
        await spool.append(message(1))
    async with asyncio.timeout(5):
        await asyncio.gather(*(spool.append(message(number)) for number in (2, 3)))

    whole = ["0", "2", "3"] if what == "a file" else ["2", "3"]
    assert ids(tmp_path) == whole
    assert spool.records == len(whole)
    spool.close()


async def test_what_is_refused_waits_where_the_disk_has_no_room_to_set_it_aside(small_disk: Path) -> None:
    spool = Spool.open(small_disk, max_bytes=100 * MIB, forgetful=frozenset())
    for number in range(3):
        await spool.append(message(number, 100_000))
    refused_before = refused_total()
    ballast = small_disk / "ballast"
    with pytest.raises(OSError, match="No space left"), ballast.open("wb") as file:
        while True:
            file.write(bytes(4096))
    stop = asyncio.Event()
    draining = asyncio.create_task(Drain(spool, rejecting).run(stop))
    await asyncio.sleep(0.5)
    left = spool.records
    ballast.unlink()
    await until_drained(spool)
    stop.set()
    await draining

    assert left == 3
    assert refused_total() - refused_before == 3
    kept = [record.message for path in sorted((small_disk / "refused").iterdir()) for record in read(path)]
    assert kept == [message(number, 100_000) for number in range(3)]
    spool.close()


def refused_total() -> float:
    return REGISTRY.get_sample_value("em_spool_refused_total") or 0.0


async def until_drained(spool: Spool) -> None:
    async def none_is_left() -> bool:
        return spool.records == 0

    await until(none_is_left, timeout_s=20, what="the spool was not drained")


async def test_drain_takes_what_comes_while_it_drains_and_leaves_no_file(tmp_path: Path) -> None:
    spool = Spool.open(tmp_path, max_bytes=100 * MIB)
    published: list[str] = []

    async def publish(each: Outgoing) -> None:
        await asyncio.sleep(0)
        published.append(each.headers["Nats-Msg-Id"])

    stop = asyncio.Event()
    draining = asyncio.create_task(Drain(spool, publish).run(stop))
    for number in range(0, 1200, 12):
        await asyncio.gather(*(spool.append(message(n, 20_000)) for n in range(number, number + 12)))
    await until_drained(spool)
    stop.set()
    await draining

    assert sorted(map(int, published)) == list(range(1200))
    assert segment_paths(tmp_path) == []
    assert spool.size == 0
    spool.close()


async def test_drain_starts_while_deliveries_keep_coming(tmp_path: Path) -> None:
    """The segment that is written to is drained as far as it is synced."""
    spool = Spool.open(tmp_path, max_bytes=100 * MIB)
    spool_is_written = asyncio.create_task(spool.append(message(0)))
    await spool_is_written
    published = asyncio.Event()

    async def publish(_: Outgoing) -> None:
        published.set()

    slow = asyncio.create_task(spool.append(message(1, 5_000_000)))
    await asyncio.sleep(0)
    await Drain(spool, publish).drain_oldest()
    assert published.is_set()

    await slow
    assert (spool.records, ids(tmp_path)) == (1, ["1"] if len(segment_paths(tmp_path)) == 2 else ["0", "1"])
    spool.close()


async def test_stop_ends_the_drain_within_its_bound_though_the_broker_is_away(tmp_path: Path) -> None:
    spool = Spool.open(tmp_path, max_bytes=MIB)
    for number in range(3):
        await spool.append(message(number))

    async def publish(_: Outgoing) -> None:
        await asyncio.sleep(60)

    stop = asyncio.Event()
    draining = asyncio.create_task(Drain(spool, publish).run(stop))
    await asyncio.sleep(0.1)
    stop.set()
    async with asyncio.timeout(LAST_CHANCE_S + 2):
        await draining

    assert spool.records == 3
    spool.close()
    assert ids(tmp_path) == ["0", "1", "2"]


async def test_stop_drains_what_is_left(tmp_path: Path) -> None:
    spool = Spool.open(tmp_path, max_bytes=MIB)
    for number in range(200):
        await spool.append(message(number))
    published: list[str] = []

    async def publish(each: Outgoing) -> None:
        published.append(each.headers["Nats-Msg-Id"])

    stop = asyncio.Event()
    stop.set()
    await Drain(spool, publish).run(stop)

    assert (len(published), spool.records) == (200, 0)
    spool.close()


def test_directory_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(SpoolUnusable, match=f"SPOOL_DIR={tmp_path}/file/spool: Not a directory"):
        Spool.open(tmp_path / "file" / "spool", max_bytes=MIB)


def test_each_new_directory_is_on_disk_with_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    fsync = os.fsync

    def noting(descriptor: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noting)
    Spool.open(tmp_path / "a" / "b", max_bytes=MIB).close()

    assert synced[:3] == [str(tmp_path), str(tmp_path / "a"), str(tmp_path / "a" / "b")]


@pytest.mark.parametrize(("origin", "then"), [("live", "spool"), ("demo", "demo"), (None, "spool")])
async def test_origin_tells_that_it_was_held_up_unless_it_is_the_demos(
    tmp_path: Path, origin: str | None, then: str
) -> None:
    spool = Spool.open(tmp_path, max_bytes=MIB)
    headers = {"Nats-Msg-Id": "1", "Em-Received": "2026-03-01T00:00:00Z", **({"Em-Origin": origin} if origin else {})}
    await spool.append(Outgoing(subject="s", body=b"b", headers=headers))
    published: list[Outgoing] = []

    async def publish(each: Outgoing) -> None:
        published.append(each)

    await Drain(spool, publish).drain_oldest()

    assert published == [Outgoing(subject="s", body=b"b", headers={**headers, "Em-Origin": then})]
    spool.close()
