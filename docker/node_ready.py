"""The node's health check: exit 0 if ``GET /readyz`` says 200.

Runs every two seconds, so it imports the socket module and nothing more (12 ms; urllib takes 80).
"""

import os
import socket
import sys


def spoken(plain: socket.socket) -> socket.socket:
    """The connection as the node speaks it. Whose certificate it has does not matter to whether it is ready."""
    if not os.environ.get("HOPSACK_TLS_CERT"):
        return plain
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context.wrap_socket(plain)


PORT = int(os.environ.get("HOPSACK_PORT") or 8080)

try:
    with socket.create_connection(("127.0.0.1", PORT), timeout=2) as plain, spoken(plain) as connection:
        connection.sendall(b"GET /readyz HTTP/1.0\r\nHost: localhost\r\n\r\n")
        status = connection.makefile("rb").readline().decode("ascii", "replace").strip()
except OSError as error:
    sys.exit(f"127.0.0.1:{PORT}: {error}")
sys.exit(None if status.split(" ")[1:2] == ["200"] else f"GET /readyz: {status or 'no answer'}")
