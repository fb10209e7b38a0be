"""From files and environment to Settings: read, merge, validate, and say all that is wrong at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from pydantic import ValidationError

from driftd.settings import environment
from driftd.settings.across import Across
from driftd.settings.document import Node, read
from driftd.settings.fault import Fault, Key, Ledger, Place, SettingsError, written
from driftd.settings.merge import complete, overlay
from driftd.settings.schema import Settings
from driftd.settings.wording import describe, key_of

MODELS_FOLDER = "models.d"


@dataclass(frozen=True, slots=True)
class Examined:
    """What the files say. `settings`: without the keys that are at fault; None if there was nothing to read."""

    settings: Settings | None
    faults: tuple[Fault, ...]
    tree: Node

    def fault(self, key: Key, problem: str, remedy: str) -> Fault:
        """A fault that somebody else found, at the place where the key was written."""
        place = self.tree.place_of(key)
        return Fault(place.file, place.line, written(place.key), problem, remedy)


def load(path: Path, environ: Mapping[str, str], rules: Path | None = None) -> Settings:
    """The settings in a file, its `models.d/*.yaml` and the environment. `rules`: a file of rules by name, laid over those
    of every model.

    Raises SettingsError with every fault, each with file, line, key and remedy.
    """
    examined = examine(path, environ, rules)
    if examined.faults or examined.settings is None:
        raise SettingsError(examined.faults)
    return examined.settings


def examine(path: Path, environ: Mapping[str, str], rules: Path | None = None) -> Examined:
    """Like `load`, but goes on past faults, so that the next checks can find theirs in the same run."""
    ledger = Ledger()
    tree = read(path, ledger)
    if tree is not None and not isinstance(tree.value, dict):
        ledger.add(tree.place, "the document is not a mapping", "write `key: value` lines, as in config/driftd.yaml")
        tree = None
    if tree is None:
        return Examined(None, ledger.sorted(), Node({}, Place(str(path), 0)))
    tree = _with_models(tree, path, ledger)
    tree = environment.apply(tree, environ, ledger)
    if rules is not None:
        tree = _with_rules(tree, rules, ledger)
    tree = complete(tree, ledger)
    settings, refused = _validated(tree, ledger)
    Across(settings, tree, refused, ledger).check()
    return Examined(settings, ledger.sorted(), tree)


def _with_models(tree: Node, path: Path, ledger: Ledger) -> Node:
    """The tree with the models of `models.d/*.yaml`: each file is a map of names to models."""
    folder = path.parent / MODELS_FOLDER
    try:
        files = sorted(file for file in folder.iterdir() if not file.name.startswith("."))
    except (FileNotFoundError, NotADirectoryError):
        return tree
    except OSError as error:
        ledger.add(Place(str(folder), 0), f"cannot be read: {error.strerror}", "let this user read the folder")
        return tree
    held = tree.child("models")
    for file in files:
        if file.suffix == ".yml":
            ledger.add(Place(str(file), 0), "not read: its name ends in .yml", "rename it to .yaml")
        if file.suffix != ".yaml":
            continue
        found = read(file, ledger, ("models",))
        if found is None:
            continue
        if not isinstance(found.value, dict):
            ledger.add(found.place, "the document is not a mapping", "write `NAME:` and the model's settings below it")
            continue
        for name, node in found.value.items():
            other = held.child(name) if held is not None else None
            if other is not None:
                where = f"{other.place.file}:{other.place.line}"
                ledger.add(node.place, f"given twice, first in {where}", "keep one of the two")
        held = overlay(found, held, ("models",)) if held is not None else found
    return tree if held is None else tree.put(("models",), held)


def _with_rules(tree: Node, path: Path, ledger: Ledger) -> Node:
    """The tree with the rules of a file over those of all models."""
    found = read(path, ledger, ("monitoring", "rules"))
    if found is None:
        return tree
    if not isinstance(found.value, dict):
        ledger.add(
            found.place, "the document is not a mapping", "write `NAME:` and the rule below it, as under `rules`"
        )
        return tree
    models = tree.child("models")
    of_models = [
        ("models", name) for name in (models.value if models is not None and isinstance(models.value, dict) else ())
    ]
    for scope in (("monitoring",), *of_models):
        key = (*scope, "rules")
        if scope == ("monitoring",) or tree.at(key) is not None:
            tree = tree.put(key, overlay(tree.at(key), found, key))
    return tree


def _validated(tree: Node, ledger: Ledger) -> tuple[Settings, set[Key]]:
    """The settings, and the keys that had to be left out of them because they are wrong.

    A key that is wrong is taken out and the rest looked at again, until it holds: so one run finds every fault.
    """
    refused: set[Key] = set()
    removed: set[Key] = set()
    while True:
        # What begins with _ would be an option of BaseSettings itself.
        odd = [name for name in cast("dict[str, Node]", tree.value) if name.startswith("_")]
        for name in odd:
            ledger.add(tree.place_of((name,)), "unknown key", "remove it; docs/settings.md lists every key")
            tree = tree.put((name,), None)
        try:
            return Settings(**cast("dict[str, Any]", tree.plain())), refused
        except ValidationError as error:
            wrong: set[Key] = set()
            for details in error.errors():
                key = key_of(details)
                # Else it is missing because of us, or a section is not whole because of us.
                ours = {key[: cut + 1] for cut in range(len(key))} & removed
                if not ours and not any(gone[: len(key)] == key for gone in removed):
                    ledger.add(tree.place_of(key), *describe(details))
                refused.add(key)
                wrong.add(_removable(tree, key[:-1] if details["type"] == "missing" else key))
            for key in wrong:
                tree = tree.put(key, None) if tree.at(key) is not None else tree
            removed |= wrong


def _removable(tree: Node, key: Key) -> Key:
    """What of the key was written; of a list all, so that its items keep their numbers."""
    key = next((key[:cut] for cut, step in enumerate(key) if isinstance(step, int)), key)
    while key and tree.at(key) is None:
        key = key[:-1]
    return key
