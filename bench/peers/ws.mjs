// The `ws` package as its documents use it to broadcast: /pub publishes, everybody else reads.
import { WebSocketServer } from "ws";

const server = new WebSocketServer({ host: "127.0.0.1", port: 0, perMessageDeflate: false, clientTracking: false });
const readers = new Set();

server.on("connection", (socket, request) => {
  if (request.url === "/pub") {
    socket.on("message", (data) => {
      for (const reader of readers) reader.send(data, { binary: false });
    });
    return;
  }
  readers.add(socket);
  socket.on("close", () => readers.delete(socket));
});
server.on("listening", () => console.log(JSON.stringify({ ready: true, port: server.address().port })));
process.on("SIGTERM", () => process.exit(0));
