"""`driftd sniff`: what a sample of a topic is, and a draft of the settings that read it.

What is printed of records is their shape: names, types, counts. Values are shown on request alone, but for the names of
models, which the draft lists.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, cast

import yaml
from pydantic import ValidationError

from driftd.app import decoder_for, schemas_for
from driftd.core.action import rfc3339
from driftd.core.event import PartitionId
from driftd.core.fault import UserError, printable
from driftd.kafka.block import RecordRun
from driftd.kafka.described import name_of
from driftd.kafka.draft import Draft, draft
from driftd.kafka.fields import Field
from driftd.kafka.reasons import REMEDIES, Reason
from driftd.kafka.registry import Schema
from driftd.kafka.sample import Sample, read_sample
from driftd.kafka.schemas import Schemas
from driftd.kafka.sniff import Finding, ids_named, understand
from driftd.settings.fault import SettingsError
from driftd.settings.kafka import Kafka
from driftd.settings.load import examine
from driftd.settings.registry import SchemaRegistry
from driftd.settings.schema import Settings
from driftd.settings.wording import describe

MOST_SHOWN = 40
STILL_TO_SAY = """\
# Still to say: where memory lies, and who is told; docs/settings.md has every key.
# state: {directory: driftd-state}
# receivers: {chat: {slack: {url_file: slack-url}}}
"""
Output = Literal["text", "yaml", "json"]


def main(
    topic: str,
    config: Path,
    brokers: str | None = None,
    records: int = 1_000,
    output: Output = "text",
    model: str | None = None,
    schema_registry: str | None = None,
    *,
    earliest: bool = False,
    values: bool = False,
) -> int:
    """0: a draft was made; 1: nothing could be understood. Raises UserError."""
    kafka, registry = _asked(config, brokers, schema_registry)
    with contextlib.ExitStack() as stack:
        schemas = schemas_for(kafka)
        if schemas is not None:
            stack.callback(schemas.close)
        sample = read_sample(kafka.client_config(), topic, records, earliest=earliest)
        read = [(record.value, record.headers) for record in sample.records]
        if schemas is not None:
            schemas.wait(ids_named(read))
        found = understand(read, schemas)
        if not found.format:
            _report(sample, found, None, values=values, earliest=earliest)
            (why, remedy), _ = found.problems.most_common(1)[0]
            raise UserError(f"no record of {topic} can be read: {why}", remedy, exit_code=1)
        drafted = draft(found, topic, kafka.bootstrap_servers, model, registry, earliest=earliest)
        counted = _tried(drafted, sample, schemas)
        named = _named(found, schemas)
    if output == "json":
        print(json.dumps(_document(sample, found, drafted, counted, named, values=values), indent=2))
    elif output == "yaml":
        print(_yaml(sample, drafted, counted), end="")
    else:
        _report(sample, found, drafted, named, values=values, earliest=earliest)
        again = _command(topic, config, brokers, schema_registry, records, model, earliest=earliest)
        print(f"\ndraft ({printable(again)}):\n---")
        print(_yaml(sample, drafted, counted), end="")
    return 0


def _command(
    topic: str,
    config: Path,
    brokers: str | None,
    schema_registry: str | None,
    records: int,
    model: str | None,
    *,
    earliest: bool,
) -> str:
    """What writes the draft to a file; never to the one that the brokers are read from, which the shell would empty."""
    options = ["--brokers", brokers] if brokers else [] if config == Path("driftd.yaml") else ["--config", str(config)]
    options += ["--schema-registry", schema_registry] if schema_registry else []
    options += ["--model", model] if model else []
    options += ["--from", "earliest"] if earliest else []
    options += ["--records", str(records)] if records != 1_000 else []
    return f"{shlex.join(['driftd', 'sniff', *options, '--output', 'yaml', topic])} > " + (
        "driftd.yaml" if brokers else "draft.yaml"
    )


def _asked(config: Path, brokers: str | None, schema_registry: str | None) -> tuple[Kafka, dict[str, Any] | None]:
    """The brokers and the registry that are asked; and what a draft says of the registry, secrets by their files."""
    kafka, written = Kafka(), None
    if brokers is not None:
        kafka = kafka.model_copy(update={"bootstrap_servers": brokers})
    else:
        examined = examine(config, os.environ)
        if examined.faults or examined.settings is None:
            raise SettingsError(examined.faults)
        kafka, node = examined.settings.kafka, examined.tree.at(("kafka", "schema_registry"))
        written = cast("dict[str, Any] | None", node.plain()) if node is not None else None
    if schema_registry is not None:
        try:
            registry = SchemaRegistry(url=(schema_registry,))
        except ValidationError as error:
            problem, remedy = describe(error.errors()[0])
            raise UserError(f"--schema-registry: {problem}", remedy) from error
        kafka, written = kafka.model_copy(update={"schema_registry": registry}), {"url": schema_registry}
    return kafka, written


def _named(found: Finding, schemas: Schemas | None) -> list[dict[str, Any]]:
    """The schemas that records name, those of most records first."""
    told = []
    for number, n in found.schemas.most_common():
        schema = schemas.known(number) if schemas is not None else None
        if schemas is not None and isinstance(schema, Schema):
            subjects = schemas.registry.subjects(number)
            said = {"id": number, "format": schema.format, "name": name_of(schema)}
            told.append({**said, "subjects": subjects, "records": n})
    return told


def _tried(drafted: Draft, sample: Sample, schemas: Schemas | None) -> Counter[str]:
    """What the draft makes of the sample itself: refused records by reason, the rest under the empty one."""
    decoder = decoder_for(Settings(**drafted.settings), schemas=schemas)
    tried: Counter[str] = Counter()
    for number in sorted({record.partition for record in sample.records}):
        ours = sorted((r for r in sample.records if r.partition == number), key=lambda r: r.offset)
        partition = PartitionId(sample.topic, number)
        run = RecordRun(
            partition, [r.offset for r in ours], [r.timestamp for r in ours], [r.value for r in ours],
            [None] * len(ours), [r.headers for r in ours],
        )  # fmt: skip
        decoder.wait(run)
        refused = decoder.decode(partition, run).malformed
        tried.update(refusal.reason for refusal in refused)
        tried[""] += len(ours) - len(refused)
    return tried


def _yaml(sample: Sample, drafted: Draft, counted: Counter[str]) -> str:
    lines = [f"{counted['']} of {len(sample.records)} records of the sample would be counted", *drafted.notes]
    lines += [
        f"refused: {reason} {n}; {REMEDIES[Reason(reason)]}" for reason, n in counted.most_common() if reason and n
    ]
    head = "".join(f"# {printable(line)}\n" for line in lines)
    return head + yaml.safe_dump(drafted.settings, sort_keys=False, allow_unicode=False, width=120) + STILL_TO_SAY


def _report(
    sample: Sample,
    found: Finding,
    drafted: Draft | None,
    named: Sequence[Mapping[str, Any]] = (),
    *,
    values: bool,
    earliest: bool,
) -> None:
    """Everything for eyes. Where there is no draft it goes to stderr, before the error."""
    total = len(sample.records)
    times = [record.timestamp for record in sample.records if record.timestamp >= 0]
    span = f", {rfc3339(min(times))} to {rfc3339(max(times))}" if times else ""
    which = "first" if earliest else "last"
    lines = [
        f"topic {sample.topic}: the {which} {total} of {sample.there} records, {sample.partitions} partitions{span}",
        "formats: " + ", ".join(f"{name} {n} ({n / total:.1%})" for name, n in found.formats.most_common()),
    ]
    for one in named:
        where = ", ".join(one["subjects"]) or "not told"
        head = f"schema {one['id']}: {one['format']} {one['name'] or 'without a name'}"
        lines.append(f"{head} (subjects: {where}), {one['records']} records")
    if found.format == "kserve":
        lines.append(f"requests and responses: {found.pairs} pairs of one id")
    for (why, remedy), n in found.problems.most_common(10):
        lines.append(f"not understood: {n} records: {why}; {remedy}")
    if drafted is not None:
        lines += ["", *_fields(found, values=values), ""]
        for name, candidates in found.candidates.items():
            where = ", ".join(f"{one.by} {one.what}" for one in candidates[:5]) or "not found"
            lines.append(f"{name:<11} {where}")
        where = (
            ", ".join(
                f"{path or 'the record itself'} ({n} value{'s' if n != 1 else ''})" for path, n in found.features[:5]
            )
            or "not found"
        )
        lines.append(f"{'features':<11} {where}")
    for line in lines:
        print(printable(line), file=sys.stdout if drafted is not None else sys.stderr)


def _fields(found: Finding, *, values: bool) -> list[str]:
    """A table, one field a line."""
    named = [(one.path, one, found.fields.rows) for one in found.fields.by_path.values()]
    named += [(f"header {one.path}", one, found.headers.rows) for one in found.headers.by_path.values()]
    shown = named[:MOST_SHOWN]
    wide = min(max((len(name) for name, _, _ in shown), default=5), 50)
    lines = [f"{'field':<{wide}}  {'present':>7}  {'null':>6}  {'distinct':>8}  types"]
    for name, one, rows in shown:
        shares = f"{one.present / rows:>7.1%}  {one.nulls / one.present:>6.1%}"
        line = f"{name:<{wide}}  {shares}  {len(one.distinct):>8}  {_types(one)}"
        if name in found.declared:
            line += f"  schema: {found.declared[name]}"
        if values and one.examples:
            line += "  such as " + ", ".join(json.dumps(value)[:60] for value in one.examples)
        lines.append(line)
    if len(named) > len(shown):
        lines.append(f"... and {len(named) - len(shown)} more; --output json has all")
    return lines


def _types(one: Field) -> str:
    names = [name for name, _ in one.types.most_common() if name != "null"] or ["null"]
    look = next((look for look, n in one.looks.items() if n >= 0.99 * one.filled), None)
    words = {"rfc3339": "a time", "local_time": "a time without an offset", "epoch_ms": "a time in ms",
             "epoch_s": "a time in s?"}  # fmt: skip
    return "|".join(names) + (f" ({words[look]})" if look else "")


def _document(
    sample: Sample,
    found: Finding,
    drafted: Draft,
    counted: Counter[str],
    named: Sequence[Mapping[str, Any]],
    *,
    values: bool,
) -> dict[str, Any]:
    def shape(one: Field) -> dict[str, Any]:
        told: dict[str, Any] = {
            "path": one.path, "present": one.present, "null": one.nulls, "distinct": len(one.distinct),
            "types": dict(one.types),
        }  # fmt: skip
        if one.path in found.declared:
            told["schema"] = found.declared[one.path]
        return {**told, "examples": one.examples} if values else told

    return {
        "topic": sample.topic,
        "records": len(sample.records),
        "there": sample.there,
        "formats": dict(found.formats),
        "schemas": list(named),
        "not_understood": [{"why": why, "remedy": remedy, "records": n} for (why, remedy), n in found.problems.items()],
        "rows": found.fields.rows,
        "pairs": found.pairs,
        "fields": [shape(one) for one in found.fields.by_path.values()],
        "headers": [shape(one) for one in found.headers.by_path.values()],
        "candidates": {name: [{one.by: one.what} for one in those] for name, those in found.candidates.items()},
        "features": [path for path, _ in found.features],
        "counted": counted[""],
        "refused": {reason: n for reason, n in counted.items() if reason},
        "notes": drafted.notes,
        "draft": drafted.settings,
    }
