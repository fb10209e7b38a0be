"""Where the loop leaves what is known now, and the pages find it.

The loop replaces `view` and `runtime`; whoever reads takes each once. Both are immutable values and an attribute
is replaced in one step, so that no lock is needed: a reader sees one turn of the loop or the next, never a mixture
within either, and never holds the loop up. The thread that pushes metrics replaces `pushes` in the same way.
"""

from __future__ import annotations

from driftd.core.view import Pushes, Runtime, View


class Published:
    """The newest View and Runtime, which only the loop assigns. `pushes`: None while metrics are not pushed."""

    __slots__ = ("pushes", "runtime", "view")

    def __init__(self, view: View | None = None, runtime: Runtime | None = None) -> None:
        self.view: View = View() if view is None else view
        self.runtime: Runtime = Runtime() if runtime is None else runtime
        self.pushes: Pushes | None = None
