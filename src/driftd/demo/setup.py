"""References and settings of the demo, as a user would have them: files, read back like a user's."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from driftd.demo.plan import EVERY, TOPIC, VERSION, WINDOW
from driftd.demo.stream import Serving
from driftd.files import reference_file
from driftd.files.build import BuildOptions, build
from driftd.settings.load import load
from driftd.settings.schema import Settings

CONFIG = "driftd.yaml"
SECRET = "hook.secret"  # noqa: S105 - the name of a file


def build_reference(model: Serving, directory: Path, start: int) -> int:
    """From the traffic of the training period. Returns the events in it."""
    lines = directory / f"{model.name}.jsonl"
    model.write_training_traffic(lines, start)
    built = build([lines], BuildOptions(model.name, VERSION))
    reference_file.write(directory / f"{model.name}.json", built.header, built.reference, built.parts)
    return built.header.events


def new_secret(directory: Path) -> str:
    """A signing secret of this run, in a file."""
    secret = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
    file = directory / SECRET
    file.touch(0o600)
    file.write_text(secret + "\n")
    return secret


def write_settings(directory: Path, address: str, hook: str, models: Sequence[Serving]) -> Settings:
    """Write the settings of `driftd run`, and read them as it would; the environment has no say in a demo."""
    document: Mapping[str, object] = {
        "kafka": {
            "bootstrap_servers": address,
            "group_id": "driftd-demo",
            "start": "earliest",
            "topics": {"predictions": [TOPIC], "features": [], "labels": []},
            "dead_letters": {"topic": None},
        },
        "state": {"directory": str(directory / "state"), "commit_every": "1s"},
        "http": {"listen": "127.0.0.1:0"},
        # Event time begins an hour back: what it brings is told all the same.
        "notify_max_age": "1d",
        "monitoring": {
            "window": {
                "length": f"{WINDOW // 1000}s",
                "every": f"{EVERY // 1000}s",
                "allowed_lateness": "10s",
                "max_wait": "1m",
                # A second of the wall is minutes of event time: partitions are read far apart.
                "max_skew": "1h",
            },
        },
        "models": {
            model.name: {"reference": {"file": str(directory / f"{model.name}.json")}, "labels": {"team": "risk"}}
            for model in models
        },
        "receivers": {"here": {"webhook": {"url": hook, "secret_file": str(directory / SECRET)}}},
    }
    file = directory / CONFIG
    file.write_text(yaml.safe_dump(dict(document), sort_keys=False))
    return load(file, {})
