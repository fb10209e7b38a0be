"""A YAML document as a tree in which every value knows the file, the line and the key where it was written.

The document is read event by event with PyYAML's safe loader, because its own composer bounds nothing: here size,
depth and the growth by aliases are bounded, a key given twice is a fault, and keys are always text, so that `on:` is
not `True` and version `8:` is "8".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import yaml

from driftd.settings.fault import Key, Ledger, Place

MAX_BYTES = 16 * 1024 * 1024
MAX_DEPTH = 32
MAX_ALIASED = 100_000
"""Values that aliases may add to those that are written out."""

Value = None | bool | int | float | str | dict[str, "Node"] | list["Node"]

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAG = "tag:yaml.org,2002:"
_EXPONENT = re.compile(r"[-+]?\d{1,20}(\.\d{0,40})?[eE][-+]?\d{1,3}")


@dataclass(frozen=True, slots=True)
class Node:
    """A value and where it was written. Never changed in place: trees share their branches."""

    value: Value
    place: Place

    def plain(self) -> object:
        """The value without its places."""
        match self.value:
            case dict(items):
                return {name: node.plain() for name, node in items.items()}
            case list(items):
                return [node.plain() for node in items]
            case scalar:
                return scalar

    def child(self, name: str | int) -> Node | None:
        """The node one step down: a key of a mapping, an item of a list."""
        match self.value:
            case dict(items) if isinstance(name, str):
                return items.get(name)
            case list(items) if isinstance(name, int) and name < len(items):
                return items[name]
            case _:
                return None

    def at(self, key: Key) -> Node | None:
        """The node at the end of the key, if all of it exists."""
        node: Node | None = self
        for step in key:
            node = node.child(step) if node is not None else None
        return node

    def place_of(self, key: Key) -> Place:
        """Where the key was written; if it was not, where it would be: the line of what should hold it."""
        for cut in range(len(key), -1, -1):
            node = self.at(key[:cut])
            if node is not None:
                missing = key[cut:] if isinstance(node.value, dict) else ()
                return Place(node.place.file, node.place.line, (*node.place.key, *missing))
        return self.place

    def put(self, key: Key, node: Node | None) -> Node:
        """The tree with another node at the key, or with none there. What leads to it must exist."""
        if not key:
            return node if node is not None else Node({}, self.place)
        if isinstance(self.value, list) and isinstance(key[0], int):
            items = [
                item if number != key[0] else item.put(key[1:], node) if key[1:] else node
                for number, item in enumerate(self.value)
            ]
            return Node([item for item in items if item is not None], self.place)
        if not isinstance(self.value, dict | None) or not isinstance(key[0], str):
            return self
        name, rest = key[0], key[1:]
        branches = dict(self.value or {})
        held = branches.get(name)
        changed = (held or Node({}, self.place_of((name,)))).put(rest, node) if rest else node
        if changed is None:
            branches.pop(name, None)
        else:
            branches[name] = changed
        return Node(branches, self.place)


class _StopError(Exception):
    """The rest of the document cannot be read."""


def read(path: Path, ledger: Ledger, root: Key = ()) -> Node | None:
    """The document in a file; None, with a fault in the ledger, if it cannot be read. `root`: the key it hangs from."""
    place = Place(str(path), 0)
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        ledger.add(
            place, "there is no such file", "name one with --config or DRIFTD_CONFIG; config/driftd.yaml is a start"
        )
        return None
    except OSError as error:
        ledger.add(place, f"cannot be read: {error.strerror}", "name a file that this user may read")
        return None
    if len(raw) > MAX_BYTES:
        remedy = "put models into files of their own in models.d/"
        ledger.add(place, f"larger than {MAX_BYTES >> 20} MiB", remedy)
        return None
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        ledger.add(Place(str(path), line), "not UTF-8 text", "save the file as UTF-8")
        return None
    return parse(text, Place(str(path), 1, root), ledger)


def parse(text: str, place: Place, ledger: Ledger) -> Node | None:
    """The one document in a text, an empty one as an empty mapping; None, with a fault in the ledger, if broken."""
    builder = None
    try:
        builder = _Builder(text, place, ledger)
        return builder.document()
    except _StopError:
        return None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else place.line
        problem = str(error.problem or "not YAML")
        tab = "\t" in (text.splitlines() or [""])[min(line, text.count("\n") + 1) - 1] or "\\t" in problem
        remedy = "indent with spaces, never with tabs" if tab else "mend the YAML on this line or just above it"
        ledger.add(_line(place, line), f"not YAML: {problem}", remedy)
        return None
    except yaml.YAMLError:
        line = next((n for n, row in enumerate(text.splitlines(), 1) if not row.replace("\t", " ").isprintable()), 1)
        ledger.add(_line(place, line), "not YAML: a control character", "remove the character that does not print")
        return None
    finally:
        if builder is not None:
            builder.loader.dispose()


def _line(place: Place, line: int) -> Place:
    """The same place, further down. An environment variable has no lines."""
    return Place(place.file, line if place.line else 0, place.key)


class _Builder:
    """Turns the events of one document into nodes."""

    def __init__(self, text: str, place: Place, ledger: Ledger) -> None:
        self.loader = _Loader(text)
        self.place = place
        self.ledger = ledger
        self.anchors: dict[str, tuple[Node, int]] = {}
        self.made = 0
        self.aliased = 0

    def document(self) -> Node:
        loader = self.loader
        loader.get_event()  # the start of the stream
        if loader.check_event(yaml.StreamEndEvent):
            return Node({}, self.place)
        loader.get_event()  # the start of the document
        root = self._node(self.place.key, 0)
        loader.get_event()  # its end
        if not loader.check_event(yaml.StreamEndEvent):
            self._stop(loader.peek_event(), "a second document", "keep one document, without `---` after it")
        return root if root.value is not None or not self.place.line else Node({}, self.place)

    def _at(self, event: yaml.Event, key: Key | None = None) -> Place:
        line = event.start_mark.line + 1 if self.place.line and event.start_mark else 0
        return Place(self.place.file, line, self.place.key if key is None else key)

    def _stop(self, event: yaml.Event, problem: str, remedy: str, key: Key | None = None) -> NoReturn:
        self.ledger.add(self._at(event, key), problem, remedy)
        raise _StopError

    def _node(self, key: Key, depth: int) -> Node:
        event = self.loader.get_event()
        if depth > MAX_DEPTH:
            self._stop(event, f"nested more than {MAX_DEPTH} deep", "flatten it: no setting lies that deep", ())
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, key)
        before = self.made + self.aliased
        self.made += 1
        place = self._at(event, key)
        node: Node
        if isinstance(event, yaml.ScalarEvent):
            node = Node(self._scalar(event, key), place)
        elif isinstance(event, yaml.MappingStartEvent):
            self._plain_tag(event, "map", key)
            node = Node(self._mapping(key, depth), place)
        else:
            self._plain_tag(event, "seq", key)
            items: list[Node] = []
            while not self.loader.check_event(yaml.SequenceEndEvent):
                items.append(self._node((*key, len(items)), depth + 1))
            self.loader.get_event()
            node = Node(items, place)
        if event.anchor is not None:
            self.anchors[event.anchor] = node, self.made + self.aliased - before
        return node

    def _alias(self, event: yaml.AliasEvent, key: Key) -> Node:
        if event.anchor not in self.anchors:
            self._stop(event, "an alias of nothing that stands before it", "define the anchor (&name) further up", key)
        node, size = self.anchors[event.anchor]
        self.aliased += size
        if self.aliased > MAX_ALIASED:
            self._stop(event, f"aliases grow to more than {MAX_ALIASED:,} values", "write the values out", key)
        return node

    def _mapping(self, key: Key, depth: int) -> dict[str, Node]:
        merged: dict[str, Node] = {}
        found: dict[str, Node] = {}
        lines: dict[str, int] = {}
        while not self.loader.check_event(yaml.MappingEndEvent):
            event = self.loader.get_event()
            if not isinstance(event, yaml.ScalarEvent):
                self._stop(event, "a key that is not text", "write a plain name before the colon", key)
            name = event.value
            place = self._at(event, (*key, name))
            node = self._node((*key, name), depth + 1)
            if name == "<<" and event.implicit[0]:
                merged = self._merge(event, node, key) | merged
            elif name in found:
                self.ledger.add(place, f"given twice, first in line {lines[name]}", "keep one of the two")
            else:
                # The line of a key is where people look, not that of a block that begins below it.
                aliased = node.place.key != place.key
                found[name], lines[name] = (node if aliased else Node(node.value, place)), place.line
        self.loader.get_event()
        return merged | found

    def _merge(self, event: yaml.Event, node: Node, key: Key) -> dict[str, Node]:
        sources = node.value if isinstance(node.value, list) else [node]
        merged: dict[str, Node] = {}
        for source in sources:
            if not isinstance(source.value, dict):
                self._stop(event, "`<<` merges something that is not a mapping", "give it an alias of a mapping", key)
            else:
                merged = source.value | merged
        return merged

    def _plain_tag(self, event: yaml.CollectionStartEvent, kind: str, key: Key) -> None:
        if event.tag not in (None, "!", _TAG + kind):
            self._stop(event, f"the tag {event.tag}", "remove the tag: settings are plain text and numbers", key)

    def _scalar(self, event: yaml.ScalarEvent, key: Key) -> Value:
        text: str = event.value
        tag = event.tag
        if tag is None or tag == "!":
            tag = self.loader.resolve(yaml.ScalarNode, text, event.implicit)
        known = {_TAG + name for name in ("null", "bool", "int", "float", "str", "timestamp", "value", "merge")}
        if tag not in known:
            self._stop(event, f"the tag {tag}", "remove the tag: settings are plain text and numbers", key)
        if tag == _TAG + "str" and event.implicit[0] and _EXPONENT.fullmatch(text):
            return float(text)  # YAML 1.1 wants a dot and a sign in 1e-3; people do not
        # 1:30 is not ninety, and dates are text.
        if ":" in text or tag not in (_TAG + "null", _TAG + "bool", _TAG + "int", _TAG + "float"):
            return text
        try:
            value: Value = self.loader.construct_object(yaml.ScalarNode(tag, text))
        except (ValueError, KeyError):
            self._stop(event, "not a value of its tag", "write a plain value, in quotes if it is text", key)
        return value
