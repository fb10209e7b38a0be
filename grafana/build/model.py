"""Model: what one model's signals say, against their thresholds and their reference, and what happened to it when."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard

from grafana.build.frame import choice, frame, note, section, text
from grafana.build.panels import BLUE, GREEN, RED, YELLOW, YES_NO, Column, Link, number, rows, steps
from grafana.build.signals import (
    EXCESS,
    NO_MODEL,
    NO_VERDICT,
    OF,
    ONE,
    RATIO,
    READY,
    SIGNAL,
    STATES,
    detectors,
    effects,
    shares,
    versions,
    volumes,
)


def model() -> str:
    board = (
        frame(
            "driftd-model",
            "driftd: model",
            "One model: its signals ranked, their effects against thresholds, reference against current, detectors, volumes. "
            "Alerts, new versions and retrain requests are marked.",
            since="now-24h",
        )
        .with_variable(
            choice("model", 'label_values(driftd_model_info{instance=~"$instance"}, model)', "Model", "One model.", several=False)
        )
        .with_variable(choice("version", f"label_values(driftd_events_total{{{ONE}}}, version)", "Version", "Its versions."))
        .with_variable(
            choice("kind", f"label_values(driftd_events_total{{{ONE}}}, kind)", "Kind", "Its kinds of event.")
        )
        .with_variable(
            choice("signal", f"label_values(driftd_signal_state{{{OF}}}, signal)", "Signal", "Features, prediction, label, ...")
        )
    )  # fmt: skip
    _tiles(board)
    _alerts(board)
    _ranked(board)
    effects(board)
    shares(board)
    versions(board)
    detectors(board)
    volumes(board)
    return text(board, _notes())


def _notes() -> list[dict[str, object]]:
    return [
        dict(one)
        for one in (
            note(
                "Alerts",
                f"max by (version, signal, rule, severity) (driftd_alert_firing{{{ONE}}})",
                RED,
                title="{{signal}}: {{severity}}",
                text="{{rule}} fires, version {{version}}",
            ),
            note(
                "Versions",
                f"count by (version) (driftd_events_total{{{ONE}}}) unless "
                f"count by (version) (driftd_events_total{{{ONE}}} offset 5m)",
                BLUE,
                title="version {{version}}",
                text="its first events",
            ),
            note(
                "Retrain requests",
                f"ceil(increase(driftd_retrain_requests_total{{{ONE}}}[5m])) > 0",
                YELLOW,
                title="retrain",
                text="a retraining was requested",
            ),
        )
    ]


def _tiles(board: Dashboard) -> None:
    def counted(states: str) -> str:
        return f'sum(driftd_signal_state{{{SIGNAL},state=~"{states}"}})'

    section(
        board,
        "Now",
        number(
            "Ready",
            "Whether driftd is ready. While it is not, the rest stands as it stood, and nothing new is known.",
            'min(driftd_ready{instance=~"$instance"})',
            mapped=YES_NO,
            levels=steps((1, GREEN), base=RED),
            width=3,
            links=[
                Link("driftd", "/d/driftd-daemon?${datasource:queryparam}&${instance:queryparam}&${__url_time_range}")
            ],
        ),
        number(
            "Firing",
            "Signals whose alerts fire, detectors' too. What fires goes on firing when the events stop. 0 is only said while "
            "driftd is ready.",
            f"count(driftd_alert_firing{{{SIGNAL}}}) or ({counted('firing')} and {READY})",
            none=NO_VERDICT,
            levels=steps((1, RED)),
            width=3,
        ),
        number(
            "Pending",
            "Statistics beyond their threshold, with the evidence, but not for long enough yet (rules.NAME.persist).",
            counted("pending"),
            none=NO_VERDICT,
            levels=steps((1, YELLOW)),
            width=3,
        ),
        number(
            "Not known",
            "Statistics of which nothing is known: too few events, or none for a window. They are not well.",
            counted("unknown|insufficient_data"),
            none=NO_VERDICT,
            levels=steps((1, YELLOW)),
            width=3,
        ),
        number(
            "Reference",
            "The state of the reference of each version and kind. Without one nothing is judged.",
            f"max by (version, kind, state) (driftd_reference_state{{{OF}}} == 1)",
            none=NO_MODEL,
            names="{{version}} {{kind}}: {{state}}",
            mapped={"1": (" ", BLUE)},
            levels=steps(base="#3274d9"),
            width=5,
        ),
        number(
            "Window",
            "Events in the newest judged window.",
            f"sum by (version, kind) (driftd_window_events{{{OF}}})",
            none="No window was judged yet: panes close when every partition has passed their end.",
            names="{{version}} {{kind}}",
            levels=steps(base="#3274d9"),
            width=4,
        ),
        number(
            "Retraining",
            "The state of the newest retrain request; none if none was ever made.",
            f"max by (state) (driftd_retrain_state{{{ONE}}} == 1)",
            none=NO_MODEL,
            names="{{state}}",
            mapped={"1": (" ", BLUE)},
            levels=steps(base="#3274d9"),
            width=3,
        ),
    )


def _alerts(board: Dashboard) -> None:
    def noted(verb: str) -> str:
        return f'max by (version, kind, signal, rule) (driftd_alert_act{{{SIGNAL},verb="{verb}"}})'

    mark = {"1": ("yes", BLUE)}
    section(
        board,
        "Alerts",
        rows(
            "Alerts that fire",
            "Which signals fire under which rule, and whether somebody has acknowledged the alert, muted it, or marked it as "
            "false (docs/operations.md, At night).",
            [
                f"max by (version, kind, signal, rule, severity) (driftd_alert_firing{{{SIGNAL}}})",
                noted("acknowledge"),
                noted("mute"),
                noted("false"),
            ],
            [
                Column("version", "Version"),
                Column("kind", "Kind"),
                Column("signal", "Signal"),
                Column("rule", "Rule"),
                Column("severity", "Severity", mapped={"critical": ("critical", RED), "warning": ("warning", YELLOW)}),
                Column("B", "Acknowledged", mapped=mark),
                Column("C", "Muted", mapped=mark),
                Column("D", "Marked as false", mapped=mark),
            ],
            none="No alert of this model fires, as far as is known: see Ready and Not known.",
            width=24,
            height=6,
        ),
    )


def _ranked(board: Dashboard) -> None:
    labels = "version, kind, signal, rule, statistic"
    section(
        board,
        "Signals",
        rows(
            "Signals, worst first",
            "The 50 worst by their effect as a share of its warning threshold. A rule fires on effect and evidence together, "
            "held long enough: the state is the verdict.",
            [
                f"topk(50, max by ({labels}) ({EXCESS}))",
                f"max by ({labels}) (driftd_effect{{{SIGNAL}}})",
                f"max by ({labels}) (driftd_statistic_value{{{SIGNAL}}})",
                f"max by ({labels}) (driftd_p_value{{{SIGNAL}}})",
                f"max by ({labels}, state) (driftd_signal_state{{{SIGNAL}}} == 1)",
            ],
            [
                Column("version", "Version"),
                Column("kind", "Kind"),
                Column("signal", "Signal"),
                Column("rule", "Rule"),
                Column("statistic", "Statistic"),
                Column("state", "State", mapped=STATES),
                Column("A", "Effect / threshold", "percentunit", RATIO, gauge=True),
                Column("B", "Effect"),
                Column("C", "Raw value"),
                Column("D", "p-value", "sci"),
            ],
            none=NO_VERDICT,
            worst="Effect / threshold",
            width=18,
            height=10,
        ),
        rows(
            "Reservations",
            "What the verdicts are told with: uncalibrated, extrapolated, noisy, short_replay (README, How to read an alert).",
            [f"count by (signal, flag) (driftd_signal_flag{{{SIGNAL}}})"],
            [Column("signal", "Signal"), Column("flag", "Reservation"), Column("A", "Statistics")],
            none="No verdict has a reservation, or there is no verdict.",
            width=6,
            height=10,
        ),
    )
