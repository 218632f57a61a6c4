"""What a request is answered before any door sees it: on the HTTP port as it is, with the bytes of browsers."""

from __future__ import annotations

import json

import pytest
from twisted.web.server import Site

from hopsack_router.doors.origins import Front
from hopsack_router.doors.pages import Origins
from hopsack_router.doors.proxies import Proxies
from hopsack_router.doors.raw import RawFactory
from hopsack_router.doors.site import bound
from hopsack_router.doors.sse import EventsResource
from hopsack_router.doors.websockets import DoorResource, WebSocketOptions

from .test_shells import World

FOREIGN = "Origin: https://evil.example"
ALLOWED = "Origin: https://app.example"
DEV = Front(Origins(is_dev=True, is_local=True))
LISTED = Front(Origins(["https://app.example"]))
UPGRADE = (
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version: 13",
)
STREAM = "/events?topic=demo.news"
DOORS = {STREAM: (), "/raw": UPGRADE}


def asked(
    world: World, front: Front, path: str, *headers: str, host: str = "127.0.0.1:8080", method: str = "GET"
) -> str:
    door = (
        DoorResource(RawFactory(world.host, WebSocketOptions()))
        if path.startswith("/raw")
        else EventsResource(world.host)
    )
    site = bound(Site(door, reactor=world.clock), front)
    world.connect(site, f"{method} {path} HTTP/1.1", f"Host: {host}", *headers)
    return world.turn().decode()


def status(answer: str) -> int:
    return int(answer.split(" ", 2)[1])


@pytest.fixture
def world() -> World:
    return World()


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(
    ("front", "header", "good"),
    [
        (LISTED, "X-Program: yes", True),
        (LISTED, "Origin: http://127.0.0.1:8080", True),
        (LISTED, ALLOWED, True),
        (LISTED, FOREIGN, False),
        (LISTED, "Origin: null", False),
        (LISTED, f"{ALLOWED}\r\n{FOREIGN}", False),
        (LISTED, "Sec-Fetch-Site: cross-site", False),
        (DEV, "Origin: http://localhost:5173", True),
        (DEV, FOREIGN, False),
    ],
)
def test_whose_pages_get_to_a_door(world: World, door: str, front: Front, header: str, good: bool) -> None:
    answer = asked(world, front, door, header, *DOORS[door])

    assert status(answer) == ((101 if door == "/raw" else 200) if good else 403)
    assert good == ("may not connect" not in answer)


def test_in_development_a_page_from_the_disk_may_open_a_websocket_and_nothing_else(world: World) -> None:
    assert status(asked(world, DEV, "/raw", "Origin: null", *UPGRADE)) == 101
    assert status(asked(World(), DEV, "/events?topic=demo.news", "Origin: null")) == 403


@pytest.mark.parametrize("door", DOORS)
def test_a_name_that_is_not_the_nodes(world: World, door: str) -> None:
    answer = asked(world, DEV, door, "Origin: http://evil.example:8080", *DOORS[door], host="evil.example:8080")

    assert status(answer) == 421
    assert json.loads(answer.partition("\r\n\r\n")[2])["advice"].startswith("use a loopback address")


@pytest.mark.parametrize("name", ["token", "access_token", "Bearer", "j%77t"])
@pytest.mark.parametrize("door", DOORS)
def test_a_token_in_a_url_is_refused_and_not_repeated(world: World, door: str, name: str) -> None:
    path = door + ("&" if "?" in door else "?") + f"{name}=hush-hush"

    answer = asked(world, LISTED, path, *DOORS[door])

    assert status(answer) == 400
    assert "hush-hush" not in answer


def test_an_allowed_page_may_read_the_answer_but_not_with_cookies(world: World) -> None:
    answer = asked(world, LISTED, "/events?topic=demo.news", ALLOWED)

    assert "Access-Control-Allow-Origin: https://app.example\r\n" in answer
    assert "Vary: Origin\r\n" in answer
    assert "Credentials" not in answer


def test_where_all_pages_may_connect_none_gets_credentials(world: World) -> None:
    answer = asked(world, Front(Origins(["*"])), "/events?topic=demo.news", FOREIGN)

    assert status(answer) == 200
    assert "Credentials" not in answer


def test_programs_and_own_pages_get_no_cors(world: World) -> None:
    answer = asked(world, LISTED, "/events?topic=demo.news", "Origin: http://127.0.0.1:8080")

    assert "Access-Control" not in answer


def test_a_preflight(world: World) -> None:
    question = ("Access-Control-Request-Method: POST", "Access-Control-Request-Headers: authorization")

    allowed = asked(world, LISTED, "/events?topic=a", ALLOWED, *question, method="OPTIONS")
    foreign = asked(World(), LISTED, "/events?topic=a", FOREIGN, *question, method="OPTIONS")

    assert status(allowed) == 204
    assert "Access-Control-Allow-Origin: https://app.example\r\n" in allowed
    assert "Access-Control-Allow-Methods: GET, HEAD, POST, DELETE\r\n" in allowed
    assert "authorization, content-type" in allowed
    assert status(foreign) == 403
    assert "Access-Control" not in foreign


def test_every_answer_says_what_browsers_may_do_with_it(world: World) -> None:
    answer = asked(world, LISTED, "/events")

    assert status(answer) == 400
    for field in (
        "Server: hopsack",
        "X-Content-Type-Options: nosniff",
        "X-Frame-Options: DENY",
        "Referrer-Policy: no-referrer",
        "Cross-Origin-Resource-Policy: same-origin",
        "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'",
    ):
        assert f"{field}\r\n" in answer
    assert "Strict-Transport" not in answer


PROXY = Proxies(["192.0.2.0/24"])


def test_a_client_behind_a_proxy(world: World) -> None:
    forwarded = ("X-Forwarded-For: 6.6.6.6, 198.51.100.1", "X-Forwarded-Proto: https")

    answer = asked(world, Front(Origins(), PROXY, is_strict=True), STREAM, *forwarded)

    assert world.session.link.peer == "tcp4:198.51.100.1:0"
    assert "Strict-Transport-Security: max-age=31536000\r\n" in answer


def test_who_only_says_to_be_a_proxy(world: World) -> None:
    forwarded = ("X-Forwarded-For: 6.6.6.6", "X-Forwarded-Proto: https")

    answer = asked(
        world, Front(Origins(), Proxies(["10.0.0.0/8"]), is_strict=True), "/events?topic=demo.news", *forwarded
    )

    assert world.session.link.peer == "tcp4:192.0.2.7:4711"
    assert "Strict-Transport" not in answer


def test_behind_a_proxy_with_tls_a_page_without_is_foreign(world: World) -> None:
    answer = asked(
        world,
        Front(Origins(), PROXY),
        "/events?topic=demo.news",
        "Origin: http://fabric.example",
        "X-Forwarded-Proto: https",
        host="fabric.example",
    )

    assert status(answer) == 403
