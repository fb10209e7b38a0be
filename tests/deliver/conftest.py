from __future__ import annotations

import pytest

from tests.deliver.endpoint import serve


@pytest.fixture
def endpoint():
    with serve() as served:
        yield served


@pytest.fixture
def other():
    with serve() as served:
        yield served
