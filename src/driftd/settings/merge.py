"""One tree out of many: files over built-in rules, the environment over files, each model over `monitoring`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from driftd.settings.document import Node
from driftd.settings.fault import BUILT_IN, ENVIRONMENT, Key, Ledger, Place
from driftd.settings.kafka import is_expression
from driftd.settings.keys import ANY, nearest
from driftd.settings.models import expressions, match
from driftd.settings.monitoring import BUILT_IN_RULES

PATHS: tuple[Key, ...] = (
    ("state", "directory"),
    ("kafka", "secret_files", ANY),
    ("kafka", "schema_registry", "password_file"),
    ("kafka", "schema_registry", "token_file"),
    ("kafka", "schema_registry", "ca_file"),
    ("kafka", "schema_registry", "certificate_file"),
    ("kafka", "schema_registry", "key_file"),
    ("kafka", "schema_registry", "key_password_file"),
    ("otlp", "header_files", ANY),
    ("monitoring", "reference", "file"),
    ("monitoring", "reference", "versions", ANY),
    ("models", ANY, "reference", "file"),
    ("models", ANY, "reference", "versions", ANY),
    ("receivers", ANY, "webhook", "secret_file"),
    ("receivers", ANY, "slack", "token_file"),
    ("receivers", ANY, "slack", "url_file"),
    ("receivers", ANY, "pagerduty", "routing_key_file"),
    ("receivers", ANY, "alertmanager", "password_file"),
    ("receivers", ANY, "alertmanager", "token_file"),
    ("receivers", ANY, "teams", "url_file"),
    ("receivers", ANY, "email", "password_file"),
    ("receivers", ANY, "email", "ca_file"),
)
"""Keys that hold paths, relative to the file that names them."""

_OWN = frozenset({"delta", "parameters"})
_DETECTOR = _OWN | {"detector", "min_effect", "direction", "resolve_after", "severity"}
_STATISTIC = frozenset({"statistic", "warning", "critical", "persist", "false_alarms"})
_LEARN, _FILES = frozenset({"learn"}), frozenset({"file", "versions"})


def overlay(base: Node | None, top: Node, key: Key = ()) -> Node:
    """`top` over `base`, map by map. Null changes nothing, unless it says something: no rule, no retraining."""
    if base is None or not isinstance(base.value, dict):
        return top
    if top.value is None and not _may_be_null(key):
        return base
    if not isinstance(top.value, dict):
        return top
    dropped = _excluded(base.value, top.value, key)
    merged = {name: node for name, node in base.value.items() if name not in dropped}
    for name, node in top.value.items():
        merged[name] = overlay(merged.get(name), node, (*key, name))
    return Node(merged, top.place)


def complete(tree: Node, ledger: Ledger) -> Node:
    """The tree with the built-in rules below `monitoring`, that below each expression for models, what matches of these
    below each model, and paths made whole.
    """
    place = tree.place_of(("monitoring",))
    built_in = Node({"rules": _built_in(BUILT_IN_RULES, ("monitoring", "rules"))}, place)
    monitoring = tree.child("monitoring") or Node({}, place)
    _unknown_removals(built_in, monitoring, ledger)
    watched = overlay(built_in, monitoring, ("monitoring",))
    tree = tree.put(("monitoring",), _without_null_rules(watched))
    models = tree.child("models")
    if models is not None and isinstance(models.value, dict):
        merged: dict[str, Node] = {}
        among = expressions(models.value)
        for name, node in sorted(models.value.items(), key=lambda item: not is_expression(item[0])):
            model = Node({}, node.place) if node.value is None else node
            base = merged.get(match(name, among) or "", watched)
            _unknown_removals(base, model, ledger)
            merged[name] = _without_null_rules(overlay(base, model, ("models", name)))
        tree = tree.put(("models",), Node({name: merged[name] for name in models.value}, models.place))
    for pattern in PATHS:
        tree = _changed(tree, pattern, _whole_path)
    return tree


def _may_be_null(key: Key) -> bool:
    match key:
        case (*_, "rules", _) | (*_, "retrain"):
            return True
        case _:
            return False


def _excluded(base: Mapping[str, Node], top: Mapping[str, Node], key: Key) -> frozenset[str]:
    """What `base` says and no longer holds, because `top` chose another of several ways."""
    given = frozenset(top)
    match key:
        case ("monitoring", "reference") | ("models", _, "reference"):
            return (_FILES if given & _LEARN else frozenset()) | (_LEARN if given & _FILES else frozenset())
        case ("monitoring", "rules", _) | ("models", _, "rules", _):
            if "detector" in given:
                other = "detector" in base and base["detector"].value != top["detector"].value
                return _STATISTIC | _OWN if other else _STATISTIC
            return _DETECTOR if "statistic" in given else frozenset()
        case _:
            return frozenset()


def _built_in(value: object, key: Key) -> Node:
    place = Place(BUILT_IN, 0, key)
    if isinstance(value, dict):
        return Node({name: _built_in(inner, (*key, name)) for name, inner in value.items()}, place)
    if isinstance(value, list):
        return Node([_built_in(inner, (*key, number)) for number, inner in enumerate(value)], place)
    assert value is None or isinstance(value, str | int | float)
    return Node(value, place)


def _is_removal(node: Node) -> bool:
    return node.value is None or node.value is False


def _unknown_removals(base: Node, top: Node, ledger: Ledger) -> None:
    """A rule set to null that is not there: somebody believes that they removed another."""
    known = base.at(("rules",))
    names = list(known.value) if known is not None and isinstance(known.value, dict) else []
    rules = top.at(("rules",))
    for name, node in (rules.value if rules is not None and isinstance(rules.value, dict) else {}).items():
        if _is_removal(node) and name not in names:
            near = nearest(name, names)
            meant = f"did you mean `{near}`?" if near else f"rules: {', '.join(names)}"
            ledger.add(node.place, "there is no such rule to remove", meant)


def _without_null_rules(node: Node) -> Node:
    rules = node.at(("rules",))
    if rules is None or not isinstance(rules.value, dict):
        return node
    kept = {name: rule for name, rule in rules.value.items() if not _is_removal(rule)}
    return node.put(("rules",), Node(kept, rules.place))


def _changed(node: Node, pattern: Key, change: Callable[[Node], Node]) -> Node:
    if not pattern:
        return change(node)
    if not isinstance(node.value, dict):
        return node
    name, rest = pattern[0], pattern[1:]
    branches = {
        key: _changed(branch, rest, change) if name in (ANY, key) else branch for key, branch in node.value.items()
    }
    return Node(branches, node.place)


def _whole_path(node: Node) -> Node:
    if not isinstance(node.value, str) or not node.value or node.place.file == ENVIRONMENT:
        return node
    return Node(str(Path(node.place.file).parent / node.value), node.place)
