"""The envelope of an event: everything but its features, which are left as bytes until the model is known.

Two readers with one outcome. The fast one is a typed struct and accepts only what is right in every part. What it
does not accept is read by the exact one, which says what is wrong, or leaves out only what is wrong.

Nothing is skipped unread: keys that are not in the contract become fields of the struct when they are first met, so
that they are counted exactly, at the cost of a field.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, cast

import msgspec
from msgspec import UNSET, Raw, UnsetType

from driftd.core.event import Kind, Mark
from driftd.kafka.moment import Aware, moment
from driftd.kafka.reasons import Reason, Refused
from driftd.kafka.strict import finite, is_text, parse_event
from driftd.kafka.value import parse_object

LATEST_MS: Final = (1 << 63) // 1_000_000
"""In 2262: the last millisecond that 64 bits of nanoseconds can tell, which is what most who read our times use."""

_EXTRA_KEYS: Final = 64
"""Keys not in the contract that the fast reader learns; with more distinct ones, records take the exact reader."""
_LONGEST_SHALLOW: Final = 100
"""Shorter values cannot nest deeper than is allowed."""
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND: Final = timedelta(milliseconds=1)

NOT_SO: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, TypeError)
"""What a fast reader raises; TypeError for what is no bytes: no value, or what was read exactly before."""

Tags = dict[str, str | int | float | bool | None]


class Score(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """The object form of a prediction. The exact reader also puts `Mark.BAD` where a type is wrong."""

    score: float | UnsetType | None = UNSET
    class_: str | bool | int | float | UnsetType | None = msgspec.field(default=UNSET, name="class")


class Envelope(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """`features` is Raw from the fast reader (empty: none), a dict or None from the exact one, which takes any kind."""

    model: str | None = None
    version: str | int | None = None
    kind: Literal["prediction", "features", "label"] | None = None
    time: Aware | int | float | None = None
    features: Raw = Raw()
    prediction: float | bool | str | Score | UnsetType | None = UNSET
    label: float | bool | str | UnsetType | None = UNSET
    tags: Tags | None = None
    id: str | int | float | None = None


KEYS: Final = frozenset(Envelope.__struct_encode_fields__)


class NativeReader:
    """Reads envelopes of the native form. `fast` changes when a new key is learned: ask for it again after `exact`."""

    def __init__(self) -> None:
        self._extras: list[str] = []
        self.fast = _reader(Envelope)

    @property
    def learned(self) -> bool:
        """Whether events of the fast reader may have unknown keys: `unknown_keys` must be asked."""
        return bool(self._extras)

    def exact(self, value: bytes | None) -> tuple[Envelope, int]:
        """The event and how many unknown keys it has; raises Refused."""
        record = parse_object(value, parse_event)
        unknown = record.keys() - KEYS
        if unknown:
            self._learn(unknown)
        return envelope_of(record), len(unknown)

    def unknown_keys(self, event: Envelope) -> int:
        """How many keys of a fast reader's event are not in the contract; -1 if one of them needs the exact reader."""
        extras = [raw for raw in msgspec.structs.astuple(event)[len(KEYS) :] if raw]
        return len(extras) if all(map(sound, extras)) else -1

    def _learn(self, keys: set[str]) -> None:
        room = _EXTRA_KEYS - len(self._extras)
        new = sorted(filter(nameable, keys - set(self._extras)))[:room]
        if not new:
            return
        self._extras += new
        rename = {f"extra_{i}": key for i, key in enumerate(self._extras)}
        struct = msgspec.defstruct(
            "EnvelopeWithExtras",
            [(field, Raw, Raw()) for field in rename],
            bases=(Envelope,),
            rename=rename,
            gc=False,
            forbid_unknown_fields=True,
        )
        self.fast = _reader(struct)


def _reader(struct: type[msgspec.Struct]) -> Callable[[bytes | None], Envelope]:
    """Without a value it raises TypeError."""
    return cast("Callable[[bytes | None], Envelope]", msgspec.json.Decoder(struct).decode)


def nameable(key: str) -> bool:
    """Whether a struct can have a field for this key; records with others are read exactly."""
    return is_text(key) and not any(c < " " or c in '"\\\x7f' for c in key)


def sound(raw: Raw) -> bool:
    """Whether bytes that the fast reader skipped are UTF-8 and not nested too deep; their grammar it has checked."""
    value = bytes(raw)
    if len(value) > _LONGEST_SHALLOW and value.count(b"[") + value.count(b"{") > _LONGEST_SHALLOW // 2:
        return False
    try:
        value.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def envelope_of(record: dict[str, object]) -> Envelope:
    """The envelope of a generic object of the native form; raises Refused where a field that must be right is not."""
    get = record.get
    model, kind = get("model"), get("kind")
    if model is not None and not isinstance(model, str):
        raise Refused(Reason.NAME, "model is not a string")
    if kind is not None and not isinstance(kind, str):
        raise Refused(Reason.KIND, "kind is not a string")
    features = get("features")
    if features is not None and not isinstance(features, dict):
        raise Refused(Reason.FEATURES, "features is not an object")
    event = Envelope(
        model=model,
        version=_version(get("version")),
        kind=cast("Kind | None", kind),
        time=moment(get("time")),
        prediction=_prediction(get("prediction", UNSET)),
        label=cast("float", _scalar(get("label", UNSET))),
        tags=_tags(get("tags")),
    )
    event.features = cast("Raw", features)
    return event


def event_time(event: Envelope, fallback: int) -> int:
    """Milliseconds since the epoch; `fallback`, the Kafka timestamp, if the event has none. Raises Refused."""
    time = event.time
    if isinstance(time, datetime):
        ms = (time - EPOCH) // MILLISECOND
    elif isinstance(time, float):
        if not time.is_integer():
            raise Refused(Reason.TIME, "not a whole number of milliseconds")
        ms = int(time)
    else:
        ms = fallback if time is None else time
    if 0 <= ms <= LATEST_MS:
        return ms
    raise Refused(Reason.TIME, "neither the event nor the record has one" if time is None else "outside 1970 to 2262")


class _Timed(msgspec.Struct, gc=False):
    time: str | int | float | None = None


_timed = msgspec.json.Decoder(_Timed).decode


def time_of(value: bytes) -> int:
    """The event time that a record of the native form gives; 0 where it gives none that can be read."""
    try:
        return event_time(Envelope(time=moment(_timed(value).time)), 0)
    except (msgspec.MsgspecError, UnicodeDecodeError, Refused):
        return 0


def is_backfill(event: Envelope) -> bool:
    """Whether the tag `driftd.backfill` says true."""
    if event.tags is None:
        return False
    said = event.tags.get("driftd.backfill")
    return said is True or said == "true"


def _version(value: object) -> str | int | None:
    if value is None or isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    raise Refused(Reason.NAME, "version is neither a string nor an integer")


def _scalar(value: object) -> object:
    """A number as float, a string, a bool or None as it is; BAD for anything else."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value) if finite(value) else Mark.BAD
    return value if value is None or value is UNSET or isinstance(value, str | bool) else Mark.BAD


def _prediction(value: object) -> float | bool | str | Score | UnsetType | None:
    if not isinstance(value, dict):
        return cast("float", _scalar(value))
    score = _scalar(value.get("score", UNSET))
    if isinstance(score, str | bool):
        score = Mark.BAD
    named = value.get("class", UNSET)
    if named is not None and named is not UNSET and not isinstance(named, str | bool | int | float):
        named = Mark.BAD
    return Score(cast("float", score), cast("str", named))


def _tags(value: object) -> Tags | None:
    """Tags of a wrong form say nothing that is needed, and do no harm."""
    return value if isinstance(value, dict) else None
