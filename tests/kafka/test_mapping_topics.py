"""Which topics the settings mean; the settings' own checks and the source must agree."""

import pytest

from driftd.kafka.mapping import kinds_of
from driftd.settings.kafka import covers


@pytest.mark.parametrize(
    ("pattern", "topic", "meant"),
    [
        ("scored", "scored", True),
        ("scored", "scored-2", False),
        ("^scored", "scored-2", True),
        ("^.*-eu$", "scored-eu", True),
        ("^.*", "__consumer_offsets", False),
        ("^[^d]", "__transaction_state", False),
        ("^__own", "__own_events", True),
        ("__own_events", "__own_events", True),
    ],
)
def test_what_a_name_or_an_expression_means(pattern: str, topic: str, meant: bool) -> None:  # noqa: FBT001
    assert kinds_of({"prediction": [pattern]}, topic) == (("prediction",) if meant else ())
    assert covers(pattern, topic) == meant
