import pytest


@pytest.fixture(autouse=True)
def no_variables_of_ours(monkeypatch):
    """The environment of whoever runs the tests is not ours to read."""
    import os

    for name in list(os.environ):
        if name.upper().startswith("DRIFTD_"):
            monkeypatch.delenv(name)
