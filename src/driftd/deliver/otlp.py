"""Metrics pushed to a collector by OTLP over HTTP, where nobody scrapes.

A thread of its own, which nothing waits for. A push is of what is known at its moment, so one that fails is not repeated:
the next says more. A collector that asks to be left alone (Retry-After) is; one that does not answer is told of in the log
once, and once when it is back. The last push is made at the end.

Source: https://opentelemetry.io/docs/specs/otlp/#otlphttp
"""

from __future__ import annotations

import gzip
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Final

import structlog
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)

from driftd.core.fault import printable
from driftd.core.view import Pushes
from driftd.deliver.answer import outcome
from driftd.deliver.exchange import Answer, Exchange, checked
from driftd.deliver.points import Family, requests
from driftd.deliver.receiver import Outcome, Refused, Retry, Sent

_log = structlog.get_logger(__name__)

PACKED: Final = 1
"""gzip's level: labels repeat so much that more would only take time."""


class OtlpPush:
    """`families` gives what /metrics would show now. `tell` is given the counts whenever they change."""

    def __init__(
        self,
        endpoint: str,
        families: Callable[[], Iterable[Family]],
        resource: Mapping[str, str],
        tell: Callable[[Pushes], None],
        *,
        headers: Mapping[str, str] | None = None,
        every_s: float = 60.0,
        timeout_s: float = 10.0,
        started: float | None = None,
        before: Callable[[], Pushes | None] = lambda: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`started`: Unix time at which the counters of this process were 0; None: now. `before`: the pushes so far,
        asked for at the start, for another may have gone before. Raises ValueError for an endpoint that is no URL.
        """
        self._url = checked(endpoint, "otlp.endpoint")
        self._families, self._resource, self._tell = families, dict(resource), tell
        self._headers = {
            **(headers or {}),
            "content-type": "application/x-protobuf",
            "content-encoding": "gzip",
        }
        self._every_s, self._clock = every_s, clock
        self._most_s = max(every_s, timeout_s)  # of one push, however many requests it takes
        self._exchange = Exchange(timeout_s)
        self._before, self._pushes = before, Pushes()
        self._started_ns = round((clock() if started is None else started) * 1e9)
        self._down = False
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="otlp", daemon=True)

    def start(self) -> None:
        self._pushes = self._before() or Pushes()
        self._tell(self._pushes)
        self._thread.start()

    def close(self, timeout: float) -> bool:
        """Waits so many seconds for the last push. False: it is still under way; that keeps no process alive."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        due = time.monotonic()
        try:
            while not self._stopped.wait(max(0.0, due - time.monotonic())):
                wait_s = self._push()
                # After a slow one those that were missed are left out.
                due = max(due + self._every_s, time.monotonic() + (wait_s or 0.0))
            self._push()
        finally:
            self._exchange.close()

    def _push(self) -> float | None:
        """One of all there is. How long the collector asks to be left alone, if it does."""
        now = self._clock()
        give_up = time.monotonic() + self._most_s
        now_ns = round(now * 1e9)
        started_ns = min(self._started_ns, now_ns)  # a clock may be set back
        told: Outcome = Sent("nothing to push")
        refused = 0
        try:
            for request in requests(self._families(), self._resource, now_ns=now_ns, started_ns=started_ns):
                if time.monotonic() > give_up:
                    told = Retry(f"the push is not whole after {self._most_s:g} s")
                    break
                told, points = self._post(request)
                refused += points
                if not isinstance(told, Sent):
                    break
        except Exception as error:  # noqa: BLE001 - the next push is tried in any case
            told = Retry(type(error).__name__)
        if refused and isinstance(told, Sent):
            told = Refused(f"{refused} points were refused")
        self._note(told, now)
        return told.after_s if isinstance(told, Retry) else None

    def _post(self, request: ExportMetricsServiceRequest) -> tuple[Outcome, int]:
        """What became of it, and how many of its points the collector refused although it took the rest."""
        packed = gzip.compress(request.SerializeToString(), PACKED)
        answer = self._exchange.post(self._url, packed, self._headers)
        if isinstance(answer, Retry):
            return answer, 0
        told = outcome(answer.status, answer.retry_after, answer.text, self._clock())
        return told, _refused_points(answer) if isinstance(told, Sent) else 0

    def _note(self, told: Outcome, now: float) -> None:
        sent = isinstance(told, Sent)
        before = self._pushes
        self._pushes = (
            replace(before, sent=before.sent + 1, last=now) if sent else replace(before, failed=before.failed + 1)
        )
        self._tell(self._pushes)
        if sent and self._down:
            _log.info("otlp_push_back", failed=self._pushes.failed)
        elif not isinstance(told, Sent) and not self._down:
            _log.warning("otlp_push_failed", error=printable(told.error))
        self._down = not sent


def _refused_points(answer: Answer) -> int:
    """A collector may take a request and refuse points of it; it says so in its answer, and wants nothing repeated."""
    said = ExportMetricsServiceResponse()
    try:
        said.ParseFromString(answer.body)
    except DecodeError:  # of a proxy, or none of OTLP: the status counts
        return 0
    return int(said.partial_success.rejected_data_points)
