"""Fleet: which models are in trouble, of which nothing is known, and what is worst anywhere.

What it shows over time of all models is recorded by rules (config/prometheus/rules.yml): a fleet has some 650 series a
model, too many to add up at each point of a graph.
"""

from __future__ import annotations

from typing import Final

from grafana_foundation_sdk.builders.dashboard import Dashboard

from grafana.build.frame import choice, frame, section, text
from grafana.build.panels import (
    BLUE,
    GREEN,
    GREY,
    RED,
    YELLOW,
    YES_NO,
    Column,
    Link,
    Query,
    lines,
    number,
    rows,
    steps,
    to_model,
)

MINE: Final = 'instance=~"$instance"'
OF: Final = 'instance=~"$instance",model=~"$model"'
READY: Final = f"(min(driftd_ready{{{MINE}}}) == 1)"
NOT_KNOWN: Final = "Not known: no driftd that is chosen is ready. Alerts stand as they stood; see the dashboard driftd."
RULES: Final = "No window was judged, or Prometheus lacks the recording rules (config/prometheus/rules.yml)."


def known(expr: str) -> str:
    """`expr`, or 0 while driftd is ready: a 0 of a monitor that does not look would look healthy."""
    return f"{expr} or (0 * sum(driftd_models{{{MINE}}}) and {READY})"


def firing(severity: str) -> str:
    return f'count(count by (instance, model) (driftd_alert_firing{{{OF},severity="{severity}"}}))'


def counted(severity: str) -> str:
    return f'count by (model, version, kind) (driftd_alert_firing{{{OF},severity="{severity}"}})'


def noted(verb: str) -> str:
    return f'count by (model, version, kind) (driftd_alert_act{{{OF},verb="{verb}"}})'


def fleet() -> str:
    board = frame(
        "driftd-fleet",
        "driftd: fleet",
        "Which models are in trouble, of which nothing is known, and what is worst. A row leads to its model.",
        since="now-24h",
    ).with_variable(
        choice("model", f"label_values(driftd_model_info{{{MINE}}}, model)", "Model", "These models alone.")
    )
    _tiles(board)
    _tables(board)
    _people(board)
    _over_time(board)
    return text(board)


def _tiles(board: Dashboard) -> None:
    section(
        board,
        "Now",
        number(
            "Models watched",
            "Models of which events were seen. Those over the bound on models are not among them.",
            known(f"count(driftd_model_info{{{OF}}})"),
            none=NOT_KNOWN,
            levels=steps(base="#3274d9"),
        ),
        number(
            "With a critical alert",
            "Models of which at least one signal fires critically. 0 is only said while driftd is ready.",
            known(firing("critical")),
            none=NOT_KNOWN,
            levels=steps((1, RED)),
        ),
        number(
            "With a warning",
            "Models of which at least one signal fires a warning. 0 is only said while driftd is ready.",
            known(firing("warning")),
            none=NOT_KNOWN,
            levels=steps((1, YELLOW)),
        ),
        number(
            "Of which something is not known",
            "Models with a version and kind that has no reference, too few events, none for a window, or no verdict yet. "
            "Not known is not well: the table below says why.",
            f"count(count by (instance, model) (driftd:unknown:why{{{OF}}})) or (0 * max(driftd:signals:count{{{MINE}}}) "
            f"and {READY})",
            none="Not known: no model was seen yet, or no driftd is ready, or Prometheus lacks the recording rules "
            "(config/prometheus/rules.yml).",
            levels=steps((1, YELLOW)),
        ),
        number(
            "Ready",
            "Whether every driftd is ready: assigned, restored, its lag known, its loop alive. While one is not, what the "
            "other panels show may be old.",
            f"min(driftd_ready{{{MINE}}})",
            mapped=YES_NO,
            levels=steps((1, GREEN), base=RED),
            links=[
                Link("driftd", "/d/driftd-daemon?${datasource:queryparam}&${instance:queryparam}&${__url_time_range}")
            ],
        ),
        number(
            "Retraining requested",
            "Models whose newest retrain request is open. A request says which signals asked for it: driftd explain.",
            known(f'count(driftd_retrain_state{{{OF},state="requested"}} == 1)'),
            none=NOT_KNOWN,
            levels=steps((1, YELLOW)),
        ),
    )


SIGNAL: Final = "model, version, kind, signal, rule, statistic"
EXCESS: Final = f'driftd_effect{{{OF}}} / ignoring (severity) driftd_threshold{{{OF},severity="warning"}}'
ANY: Final = f"count by (model, version, kind) (driftd_alert_firing{{{OF}}})"
RATIO: Final = steps((0.8, YELLOW), (1, RED))
MODEL: Final = Column("model", "Model", links=(to_model(),))
SERIES: Final = (MODEL, Column("version", "Version"), Column("kind", "Kind"))


def _tables(board: Dashboard) -> None:
    section(
        board,
        "Models",
        rows(
            "In trouble",
            "Alerts that fire, by model, version and kind of event, how far the worst signal is beyond its threshold, and how "
            "many of them somebody has acknowledged or muted.",
            [
                counted("critical"),
                counted("warning"),
                f"max by (model, version, kind) (driftd:effect_ratio:max{{{OF}}}) and {ANY}",
                noted("acknowledge"),
                noted("mute"),
            ],
            [
                *SERIES,
                Column("A", "Critical", levels=steps((1, RED), base=GREY)),
                Column("B", "Warning", levels=steps((1, YELLOW), base=GREY)),
                Column("C", "Worst effect / threshold", "percentunit", RATIO),
                Column("D", "Acknowledged"),
                Column("E", "Muted"),
            ],
            none="No alert fires, as far as is known: see Ready, and the table beside.",
            worst="Critical",
        ),
        rows(
            "Not known",
            "Versions and kinds of which driftd can say nothing, and why. Learning takes as long as the settings say; the "
            "other reasons want a look (docs/runbooks.md).",
            [f"max by (model, version, kind, why) (driftd:unknown:why{{{OF}}})"],
            [*SERIES, Column("why", "Why")],
            none="Nothing is unknown, as far as was recorded: see Ready, and Models watched.",
        ),
        rows(
            "Worst signals",
            "Effect as a share of its warning threshold: from 100 % on a rule looks at the evidence, and fires if that "
            "holds too, long enough.",
            [f"topk(20, max by ({SIGNAL}) ({EXCESS}))"],
            [
                *SERIES,
                Column("signal", "Signal"),
                Column("rule", "Rule"),
                Column("statistic", "Statistic"),
                Column("A", "Effect / threshold", "percentunit", RATIO, gauge=True),
            ],
            none="No effect is known: no window was judged yet, or the events have stopped.",
            worst="Effect / threshold",
            width=16,
            height=10,
        ),
        rows(
            "Reservations",
            "Verdicts told with a reservation, by model: uncalibrated (the reference has no order to replay), "
            "short_replay (too short for windows of this size), noisy (its threshold was raised). Extrapolated is usual.",
            [f'topk(50, count by (model, version, kind, flag) (driftd_signal_flag{{{OF},flag!="extrapolated"}}))'],
            [*SERIES, Column("flag", "Reservation"), Column("A", "Signals")],
            none="No verdict has a reservation, or there is no verdict.",
            worst="Signals",
            width=8,
            height=10,
        ),
        rows(
            "Overdue",
            "Models of which no event has come though one was expected: for an hour, or as their settings say (expect). For "
            "how long, on the wall's clock.",
            [f"max by (model, kind) (time() - driftd_due_timestamp_seconds{{{OF}}} and driftd_overdue{{{OF}}} == 1)"],
            [MODEL, Column("kind", "Kind"), Column("A", "Overdue for", "s")],
            none="No events are overdue, as far as is known: see Ready.",
            worst="Overdue for",
            width=24,
            height=6,
        ),
    )


def _people(board: Dashboard) -> None:
    def count(verb: str) -> str:
        return known(f'count(driftd_alert_act{{{OF},verb="{verb}"}})')

    section(
        board,
        "What people did",
        number(
            "Acknowledged",
            "Alerts that fire and that somebody is at (driftd ack). They are told on as before.",
            count("acknowledge"),
            none=NOT_KNOWN,
            levels=steps(base=BLUE),
        ),
        number(
            "Muted",
            "Alerts that fire and of which a mute holds (driftd mute): nobody is told of them until it ends.",
            count("mute"),
            none=NOT_KNOWN,
            levels=steps((1, YELLOW)),
        ),
        number(
            "Marked as false",
            "Alerts that fire and that somebody has marked as false (driftd false): nobody is told more but their end.",
            count("false"),
            none=NOT_KNOWN,
            levels=steps((1, YELLOW)),
        ),
        number(
            "Mutes",
            "Mutes that hold now, of alerts that fire or may: driftd mutes says of what, until when, by whom and why.",
            f"sum(driftd_mutes{{{MINE}}})",
            levels=steps((1, YELLOW)),
        ),
        number(
            "Withheld",
            "Notifications withheld from a receiver now, for a mute or a mark as false; what still fires is told when it ends.",
            f"sum(driftd_withheld_notifications{{{MINE}}})",
            levels=steps((1, YELLOW)),
        ),
        number(
            "Shadows",
            "Instances that record everything and tell nobody (deliver: none). Do not take what they show for what was told.",
            f"sum(driftd_shadow{{{MINE}}})",
            levels=steps((1, YELLOW)),
        ),
    )


def _over_time(board: Dashboard) -> None:
    section(
        board,
        "Over time",
        lines(
            "Signals by state",
            "Statistics of all signals, by the state that each is in. Grey ones are not known: they are not well.",
            Query(f"sum by (state) (driftd:signals:count{{{OF}}})", "{{state}}"),
            unit="short",
            none=RULES,
            stacked=True,
        ),
        lines(
            "Worst models",
            "The worst effect of each of the ten models that are worst now, as a share of its warning threshold.",
            Query(
                f"max by (model) (driftd:effect_ratio:max{{{OF}}}) and "
                f"topk(10, max by (model) (driftd:effect_ratio:max{{{OF}}} @ end()))",
                "{{model}}",
            ),
            unit="percentunit",
            none=f"No effect is known. {RULES}",
            levels=steps((1, RED)),
            least=0,
            links=[to_model("${__field.labels.model:percentencode}")],
        ),
        lines(
            "Events",
            "Events counted a second, of the ten models with most of them now.",
            Query(
                f"sum by (model) (rate(driftd_events_total{{{OF}}}[$__rate_interval])) and "
                f"topk(10, sum by (model) (rate(driftd_events_total{{{OF}}}[$__rate_interval] @ end())))",
                "{{model}}",
            ),
            unit="eps",
            none="No event was counted yet.",
            least=0,
            links=[to_model("${__field.labels.model:percentencode}")],
        ),
        lines(
            "Age of the newest verdict",
            "How long ago, on the wall's clock, the newest judged window of each model ended; the ten oldest. At least "
            "allowed lateness, more where partitions are waited for, and growing where events stop.",
            Query(f"topk(10, time() - max by (model) (driftd_window_end_timestamp_seconds{{{OF}}}))", "{{model}}"),
            unit="s",
            none="No window was judged yet.",
            links=[to_model("${__field.labels.model:percentencode}")],
        ),
        lines(
            "Notifications",
            "Notifications made since the first event, by what they tell: a step is a new one. One names all signals of a "
            "rule that moved together. As a total, since a rate does not see the first of its kind.",
            Query(f"sum by (type, severity) (driftd_transitions_total{{{OF}}})", "{{type}} {{severity}}"),
            unit="short",
            none="No notification was ever made, or no driftd answers.",
            least=0,
            height=6,
        ),
        lines(
            "Acts",
            "What people did since the beginning, by rule: a rule whose alerts are often marked as false wants another "
            "threshold: driftd review.",
            Query(f"sum by (rule, verb) (driftd_acts_total{{{MINE}}})", "{{rule}}: {{verb}}"),
            unit="short",
            none="Nobody has acknowledged, muted or marked anything yet, or no driftd answers.",
            least=0,
            height=6,
        ),
    )
