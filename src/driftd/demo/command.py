"""`driftd demo`: everything in a temporary directory, which is gone at the end."""

from __future__ import annotations

import contextlib
import logging
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import structlog
from rich.console import Console
from rich.live import Live

from driftd.app import Daemon
from driftd.core.fault import UserError
from driftd.core.spec import MINUTE
from driftd.demo.broker import Broker
from driftd.demo.display import Scene, clock, colours, progress_line, render
from driftd.demo.plan import DRIFTING, MODELS, Plan
from driftd.demo.receiver import Arrival, Receiver
from driftd.demo.setup import CONFIG, build_reference, new_secret, write_settings
from driftd.demo.stream import Serving
from driftd.demo.traffic import Traffic
from driftd.demo.verdict import Verdict, closing_lines, judge

QUIET_S: Final = 3.0
FRAME_S: Final = 0.25
START_STEP_S: Final = 0.05
TELL_EVERY: Final = 10 * MINUTE
CLOSE_S: Final = 30.0
SETTLE_S: Final = 6.0
"""The daemon asks for the ends of partitions every 5 s: until then it may not know of the last events."""


@dataclass(slots=True)
class Running:
    """The parts at work. `changed` is set whenever a notification arrives."""

    console: Console
    plan: Plan
    daemon: Daemon
    traffic: Traffic
    receiver: Receiver
    changed: threading.Event
    stop: threading.Event = field(default_factory=threading.Event)
    error: BaseException | None = None
    began: float = field(default_factory=time.monotonic)
    speed: float = 0.0
    urls: tuple[str, ...] = ()

    def run_daemon(self) -> None:
        """`driftd run`, in a thread."""
        try:
            self.daemon.run(self.stop)
        except BaseException as error:  # noqa: BLE001 - the main thread tells it
            self.error = error
        finally:
            self.changed.set()

    def verdict(self) -> Verdict:
        return judge(tuple(self.receiver.arrivals), self.receiver.forged, self.traffic.drift_at)

    def scene(self) -> Scene:
        traffic = self.traffic
        return Scene(
            view=self.daemon.published.view,
            runtime=self.daemon.published.runtime,
            arrivals=tuple(self.receiver.arrivals),
            begins=traffic.begins,
            drift_at=traffic.drift_at,
            ends=traffic.drift_at + self.plan.patience,
            now=traffic.event_time,
            sent=traffic.sent,
            speed=self.speed,
            wall_s=time.monotonic() - self.began,
            urls=self.urls,
        )

    def closed_until(self) -> int:
        """Event time up to which every model was judged, ms."""
        series = {m.model: [s.closed_until or 0 for s in m.series] for m in self.daemon.published.view.models}
        return min(min(series.get(name) or [0]) for name in MODELS)

    def settled(self) -> bool:
        """Whether the traffic has ended, all of it has been read, and all that followed from it delivered."""
        runtime, ended = self.daemon.published.runtime, self.traffic.ended
        if ended is None or (runtime.heartbeat or 0.0) < ended + SETTLE_S:
            return False
        lag = list(runtime.lag.values())
        return bool(lag) and not any(lag) and not any(receiver.waiting for receiver in runtime.receivers)

    def done(self, give_up_at: float) -> bool:
        """A verdict is due: what was expected came and a whole window of drifted traffic was judged; or time is up."""
        self.check()
        if time.monotonic() >= give_up_at:
            return True
        if self.closed_until() >= self.traffic.drift_at + self.plan.enough and self.verdict().good:
            return True
        # The last panes wait for events that will not come: what is not said by then will not be said.
        return self.settled()

    def check(self) -> None:
        """Raises what made the daemon or the traffic end."""
        error = self.error or self.traffic.error
        if error is not None:
            raise error


def main(for_s: float | None, serve: bool, plain: bool, *, plan: Plan | None = None) -> int:  # noqa: FBT001
    """The exit code: 0 if driftd said what it had to and nothing else. Raises UserError. `plan`: for tests."""
    plan = plan or Plan()
    console = Console(highlight=False)
    plain = plain or not console.is_terminal
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="driftd-demo-")))
        stack.enter_context(_logs(directory / "driftd.log"))
        try:
            return _demo(console, directory, plan, for_s or plan.give_up_s, serve=serve, plain=plain)
        except KeyboardInterrupt:
            console.print("interrupted")
            return 130


def _demo(console: Console, directory: Path, plan: Plan, give_up_s: float, *, serve: bool, plain: bool) -> int:
    give_up_at = time.monotonic() + give_up_s
    with contextlib.ExitStack() as stack:
        running = _start(console, directory, plan, stack, plain=plain)
        show = _plain if plain else _live
        show(running, lambda: running.done(give_up_at))
        verdict = running.verdict()
        traffic = running.traffic
        for line in closing_lines(verdict, traffic.drift_at, traffic.sent, traffic.accuracy):
            console.print(colours(line), soft_wrap=True)
        if serve:
            _serve(running, show)
        return 0 if verdict.good else 1


def _start(console: Console, directory: Path, plan: Plan, stack: contextlib.ExitStack, *, plain: bool) -> Running:
    """Build everything in the order in which it is needed; `stack` ends it in the reverse order."""
    began = time.monotonic()

    def tell(text: str) -> None:
        console.print(text, style=None if plain else "dim", soft_wrap=True)

    broker = stack.enter_context(Broker())
    tell(f"An embedded Kafka listens on {broker.address}.")
    start = plan.start(int(time.time() * 1000))
    models = [Serving(name, plan) for name in MODELS]
    events = [build_reference(model, directory, start) for model in models]
    tell(f"river trained {' and '.join(MODELS)} online; references of {events[0]:,} events each.")
    changed = threading.Event()

    def came(one: Arrival) -> None:
        if plain:
            console.print(f"received  {one.line()}", soft_wrap=True)
        changed.set()

    secret = new_secret(directory)
    receiver = stack.enter_context(Receiver(secret, came))
    settings = write_settings(directory, broker.address, receiver.url, models)
    daemon = Daemon(settings, quiet_s=QUIET_S)
    running = Running(console, plan, daemon, Traffic(broker, models, plan, start), receiver, changed, began=began)
    running.speed = plan.speed
    thread = threading.Thread(target=running.run_daemon, name="demo-daemon", daemon=True)
    thread.start()
    stack.callback(_end_daemon, running, thread)
    while not daemon.http_port:  # a slow machine takes seconds; what keeps it from starting is raised
        running.check()
        running.changed.wait(START_STEP_S)
    tell(f"driftd runs with {directory / CONFIG}; {DRIFTING} drifts at {clock(running.traffic.drift_at)}.")
    running.traffic.start()
    stack.callback(running.traffic.close)
    return running


def _end_daemon(running: Running, thread: threading.Thread) -> None:
    """As SIGTERM ends `driftd run`."""
    running.stop.set()
    thread.join(CLOSE_S)
    if thread.is_alive():
        raise UserError(f"the daemon did not end within {CLOSE_S:.0f} s", exit_code=1)


def _plain(running: Running, done: Callable[[], bool]) -> None:
    """A line every ten minutes of event time."""
    told = running.traffic.event_time // TELL_EVERY
    drifted = running.traffic.event_time >= running.traffic.drift_at  # told already, when it goes on serving
    while not done():
        running.changed.wait(FRAME_S)
        running.changed.clear()
        scene = running.scene()
        if not drifted and scene.now >= scene.drift_at:
            drifted = True
            if running.plan.drift:
                running.console.print(f"{clock(scene.drift_at, '%H:%M:%S')} the drift begins", soft_wrap=True)
        if scene.now // TELL_EVERY > told:
            told = scene.now // TELL_EVERY
            running.console.print(progress_line(scene), soft_wrap=True)


def _live(running: Running, done: Callable[[], bool]) -> None:
    """The screen, drawn anew four times a second."""
    with Live(render(running.scene()), console=running.console, auto_refresh=False) as live:
        while not done():
            running.changed.wait(FRAME_S)
            running.changed.clear()
            live.update(render(running.scene()), refresh=True)
        live.update(render(running.scene()), refresh=True)


def _serve(running: Running, show: Callable[[Running, Callable[[], bool]], None]) -> None:
    """Until Ctrl-C, at the pace of the wall."""
    base = f"http://127.0.0.1:{running.daemon.http_port}"
    running.urls = (f"{base}/", f"{base}/metrics")
    running.speed = 1.0
    running.traffic.slow_down()
    running.console.print(f"Serving {base}/ and {base}/metrics and {base}/api/v1/models until Ctrl-C.", soft_wrap=True)

    def never() -> bool:
        running.check()
        return False

    with contextlib.suppress(KeyboardInterrupt):
        show(running, never)


@contextlib.contextmanager
def _logs(path: Path) -> Iterator[None]:
    """What `driftd run` says to stderr goes to a file: here the screen is another's."""
    before = structlog.get_config()
    with path.open("w", encoding="utf-8") as file:
        structlog.configure(
            processors=[
                structlog.processors.add_log_level,
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(),
            ],
            wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
            logger_factory=structlog.PrintLoggerFactory(file),
            cache_logger_on_first_use=False,
        )
        try:
            yield
        finally:
            structlog.configure(**before)
