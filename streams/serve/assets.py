"""The page: static files, read when the server starts, and served with headers that lock them in.

They need no token: what they show is asked for with one.
"""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from fastapi import APIRouter, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

FOLDER = Path(__file__).with_name("page")
"""Where the files are."""

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none';"
        " frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}
"""Of every answer that is a file."""

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}


class _File(NamedTuple):
    """A file, what kind it is, and a mark that changes with it."""

    body: bytes
    media_type: str
    tag: str


def page(folder: Path = FOLDER) -> APIRouter:
    """Return the routes of the page: `/`, and `/page/...` for what it consists of."""
    files = {each.relative_to(folder).as_posix(): each for each in sorted(folder.rglob("*"))}
    known = {name: _read(path) for name, path in files.items() if path.suffix in _TYPES}
    router = APIRouter(include_in_schema=False)

    @router.get("/")
    async def get_index(request: Request) -> Response:
        return _answer(request, known["index.html"])

    @router.get("/page/{name:path}")
    async def get_file(request: Request, name: str) -> Response:
        if name not in known:
            raise HTTPException(404)
        return _answer(request, known[name])

    return router


def _read(path: Path) -> _File:
    body = path.read_bytes()
    return _File(body, _TYPES[path.suffix], f'"{sha256(body).hexdigest()[:32]}"')


def _answer(request: Request, file: _File) -> Response:
    headers = {**HEADERS, "ETag": file.tag}
    if request.headers.get("if-none-match") == file.tag:
        return Response(status_code=304, headers=headers)
    return Response(file.body, headers=headers, media_type=file.media_type)
