"""driftd itself: does it look, how far behind is it, what does it refuse, and does anybody hear it."""

from __future__ import annotations

from typing import Final

from grafana_foundation_sdk.builders.dashboard import Dashboard

from grafana.build.frame import frame, section, text
from grafana.build.panels import GREEN, RED, YELLOW, YES_NO, Column, Query, lines, number, rows, steps

MINE: Final = 'instance=~"$instance"'
PACE: Final = "[$__rate_interval]"
NO_PARTITION: Final = "No partition is known: nothing was assigned yet, or no driftd answers."
NO_RECEIVER: Final = "The settings have no receiver, or no driftd answers."


def daemon() -> str:
    board = frame(
        "driftd-daemon",
        "driftd: the daemon",
        "Lag, throughput, what is late or refused, delivery, and commits of driftd itself.",
        since="now-6h",
    )
    _tiles(board)
    _reading(board)
    _refused(board)
    _delivery(board)
    _process(board)
    return text(board)


def _tiles(board: Dashboard) -> None:
    section(
        board,
        "Now",
        number(
            "Ready",
            "Assigned, restored, lag known, and its loop alive. /readyz and the log say what is missing.",
            f"min by (instance) (driftd_ready{{{MINE}}})",
            names="{{instance}}",
            mapped=YES_NO,
            levels=steps((1, GREEN), base=RED),
        ),
        number(
            "Version",
            "The version of driftd that runs.",
            f"count by (version) (driftd_build_info{{{MINE}}})",
            names="{{version}}",
            levels=steps(base="#3274d9"),
            width=3,
        ),
        number(
            "Shadow",
            "Whether it records everything and delivers nothing (deliver: none): it pages nobody.",
            f"max by (instance) (driftd_shadow{{{MINE}}})",
            names="{{instance}}",
            mapped={"1": ("yes", YELLOW), "0": ("no", GREEN)},
            levels=steps((1, YELLOW)),
            width=3,
        ),
        number(
            "Loop turned",
            "How long ago the loop turned last. From 60 s on /livez fails, and a supervisor restarts it.",
            f"max(time() - driftd_heartbeat_timestamp_seconds{{{MINE}}})",
            none="The loop has not turned yet, or no driftd answers.",
            unit="s",
            levels=steps((15, YELLOW), (60, RED)),
            width=3,
        ),
        number(
            "Last commit",
            "How long ago state was last made durable. While nothing comes in, ticks are what is committed.",
            f"max(time() - driftd_last_commit_timestamp_seconds{{{MINE}}})",
            none="Nothing was committed since the start, or no driftd answers.",
            unit="s",
            levels=steps((60, YELLOW), (300, RED)),
            width=3,
        ),
        number(
            "Partitions of unknown lag",
            "Partitions of which the brokers have not said how far they go. While there is one, driftd is not ready.",
            f"count(driftd_lag_known{{{MINE}}} == 0) or 0 * count(driftd_lag_known{{{MINE}}} == 1)",
            none=NO_PARTITION,
            levels=steps((1, RED)),
        ),
        number(
            "Records lost",
            "Records that the brokers had dropped before they were read, since driftd started. The log says which.",
            f"sum(driftd_lost_records_total{{{MINE}}})",
            levels=steps((1, RED)),
        ),
    )


def _reading(board: Dashboard) -> None:
    section(
        board,
        "Reading",
        lines(
            "Lag",
            "Records not yet read, by partition. A partition of unknown lag has no line.",
            Query(f"sum by (topic, partition) (driftd_lag_records{{{MINE}}})", "{{topic}}[{{partition}}]"),
            unit="short",
            none="The lag of no partition is known: the brokers do not answer, or nothing is assigned.",
            least=0,
        ),
        lines(
            "Arrival time behind the clock",
            "How far the clock of each partition is behind the wall's. It grows while an old topic is caught up with, or "
            "where one producer's clock is slow.",
            Query(
                f"time() - max by (topic, partition) (driftd_arrival_timestamp_seconds{{{MINE}}})",
                "{{topic}}[{{partition}}]",
            ),
            unit="s",
            none="Nothing was read yet.",
        ),
        lines(
            "Records read",
            "Records a second, by topic, those that were refused among them.",
            Query(f"sum by (topic) (rate(driftd_records_total{{{MINE}}}{PACE}))", "{{topic}}"),
            unit="recps",
            none=NO_PARTITION,
            least=0,
        ),
        lines(
            "Bytes read",
            "Bytes of records a second.",
            Query(f"sum by (instance) (rate(driftd_read_bytes_total{{{MINE}}}{PACE}))", "{{instance}}"),
            unit="Bps",
            least=0,
        ),
        lines(
            "Paused",
            "Partitions whose reading is paused: they are ahead of others by more than window.max_skew, or too many "
            "deliveries wait. Nothing is lost by it.",
            Query(f"sum by (topic) (driftd_partition_paused{{{MINE}}})", "{{topic}}"),
            unit="short",
            none=NO_PARTITION,
            least=0,
            width=8,
        ),
        lines(
            "Blocks and ticks",
            "What the engine was given: blocks of records, and ticks of partitions that are quiet.",
            Query(f"sum(rate(driftd_blocks_total{{{MINE}}}{PACE}))", "blocks"),
            Query(f"sum(rate(driftd_ticks_total{{{MINE}}}{PACE}))", "ticks"),
            unit="ops",
            least=0,
            width=8,
        ),
        lines(
            "Panes that wait",
            "Panes not yet closed, and partitions that the oldest of them wait for; the models with most of them.",
            Query(f"topk(5, sum by (model) (driftd_open_panes{{{MINE}}}))", "{{model}}: open panes"),
            Query(f"topk(5, sum by (model) (driftd_waiting_partitions{{{MINE}}}))", "{{model}}: waits for partitions"),
            unit="short",
            none="No model is watched yet.",
            least=0,
            width=8,
        ),
    )


def _refused(board: Dashboard) -> None:
    section(
        board,
        "Late, refused, dropped",
        lines(
            "Late events",
            "Share of events behind their watermark, which are counted and merged into no pane; the ten worst models.",
            Query(
                f"topk(10, sum by (model) (rate(driftd_late_events_total{{{MINE}}}{PACE})) / "
                f"(sum by (model) (rate(driftd_events_total{{{MINE}}}{PACE})) > 0))",
                "{{model}}",
            ),
            unit="percentunit",
            none="No events are coming in, so that there is no share of them.",
            levels=steps((0.01, RED)),
            least=0,
            width=8,
        ),
        lines(
            "Refused records",
            "Records that could not be counted, in all, by reason (docs/events.md). Where more than a half of a "
            "partition's last records is refused, driftd halts. As a total, since a rate does not see the first of a reason.",
            Query(f"sum by (topic, reason) (driftd_refused_records_total{{{MINE}}})", "{{topic}}: {{reason}}"),
            unit="short",
            none="No record was ever refused.",
            least=0,
            width=8,
        ),
        lines(
            "Dead letters",
            "Records a second that were sent to the topic of dead letters, and acknowledged there.",
            Query(f"sum by (instance) (rate(driftd_dead_letters_total{{{MINE}}}{PACE}))", "{{instance}}"),
            unit="recps",
            least=0,
            width=8,
        ),
        rows(
            "Bounds that were met",
            "What was left out because a bound of the settings was met, or a name was bad, and values of features that the "
            "reference does not have; in the hour before.",
            [_dropped()],
            [Column("model", "Model"), Column("what", "What"), Column("A", "In the last hour")],
            none="Nothing was left out in the last hour, as far as is known.",
            worst="In the last hour",
        ),
        lines(
            "Learning",
            "Memory held by events of models that have no grid yet. At learning_memory samples are kept, and said so.",
            Query(f"sum(driftd_learning_bytes{{{MINE}}})", "held"),
            unit="bytes",
            none="No model is watched yet.",
            least=0,
        ),
    )


def _dropped() -> str:
    parts = []
    for metric, what in (
        ("driftd_dropped_models_total", "events of models over the bound"),
        ("driftd_ignored_events_total", "events of models that the settings leave out"),
        ("driftd_dropped_versions_total", "versions over the bound"),
        ("driftd_dropped_signals_total", "values of signals over the bound"),
        ("driftd_dropped_features_total", "values of features over the bound, or of bad names"),
        ("driftd_unknown_features_total", "values of features that the reference does not have"),
        ("driftd_unknown_keys_total", "keys that are not in the contract"),
    ):
        parts.append(f'label_replace(sum by (model) (increase({metric}{{{MINE}}}[1h])) > 0, "what", "{what}", "", "")')
    # What was counted before it died is no longer told by the counters, but it is by their increase.
    return f"({' or '.join(parts)}) and on () count(driftd_watchdog{{{MINE}}})"


def _delivery(board: Dashboard) -> None:
    section(
        board,
        "Delivery",
        lines(
            "Waiting",
            "Deliveries that wait to be sent. At state.outbox_limit over all receivers reading is paused.",
            Query(f"sum by (receiver) (driftd_outbox_waiting{{{MINE}}})", "{{receiver}}"),
            unit="short",
            none=NO_RECEIVER,
            least=0,
            width=8,
        ),
        lines(
            "Attempts",
            "Attempts at delivery a second, by result. Failed ones are repeated, with growing waits.",
            Query(
                f"sum by (receiver, result) (rate(driftd_deliveries_total{{{MINE}}}{PACE}))", "{{receiver}}: {{result}}"
            ),
            unit="ops",
            none=NO_RECEIVER,
            least=0,
            width=8,
        ),
        lines(
            "Given up",
            "Deliveries that were given up: nobody heard them. driftd outbox list --dead shows them.",
            Query(f"sum by (receiver) (driftd_outbox_dead{{{MINE}}})", "{{receiver}}"),
            unit="short",
            none=NO_RECEIVER,
            levels=steps((1, RED)),
            least=0,
            width=8,
        ),
    )


def _process(board: Dashboard) -> None:
    section(
        board,
        "Commits and the process",
        lines(
            "Commit time",
            "How long commits of the state took, which hold up reading: the median, and one in a hundred.",
            Query(
                f"histogram_quantile(0.5, sum by (le) (rate(driftd_commit_seconds_bucket{{{MINE}}}[5m]))) >= 0",
                "median",
            ),
            Query(
                f"histogram_quantile(0.99, sum by (le) (rate(driftd_commit_seconds_bucket{{{MINE}}}[5m]))) >= 0", "p99"
            ),
            unit="s",
            none="Nothing was committed in the five minutes before.",
            levels=steps((1, RED)),
            least=0,
            width=8,
        ),
        lines(
            "Commits",
            "Durable commits a second.",
            Query(f"sum by (instance) (rate(driftd_commits_total{{{MINE}}}{PACE}))", "{{instance}}"),
            unit="ops",
            least=0,
            width=8,
        ),
        lines(
            "Settings refused",
            "Settings that were refused while driftd ran, in all; and 1 while the newest ones stand refused: the last good "
            "ones hold.",
            Query(f"sum by (instance) (driftd_config_reloads_failed_total{{{MINE}}})", "{{instance}}: refused"),
            Query(
                f"1 - min by (instance) (driftd_config_last_reload_successful{{{MINE}}})", "{{instance}}: stand refused"
            ),
            unit="short",
            levels=steps((1, RED)),
            least=0,
            width=8,
        ),
        lines(
            "Processor",
            "Processor time a second: one thread does all the work, so that 1 is the most.",
            Query(
                f"rate(process_cpu_seconds_total{{{MINE}}}{PACE}) and on (instance) driftd_build_info", "{{instance}}"
            ),
            unit="short",
            levels=steps((0.8, YELLOW), (1, RED)),
            least=0,
        ),
        lines(
            "Memory",
            "Resident memory. It does not grow with rate or time, only with models, signals and what is learned.",
            Query(f"process_resident_memory_bytes{{{MINE}}} and on (instance) driftd_build_info", "{{instance}}"),
            unit="bytes",
            least=0,
        ),
    )
