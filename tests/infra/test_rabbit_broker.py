"""The broker that runs as our child: closed to the network, honest when it fails."""

import psutil
import pytest

from infra.settings import SetupError
from tests.rabbit_ladder import OwnBroker


LOOPBACK = {"127.0.0.1", "::1"}


def test_broker_and_port_mapper_listen_on_the_loopback_only(
    own_rabbitmq: OwnBroker,
) -> None:
    for pid in own_rabbitmq.pids:
        listening = [
            connection.laddr.ip
            for connection in psutil.Process(pid).net_connections(kind="inet")
            if connection.status == psutil.CONN_LISTEN
        ]
        assert listening
        assert set(listening) <= LOOPBACK


async def test_a_control_command_that_fails_says_why(own_rabbitmq: OwnBroker) -> None:
    with pytest.raises(SetupError, match="set_vm_memory_high_watermark"):
        await own_rabbitmq.control("set_vm_memory_high_watermark", "wrong")


async def test_a_stranger_s_password_is_not_known(own_rabbitmq: OwnBroker) -> None:
    users = await own_rabbitmq.control("list_users")
    assert "rehearsal" in users
    assert "guest" not in users
