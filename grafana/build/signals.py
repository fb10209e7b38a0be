"""The parts of the model's dashboard that go deep: effects, shares, detectors, volumes; and what their queries share."""

from __future__ import annotations

from typing import Final

from grafana_foundation_sdk.builders.dashboard import Dashboard

from grafana.build.frame import section
from grafana.build.panels import BLUE, GREEN, GREY, RED, YELLOW, Column, Query, bars, lines, number, rows, steps

ONE: Final = 'instance=~"$instance",model="$model"'
OF: Final = f'{ONE},version=~"$version",kind=~"$kind"'
SIGNAL: Final = f'{OF},signal=~"$signal"'
READY: Final = '(min(driftd_ready{instance=~"$instance"}) == 1)'
NO_MODEL: Final = "Not known: driftd has seen no event of this model, or no driftd that is chosen answers."
NO_VERDICT: Final = (
    "No verdict: no window was judged yet (see Reference and Window), its events have stopped, or there are too few."
)
NO_DETECTOR: Final = "No detector listens to these signals, or there is no reference yet (rules.NAME.detector)."
CALM: Final = "No PSI is pending or firing: shares are shown of the five worst signals that are."
STATES: Final = {
    "firing": ("firing", RED),
    "pending": ("pending", YELLOW),
    "ok": ("ok", GREEN),
    "insufficient_data": ("too few events", GREY),
    "unknown": ("not known", GREY),
}
RATIO: Final = steps((0.8, YELLOW), (1, RED))
NAME: Final = "{{signal}} {{statistic}} ({{rule}}, {{version}})"
WARNING: Final = f'driftd_threshold{{{SIGNAL},severity="warning"}}'
EXCESS: Final = f"driftd_effect{{{SIGNAL}}} / ignoring (severity) {WARNING}"
WORST: Final = f"topk(15, driftd_effect{{{SIGNAL}}} @ end() / ignoring (severity) {WARNING} @ end())"
"""The fifteen signals that are worst now: a model may have hundreds, and a graph shows these from beginning to end."""


def effects(board: Dashboard) -> None:
    def among_the_worst(statistics: str) -> Query:
        return Query(f'driftd_effect{{{SIGNAL},statistic=~"{statistics}"}} and {WORST}', NAME)

    def thresholds(statistics: str) -> Query:
        return Query(
            f'min by (rule, severity) (driftd_threshold{{{SIGNAL},statistic=~"{statistics}"}})',
            "{{rule}} {{severity}}, the lowest",
            dashed=True,
        )

    section(
        board,
        "Effect against thresholds",
        lines(
            "Effect as a share of its warning threshold",
            "The fifteen signals that are worst now. Each signal's own threshold is 100 %: it is raised where the reference "
            "itself is noisy.",
            Query(
                f"{EXCESS} and {WORST}",
                NAME,
            ),
            unit="percentunit",
            none=NO_VERDICT,
            levels=steps((1, RED)),
            least=0,
            width=24,
        ),
        lines(
            "PSI",
            "The bias-corrected population stability index of the worst signals, and the lowest thresholds of the rules.",
            among_the_worst("psi"),
            thresholds("psi"),
            unit="short",
            none=NO_VERDICT,
            least=0,
        ),
        lines(
            "Nulls, absent, new categories",
            "How much the rates of null, absent and never seen values have risen above those of the reference.",
            among_the_worst("null_rate|absent_rate|new_rate"),
            thresholds("null_rate|absent_rate|new_rate"),
            unit="percentunit",
            none=NO_VERDICT,
            least=0,
        ),
        lines(
            "Evidence",
            "The p-value of the worst signals: how often a window that has not drifted would look like this. On a "
            "logarithmic scale, downwards is stronger.",
            Query(f"driftd_p_value{{{SIGNAL}}} > 0 and {WORST}", NAME),
            unit="sci",
            none=NO_VERDICT,
            logarithmic=True,
            most=1,
        ),
        lines(
            "Signals by state",
            "Statistics by the state that they are in. Grey is not well.",
            Query(f"sum by (state) (driftd_signal_state{{{SIGNAL}}})", "{{state}}"),
            unit="short",
            none=NO_VERDICT,
            stacked=True,
        ),
    )


def shares(board: Dashboard) -> None:
    def cells(metric: str) -> str:
        named = f'label_join(max by (signal, group) ({metric}{{{SIGNAL}}}), "cell", ": ", "signal", "group")'
        return f"max by (cell) ({named})"

    section(
        board,
        "Reference against current",
        bars(
            "Reference against current",
            "Where the newest window differs: shares of the groups that PSI compares, of the five worst signals that are "
            "pending or firing. Choose one Signal above to see it alone.",
            Query(cells("driftd_reference_share"), "reference"),
            Query(cells("driftd_current_share"), "current"),
            by="cell",
            none=CALM,
            height=10,
        ),
        lines(
            "Shift of shares",
            "Share of each group in the window less its share in the reference, over time.",
            Query(
                f"max by (signal, group) (driftd_current_share{{{SIGNAL}}} - driftd_reference_share{{{SIGNAL}}})",
                "{{signal}}: {{group}}",
            ),
            unit="percentunit",
            none=CALM,
            height=10,
        ),
    )


def detectors(board: Dashboard) -> None:
    name = "{{signal}} ({{rule}}, {{version}})"
    section(
        board,
        "Detectors",
        lines(
            "Detector: mean of now",
            "The mean that each detector holds, in standard deviations of the reference from its mean: 0 is the reference.",
            Query(f"driftd_detector_estimate{{{SIGNAL}}}", name),
            unit="short",
            none=NO_DETECTOR,
            width=8,
        ),
        lines(
            "Detector: width",
            "Events in each detector's window. It falls where a change was found, and grows while nothing changes.",
            Query(f"driftd_detector_width_events{{{SIGNAL}}}", name),
            unit="short",
            none=NO_DETECTOR,
            least=0,
            width=8,
        ),
        rows(
            "Changes found",
            "Every detector with its newest change: how large, in standard deviations of the reference, and when in event "
            "time. A change is no alert: rules.NAME.min_effect says from when on it is.",
            [
                f"max by (version, kind, signal, rule) (driftd_changes_total{{{SIGNAL}}})",
                f"max by (version, kind, signal, rule) (driftd_detector_effect{{{SIGNAL}}})",
                f"1000 * max by (version, kind, signal, rule) (driftd_detector_last_change_timestamp_seconds{{{SIGNAL}}})",
                f"max by (version, kind, signal, rule, state) (driftd_detector_state{{{SIGNAL}}} == 1)",
            ],
            [
                Column("version", "Version"),
                Column("signal", "Signal"),
                Column("rule", "Rule"),
                Column("state", "State", mapped=STATES),
                Column("A", "Changes"),
                Column("B", "Newest"),
                Column("C", "When", "dateTimeAsIso"),
            ],
            none=NO_DETECTOR,
            width=8,
        ),
    )


def versions(board: Dashboard) -> None:
    section(
        board,
        "Versions side by side",
        lines(
            "Worst signal of each version",
            "By rule, as a share of its warning threshold. A rule against the champion compares a newer version with what the "
            "champion saw in the same hours.",
            Query(f"max by (version, kind, rule) ({EXCESS})", "{{version}} {{kind}}: {{rule}}"),
            unit="percentunit",
            none=NO_VERDICT,
            levels=RATIO,
            width=16,
        ),
        number(
            "Champion",
            "Whom newer versions are compared with, where a rule does (rules.NAME.against): versions.champion, or the version "
            "with most events.",
            f"max by (version, kind) (driftd_champion{{{OF}}} == 1)",
            none="No rule of this model compares versions, or none of those chosen is the champion.",
            names="{{version}} {{kind}}",
            mapped={"1": (" ", BLUE)},
            levels=steps(base="#3274d9"),
            width=8,
            height=8,
        ),
    )


def volumes(board: Dashboard) -> None:
    pace = "[$__rate_interval]"
    section(
        board,
        "Volumes",
        lines(
            "Events",
            "Events counted a second, by version and kind.",
            Query(f"sum by (version, kind) (rate(driftd_events_total{{{OF}}}{pace}))", "{{version}} {{kind}}"),
            unit="eps",
            none=NO_MODEL,
            least=0,
        ),
        lines(
            "Late, and backfill",
            "Events a second that came behind their watermark, and those marked as backfill: both counted, neither windowed.",
            Query(
                f"sum by (version, kind) (rate(driftd_late_events_total{{{OF}}}{pace}))", "late: {{version}} {{kind}}"
            ),
            Query(f"sum(rate(driftd_backfill_events_total{{{ONE}}}{pace}))", "backfill"),
            unit="eps",
            none=NO_MODEL,
            least=0,
        ),
        lines(
            "Values that do not count",
            "Values a second of the wrong type or without a statistic, by signal; and of features that the reference does "
            "not have.",
            Query(f"sum by (signal) (rate(driftd_signal_errors_total{{{SIGNAL}}}{pace}))", "wrong: {{signal}}"),
            Query(f"sum(rate(driftd_unknown_features_total{{{ONE}}}{pace}))", "of unknown features"),
            unit="ops",
            none=NO_MODEL,
            least=0,
            width=8,
        ),
        lines(
            "Age of the newest verdict",
            "How long ago, on the wall's clock, the newest judged window ended. It grows where events stop, or partitions "
            "are waited for.",
            Query(
                f"time() - max by (version, kind) (driftd_window_end_timestamp_seconds{{{OF}}})", "{{version}} {{kind}}"
            ),
            unit="s",
            none="No window was judged yet.",
            width=8,
        ),
        lines(
            "Windows judged",
            "Windows judged and panes closed in the hour before.",
            Query(f"sum by (kind) (increase(driftd_evaluations_total{{{OF}}}[1h]))", "judged: {{kind}}"),
            Query(f"sum by (kind) (increase(driftd_panes_closed_total{{{OF}}}[1h]))", "panes: {{kind}}"),
            unit="short",
            none=NO_MODEL,
            least=0,
            width=8,
        ),
    )
