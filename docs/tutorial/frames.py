"""Text and binary over a plain WebSocket: no library of Hopsack's, no protocol."""

from websockets.sync.client import connect

with connect("ws://127.0.0.1:8080/echo") as socket:
    for message in ("grüß dich", bytes([0, 127, 255])):
        socket.send(message)
        print(socket.recv())
