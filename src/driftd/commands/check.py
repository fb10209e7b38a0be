"""`driftd check`: all that can be said of a configuration before it runs.

The settings find what is wrong within them. Here is what only the world can tell: files that they name, librdkafka's
own opinion of its settings, and, with `--connect`, the broker and the receivers' hosts.
"""

from __future__ import annotations

import os
import socket
import ssl
import sys
from collections.abc import Iterator
from pathlib import Path

from driftd.core.fault import UserError, printable
from driftd.settings.fault import Fault, Key
from driftd.settings.kafka import Kafka, covers, is_expression
from driftd.settings.keys import nearest
from driftd.settings.load import Examined, examine
from driftd.settings.monitoring import Model
from driftd.settings.registry import SchemaRegistry
from driftd.settings.schema import Settings

BUILT_IN_SIGNALS = frozenset({"prediction", "class", "label", "error"})
TIMEOUT_S = 5.0


def main(config: Path, *, connect: bool = False) -> int:
    """0: nothing is wrong; 2: the configuration is; 1: it is right, and the world is not as it says."""
    examined = examine(config, os.environ)
    faults = list(examined.faults)
    settings = examined.settings
    unreachable: list[Fault] = []
    if settings is not None:
        faults += file_faults(examined, settings)
        faults += _client_faults(examined, settings.kafka)
        if connect:
            unreachable += connection_faults(examined, settings)
    for fault in [*sorted(faults, key=lambda fault: (fault.file, fault.line)), *unreachable]:
        print(fault, file=sys.stderr)
    if faults or settings is None:
        return 2
    if unreachable:
        return 1
    print(printable(f"{config}: {_found(settings)}"))
    return 0


def file_faults(examined: Examined, settings: Settings) -> list[Fault]:
    """Faults of the state directory and of reference files. `driftd run` refuses to start on them, too."""
    faults = list(_state_faults(examined, settings.state.directory))
    faults += _certificate_faults(examined, settings)
    faults += _reference_faults(examined, ("monitoring",), Model.model_construct(**dict(settings.monitoring)))
    for name, model in settings.models.items():
        faults += _reference_faults(examined, ("models", name), model)
    return list(dict.fromkeys(faults))


def connection_faults(examined: Examined, settings: Settings) -> list[Fault]:
    """What cannot be reached from here, now. Only the brokers and the schema registry are asked anything."""
    faults = list(_creatable_faults(examined, settings.state.directory))
    faults += _broker_faults(examined, settings.kafka)
    if settings.kafka.schema_registry is not None and not any(_certificate_faults(examined, settings)):
        faults += _registry_faults(examined, settings.kafka.schema_registry)
    hosts: dict[Key, tuple[str, int]] = {}
    for name, receiver in settings.receivers.items():
        hosts |= {("receivers", name, *key): where for key, where in receiver.hosts().items()}
    if (collector := settings.otlp.host()) is not None:
        hosts["otlp", "endpoint"] = collector
    for key, (host, port) in hosts.items():
        try:
            socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            problem = f"the host {host} is not known here"
            faults.append(examined.fault(key, problem, "mend the address, or the name service of this machine"))
    return faults


def read_reference(path: Path) -> tuple[str, frozenset[str]]:
    """The hash of a reference file's grid, and its signals. Raises UserError if it is no sound reference."""
    from driftd.files import reference_file  # noqa: PLC0415 - it brings the arrays along, and many checks need none

    header, reference = reference_file.read(path)
    return header.hash, frozenset(reference.grid.names)


def _found(settings: Settings) -> str:
    rules = {*settings.monitoring.rules, *(rule for model in settings.models.values() for rule in model.rules)}
    counts = ((len(settings.models), "model"), (len(rules), "rule"), (len(settings.receivers), "receiver"))
    found = ", ".join(f"{count} {name}{'s' if count != 1 else ''}" for count, name in counts)
    alone = "" if settings.receivers else " (so nobody is told)"
    return f"{found}{alone}; {'a shadow, it delivers nothing; ' if settings.shadow else ''}nothing is wrong"


def _state_faults(examined: Examined, directory: Path) -> Iterator[Fault]:
    """A directory that is missing will be made; what is in its place must be one that can be written."""
    key = ("state", "directory")
    there = next(path for path in (directory, *directory.absolute().parents) if path.exists())
    if not there.is_dir():
        yield examined.fault(key, f"{there} is not a directory", "name a directory, or one that can be made")
    elif there == directory and not os.access(there, os.W_OK | os.X_OK):
        yield examined.fault(key, f"{there} cannot be written", "let this user write it, or name another directory")


def _certificate_faults(examined: Examined, settings: Settings) -> Iterator[Fault]:
    for name, receiver in settings.receivers.items():
        file = receiver.email.ca_file if receiver.email is not None else None
        if file is not None:
            try:
                ssl.create_default_context(cafile=file)
            except OSError as error:  # SSLError is one
                problem = f"{file} holds no certificate that can be read ({error.strerror or error})"
                key = ("receivers", name, "email", "ca_file")
                yield examined.fault(key, problem, "name a file of certificates in PEM")
    registry = settings.kafka.schema_registry
    if registry is not None:
        yield from _registry_certificate_faults(examined, registry)


def _registry_certificate_faults(examined: Examined, registry: SchemaRegistry) -> Iterator[Fault]:
    context = ssl.create_default_context()
    if registry.ca_file is not None:
        try:
            context.load_verify_locations(cafile=registry.ca_file)
        except OSError as error:  # SSLError is one
            problem = f"{registry.ca_file} holds no certificate that can be read ({error.strerror or error})"
            key = ("kafka", "schema_registry", "ca_file")
            yield examined.fault(key, problem, "name a file of certificates in PEM")
    if registry.certificate_file is not None:
        password = "" if registry.key_password is None else registry.key_password.get_secret_value()
        try:
            context.load_cert_chain(registry.certificate_file, registry.key_file, password)
        except OSError as error:
            problem = f"{registry.certificate_file} and its key cannot be used ({error.strerror or error})"
            remedy = "name a certificate in PEM, its key in it or in key_file, and its password in key_password_file"
            yield examined.fault(("kafka", "schema_registry", "certificate_file"), problem, remedy)


def _creatable_faults(examined: Examined, directory: Path) -> Iterator[Fault]:
    """Whether a missing state directory could be made, asked of the machine that driftd will run on only."""
    there = next(path for path in (directory, *directory.absolute().parents) if path.exists())
    if there != directory and there.is_dir() and not os.access(there, os.W_OK | os.X_OK):
        problem = f"{directory} does not exist and cannot be made in {there}"
        yield examined.fault(("state", "directory"), problem, "make it and let this user write it")


def _reference_faults(examined: Examined, scope: Key, model: Model) -> Iterator[Fault]:
    reference = model.reference
    files: list[tuple[Key, Path]] = [
        ((*scope, "reference", "versions", version), path) for version, path in reference.versions.items()
    ]
    if reference.file is not None:
        files.append(((*scope, "reference", "file"), reference.file))
    grids: dict[str, frozenset[str]] = {}
    for key, path in files:
        try:
            grid, signals = read_reference(path)
        except UserError as error:
            name = scope[1] if len(scope) > 1 else "NAME"
            build = f"driftd reference build --model {name} --output {path} DATA..."
            yield examined.fault(key, error.problem, f"{error.remedy} ({build})")
            continue
        grids[grid] = signals
        if len(grids) > 1:
            remedy = "build it again with `driftd reference build --grid FIRST.json`, FIRST.json the other file"
            yield examined.fault(key, f"{path} is not on the grid of the model's other references", remedy)
    if grids:
        yield from _signal_faults(examined, scope, model, frozenset().union(*grids.values()))


def _signal_faults(examined: Examined, scope: Key, model: Model, signals: frozenset[str]) -> Iterator[Fault]:
    """Signals that are named for this model and are not in its references. Inherited names may be of other models."""
    named: list[tuple[Key, str]] = [((*scope, "signals", name), name) for name in model.signals]
    for rule, body in model.rules.items():
        named += [((*scope, "rules", rule, "on"), name) for name in body.on or ()]
    for key, name in named:
        if name in signals or name in BUILT_IN_SIGNALS or examined.tree.place_of(key).key[:1] != scope[:1]:
            continue
        near = nearest(name, signals)
        remedy = f"did you mean `{near}`?" if near else "name a signal that `driftd reference show` lists"
        yield examined.fault(key, f"no signal `{name}` is in the reference", remedy)


def _client_faults(examined: Examined, kafka: Kafka) -> Iterator[Fault]:
    """What librdkafka itself says: it is asked without an address, so that it connects nowhere."""
    config = {key: value for key, value in kafka.client_config().items() if key != "bootstrap.servers"}
    if not config:
        return
    from confluent_kafka import Consumer, KafkaException  # noqa: PLC0415 - half of the time that a check takes

    try:
        Consumer({"group.id": kafka.group_id, "log_level": 0, **config}).close()
    except KafkaException as error:
        said = error.args[0].str()
        name = next((name for name in sorted(config, key=len, reverse=True) if name in said), None)
        section = "secret_files" if name in kafka.secrets else "client"
        key = ("kafka", section, name) if name else ("kafka", "client")
        for secret in kafka.secrets.values():
            said = said.replace(secret.get_secret_value(), "***")
        yield examined.fault(
            key, f"librdkafka refuses it: {said}", "mend it: librdkafka's CONFIGURATION.md lists them all"
        )


def _registry_faults(examined: Examined, said: SchemaRegistry) -> Iterator[Fault]:
    """Asked what reading will ask: for a schema by its id. That there is none of it is an answer."""
    from driftd.app import registry_for  # noqa: PLC0415 - it brings everything along
    from driftd.kafka.registry import ANY_ID, Unavailable  # noqa: PLC0415

    registry = registry_for(said)
    try:
        registry.fetch(ANY_ID)
    except Unavailable as fault:
        yield examined.fault(("kafka", "schema_registry", "url"), fault.problem, fault.remedy)
    finally:
        registry.close()


def _broker_faults(examined: Examined, kafka: Kafka) -> Iterator[Fault]:
    from confluent_kafka import KafkaException  # noqa: PLC0415
    from confluent_kafka.admin import AdminClient  # noqa: PLC0415

    servers = ("kafka", "bootstrap_servers")
    try:
        client = AdminClient({**kafka.client_config(), "log_level": 0, "socket.timeout.ms": int(TIMEOUT_S * 1000)})
        topics = client.list_topics(timeout=TIMEOUT_S).topics
    except KafkaException as error:
        problem = f"no broker answers at {kafka.bootstrap_servers}: {error.args[0].str()}"
        yield examined.fault(servers, problem, "start it, or mend the address and kafka.client")
        return
    for name in ("predictions", "features", "labels"):
        key = ("kafka", "topics", name)
        if examined.tree.at(key) is None:
            continue  # nobody asked for it
        for pattern in getattr(kafka.topics, name):
            if not any(covers(pattern, topic) for topic in topics):
                what = "no topic matches" if is_expression(pattern) else "there is no topic"
                near = nearest(pattern, topics)
                remedy = f"did you mean `{near}`?" if near else "create it, or take it out of the list"
                yield examined.fault(key, f"{what} `{pattern}` on the broker", remedy)
    dead = kafka.dead_letters.topic
    if dead is not None and dead not in topics:
        print(f"note: there is no topic {dead}; `driftd run` makes it if the broker lets it", file=sys.stderr)
