import socket
from collections.abc import Iterator

import pytest

from experiments.servers import check_port, free_port
from fl.errors import ConfigError


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener


def test_a_free_port_can_be_taken() -> None:
    port = free_port()
    check_port(port)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", port))


def test_a_port_that_is_taken_is_told_with_the_way_out(listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    with pytest.raises(
        ConfigError, match=f"Port {port} is taken by another program. Name another with --port"
    ):
        check_port(port)


def test_a_port_whose_last_connection_is_still_being_closed_is_free(listener: socket.socket) -> None:
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    port = listener.getsockname()[1]
    with socket.create_connection(("127.0.0.1", port)) as client:
        accepted, _ = listener.accept()
        accepted.close()
        assert client.recv(1) == b""
    listener.close()
    check_port(port)
