"""Inference requests and responses of the Open Inference Protocol (KServe V2), one event a row of the tensors.

As KServe's payload logger sends them, in CloudEvents, or bare. A request has `inputs`, a response `outputs`; a log that
keeps both in one record, under those names or inside `request` and `response`, gives whole predictions. The first
dimension of a tensor is the batch; what is left of its shape is spread: a tensor `x` of shape [8, 3] gives eight events
with `x.0`, `x.1` and `x.2`, one of shape [8] or [8, 1] gives `x`.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Final

from driftd.core.event import MOST_ROWS
from driftd.kafka.cloudevents import attributes_of, content_type, looks_structured, read_event
from driftd.kafka.reasons import Reason, Refused
from driftd.kafka.value import Headers, parse_object

MOST_WIDE: Final = 2_000
"""Values a row: as many as a model may have signals."""

Table = list[dict[str, object]]


def read_rows(value: bytes | None, headers: Headers | None) -> list[dict[str, object]]:
    """For each row the event's attributes and `data`: the body with `inputs` and `outputs` as objects of this row.

    `data.kind` says what it is: a request alone gives features, a response a prediction. Raises Refused.
    """
    whole = _event(value, headers)
    body = whole["data"]
    assert isinstance(body, dict)
    request, response = _part(body, "request", "inputs"), _part(body, "response", "outputs")
    if request is None and response is None:
        raise Refused(Reason.TENSOR, "neither inputs nor outputs")
    inputs = None if request is None else table(request.get("inputs"), "inputs")
    outputs = None if response is None else table(response.get("outputs"), "outputs")
    if inputs is not None and outputs is not None and len(inputs) != len(outputs):
        raise Refused(Reason.TENSOR, f"{len(inputs)} rows of inputs and {len(outputs)} of outputs")
    said = {
        key: value
        for part in (body, request, response)
        for key, value in (part or {}).items()
        if key not in ("inputs", "outputs", "request", "response")
    }
    said["kind"] = "features" if outputs is None else "prediction"
    rows = []
    for i in range(len(inputs if inputs is not None else outputs or ())):
        tensors = {name: part[i] for name, part in (("inputs", inputs), ("outputs", outputs)) if part is not None}
        rows.append({**whole, "data": {**said, **tensors}})
    return rows


def _event(value: bytes | None, headers: Headers | None) -> dict[str, object]:
    """The CloudEvent, or a bare body in the same form."""
    if attributes_of(headers) or content_type(headers).startswith("application/cloudevents"):
        event = read_event(value, headers)
    else:
        body = parse_object(value)
        event = read_event(value, headers) if looks_structured(body) else {"id": body.get("id"), "data": body}
    if not isinstance(event.get("data"), dict):
        raise Refused(Reason.TENSOR, "its data is not an object")
    return event


def _part(body: dict[str, object], name: str, tensors: str) -> dict[str, object] | None:
    if tensors in body:
        return body
    part = body.get(name)
    return part if isinstance(part, dict) and tensors in part else None


def table(tensors: object, what: str) -> Table:
    """Rows of named values, of all tensors of one request or response. Raises Refused."""
    if not isinstance(tensors, list) or not tensors:
        raise Refused(Reason.TENSOR, f"{what} is not a list of tensors")
    columns: dict[str, Sequence[object]] = {}
    rows: int | None = None
    for tensor in tensors:
        n, found = _columns(tensor)
        if rows is not None and n != rows:
            raise Refused(Reason.TENSOR, f"{what}: tensors of {rows} and of {n} rows")
        if len(columns) + len(found) > MOST_WIDE:
            raise Refused(Reason.TENSOR, f"{what}: more than {MOST_WIDE} values a row")
        if found.keys() & columns.keys():
            raise Refused(Reason.TENSOR, f"{what}: two tensors of one name")
        rows, columns = n, {**columns, **found}
    names = list(columns)
    return [dict(zip(names, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _columns(tensor: object) -> tuple[int, dict[str, Sequence[object]]]:
    """How many rows a tensor has, and its values by name."""
    if not isinstance(tensor, dict) or not isinstance(tensor.get("name"), str):
        raise Refused(Reason.TENSOR, "a tensor without a name")
    name, shape = tensor["name"], tensor.get("shape")
    if not isinstance(shape, list) or not all(type(n) is int and n >= 0 for n in shape):
        raise Refused(Reason.TENSOR, "a shape is not a list of whole numbers")
    if "data" not in tensor:
        raise Refused(Reason.TENSOR, "a tensor without data: binary tensors cannot be read")
    rows, width = (shape[0], prod(shape[1:])) if shape else (1, 1)
    if not 0 < rows <= MOST_ROWS or not 0 < width <= MOST_WIDE:
        raise Refused(Reason.TENSOR, f"a shape of {rows} rows of {width} values; at most {MOST_ROWS} of {MOST_WIDE}")
    values = _flat(tensor["data"], max(len(shape), 1))
    if len(values) != rows * width:
        raise Refused(Reason.TENSOR, f"{len(values)} values in a shape of {rows * width}")
    if width == 1:
        return rows, {name: values}
    return rows, {f"{name}.{i}": values[i::width] for i in range(width)}


def _flat(data: object, depth: int) -> list[object]:
    """Values in row-major order, written flat or nested as the shape is."""
    if not isinstance(data, list):
        return [data]
    for _ in range(depth - 1):
        if not any(isinstance(one, list) for one in data):
            break
        data = [value for one in data for value in (one if isinstance(one, list) else [one])]
    return data
