import pytest


@pytest.fixture(scope="session", autouse=True)
def ready(compiled: None) -> None:
    """Begin once the engine is compiled."""
