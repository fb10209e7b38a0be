"""`driftd receivers test NAME`: sends a notification, marked as a test, and says what the receiver answered."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Final

from driftd.core.action import Delivery, rfc3339, stable_id
from driftd.core.fault import UserError, printable
from driftd.deliver.receiver import Sent
from driftd.outlet import receiver_for
from driftd.settings.load import load

TEST_TYPE: Final = "driftd.test"


def test(config: Path, name: str) -> int:
    """One attempt, past the outbox. 0: the receiver took it; 1: it did not. Raises UserError for an unknown name."""
    settings = load(config, os.environ)
    if name not in settings.receivers:
        known = ", ".join(sorted(settings.receivers)) or "none is set"
        raise UserError(f"no receiver has the name {name!r}", f"the settings name: {known}")
    receiver = receiver_for(settings, name)
    try:
        outcome = receiver.send(notification(settings.kafka.group_id, name, int(time.time() * 1000)))
    finally:
        receiver.close()
    taken = isinstance(outcome, Sent)
    said = outcome.status if isinstance(outcome, Sent) else outcome.error
    line = f"{name}: {'accepted' if taken else 'not accepted'}: {said}" + (
        f": {outcome.answer}" if outcome.answer else ""
    )
    (sys.stdout if taken else sys.stderr).write(printable(line) + "\n")
    return 0 if taken else 1


def notification(group: str, receiver: str, timestamp: int) -> Delivery:
    """`timestamp`: ms. Of a type of its own, so that nobody takes it for an alert."""
    name = stable_id("test", group, receiver, timestamp)
    document = {
        "type": TEST_TYPE,
        "id": name,
        "timestamp": rfc3339(timestamp),
        "data": {"group": group, "receiver": receiver, "message": "This is a test of driftd. Nothing has drifted."},
    }
    body = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    return Delivery(0, receiver, name, TEST_TYPE, body.encode(), timestamp)
