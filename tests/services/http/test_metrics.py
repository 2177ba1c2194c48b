"""Metrics: what was counted is told by its labels, and nothing is counted twice."""

import pytest

from services.http.metrics import Metrics


REQUESTS = "rehearsal_http_requests_total"
REQUEST_SECONDS = "rehearsal_http_request_seconds"
COMMANDS = "rehearsal_commands_total"


@pytest.fixture
def metrics() -> Metrics:
    """Return what counted four requests of two routes, and three commands."""
    metrics = Metrics()
    for method, route, status, seconds in (
        ("POST", "/v1/commands", 200, 0.002),
        ("POST", "/v1/commands", 200, 0.02),
        ("POST", "/v1/commands", 400, 0.2),
        ("GET", "/v1/events", 200, 20.0),
    ):
        metrics.request(method, route, status, seconds)
    metrics.command("testing.DeletePersona", "ok", 2)
    metrics.command("testing.DeletePersona", "ok", 1)
    metrics.command("testing.DeletePersona", "refused")
    return metrics


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    found: float | None = metrics.registry.get_sample_value(name, labels)
    return found


def test_requests_are_counted_by_method_route_and_status(metrics: Metrics) -> None:
    for method, route, status, count in (
        ("POST", "/v1/commands", "200", 2),
        ("POST", "/v1/commands", "400", 1),
        ("GET", "/v1/events", "200", 1),
        ("GET", "/v1/commands", "200", None),
    ):
        labels = {"method": method, "route": route, "status": status}
        assert value(metrics, REQUESTS, **labels) == count


def test_seconds_of_a_route_are_of_all_its_answers(metrics: Metrics) -> None:
    route = "/v1/commands"
    assert value(metrics, f"{REQUEST_SECONDS}_count", route=route) == 3
    assert value(metrics, f"{REQUEST_SECONDS}_sum", route=route) == pytest.approx(0.222)
    for bound, count in (("0.001", 0), ("0.0025", 1), ("0.05", 2), ("0.25", 3)):
        found = value(metrics, f"{REQUEST_SECONDS}_bucket", route=route, le=bound)
        assert found == count
    slow = {"route": "/v1/events", "le": "+Inf"}
    assert value(metrics, f"{REQUEST_SECONDS}_bucket", **slow) == 1


def test_asking_twice_tells_the_same(metrics: Metrics) -> None:
    for _ in range(2):
        assert value(metrics, f"{REQUEST_SECONDS}_count", route="/v1/commands") == 3


def test_commands_are_counted_by_type_and_outcome(metrics: Metrics) -> None:
    kind = "testing.DeletePersona"
    assert value(metrics, COMMANDS, type=kind, outcome="ok") == 2
    assert value(metrics, COMMANDS, type=kind, outcome="refused") == 1
    assert value(metrics, "rehearsal_events_appended_total") == 3
