"""What a person sees: one screen of 80 x 24 while it runs. It reads the daemon's view, as /metrics does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from driftd.core.view import ModelView, Runtime, StatisticView, View
from driftd.demo.plan import DRIFTED, DRIFTING, MODELS, SIGNALS, STEADY, WINDOW
from driftd.demo.receiver import Arrival

_BAR: Final = 24
_LINE: Final = 70
_ARRIVALS: Final = 6
_STYLE: Final = {"firing": "bold red", "pending": "yellow", "ok": "green", "insufficient_data": "dim"}


@dataclass(frozen=True, slots=True)
class Scene:
    """All that is shown, at one instant. Times in ms of event time, `wall_s` since the start."""

    view: View
    runtime: Runtime
    arrivals: Sequence[Arrival]
    begins: int
    drift_at: int
    ends: int
    now: int
    sent: int
    speed: float
    wall_s: float
    urls: Sequence[str] = ()

    @property
    def lag(self) -> int | None:
        known = [n for n in self.runtime.lag.values() if n is not None]
        return sum(known) if known else None

    @property
    def models(self) -> dict[str, ModelView]:
        return {model.model: model for model in self.view.models}


def clock(ms: int, form: str = "%H:%M") -> str:
    """Event time as the time of day here."""
    return datetime.fromtimestamp(ms / 1000).astimezone().strftime(form)


def drift_views(model: ModelView | None) -> dict[str, StatisticView]:
    """The drift rule's newest word on each signal."""
    series = model.series if model is not None else ()
    return {v.signal: v for s in series for v in s.statistics if v.rule == "drift"}


def worst(model: ModelView | None) -> StatisticView | None:
    """The signal with the greatest effect."""
    known = [view for view in drift_views(model).values() if view.effect is not None]
    return max(known, key=lambda view: view.effect or 0.0, default=None)


def progress_line(scene: Scene) -> str:
    """The same in one line, where there is no screen."""
    parts = []
    for name in MODELS:
        view = worst(scene.models.get(name))
        said = f"{view.signal} {view.effect:.2f}" if view is not None and view.effect is not None else "no window yet"
        parts.append(f"{name}: greatest effect {said}")
    lag = "?" if scene.lag is None else f"{scene.lag:,}"
    return f"{clock(scene.now, '%H:%M:%S')} {scene.sent:,} events a model, lag {lag}; {'; '.join(parts)}"


def render(scene: Scene) -> RenderableType:
    lag = "?" if scene.lag is None else f"{scene.lag:,}"
    head = Text.assemble(
        ("driftd demo", "bold"),
        f"  event time {clock(scene.now, '%H:%M:%S')} at {scene.speed:.0f}x",
        f"  sent {scene.sent:,} a model  lag {lag}  {scene.wall_s:.0f} s",
    )
    urls = [Text(f"serving {'  '.join(scene.urls)}   Ctrl-C ends", style="cyan")] if scene.urls else []
    return Group(
        head, _time_line(scene), Text(), *_drifting(scene), _steady(scene), Text(), *_arrivals(scene.arrivals), *urls
    )


def _time_line(scene: Scene) -> Text:
    """From the first event to the last planned, with the drift marked."""
    span = max(scene.ends - scene.begins, 1)
    at = min((scene.drift_at - scene.begins) * _LINE // span, _LINE - 1)
    done = min((scene.now - scene.begins) * _LINE // span, _LINE)
    cells = Text(clock(scene.begins) + " ")
    for i in range(_LINE):
        mark = "┃" if i == at else "━" if i < done else "─"
        cells.append(mark, "bold red" if i == at else ("green" if i < at else "red") if i < done else "dim")
    under = Text(" " * (6 + at - 5) + "drift " + clock(scene.drift_at), style="red")
    return Text("\n").join([cells, under])


def _drifting(scene: Scene) -> list[RenderableType]:
    model = scene.models.get(DRIFTING)
    retrain = "requested" if any(one.retrain for one in scene.arrivals) else "none"
    events = model.events if model is not None else 0
    title = Text.assemble(
        (DRIFTING, "bold"),
        f"  {events:,} events, windows of {WINDOW // 60_000} min   retraining: ",
        (retrain, "bold magenta" if retrain == "requested" else "dim"),
    )
    table = Table(box=None, padding=(0, 1), show_header=True, header_style="dim", expand=False)
    table.add_column("signal", width=11)
    table.add_column("effect to thresholds", width=_BAR)
    table.add_column("PSI", justify="right", width=5)
    table.add_column("critical", justify="right", width=8)
    table.add_column("state", width=17)
    views = drift_views(model)
    for name in SIGNALS:
        table.add_row(name, *_cells(views.get(name)))
    return [title, table]


def _cells(view: StatisticView | None) -> tuple[RenderableType, ...]:
    if view is None or view.effect is None:
        return (Text("·" * _BAR, style="dim"), "", "", Text("no window yet", style="dim"))
    critical = view.critical or view.warning
    state = view.state if view.state != "firing" else f"FIRING {view.severity}"
    style = _STYLE.get(view.state, "")
    return (
        _bar(view.effect, view.warning, critical, style),
        f"{view.effect:.2f}",
        f"{critical:.2f}",
        Text(state, style),
    )


def _bar(effect: float, warning: float, critical: float, style: str) -> Text:
    """The effect, on a scale of twice the critical threshold, with both thresholds marked."""
    scale = 2 * critical
    filled = min(round(effect / scale * _BAR), _BAR)
    marks = {round(warning / scale * _BAR): "╎", round(critical / scale * _BAR): "┃"}
    out = Text()
    for i in range(_BAR):
        out.append("█" if i < filled else marks.get(i, "·"), style if i < filled else "dim")
    return out


def _steady(scene: Scene) -> Text:
    model, view = scene.models.get(STEADY), worst(scene.models.get(STEADY))
    if model is None or view is None or view.effect is None:
        return Text.assemble((STEADY, "bold"), ("  no window yet", "dim"))
    firing = any(v.state == "firing" for s in model.series for v in s.statistics)
    return Text.assemble(
        (STEADY, "bold"),
        f"  {model.events:,} events, greatest effect {view.effect:.2f} ({view.signal})   ",
        ("FIRING", "bold red") if firing else ("silent", "green"),
    )


def _arrivals(arrivals: Sequence[Arrival]) -> list[Text]:
    """The newest at the receiver."""
    out = [Text.assemble(("receiver", "bold"), f"  {len(arrivals)} notifications, signatures verified")]
    for one in arrivals[-_ARRIVALS:]:
        style = "bold magenta" if one.retrain else "red" if one.firing else "green"
        out.append(Text(one.line(), style, no_wrap=True, overflow="ellipsis"))
    return out


def colours(text: str) -> Text:
    """A closing line, its drifted signals marked."""
    out = Text(text)
    out.highlight_words(sorted(DRIFTED), "bold")
    return out
