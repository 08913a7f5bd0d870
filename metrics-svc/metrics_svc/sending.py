"""An answer as JSON or CSV, with an ETag: what did not change is not sent again."""

import csv
import hashlib
import io
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from fastapi import Request
from fastapi.responses import Response

CSV = "text/csv"
# What a spreadsheet would take for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def send(request: Request, content: Any, rows: Sequence[Any]) -> Response:
    """`content` as JSON; with `Accept: text/csv` only its rows (RFC 4180)."""
    wants_csv = CSV in request.headers.get("accept", "")
    body = _csv(rows) if wants_csv else msgspec.json.encode(content)
    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = {"ETag": tag, "Cache-Control": "no-cache", "Vary": "Accept"}
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(body, media_type=f"{CSV}; charset=utf-8" if wants_csv else "application/json", headers=headers)


def _csv(rows: Sequence[Any]) -> bytes:
    plain: list[Mapping[str, Any]] = [msgspec.to_builtins(row) for row in rows]
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    if plain:
        writer.writerow(plain[0])
    writer.writerows([_cell(value) for value in row.values()] for row in plain)
    return out.getvalue().encode()


def _cell(value: Any) -> str:
    """Texts of other people must not be run by a spreadsheet; numbers may begin with a minus."""
    if value is None:
        return ""
    if isinstance(value, str):
        return f"'{value}" if value.startswith(_FORMULA) else value
    if isinstance(value, (list, dict)):
        return msgspec.json.encode(value).decode()
    return str(value)
