"""Commits for ever, and says which commit is durable; killed by test_kill. Argument: the directory."""

from __future__ import annotations

import sys
from pathlib import Path

from driftd.store.store import Store
from tests.store.examples import nth_commit


def main() -> None:
    store = Store.open(Path(sys.argv[1]), group="driftd")
    last = store.load_rows().get("n", 0)
    assert isinstance(last, int)
    while True:
        last += 1
        store.commit(nth_commit(last))
        sys.stdout.write(f"{last}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
