"""What a broker must offer before we trust it with work."""

import pytest

from infra.rabbit.capabilities import capabilities
from infra.settings import SetupError


OFFERED = {
    "publisher_confirms": True,
    "basic.nack": True,
    "consumer_cancel_notify": True,
}


def properties(version: str, **changes: object) -> dict[str, object]:
    return {
        "product": "RabbitMQ",
        "version": version,
        "capabilities": OFFERED,
        **changes,
    }


@pytest.mark.parametrize(
    "version", ["3.10.8", "3.13.7", "4.0.0", "4.3.1", "5.0.0-rc.1"]
)
def test_a_broker_since_3_10_loses_nothing_confirmed(version: str) -> None:
    found = capabilities(properties(version))
    assert found.version == version
    assert "confirmed_publishes_survive" in found.guarantees
    assert "dead_letters_at_least_once" in found.guarantees


@pytest.mark.parametrize("version", ["3.9.29", "2.8.7"])
def test_an_older_broker_is_refused(version: str) -> None:
    with pytest.raises(SetupError, match=r"3\.10"):
        capabilities(properties(version))


def test_another_product_is_refused() -> None:
    with pytest.raises(SetupError, match="Other 4"):
        capabilities(properties("4.2.0", product="Other"))


def test_a_broker_without_confirms_is_refused() -> None:
    offered = {**OFFERED, "publisher_confirms": False}
    with pytest.raises(SetupError, match="publisher_confirms"):
        capabilities(properties("4.2.0", capabilities=offered))


def test_what_a_delivery_limit_counts_changed_in_4_3() -> None:
    counting = "delivery_limit_counts_failures_only"
    assert counting not in capabilities(properties("4.2.9")).guarantees
    assert counting in capabilities(properties("4.3.0")).guarantees


def test_a_release_out_of_support_is_cautioned() -> None:
    assert capabilities(properties("3.10.8")).cautions == ("release_out_of_support",)
    assert capabilities(properties("4.2.0")).cautions == ()
