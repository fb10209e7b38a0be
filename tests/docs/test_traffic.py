"""docs/traffic.md: its settings are taken, and say what the page says of them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from driftd.app import decoder_for
from driftd.core.event import PartitionId
from driftd.core.expect import due
from driftd.core.spec import Model
from driftd.settings.load import load
from driftd.settings.schema import Settings
from tests.docs import pages
from tests.kafka.records import run_of

PAGE = "docs/traffic.md"
BLOCKS = {block.body: number for number, block in enumerate(pages.blocks(PAGE, "yaml"))}
BERLIN = ZoneInfo("Europe/Berlin")


def settings(tmp_path: Path, body: str) -> Settings:
    path = tmp_path / "driftd.yaml"
    path.write_text(body)
    return load(path, {})


def shown(heading: str) -> str:
    """The settings of a section."""
    section = pages.text(PAGE).partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    (body,) = (body for body in BLOCKS if body in section)
    return body


@pytest.mark.parametrize("body", BLOCKS, ids=lambda body: f"block {BLOCKS[body]}")
def test_every_block_is_taken(body: str, tmp_path: Path):
    assert settings(tmp_path, body).spec().named()


def ms(text: str, zone: ZoneInfo | None = None) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=zone or UTC).timestamp() * 1000)


@pytest.mark.parametrize(
    ("heading", "heard", "overdue"),
    [
        ("Steady", "2026-11-24T10:00", "2026-11-24T11:00"),
        ("Office hours", "2026-11-27T17:50", "2026-11-30T08:20"),
        ("A nightly batch", "2026-11-24T02:30", "2026-11-25T04:00"),
        ("A nightly batch", "2026-11-24T05:00", "2026-11-25T04:00"),
        ("A weekly batch", "2026-11-22T15:00", "2026-11-30T00:00"),
    ],
)
def test_it_is_overdue_when_the_page_says(heading: str, heard: str, overdue: str, tmp_path: Path):
    zone = None if heading == "Steady" else BERLIN
    churn: Model = settings(tmp_path, shown(heading)).spec().models["churn"]
    assert due(churn.expect, ms(heard, zone)) == ms(overdue, zone)


def test_the_row_of_a_batch_has_the_time_of_its_tag(tmp_path: Path):
    made = settings(tmp_path, shown("A batch that is named by a tag"))
    (row,) = pages.json_documents(pages.block(PAGE, "json"))
    partition = PartitionId("scored", 0)
    wrong = row | {"tags": {"ds": "latest"}}
    block = decoder_for(made).decode(
        partition, run_of([json.dumps(row).encode(), json.dumps(wrong).encode()], partition)
    )
    (group,) = block.groups
    assert (group.model, group.version, group.kind) == ("churn", "7", "prediction")
    assert group.time.tolist() == [ms("2026-11-22")]
    (refused,) = block.malformed
    assert refused.detail in pages.text(PAGE)
