"""What two processes have for plain bytes between them: python -m benchmarks.loopback MEGABYTES, twice.

TF_CONFIG says which of the two this is, and where they meet; see benchmarks.exchange.
"""

import json
import os
import socket
import statistics
import sys
import threading
import time

from benchmarks.worker import lap

PINGS, CHUNK, PATIENCE = 200, 1 << 20, 300.0  # seconds, until the other has come


def link(megabytes: str) -> dict[str, float]:
    """Bytes a second that each of two sends while it receives as many, and seconds to the other."""
    config = json.loads(os.environ["TF_CONFIG"])
    host, port = config["cluster"]["worker"][0].split(":")
    if config["task"]["index"] == 0:
        with socket.create_server((host, int(port))) as server:
            server.settimeout(PATIENCE)
            return over(server.accept()[0], int(megabytes), first=True)
    return over(connected(host, int(port)), int(megabytes), first=False)


def connected(host: str, port: int) -> socket.socket:
    """A connection to a server that may not listen yet.

    Raises:
        ConnectionRefusedError: it did not for `PATIENCE`.
    """
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return socket.create_connection((host, port))
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def over(connection: socket.socket, megabytes: int, first: bool) -> dict[str, float]:
    """Measures a connection, on both of its ends at once."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ping() -> None:
        for send in (first, not first):
            connection.sendall(b"x") if send else connection.recv(1, socket.MSG_WAITALL)

    def exchange() -> None:
        sender = threading.Thread(target=lambda: [connection.sendall(chunk) for _ in range(megabytes)])
        sender.start()
        for _ in range(megabytes):
            connection.recv_into(room, CHUNK, socket.MSG_WAITALL)
        sender.join()

    chunk, room = bytes(CHUNK), bytearray(CHUNK)
    with connection:
        pings = [lap(ping).wall for _ in range(PINGS)]
        exchange()
        return {"bytes_per_second": megabytes * CHUNK / lap(exchange).wall, "latency": statistics.median(pings) / 2}


if __name__ == "__main__":
    print(json.dumps(link(sys.argv[1])))
