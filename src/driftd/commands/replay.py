"""`driftd replay`: the very same engine over recorded events, as fast as it goes. It sends nothing.

One partition a file; arrival time is the running maximum of event time; the end of input closes everything. From Kafka
(`kafka:TOPIC`) the partitions are the topic's own, up to the ends as they stand at the start.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from driftd.app import decoder_for, references, schemas_for
from driftd.core.action import Action, rfc3339
from driftd.core.engine import Engine
from driftd.core.event import KINDS, Discovered, Kind, PartitionId
from driftd.core.fault import UserError, printable
from driftd.core.outcome import Outcome
from driftd.core.profile import profile
from driftd.deliver import words
from driftd.files.events import EventOptions, open_events
from driftd.kafka.block import Cutter, RecordRun
from driftd.kafka.decode import Decoder
from driftd.kafka.envelope import time_of
from driftd.kafka.mapping import kinds_of
from driftd.kafka.reasons import REMEDIES, Reason
from driftd.kafka.recorded import read_topic
from driftd.settings.load import load
from driftd.settings.schema import Settings

if TYPE_CHECKING:
    from driftd.kafka.schemas import Schemas

FILE = "file:"
CHUNK = 2_000


class Replay:
    """An engine over recorded events, and the decoder that learns its grids."""

    def __init__(
        self, settings: Settings, kinds: dict[PartitionId, tuple[Kind, ...]], schemas: Schemas | None = None
    ) -> None:
        spec = settings.spec()
        self.engine = Engine(spec, references(spec))
        files = sorted({p.topic for p in kinds if p.topic.startswith(FILE)})
        self.decoder: Decoder = decoder_for(settings, files, schemas)
        self.engine.apply(Discovered(kinds))
        self.refused: dict[str, int] = {}
        self.records = 0
        self._teach()

    def read(self, run: RecordRun) -> list[Action]:
        """One block. Raises UserError where it names schemas and the registry does not answer."""
        self.decoder.wait(run)
        block = self.decoder.decode(run.partition, run)
        self.records += block.records
        found = profile(block, self.engine.plan_of)
        for refusal in found.refused:
            self.refused[refusal.reason] = self.refused.get(refusal.reason, 0) + 1
        return self._follow(self.engine.apply(found))

    def finish(self) -> list[Action]:
        return self._follow(self.engine.finish())

    def _follow(self, outcome: Outcome) -> list[Action]:
        self._teach()
        return outcome.actions

    def _teach(self) -> None:
        for model, kind, types in self.engine.new_types():
            self.decoder.learn_types(model, kind, types)


def main(
    config: Path,
    events: list[str],
    output: Literal["text", "json"] = "text",
    options: EventOptions | None = None,
    since: int | None = None,
    until: int | None = None,
) -> int:
    """Prints each transition that would have been sent. Raises UserError."""
    settings = load(config, os.environ)
    runs, kinds = open_inputs(settings, events, options or EventOptions(), since, until)
    with contextlib.ExitStack() as stack:
        schemas = schemas_for(settings.kafka)
        if schemas is not None:
            stack.callback(schemas.close)
        replay = Replay(settings, kinds, schemas)
        for run in runs:
            for action in replay.read(run):
                _print(action, output)
    for action in replay.finish():
        _print(action, output)
    refused = told_of_refused(replay)
    return 1 if refused and refused == replay.records else 0


def told_of_refused(replay: Replay) -> int:
    """How many records could not be counted; a line of why, if any."""
    refused = sum(replay.refused.values())
    if refused:
        sys.stderr.write(f"{refused} of {replay.records} records could not be counted: {_reasons(replay.refused)}\n")
    return refused


def _reasons(refused: Mapping[str, int]) -> str:
    """Each with its count, most first, and what to do about the first."""
    ranked = sorted(refused.items(), key=lambda item: (-item[1], item[0]))
    counts = ", ".join(f"{reason} {count}" for reason, count in ranked)
    return f"{counts}; {ranked[0][0]}: {REMEDIES[Reason(ranked[0][0])]}"


def open_inputs(
    settings: Settings, events: list[str], options: EventOptions, since: int | None, until: int | None
) -> tuple[Iterator[RecordRun], dict[PartitionId, tuple[Kind, ...]]]:
    """The blocks of all inputs, and the partitions with the kinds that they may carry."""
    topics = [text.removeprefix("kafka:") for text in events if text.startswith("kafka:")]
    files = [Path(text) for text in events if not text.startswith("kafka:")]
    if topics and files:
        raise UserError("events come from files or from Kafka, not from both", "run replay twice")
    if topics:
        named = {kind: settings.kafka.topics.of(kind) for kind in KINDS}
        return read_topic(settings.kafka.client_config(), topics, lambda topic: kinds_of(named, topic), since, until)
    if since is not None or until is not None:
        raise UserError("--since and --until are times of Kafka", "leave them out, or replay kafka:TOPIC")
    files.sort()  # the order in which they are named says nothing
    kinds: dict[PartitionId, tuple[Kind, ...]] = {
        PartitionId(f"{FILE}{path.name}", number): KINDS for number, path in enumerate(files)
    }
    cuts = [_cut(partition, path, options) for partition, path in zip(kinds, files, strict=True)]
    return _by_time(cuts), kinds


def _cut(partition: PartitionId, path: Path, options: EventOptions) -> Iterator[RecordRun]:
    """A file as the blocks of one partition, its Kafka timestamps the running maximum of event time."""
    cutter = Cutter(partition)
    latest = 0
    rows = open_events(path, options)
    while chunk := list(islice(rows, CHUNK)):
        stamps = []
        for _, value in chunk:
            latest = max(latest, time_of(value))
            stamps.append(latest)
        nothing = [None] * len(chunk)
        cutter.add([offset for offset, _ in chunk], stamps, [value for _, value in chunk], nothing, nothing)
        while (run := cutter.cut()) is not None:
            yield run
    if (rest := cutter.flush()) is not None:
        yield rest


def _by_time(cuts: list[Iterator[RecordRun]]) -> Iterator[RecordRun]:
    """Blocks of several files, always of the one that is furthest behind, so that none runs ahead."""
    heads = {i: run for i, cut in enumerate(cuts) if (run := next(cut, None)) is not None}
    while heads:
        i = min(heads, key=lambda i: (heads[i].timestamps[0], i))
        yield heads.pop(i)
        if (run := next(cuts[i], None)) is not None:
            heads[i] = run


def _print(action: Action, output: Literal["text", "json"]) -> None:
    if output == "json":
        sys.stdout.write(action.body().decode() + "\n")
        return
    what = action.type.removeprefix("driftd.")
    head = f"{rfc3339(action.timestamp)}  {what:<18} {action.model} {action.version}  {action.rule} {action.severity}"
    signals = action.data["signals"]
    assert isinstance(signals, list)
    parts = []
    for signal in signals:
        effect, threshold = signal.get("effect"), signal.get("threshold")
        shown = f" {effect:.3g} (threshold {threshold:.3g})" if effect is not None and threshold is not None else ""
        changed = words.change(signal)
        parts.append(f"{signal['signal']}{f' {changed}' if changed else shown}")
    sys.stdout.write(printable(f"{head}  {', '.join(parts)}") + "\n")
