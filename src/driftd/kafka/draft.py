"""Settings for a topic, drafted from what a sample of it shows, and what a person should look at in them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from driftd.core.event import Kind
from driftd.kafka.mapping import FIELDS, default_path
from driftd.kafka.names import good_name
from driftd.kafka.sniff import FEATURES, READABLE, Candidate, Finding

MOST_MODELS: Final = 20


@dataclass(slots=True)
class Draft:
    """`settings`: as YAML would give them. `notes`: what could not be told, with what to do."""

    settings: dict[str, Any]
    notes: list[str] = field(default_factory=list)


def draft(
    found: Finding,
    topic: str,
    servers: str,
    model: str | None = None,
    registry: Mapping[str, Any] | None = None,
    *,
    earliest: bool = False,
) -> Draft:
    """`model`: the one that all records are of, where the person knows better. `registry`: the settings of the one that
    the schemas come from. `earliest`: what is there is read, too.
    """
    notes: list[str] = []
    kinds = _kinds(found, notes)
    names = {"prediction": "predictions", "features": "features", "label": "labels"}
    topics = {name: [topic] if kind in kinds else [] for kind, name in names.items()}
    kafka: dict[str, Any] = {
        "bootstrap_servers": servers,
        **({"start": "earliest"} if earliest else {}),
        "topics": topics,
    }
    mapping, models = _mapping(found, topic, model, notes)
    if found.format != "native" or model is not None:
        kafka["mapping"] = {topic: mapping}
    if found.schemas and registry is not None:
        kafka["schema_registry"] = dict(registry)
    apart: dict[str, Any] = {"features_from": "features"} if kinds[:2] == ["prediction", "features"] else {}
    if len(models) > MOST_MODELS:
        notes.append(f"{len(models)} models were seen; all are watched, the first {MOST_MODELS} are listed")
    settings: dict[str, Any] = {"kafka": kafka}
    if apart and "features" in found.kinds and found.format == "kserve":
        settings["monitoring"] = apart  # of models that come later, too
    settings["models"] = {name: {} for name in sorted(models)[:MOST_MODELS]}
    return Draft(settings, notes)


def _kinds(found: Finding, notes: list[str]) -> list[Kind]:
    """The kinds of event that the records seem to be; requests and responses of KServe come apart."""
    said: list[Kind] = [kind for kind in ("prediction", "features", "label") if found.kinds[kind]]
    if said and (found.format == "kserve" or not found.kinds[""]):
        return said
    if found.candidates.get("prediction"):
        return ["prediction"]
    if found.candidates.get("label") and not found.features:
        return ["label"]
    notes.append("no field looks like a prediction: listed as a topic of features; if it holds predictions, map one")
    return ["features"]


def _mapping(found: Finding, topic: str, model: str | None, notes: list[str]) -> tuple[dict[str, Any], set[str]]:
    form = READABLE[found.format]
    mapping: dict[str, Any] = {"format": form} if form != "json" else {}
    models: set[str] = set()
    best = _best(found)
    if model is not None:
        mapping["model"], models = {"const": model}, {model}
    elif "model" in best:
        mapping["model"] = {best["model"].by: best["model"].what}
        models = {name for name in best["model"].field.distinct if isinstance(name, str) and good_name(name)}
    else:
        mapping["model"], models = {"const": topic}, {topic}
        notes.append(f"no field names the model: all records are taken to be of one, `{topic}`; --model names it")
    for name in FIELDS[2:] if form == "kserve" else FIELDS:
        if name in best and name != "model" and best[name].what != default_path(form, name):
            mapping[name] = {best[name].by: best[name].what}
    if form == "kserve" and "version" in best and best["version"].what == default_path(form, "version"):
        notes.append("only responses name a version: the features of requests are `unversioned`")
    _features(found, form, mapping, notes)
    for missing, why in (("time", "the Kafka timestamp is taken"), ("prediction", "no score or class is watched")):
        if missing not in best and (missing != "prediction" or "label" not in best):
            late = [
                f.path
                for f in found.fields.by_path.values()
                if missing == "time" and f.looks["epoch_s"] == f.filled > 0 and _timely(f.path)
            ]
            hint = f"; {late[0]} looks like epoch seconds: send milliseconds" if late else ""
            notes.append(f"no field is taken as {missing}: {why}{hint}")
    for one, others in found.candidates.items():
        taken = best[one].what if one in best else ""
        # The header of a CloudEvent's attribute is the attribute.
        rest = [other.what for other in others if other.what not in (taken, f"ce_{taken}", f"ce-{taken}")]
        if taken and rest:
            notes.append(f"{one} is taken from {taken}; it might also be {', '.join(rest)}")
    return mapping, models


def _best(found: Finding) -> dict[str, Candidate]:
    """The first candidate of each field; none is taken for two, and an id is nearly always another."""
    best: dict[str, Candidate] = {}
    taken: set[str] = set()
    for name, candidates in found.candidates.items():
        for one in candidates:
            if one.what not in taken and (name != "label" or "label" in found.kinds or not best.get("prediction")):
                best[name] = one
                taken.add(one.what)
                break
    return best


def _features(found: Finding, form: str, mapping: dict[str, Any], notes: list[str]) -> None:
    if not found.features:
        notes.append("no object of plain values looks like features")
        return
    path, values = found.features[0]
    default = default_path(form, "features")  # type: ignore[arg-type]
    if path != default and "inputs" not in default:
        mapping["features"] = {"path": path or "."}
    nested = [f.path for f in found.fields.children(path) if f.types.keys() & {"object", "array", "unreadable"}]
    nested = [one for one in nested if not any(_within(one, said) for said in mapping.values())]
    if nested and path:
        notes.append(
            f"of the features {', '.join(nested[:5])} are objects, arrays or bytes, which are errors of these signals alone"
        )
    others = [other for other, n in found.features[1:] if _rivals(path, values, other, n)]
    if others and values and form != "kserve":
        rest = ", ".join(other or "the record itself" for other in others[:3])
        notes.append(f"features are taken from {path or 'the record itself'}; they might also be in {rest}")


def _rivals(path: str, values: int, other: str, others: int) -> bool:
    """Whether a person should look at the other object, too: it has a name that features have, or as many values."""
    if not other or path.startswith(f"{other}."):
        return others >= values
    return other.rpartition(".")[2].lower() in FEATURES or others >= values


def _within(path: str, said: object) -> bool:
    """Whether a source of the mapping is read from inside an object."""
    where = said.get("path") if isinstance(said, dict) else None
    return isinstance(where, str) and (where == path or where.startswith(f"{path}."))


def _timely(path: str) -> bool:
    return re.search(r"time|(^|[._])(ts|at)$", path.lower()) is not None
