"""Records and blocks of the decoder's tests."""

import json
from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np

from driftd.core.event import Block, Column, PartitionId
from driftd.kafka.block import Header, RecordRun
from driftd.kafka.decode import Decoder
from driftd.kafka.features import SignalType
from driftd.kafka.mapping import TopicFormat, TopicMapping

PREDICTIONS = PartitionId("predictions", 0)
STAMP = 1_795_428_000_123


def run_of(
    values: Sequence[bytes | None],
    partition: PartitionId = PREDICTIONS,
    headers: Sequence[list[Header] | None] = (),
    first: int = 0,
    timestamp: int = STAMP,
) -> RecordRun:
    """A run of these values, offsets from `first`, all at one Kafka timestamp."""
    n = len(values)
    return RecordRun(
        partition, list(range(first, first + n)), [timestamp] * n, list(values), [None] * n, list(headers) or [None] * n
    )


def decoder(mapping: TopicMapping | None = None) -> Decoder:
    """One that knows the topics predictions, features, labels, and `all`, which carries every kind."""
    return Decoder(
        {
            "predictions": TopicFormat(("prediction",), mapping),
            "features": TopicFormat(("features",)),
            "labels": TopicFormat(("label",)),
            "all": TopicFormat(("prediction", "features", "label"), mapping),
        }
    )


def learn(subject: Decoder, types: Mapping[str, str] | None) -> None:
    """Teach it the types of the model `churn`, if they are given."""
    if types is not None:
        subject.learn_types("churn", "prediction", cast("Mapping[str, SignalType]", types))


def event(**changes: object) -> bytes:
    """A prediction event as JSON, with these keys set; one set to `...` is left out."""
    whole: dict[str, object] = {"model": "churn", "version": "7", "features": {"age": 41}, "prediction": 0.5}
    return json.dumps({k: v for k, v in {**whole, **changes}.items() if v is not ...}).encode()


def plain(column: Column) -> list[str]:
    """A column in a form that compares: `1` is not `1.0`, nan is nan."""
    return [repr(value) for value in (column.tolist() if isinstance(column, np.ndarray) else column)]


def flat(block: Block) -> Mapping[str, object]:
    """A block in a form that compares."""
    return {
        "at": (block.partition, block.first, block.next, block.records, block.earliest, block.latest),
        "groups": [
            (
                g.model,
                g.version,
                g.kind,
                g.time.tolist(),
                g.offset.tolist(),
                {n: plain(c) for n, c in g.columns.items()},
            )
            for g in block.groups
        ],
        "malformed": block.malformed,
        "backfill": block.backfill,
        "unknown_keys": block.unknown_keys,
    }
