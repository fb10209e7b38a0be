"""Metrics of the real daemon, pushed to a collector: what is scraped is what is pushed, and an outage disturbs nothing."""

import json
import signal
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families as parse_text

import driftd
from driftd.core.catalogue import CATALOGUE
from tests.broker import free_port
from tests.deliver.collector import collecting, resource, samples
from tests.e2e.daemon import Daemon, event, produce, running, settings, wait_for
from tests.http.reading import samples as samples_of_text
from tests.kafka_fixture import Kafka, Topics

AT = 1_795_428_000_000
EVENTS = 600
OF_INPUT = {metric.name for metric in CATALOGUE if metric.life == "input"}


def test_what_is_pushed_is_what_is_scraped_until_the_last_word(real_kafka: Kafka, topic: Topics, tmp_path: Path):
    name, broker = topic(partitions=2), real_kafka.bootstrap_servers
    lines = [event("churn", "7", AT + i * 1_000, {"age": i % 60}, 0.5) for i in range(EVENTS)]
    with collecting() as collector:
        (tmp_path / "token").write_text("Bearer abc\n")
        otlp = {"endpoint": collector.url, "every": "1s", "header_files": {"authorization": str(tmp_path / "token")}}
        daemon = Daemon(tmp_path / "d", settings(broker, tmp_path / "d", name, otlp=otlp))
        with running(daemon):
            produce(broker, name, ((i % 2, AT + i * 1_000, line) for i, line in enumerate(lines)))
            wait_for("all events", lambda: daemon.metric("driftd_events_total") == EVENTS)
            seen = len(collector.pushed)
            collector.wait_for_pushes(seen + 2)
            page = samples_of_text(list(parse_text(daemon.get("/metrics"))))
            pushed = samples(collector.pushed[-1])
            assert {key: value for key, value in pushed.items() if key[0] in OF_INPUT} == {
                key: value for key, value in page.items() if key[0] in OF_INPUT
            }
            assert pushed.keys() == page.keys()
            told = resource(collector.pushed[-1])
            assert told == {
                "service.name": "driftd",
                "service.version": driftd.__version__,
                "service.instance.id": (daemon.state / "instance-id").read_text().strip(),
            }
            assert {one.headers["authorization"] for one in collector.requests} == {"Bearer abc"}

            # Somewhere where nobody is: taken over while it runs, counted, told once, and nothing waits for it.
            otlp["endpoint"] = f"http://127.0.0.1:{free_port()}"
            daemon.config.write_text(json.dumps(daemon.settings))
            assert daemon.process is not None
            daemon.process.send_signal(signal.SIGHUP)
            wait_for("failed pushes", lambda: failed(daemon) >= 2)
            commits = daemon.metric("driftd_commits_total")
            wait_for("the loop to go on", lambda: daemon.metric("driftd_commits_total") >= commits + 2)
            assert daemon.metric("driftd_ready") == 1
            assert daemon.log.read_text().count("otlp_push_failed") == 1

            otlp["endpoint"] = collector.url
            daemon.config.write_text(json.dumps(daemon.settings))
            seen = len(collector.pushed)
            daemon.process.send_signal(signal.SIGHUP)
            collector.wait_for_pushes(seen + 1)
            before = daemon.metric("driftd_commits_total")
            assert daemon.stop() == 0
        assert samples(collector.pushed[-1])["driftd_commits_total", ()] > before, "the last commit is in the last push"
        assert "abc" not in daemon.log.read_text()


def failed(daemon: Daemon) -> float:
    page = samples_of_text(list(parse_text(daemon.get("/metrics") or "")))
    return page.get(("driftd_otlp_pushes_total", (("result", "failed"),)), 0.0)
