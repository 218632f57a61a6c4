// socket.io as its documents use it to broadcast: `pub` publishes, every client hears `event`.
import { createServer } from "node:http";
import { Server } from "socket.io";

const http = createServer();
const server = new Server(http, { transports: ["websocket"], serveClient: false });

server.on("connection", (socket) => {
  socket.on("pub", (data) => server.except(socket.id).emit("event", data));
});
http.listen(0, "127.0.0.1", () => console.log(JSON.stringify({ ready: true, port: http.address().port })));
process.on("SIGTERM", () => process.exit(0));
