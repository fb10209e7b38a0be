"""What no key can know alone: that windows divide, that what is named exists, that topics do not feed themselves."""

from __future__ import annotations

import re
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from driftd.core.spec import DAY, SECOND
from driftd.settings.document import Node
from driftd.settings.fault import ENVIRONMENT, Key, Ledger
from driftd.settings.kafka import BROKERS_OWN, FRAMED, OWNED, SECRET, covers, is_expression
from driftd.settings.keys import nearest
from driftd.settings.monitoring import Model, Monitoring, Retrain, WindowRule
from driftd.settings.quantity import format_duration
from driftd.settings.schema import Settings

LONGEST_WINDOW = 90 * DAY
RESERVED_LABELS = frozenset({"model", "version", "signal", "statistic", "rule", "kind", "severity", "type"})
"""Labels that driftd itself gives to metrics and alerts."""
SCHEMA = "schema"
BEATING = ("webhook", "alertmanager")
"""Kinds of receiver that a heartbeat is for."""
ROUTED = ("model", "version", "kind", "rule", "severity", "type")
"""What a route can match beside labels."""


@dataclass(frozen=True, slots=True)
class Across:
    """The checks. `tree` is all that was written; `refused` are the keys in it that were refused by themselves."""

    settings: Settings
    tree: Node
    refused: AbstractSet[Key]
    ledger: Ledger

    def check(self) -> None:
        self._watched(("monitoring",), self.settings.monitoring)
        for name in self.names(("models",)):
            self._expression(name)
        for name, model in self.settings.models.items():
            self._watched(("models", name), model)
            self._labels(("models", name, "labels"), model)
        self._client()
        self._topics()
        self._receivers()
        self._heartbeat()
        self._routes()

    def _expression(self, name: str) -> None:
        if is_expression(name):
            try:
                re.compile(name)
            except re.error as error:
                problem = f"`{name}` is not a regular expression: {error}"
                self.say((("models", name),), problem, "mend it, or write the name of a model, without ^")

    def say(self, keys: tuple[Key, ...], problem: str, remedy: str) -> None:
        """A fault between keys, at the first that was written for the model itself, else at the first written."""
        if any(key[:cut] in self.refused for key in keys for cut in range(len(key) + 1)):
            return
        found = [node.place for node in map(self.tree.at, keys) if node is not None]
        own = [place for place in found if place.key[:1] == ("models",)]
        place = (own or found or [self.tree.place_of(keys[0])])[0]
        self.ledger.add(place, problem, remedy)

    def names(self, key: Key) -> list[str]:
        """The names written in a map, the refused ones included."""
        node = self.tree.at(key)
        return list(node.value) if node is not None and isinstance(node.value, dict) else []

    def _watched(self, scope: Key, watched: Monitoring) -> None:
        window = watched.window
        length, every, longest = ((*scope, "window", name) for name in ("length", "every", "max_length"))
        shown = format_duration
        if window.every % SECOND:
            self.say((every,), f"{shown(window.every)} is not in whole seconds", "write whole seconds, such as 30s")
        elif window.length % window.every:
            problem = f"{shown(window.every)} does not divide the length {shown(window.length)}"
            self.say((every, length), problem, "choose a divisor of window.length, such as a twelfth of it")
        if window.length > window.max_length:
            problem = f"{shown(window.length)} is longer than max_length {shown(window.max_length)}"
            self.say((length, longest), problem, "shorten window.length or raise window.max_length")
        if window.max_length > LONGEST_WINDOW:
            self.say((longest,), f"{shown(window.max_length)} is longer than 90 days", "write at most 90d")
        if SCHEMA in watched.rules:
            remedy = "choose another name; what is told of columns is set by `schema`, beside `rules`"
            self.say(((*scope, "rules", SCHEMA),), "the rule on columns has this name", remedy)
        for name, rule in watched.rules.items():
            if isinstance(rule, WindowRule) and rule.critical is not None and rule.warning > rule.critical:
                keys = (*scope, "rules", name, "warning"), (*scope, "rules", name, "critical")
                problem = f"warning {rule.warning:g} is above critical {rule.critical:g}"
                self.say(keys, problem, "lower the warning, or leave `critical` out")
        if watched.retrain is not None:
            self._retrain(scope, watched, watched.retrain)

    def _retrain(self, scope: Key, watched: Monitoring, retrain: Retrain) -> None:
        """What a model inherits may name rules that it removed; what is written for it may not."""
        key = (*scope, "retrain", "when")
        node = self.tree.at(key)
        if (
            node is None
            or any(gone[: len(key)] == key for gone in self.refused)
            or (scope[0] == "models" and node.place.key[:1] == ("monitoring",))
        ):
            return
        known = self.names((*scope, "rules"))
        for number, (name, severity) in enumerate(retrain.conditions()):
            place = (*key, number) if isinstance(node.value, list) else key
            rule = watched.rules.get(name)
            if name not in known:
                near = nearest(name, known)
                remedy = f"did you mean `{near}`?" if near else f"rules here: {', '.join(known)}"
                self.say((place,), f"there is no rule `{name}`", remedy)
            elif rule is not None and not rule.reaches(severity):
                remedy = f"write `{name}`, or give the rule that severity"
                self.say((place,), f"the rule `{name}` is never {severity}", remedy)

    def _labels(self, key: Key, model: Model) -> None:
        for name in model.labels:
            if not re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", name) or name.startswith("__"):
                self.say(((*key, name),), "cannot be a label", "use letters, digits and _, not beginning with a digit")
            elif name in RESERVED_LABELS:
                self.say(((*key, name),), "driftd gives this label itself", "choose another name")

    def _client(self) -> None:
        client = self.settings.kafka.client
        for section in ("client", "secret_files"):
            for name in self.names(("kafka", section)):
                self._client_key(("kafka", section, name), name, client)

    def _client_key(self, key: Key, name: str, client: Mapping[str, str]) -> None:
        node = self.tree.at(key)
        if name in OWNED:
            self.say((key,), "driftd sets this itself", OWNED[name])
        elif name in BROKERS_OWN and client.get("group.protocol") == "consumer":
            remedy = "remove it, or remove group.protocol"
            self.say((key,), "with group.protocol consumer this is the broker's to set", remedy)
        elif key[1] == "client" and SECRET.search(name) and node is not None and node.place.file != ENVIRONMENT:
            variable = "DRIFTD_KAFKA__CLIENT__" + name.upper().replace(".", "_")
            remedy = f'put it into a file and name that in kafka.secret_files."{name}", or set {variable}'
            self.say((key,), "a secret in the settings", remedy)

    def _topics(self) -> None:
        kafka = self.settings.kafka
        topics = kafka.topics.all()
        if not topics:
            self.say((("kafka", "topics"),), "no topic is read", "name a topic of predictions, features or labels")
        dead = kafka.dead_letters.topic
        feeding = [pattern for pattern in topics if dead is not None and covers(pattern, dead)]
        if feeding:
            problem = f"{dead} is also read, by `{feeding[0]}`: what cannot be decoded would come back for ever"
            keys = ("kafka", "dead_letters", "topic"), ("kafka", "topics")
            self.say(keys, problem, "name another topic, or narrow the expression")
        written = self.tree.at(("kafka", "schema_registry"))
        registry = written is not None and written.value is not None  # one that is refused is there, too
        for name in kafka.mapping:
            if name not in topics:
                remedy = "write it as it stands in kafka.topics, or add it there"
                self.say((("kafka", "mapping", name),), "a mapping of something that is not in kafka.topics", remedy)
            form = kafka.mapping[name].format
            if form in FRAMED and not registry:
                remedy = "add kafka.schema_registry: {url: ...}"
                self.say((("kafka", "mapping", name, "format"),), f"`{form}` needs a schema registry", remedy)
            kind = kafka.mapping[name].kind
            if kind is not None and kind.const not in (None, "prediction", "features", "label"):
                key = ("kafka", "mapping", name, "kind", "const")
                self.say((key,), f"`{kind.const}` is no kind of event", "write prediction, features or label")

    def _receivers(self) -> None:
        known = self.names(("receivers",))
        named: list[tuple[Key, str | None]] = [(("heartbeat", "receiver"), self.settings.heartbeat.receiver)]
        # Numbered as written: a refused route has gone from the settings, not from the tree.
        routes = self.tree.at(("routes",))
        for number, route in enumerate(routes.value if routes is not None and isinstance(routes.value, list) else ()):
            receiver = route.child("receiver")
            text = receiver.value if receiver is not None else None
            named.append((("routes", number, "receiver"), text if isinstance(text, str) else None))
        for key, name in named:
            if name is not None and name not in known:
                near = nearest(name, known)
                remedy = (
                    f"did you mean `{near}`?" if near else f"add it under `receivers`: {', '.join(known) or 'none yet'}"
                )
                self.say((key,), f"there is no receiver `{name}`", remedy)

    def _heartbeat(self) -> None:
        name = self.settings.heartbeat.receiver
        receiver = self.settings.receivers.get(name) if name is not None else None
        if receiver is not None and receiver.kind not in BEATING:
            problem = f"`{name}` is of the kind {receiver.kind}, where a message every minute would be read by people"
            self.say((("heartbeat", "receiver"),), problem, f"name one of the kinds {', '.join(BEATING)}")

    def _routes(self) -> None:
        """Names that nothing carries, and routes that nothing can reach."""
        labels = {label for model in self.settings.models.values() for label in model.labels}
        for number, route in enumerate(self.settings.routes):
            written: list[tuple[Key, str]] = [(("routes", number, "match", name), name) for name in route.match]
            written += [(("routes", number, "matchers", i), m.name) for i, m in enumerate(route.matchers)]
            for key, name in written:
                near = nearest(name, ROUTED)
                if name not in labels and name not in ROUTED and near:
                    self.say((key, key[:-1]), f"no notification has a `{name}`", f"did you mean `{near}`?")
            ends = not (route.match or route.matchers or route.goes_on)
            if ends and number + 1 < len(self.settings.routes):
                problem = f"is never looked at: routes[{number}] matches everything"
                self.say((("routes", number + 1),), problem, "put it before, or let that one `continue`")
                return
