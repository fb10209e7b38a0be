"""The settings, events and alerts that the documentation shows are what driftd takes and gives."""

from __future__ import annotations

import json
import math
import re
import subprocess
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from driftd.app import decoder_for
from driftd.core.action import Action
from driftd.core.event import Block, Columns, PartitionId, Tick
from driftd.core.spec import HOUR
from driftd.kafka.block import Header, RecordRun
from driftd.kafka.decode import Decoder
from driftd.settings.load import load
from tests.broker import ROOT
from tests.components import promtool
from tests.docs import churn, pages
from tests.docs.conftest import PARTITION, Newcomer
from tests.kafka.records import STAMP, run_of

ANY = PartitionId("any", 0)


def decoded(*documents: object, settings: Path | None = None, run: RecordRun | None = None) -> Block:
    """As native events of a topic of every kind; a model that has no grid yet, so that values stay as they came."""
    run = run or run_of([json.dumps(document).encode() for document in documents], ANY)
    return everything(settings).decode(run.partition, run)


def everything(settings: Path | None) -> Decoder:
    return decoder_for(load(settings or ROOT / "config" / "driftd.yaml", {}), files=["any"])


def row(group: Columns) -> dict[str, object]:
    """The signals of the only event."""
    assert len(group) == 1
    return {
        name: column[0].item() if isinstance(column, np.ndarray) else column[0]
        for name, column in group.columns.items()
    }


def milliseconds(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def prediction_event(group: Columns) -> None:
    assert (group.model, group.version, group.kind) == ("churn", "7", "prediction")
    assert group.time.tolist() == [milliseconds("2026-11-23T10:00:00.123Z")]
    signals = row(group)
    balance = signals.pop("balance")
    assert balance is None, "null, not absent"
    assert signals == {"age": 41, "plan": "pro", "prediction": 0.83}


def test_the_readmes_event_is_read_as_it_stands():
    block = decoded(*pages.json_documents(pages.block("README.md", "json")))
    assert (block.records, block.malformed, block.unknown_keys) == (1, (), 0)
    (group,) = block.groups
    prediction_event(group)


def test_the_events_of_the_docs_are_read_as_they_stand():
    documents = pages.json_documents(pages.block("docs/events.md", "json"))
    by_kind = {}
    for document in documents:
        block = decoded(document)
        assert (block.records, block.malformed, block.unknown_keys) == (1, (), 0)
        (group,) = block.groups
        by_kind[group.kind] = group
    assert len(documents) == len(by_kind) == 3
    prediction_event(by_kind["prediction"])
    features, label = by_kind["features"], by_kind["label"]
    assert (features.model, features.version, features.time.tolist()) == ("churn", "7", [1795428000123])
    assert row(features) == {"age": 41}
    assert (label.model, label.time.tolist()) == ("churn", [milliseconds("2026-11-24T09:00:00Z")])
    assert row(label) == {"label": 1}


@pytest.mark.parametrize("page", ["README.md", "docs/events.md"])
def test_both_show_the_same_event(page: str):
    assert pages.json_documents(pages.block(page, "json"))[0] == {
        "kind": "prediction",
        "id": "7f9c2e",
        "model": "churn",
        "version": "7",
        "time": "2026-11-23T10:00:00.123Z",
        "features": {"age": 41, "plan": "pro", "balance": None},
        "prediction": 0.83,
        "tags": {"region": "eu"},
    }


def test_the_mapping_of_the_docs_reads_what_it_says(tmp_path: Path):
    settings = tmp_path / "driftd.yaml"
    settings.write_text(pages.block("docs/events.md", "yaml"))
    at = "2026-11-23T10:00:00Z"
    record = {
        "meta": {"model_version": 7, "at": at},
        "outputs": [{"probability": 0.83}],
        "request": {"inputs": {"age": 41, "plan": "pro"}},
    }
    run = run_of([json.dumps(record).encode()], PartitionId("scoring-log", 0), [[("ce-id", b"7f9c2e")]])
    block = decoded(settings=settings, run=run)
    assert block.malformed == ()
    (group,) = block.groups
    assert (group.model, group.version, group.time.tolist()) == ("churn", "7", [milliseconds(at)])
    assert row(group) == {"age": 41, "plan": "pro", "prediction": 0.83}


def test_the_cloudevent_of_the_docs_is_read(tmp_path: Path):
    settings = tmp_path / "driftd.yaml"
    settings.write_text(pages.block("docs/events.md", "yaml", 1))
    at = "2026-11-23T10:00:00Z"
    attributes = {"specversion": "1.0", "id": "1", "source": "churn", "type": "scored", "time": at}
    data = {"release": 7, "inputs": {"age": 41}, "prediction": 0.83}
    binary: list[Header] | None = [(f"ce_{name}", value.encode()) for name, value in attributes.items()]
    for value, headers in ((data, binary), ({**attributes, "data": data}, None)):
        run = run_of([json.dumps(value).encode()], PartitionId("scored", 0), [headers])
        (group,) = decoded(settings=settings, run=run).groups
        assert (group.model, group.version, group.time.tolist()) == ("churn", "7", [milliseconds(at)])
        assert row(group) == {"age": 41, "prediction": 0.83}


def test_the_tensors_of_the_docs_are_read_row_by_row(tmp_path: Path):
    settings = tmp_path / "driftd.yaml"
    settings.write_text(pages.block("docs/events.md", "yaml", 2))
    attributes = {"specversion": "1.0", "id": "1", "source": "kserve", "type": "t", "inferenceservicename": "churn"}
    headers: list[Header] | None = [(f"ce_{name}", value.encode()) for name, value in attributes.items()]
    age = {"name": "age", "shape": [8], "datatype": "INT64", "data": list(range(8))}
    x = {"name": "x", "shape": [8, 3], "datatype": "FP32", "data": list(range(24))}
    probability = {"name": "probability", "shape": [8, 1], "datatype": "FP32", "data": [0.5] * 8}
    values = [{"inputs": [age, x]}, {"outputs": [probability]}]
    run = run_of([json.dumps(v).encode() for v in values], PartitionId("inference-log", 0), [headers] * 2)
    features, prediction = decoded(settings=settings, run=run).groups
    assert (features.model, features.kind, len(features)) == ("churn", "features", 8)
    assert sorted(features.columns) == ["age", "x.0", "x.1", "x.2"]
    assert (prediction.model, prediction.kind, len(prediction)) == ("churn", "prediction", 8)


def test_without_a_time_the_timestamp_of_kafka_is_it():
    (group,) = decoded({"kind": "features", "model": "churn", "features": {"age": 41}}).groups
    assert (group.version, group.time.tolist()) == ("unversioned", [STAMP])


def test_the_wrong_values_of_the_docs_are_errors_of_their_signal_alone():
    shown = re.search(r"\(`(1e999)`, an integer of 5,000 digits\), a string with a lone surrogate \(`(.+?)`\)",
                      pages.prose("docs/events.md"))  # fmt: skip
    assert shown is not None
    for number, value in enumerate([shown[1], "9" * 5_000, shown[2], "[1]", '{"a": 1}']):
        raw = f'{{"kind": "prediction", "model": "churn", "features": {{"age": 41, "wrong": {value}}}}}'
        block = decoded(run=run_of([raw.encode()], ANY))
        assert block.malformed == (), number
        signals = row(block.groups[0])
        assert signals["age"] == 41
        assert repr(signals["wrong"]) == "<bad>", number


def same(shown: object, real: object, where: str = "alert") -> None:
    """Whether it is what is shown: `…` stands for anything, numbers are as exact as they are written."""
    if isinstance(shown, dict):
        assert isinstance(real, dict), where
        assert list(shown) == list(real), where
        for key, value in shown.items():
            same(value, real[key], f"{where}.{key}")
    elif isinstance(shown, list):
        assert isinstance(real, list), where
        assert len(shown) == len(real), where
        for i, value in enumerate(shown):
            same(value, real[i], f"{where}[{i}]")
    elif isinstance(shown, float) and 0 < shown < 1e-6:
        assert math.isclose(math.log(shown), math.log(real), rel_tol=0.01), (where, real)  # type: ignore[arg-type]
    elif isinstance(shown, float):
        assert math.isclose(shown, real, rel_tol=0.005), (where, real)  # type: ignore[arg-type]
    elif isinstance(shown, str) and "…" in shown:
        assert re.fullmatch(re.escape(shown).replace("…", "[0-9a-f]{32}"), str(real)), (where, real)
    else:
        assert shown == real, where


def test_the_readmes_alert_is_the_first_that_its_example_gives(newcomer: Newcomer):
    """Its keys in their order, and its values to the digits that are written."""
    (shown,) = pages.json_documents(pages.blocks("README.md", "json")[1].body)
    done = newcomer.types("driftd replay --config driftd.yaml --output json last-month.jsonl")
    first: dict[str, Any] = json.loads(done.stdout.splitlines()[0])
    same(shown, first)


def test_effect_is_value_less_what_finite_samples_show(transitions: list[Action]):
    """As the README says of it, from the numbers that the alert itself holds: ten groups, n and reference_n."""
    (signal,) = json.loads(transitions[0].body())["data"]["signals"]
    bias = (10 - 1) * (1 / signal["n"] + 1 / signal["reference_n"])
    assert math.isclose(signal["value"] - signal["effect"], bias, rel_tol=1e-6)


def test_the_prometheus_settings_are_right(tmp_path: Path):
    config = tmp_path / "prometheus.yml"
    config.write_text(pages.block("docs/metrics.md", "yaml"))
    done = subprocess.run([promtool(), "check", "config", config], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_queries_are_right(tmp_path: Path):
    queries = [
        query.strip()
        for page in pages.names()
        for block in pages.blocks(page, "promql")
        for query in re.split(r"^#.*\n", block.body, flags=re.MULTILINE)
        if query.strip()
    ]
    assert len(queries) >= 3
    rules = [{"record": f"query{i}", "expr": query} for i, query in enumerate(queries)]
    path = tmp_path / "rules.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "docs", "rules": rules}]}))
    done = subprocess.run([promtool(), "check", "rules", path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_model_whose_events_stop_is_unknown_after_one_window(newcomer: Newcomer):
    """As the README says: what fires stands, all else is unknown, and no pane closes for want of events."""
    life = newcomer.lives()
    end = churn.START + churn.HOURS * HOUR
    seen = []
    for silence in (HOUR // 2, 48 * HOUR):
        life.engine.apply(Tick({PARTITION: end + silence}))
        (series,) = life.engine.view().models[0].series
        assert series.window_end == end
        seen.append({(s.rule, s.signal, s.statistic): s.state for s in series.statistics})
    before, after = seen
    assert {"ok", "firing"} <= set(before.values())
    assert after == {key: "firing" if state == "firing" else "unknown" for key, state in before.items()}
