"""A sender over the outbox of a directory, until it is killed. Arguments: the directory, the URL of its receiver."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from driftd.deliver.backoff import Backoff
from driftd.deliver.sender import Patience, Sender
from driftd.deliver.webhook import Webhook
from driftd.store.outbox import Outbox
from tests.deliver.endpoint import SECRET


def main() -> None:
    outbox = Outbox(Path(sys.argv[1]))
    patience = Patience(backoff=Backoff(0.01, 0.05), poll_s=0.02)
    Sender(outbox, [Webhook("ops", sys.argv[2], secret=SECRET, timeout_s=60.0)], patience=patience).start()
    threading.Event().wait()


if __name__ == "__main__":
    main()
