"""Where the loop leaves what is known now, and the pages find it.

The loop replaces `view` and `runtime`; whoever reads takes each once. Both are immutable values and an attribute
is replaced in one step, so that no lock is needed: a reader sees one turn of the loop or the next, never a mixture
within either, and never holds the loop up.
"""

from __future__ import annotations

from driftd.core.view import Runtime, View


class Published:
    """The newest View and Runtime. Only the loop assigns."""

    __slots__ = ("runtime", "view")

    def __init__(self, view: View | None = None, runtime: Runtime | None = None) -> None:
        self.view: View = View() if view is None else view
        self.runtime: Runtime = Runtime() if runtime is None else runtime
