"""A server on the loopback that speaks HTTP/2 without TLS, and answers 429 to everything."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import h2.config
import h2.connection
import h2.events

BODY = b'{"error": "slow down"}'


def _serve(listener: socket.socket) -> None:
    while True:
        try:
            link, _ = listener.accept()
        except OSError:
            return
        with link:
            _talk(link)


def _talk(link: socket.socket) -> None:
    config = h2.config.H2Configuration(client_side=False)
    connection: Any = h2.connection.H2Connection(config=config)
    connection.initiate_connection()
    link.sendall(connection.data_to_send())
    while data := link.recv(65_536):
        for event in connection.receive_data(data):
            if isinstance(event, h2.events.RequestReceived):
                headers = [(":status", "429"), ("retry-after", "7")]
                connection.send_headers(event.stream_id, headers)
                connection.send_data(event.stream_id, BODY, end_stream=True)
        link.sendall(connection.data_to_send())


@contextmanager
def serving() -> Iterator[str]:
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=_serve, args=(listener,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()
