"""The environment over the files: `DRIFTD_SECTION__KEY`, two underscores for each step down, in any case.

Names in maps are found among those that exist, and a misspelt one is a fault, never a new entry; to add entries, give
the map itself in flow style: `DRIFTD_MODELS='{fraud: {}}'`. Only librdkafka's settings can be added one by one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from driftd.settings.document import Node, parse
from driftd.settings.fault import ENVIRONMENT, Key, Ledger, Place
from driftd.settings.keys import ANY, ITEM, Shape, leaves, nearest, shape
from driftd.settings.merge import overlay
from driftd.settings.monitoring import BUILT_IN_RULES
from driftd.settings.schema import Settings

PREFIX = "DRIFTD_"
_OTHERS = re.compile(r"DRIFTD_(CONFIG|SHARED_DATA|TEST_\w*)")
"""Variables with our prefix that are no settings."""
_SERVICE = re.compile(r"DRIFTD_(\w+_)?(SERVICE_(HOST|PORT)(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)")
_SERVICE_URL = re.compile(r"(tcp|udp|sctp)://")
"""What Kubernetes puts into every container of a namespace that has a Service called driftd."""
_FREE = (("kafka", "client"), ("kafka", "secret_files"))
"""Maps whose names are librdkafka's: SASL_PASSWORD means sasl.password."""


def apply(tree: Node, environ: Mapping[str, str], ledger: Ledger) -> Node:
    """The tree with every variable of ours in it, the more specific over the less."""
    ours = [name for name in environ if name.upper().startswith(PREFIX) and not _not_a_setting(name, environ[name])]
    for name in sorted(ours, key=lambda name: (name.count("__"), name)):
        place = Place(ENVIRONMENT, 0, (name,))
        key = _find(name, tree, ledger, place)
        if key is None:
            continue
        raw = key[:-1] in _FREE
        node = Node(environ[name], place) if raw else parse(environ[name], place, ledger)
        if node is not None:
            tree = tree.put(key, overlay(tree.at(key), node, key))
    return tree


def _not_a_setting(name: str, value: str) -> bool:
    upper = name.upper()
    if _OTHERS.fullmatch(upper) or _SERVICE.fullmatch(upper):
        return True
    return upper.endswith("_PORT") and _SERVICE_URL.match(value) is not None


def _find(name: str, tree: Node, ledger: Ledger, place: Place) -> Key | None:
    """The key that a variable means; None, with a fault in the ledger, if it means none or several."""
    key: tuple[str, ...] = ()
    below = shape(Settings)
    steps = name[len(PREFIX) :].split("__")
    for number, step in enumerate(steps):
        if below.named is not None and key in _FREE:
            found = [".".join(steps[number:]).lower().replace("_", ".")]
            return (*key, *found)
        known = _names(below, key, tree)
        exact = [known_name for known_name in known if known_name.lower() == step.lower()]
        found = exact or [known_name for known_name in known if _variable(known_name) == step.upper()]
        if len(found) > 1:
            ledger.add(place, f"means several keys: {', '.join(found)}", "set this one in the file")
            return None
        deeper = below.below(found[0]) if found else None
        if deeper is None:
            _unknown(name, steps, number, known, ledger, place)
            return None
        key, below = (*key, found[0]), deeper
    return key


def _names(below: Shape, key: Key, tree: Node) -> list[str]:
    """The names that may stand below a key: its fields, or those that people gave it."""
    if below.named is None:
        return list(below.fields)
    held = tree.at(key)
    names = list(held.value) if held is not None and isinstance(held.value, dict) else []
    if key[-1:] == ("rules",):  # what is inherited can be overridden, too
        inherited = tree.at(("monitoring", "rules"))
        names += list(inherited.value) if inherited is not None and isinstance(inherited.value, dict) else []
        names += BUILT_IN_RULES
    return list(dict.fromkeys(names))


def _unknown(name: str, steps: list[str], number: int, known: list[str], ledger: Ledger, place: Place) -> None:
    """The step that has no meaning, and what was probably meant: another name there, or a key written otherwise."""
    variables = [_variable(other) for other in known]
    near = nearest(steps[number], variables)
    if near and len(steps) > 1:
        meant: str | None = PREFIX + "__".join([*steps[:number], near, *steps[number + 1 :]]).upper()
    else:
        fixed = (leaf for leaf in leaves(shape(Settings)) if not {ANY, ITEM} & set(leaf))
        meant = nearest(name, [PREFIX + "__".join(map(_variable, leaf)) for leaf in fixed])
    if meant:
        remedy = f"did you mean {meant}?"
    elif number and variables:
        remedy = f"names there: {', '.join(known)}"
    else:
        remedy = "unset it; docs/settings.md lists every key"
    ledger.add(place, "no setting has this name", remedy)


def _variable(name: str) -> str:
    """A name as the environment can hold it: churn-v2 is CHURN_V2."""
    return re.sub(r"[^A-Z0-9_]", "_", name.upper())
