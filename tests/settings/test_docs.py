"""docs/settings.md and config/driftd.yaml are compared with the fields themselves, so that they cannot rot."""

import re
from pathlib import Path
from typing import Annotated, Any

import pytest
import yaml
from pydantic import TypeAdapter
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from driftd.settings.keys import ANY, ITEM, leaves, shape
from driftd.settings.load import load
from driftd.settings.schema import Settings

ROOT = Path(__file__).parents[2]
DOCS = (ROOT / "docs" / "settings.md").read_text()
SHIPPED = ROOT / "config" / "driftd.yaml"
ROWS = dict(re.findall(r"^\| `([^`]+)` \| ?([^|]*?) ?\| .+ \|$", DOCS, re.MULTILINE))


def fields() -> dict[str, FieldInfo | None]:
    """Every key as the docs write it, with its field; what models share with `monitoring` once."""
    found: dict[str, FieldInfo | None] = {}
    for key in leaves(shape(Settings)):
        if key[:2] == ("models", ANY) and key[2] not in ("labels", "signals"):
            continue
        if key[:2] == ("kafka", "mapping") and key[3] not in ("features", "format"):
            key = key[:-1]  # noqa: PLW2901 - {const | path | header | topic} is told once
        parent = shape(Settings)
        for step in key[:-1]:
            parent = parent.below(step) or parent
        name = ".".join("NAME" if step == ANY else step for step in key).replace(f".{ITEM}", ITEM)
        found[name] = parent.fields.get(key[-1])
    return found


FIELDS = fields()


def test_every_key_is_told_and_no_other():
    assert sorted(ROWS) == sorted(FIELDS)


@pytest.mark.parametrize("name", sorted(FIELDS))
def test_defaults_are_told_as_they_are(name):
    info, cell = FIELDS[name], ROWS[name]
    if info is None:
        assert cell == ""
    elif info.is_required():
        assert cell == "required"
    else:
        field: Any = Annotated[info.annotation, name, *info.metadata]
        told = TypeAdapter[object](field).validate_python(yaml.safe_load(cell.strip("`")))
        default = info.get_default(call_default_factory=True)
        assert default is not PydanticUndefined
        assert told == default


def test_the_shipped_settings_are_the_defaults(tmp_path):
    empty = tmp_path / "driftd.yaml"
    empty.write_text("")
    shipped, default = load(SHIPPED, {}), load(empty, {})
    assert shipped.spec() == default.spec()
    for section in ("kafka", "state", "http", "deliver", "notify_max_age", "heartbeat", "receivers", "routes"):
        assert getattr(shipped, section) == getattr(default, section), section


def test_the_shipped_settings_hold_every_key():
    text = SHIPPED.read_text()
    missing = [name for name in FIELDS if not re.search(rf"\b{name.replace('[]', '').rpartition('.')[2]}\b", text)]
    assert [name for name in missing if not name.endswith("NAME")] == []
