"""A sender over the outbox of a directory, until it is killed. Arguments: the directory, the URL of its receiver, and
`slack` where that is Slack's API.
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from driftd.deliver.backoff import Backoff
from driftd.deliver.receiver import Receiver
from driftd.deliver.sender import Patience, Sender
from driftd.deliver.slack import Slack
from driftd.deliver.webhook import Webhook
from driftd.store.memory import Memories
from driftd.store.outbox import Outbox
from tests.deliver.bodies import RENDERER
from tests.deliver.endpoint import SECRET
from tests.deliver.services import CHANNEL, TOKEN


def main() -> None:
    outbox = Outbox(Path(sys.argv[1]))
    patience = Patience(backoff=Backoff(0.01, 0.05), poll_s=0.02)
    receiver: Receiver = Webhook("ops", sys.argv[2], secret=SECRET, timeout_s=60.0)
    if sys.argv[3:] == ["slack"]:
        memory = Memories(Path(sys.argv[1])).of("slack ops")
        receiver = Slack(
            "ops", RENDERER, memory, token=TOKEN, channel=CHANNEL, api_url=sys.argv[2], timeout_s=60.0, every_s=0.0
        )
    Sender(outbox, [receiver], patience=patience).start()
    threading.Event().wait()


if __name__ == "__main__":
    main()
