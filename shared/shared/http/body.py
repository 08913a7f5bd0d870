"""A request's body, bounded."""

from fastapi import Request

from shared.http.problems import Problem


async def read_body(request: Request, *, bytes_max: int) -> bytes:
    """Raises Problem."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > bytes_max:
            raise Problem(413, "too-large", f"at most {bytes_max} bytes")
    return body
