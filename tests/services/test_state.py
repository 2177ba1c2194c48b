"""The memory of states: bounded, and never wrong about what is old."""

from services.state import Loaded, StateCache


def loaded(version: int) -> Loaded:
    return Loaded(version=version, state=None, org_id="acme")


def test_what_was_used_last_is_remembered() -> None:
    cache = StateCache(6)
    for number in range(100):
        cache.put("often", loaded(number))
        cache.put(f"once-{number}", loaded(1))
    known = [f"once-{number}" for number in range(100) if cache.old(f"once-{number}")]
    assert cache.get("often") == loaded(99)
    assert "once-99" in known
    assert len(known) < 6


def test_a_doubted_state_is_old_until_it_is_known_again() -> None:
    cache = StateCache(6)
    cache.put("stream", loaded(1))
    cache.doubt("stream")
    assert cache.get("stream") is None
    assert cache.old("stream") == loaded(1)
    cache.put("stream", loaded(2))
    assert cache.get("stream") == loaded(2)


def test_what_was_forgotten_is_not_doubted_when_it_comes_back() -> None:
    cache = StateCache(2)
    cache.put("stream", loaded(1))
    cache.doubt("stream")
    cache.put("other", loaded(1))
    cache.put("third", loaded(1))
    assert cache.old("stream") is None
    cache.put("stream", loaded(2))
    assert cache.get("stream") == loaded(2)
