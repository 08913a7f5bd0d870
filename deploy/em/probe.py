"""One question to a program: are you ready?"""

import asyncio
from dataclasses import dataclass
from urllib.parse import urlsplit

from em.program import Ready

ANSWER_TIMEOUT_S = 3.0
ANSWER_BYTES_MAX = 16_384


@dataclass(frozen=True)
class Answer:
    """`detail` is what the program said, for the person who must find out why it is not ready."""

    ok: bool
    detail: str = ""


async def ask(ready: Ready) -> Answer:
    try:
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            return await _ask(ready)
    except TimeoutError:
        return Answer(False, f"no answer within {ANSWER_TIMEOUT_S:g} s")
    except OSError as error:
        return Answer(False, error.strerror or str(error))


async def _ask(ready: Ready) -> Answer:
    if ready.url:
        return await _get(ready.url)
    if ready.port:
        return await _connect(ready.port)
    if ready.command:
        return await _execute(ready.command)
    return Answer(True)


async def _get(url: str) -> Answer:
    """A bare HTTP/1.0 GET: an HTTP client would triple the supervisor's memory."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        writer.write(f"GET {parts.path or '/'} HTTP/1.0\r\nHost: {parts.netloc}\r\n\r\n".encode())
        answer = (await _read_until_closed(reader)).decode(errors="replace")
    finally:
        writer.close()
    head, _, body = answer.partition("\r\n\r\n")
    status = head.split(" ", 2)[1:2]
    return Answer(status == ["200"], f"{' '.join(status)} {body.strip()}".strip())


async def _read_until_closed(reader: asyncio.StreamReader) -> bytes:
    answer = b""
    while len(answer) < ANSWER_BYTES_MAX and (piece := await reader.read(ANSWER_BYTES_MAX)):
        answer += piece
    return answer


async def _connect(port: int) -> Answer:
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.close()
    return Answer(True)


async def _execute(command: tuple[str, ...]) -> Answer:
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={"LC_ALL": "C"},
    )
    try:
        output, _ = await process.communicate()
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise
    return Answer(process.returncode == 0, output.decode(errors="replace").strip())
