"""Who is measured: the node, and each peer that a person would otherwise choose. How they are started, each with the
configuration its own documents recommend for this work, and how to get the one that is missing.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from signal import SIGINT, SIGQUIT
from urllib.parse import urlsplit

from hopsack_bench import machine, wire
from hopsack_bench.servers import Broken, Launch, free_ports

BENCH = Path(__file__).parents[1]
REALM = "hopsack"
TOPIC = "bench.event"
AUTHID = "bench"

NCHAN_PLACES = ("/usr/lib/nginx/modules", "/usr/share/nginx/modules", "/usr/lib64/nginx/modules")


@dataclass(frozen=True, slots=True)
class Peer:
    """One server.

    :ivar missing: what is not installed and how to get it; ``None`` if all is there.
    :ivar launch: makes the command, and writes what it needs into a folder of its own.
    """

    name: str
    title: str
    missing: Callable[[], str | None]
    launch: Callable[[Path, str], Launch]
    version: Callable[[], str]


def _package(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "?"


def _said(*command: str) -> str:
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    found = re.search(r"\d+\.\d+[.\d]*", ran.stdout + ran.stderr)
    return found.group() if found else "?"


# ---- the node -------------------------------------------------------------------------------------------------------


def _hopsack_missing() -> str | None:
    return None if find_spec("hopsack_router") else "hopsack_router is not installed here: install hopsack-router"


def node(schemas: str, data: Path, secret: str, ports: Mapping[str, int] | None = None) -> Launch:
    """The node.

    :param schemas: the folder of its contracts, below ``bench/schemas``.
    :param data: what it keeps; a successor finds there what was kept.
    :param ports: of its predecessor; ``None``: any that are free.
    """
    http, rawsocket = (str((ports or {}).get(name, 0)) for name in ("http", "rawsocket"))
    words = ["node", "--json", "--port", http, "--rawsocket-port", rawsocket, "--data", str(data)]
    words += ["--schemas", str(BENCH / "schemas" / schemas), "--web", str(data.parent)]
    return Launch(
        (sys.executable, "-P", "-m", "hopsack.cli", *words),
        announced=_addresses,
        environ={"HOPSACK_SECRET": secret, "HOPSACK_LOG": "warning"},
    )


def _hopsack(schemas: str) -> Callable[[Path, str], Launch]:
    return lambda folder, secret: node(schemas, folder / "data", secret)


def _addresses(line: dict[str, object]) -> Mapping[str, int]:
    return {name: urlsplit(str(line[name])).port or 0 for name in ("http", "rawsocket")}


# ---- stock Crossbar -------------------------------------------------------------------------------------------------


def _crossbar_missing() -> str | None:
    return None if find_spec("crossbar") else "Crossbar is not installed here: it comes with hopsack-router"


def _crossbar(folder: Path, secret: str) -> Launch:
    http, rawsocket = free_ports(2)
    (folder / "config.json").write_text(json.dumps(_crossbar_configuration(http, rawsocket, secret)))
    program = Path(sys.executable).with_name("crossbar")
    words = ("start", "--cbdir", str(folder), "--loglevel", "warn", "--logformat", "none")
    probe = ("http", wire.wamp_reader("json", REALM, [(TOPIC, "exact")]))
    return Launch((str(program), *words), {"http": http, "rawsocket": rawsocket}, probe=probe, end=SIGINT)


def _crossbar_configuration(http: int, rawsocket: int, secret: str) -> object:
    allowed = {"call": True, "register": True, "publish": True, "subscribe": True}
    everything = {"uri": "", "match": "prefix", "allow": allowed, "cache": True}
    ticket = {"type": "static", "principals": {AUTHID: {"ticket": secret, "role": "client"}}}
    auth = {"anonymous": {"type": "static", "role": "client"}, "ticket": ticket}
    doors = [
        {
            "type": kind,
            "endpoint": {"type": "tcp", "interface": "127.0.0.1", "port": port, "backlog": 1024},
            "serializers": ["json", "msgpack"],
            "auth": auth,
        }
        for kind, port in (("websocket", http), ("rawsocket", rawsocket))
    ]
    realm = {"name": REALM, "roles": [{"name": "client", "permissions": [everything]}]}
    return {"version": 2, "workers": [{"type": "router", "realms": [realm], "transports": doors}]}


# ---- the floor ------------------------------------------------------------------------------------------------------


def compiler() -> str | None:
    return shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")


def no_compiler() -> str | None:
    return None if compiler() else "there is no C compiler: apt-get install gcc libc6-dev"


def build(source: Path, program: Path) -> Path:
    """Compile a C program of ours.

    :raises Broken: the compiler refuses it.
    """
    command = [compiler() or "cc", "-O2", "-pthread", "-o", str(program), str(source)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise Broken(f"{source.name} does not compile: {ran.stderr.strip()}")
    return program


def _floor(mode: str) -> Callable[[Path, str], Launch]:
    def launch(folder: Path, secret: str) -> Launch:
        program = build(BENCH / "peers" / "floor.c", folder / "floor")
        return Launch((str(program), mode), announced=lambda line: {"http": int(str(line["port"]))})

    return launch


# ---- nats-server ----------------------------------------------------------------------------------------------------


def _nats_missing() -> str | None:
    return None if shutil.which("nats-server") else "nats-server is not installed: apt-get install nats-server"


def _nats(folder: Path, secret: str) -> Launch:
    http, tcp = free_ports(2)
    configuration = f"""\
listen: 127.0.0.1:{tcp}
max_connections: {machine.FILES}
websocket {{ listen: "127.0.0.1:{http}", no_tls: true }}
"""
    (folder / "nats.conf").write_text(configuration)
    probe = ("http", wire.nats_websocket_reader(TOPIC))
    return Launch(("nats-server", "-c", str(folder / "nats.conf")), {"http": http, "tcp": tcp}, probe=probe)


def _jetstream(folder: Path, secret: str) -> Launch:
    (tcp,) = free_ports(1)
    configuration = f"""\
listen: 127.0.0.1:{tcp}
jetstream {{ store_dir: "{folder / "store"}" }}
"""
    (folder / "nats.conf").write_text(configuration)
    probe = ("tcp", wire.nats_reader(TOPIC))
    return Launch(("nats-server", "-c", str(folder / "nats.conf")), {"tcp": tcp}, probe=probe)


# ---- nginx with nchan -----------------------------------------------------------------------------------------------


def _nchan_module() -> Path | None:
    found = (Path(place) / "ngx_nchan_module.so" for place in NCHAN_PLACES)
    return next((path for path in found if path.exists()), None)


def _nginx() -> str | None:
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


def _nchan_missing() -> str | None:
    if _nginx() and _nchan_module():
        return None
    return "nginx with nchan is not installed: apt-get install nginx-light libnginx-mod-nchan"


def _nchan(folder: Path, secret: str) -> Launch:
    (port,) = free_ports(1)
    user = "user root;" if os.geteuid() == 0 else ""
    configuration = f"""\
load_module {_nchan_module()};
{user}
daemon off;
worker_processes 1;
worker_rlimit_nofile {machine.FILES};
pid {folder}/nginx.pid;
error_log {folder}/error.log crit;
events {{ worker_connections {machine.FILES}; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  client_body_buffer_size 16k;
  keepalive_requests 100000000;
  nchan_shared_memory_size 256m;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location = /pub {{ nchan_publisher; nchan_channel_id bench; nchan_store_messages off; }}
    location = /sub {{ nchan_subscriber websocket; nchan_channel_id bench; }}
  }}
}}
"""
    (folder / "nginx.conf").write_text(configuration)
    command = (
        _nginx() or "nginx",
        "-p",
        str(folder),
        "-e",
        str(folder / "start.log"),
        "-c",
        str(folder / "nginx.conf"),
    )
    return Launch(command, {"http": port}, probe=("http", wire.plain_reader("/sub")), end=SIGQUIT)


# ---- Node.js --------------------------------------------------------------------------------------------------------


def _npm_missing(package: str) -> Callable[[], str | None]:
    def missing() -> str | None:
        if not shutil.which("node"):
            return "Node.js is not installed: https://nodejs.org"
        if not (BENCH / "peers" / "node_modules" / package).is_dir():
            return f"{package} is not installed: npm ci --prefix {os.path.relpath(BENCH / 'peers')}"
        return None

    return missing


def _npm_version(package: str) -> Callable[[], str]:
    def read() -> str:
        facts = json.loads((BENCH / "peers" / "node_modules" / package / "package.json").read_text())
        return str(facts["version"])

    return read


def _node_js(program: str) -> Callable[[Path, str], Launch]:
    def launch(folder: Path, secret: str) -> Launch:
        command = ("node", str(BENCH / "peers" / program))
        return Launch(command, announced=lambda line: {"http": int(str(line["port"]))})

    return launch


# ---- all of them ----------------------------------------------------------------------------------------------------


def _ours() -> str:
    return _package("hopsack")


_ROWS = (
    Peer("hopsack", "Hopsack", _hopsack_missing, _hopsack("checked"), _ours),
    Peer("hopsack-open", "Hopsack without validation", _hopsack_missing, _hopsack("open"), _ours),
    Peer("stock", "stock Crossbar", _crossbar_missing, _crossbar, lambda: _package("crossbar")),
    Peer("floor", "floor in C", no_compiler, _floor("each"), lambda: "each"),
    Peer("floor-turn", "floor in C, one send a turn", no_compiler, _floor("turn"), lambda: "turn"),
    Peer("nats", "nats-server", _nats_missing, _nats, lambda: _said("nats-server", "--version")),
    Peer("jetstream", "JetStream", _nats_missing, _jetstream, lambda: _said("nats-server", "--version")),
    Peer("nchan", "nginx with nchan", _nchan_missing, _nchan, lambda: _said(_nginx() or "nginx", "-v")),
    Peer("ws", "Node.js ws", _npm_missing("ws"), _node_js("ws.mjs"), _npm_version("ws")),
    Peer("socketio", "socket.io", _npm_missing("socket.io"), _node_js("socketio.mjs"), _npm_version("socket.io")),
)
PEERS: Mapping[str, Peer] = {peer.name: peer for peer in _ROWS}
