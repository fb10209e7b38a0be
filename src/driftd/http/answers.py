"""What every JSON route is made of: how it answers, and how it reads the query of a request."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from driftd.http import documents, openapi


def json_response(document: object, status: int = 200) -> Response:
    return Response(documents.encode(document), status, media_type="application/json")


def error_response(status: int, message: str, headers: Mapping[str, str] | None = None) -> Response:
    response = json_response({"error": message}, status)
    response.headers.update(headers or {})
    return response


class Query:
    """The query of a request: every parameter is known, given once, and what it should be, or it is a 400."""

    def __init__(self, request: Request, *allowed: str) -> None:
        self._values: dict[str, str] = {}
        for name, value in request.query_params.multi_items():
            if name not in allowed:
                known = ", ".join(allowed) or "none"
                raise HTTPException(400, f"unknown query parameter {name!r}; known here: {known}")
            if name in self._values:
                raise HTTPException(400, f"query parameter {name!r} is given twice")
            self._values[name] = value

    def text(self, name: str) -> str | None:
        value = self._values.get(name)
        if value is not None and not 0 < len(value) <= openapi.NAME_MAX:
            raise HTTPException(400, f"{name} must have 1 to {openapi.NAME_MAX} characters")
        return value

    def limit(self) -> int:
        value = self._values.get("limit", str(openapi.LIMIT_DEFAULT))
        well_formed = value.isascii() and value.isdigit() and len(value) <= 9
        if not well_formed or not 1 <= int(value) <= openapi.LIMIT_MAX:
            raise HTTPException(400, f"limit must be a whole number from 1 to {openapi.LIMIT_MAX}")
        return int(value)
