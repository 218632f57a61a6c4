"""Whose page may speak to the node, by which name, and behind which proxies."""

from __future__ import annotations

import pytest

from hopsack_router.doors.pages import Origins, Page, Sender, origins_of
from hopsack_router.doors.proxies import Proxies

NODE = "node.example:8080"
OURS = "http://node.example:8080"


@pytest.mark.parametrize(
    ("sender", "page"),
    [
        (Sender(), Page.NONE),
        (Sender(origin=OURS), Page.OWN),
        (Sender(origin="HTTP://Node.Example:8080"), Page.OWN),
        (Sender(origin="https://node.example:8080"), Page.OWN),  # somebody may speak TLS for us
        (Sender(origin="https://other.example", site="same-origin"), Page.OWN),  # a proxy has changed the host
        (Sender(site="none"), Page.OWN),
        (Sender(origin="http://node.example"), Page.FOREIGN),
        (Sender(origin="http://node.example:8080.evil.example"), Page.FOREIGN),
        (Sender(origin="http://evil.example/http://node.example:8080"), Page.FOREIGN),
        (Sender(origin="ftp://node.example:8080"), Page.FOREIGN),
        (Sender(origin="node.example:8080"), Page.FOREIGN),
        (Sender(origin="http://localhost:5173"), Page.FOREIGN),
        (Sender(origin="null"), Page.FOREIGN),
        (Sender(origin="file://"), Page.FOREIGN),
        (Sender(origin=""), Page.FOREIGN),
        (Sender(site="cross-site"), Page.FOREIGN),
        (Sender(site="same-site"), Page.FOREIGN),
        (Sender(origin=OURS, site="cross-site"), Page.FOREIGN),
        (Sender(origin=OURS, site="same-site"), Page.FOREIGN),
    ],
)
def test_in_production_only_the_nodes_own_pages(sender: Sender, page: Page) -> None:
    asked = Sender(sender.origin, sender.site, NODE)

    assert Origins().page(asked) is page


def test_a_page_without_tls_is_not_of_a_node_with_it() -> None:
    origins = Origins()

    assert origins.page(Sender(OURS, None, NODE, is_https=True)) is Page.FOREIGN
    assert origins.page(Sender("https://node.example:8080", None, NODE, is_https=True)) is Page.OWN


@pytest.mark.parametrize(
    ("allowed", "origin", "page"),
    [
        ("*", "https://a.example", Page.ALLOWED),
        ("*", "null", Page.ALLOWED),
        ("*", "nonsense", Page.FOREIGN),
        ("*", "http://a.example:port", Page.FOREIGN),
        ("*", "https://a.example/path", Page.FOREIGN),
        ("null", "null", Page.ALLOWED),
        ("null", "https://a.example", Page.FOREIGN),
        ("https://a.example", "https://a.example", Page.ALLOWED),
        ("https://a.example", "https://a.example:443", Page.ALLOWED),
        ("https://a.example:443", "https://A.example", Page.ALLOWED),
        ("https://a.example", "http://a.example", Page.FOREIGN),
        ("https://a.example", "https://a.example:8443", Page.FOREIGN),
        ("https://a.example", "https://a.example.evil", Page.FOREIGN),
        ("https://a.example", "https://aXexample", Page.FOREIGN),
        ("https://a.example", "https://user@a.example", Page.FOREIGN),
        ("https://a.example, http://b.example", "http://b.example", Page.ALLOWED),
        ("https://*.example", "https://b.example", Page.ALLOWED),
        ("https://*.example", "https://c.b.example", Page.ALLOWED),
        ("https://*.example", "https://example", Page.FOREIGN),
        ("https://*.example", "https://evil.test/.example", Page.FOREIGN),
        ("https://*.example:*", "https://b.example:8443", Page.ALLOWED),
        ("https://*.example", "https://b.example:8443", Page.FOREIGN),
        ("http://[::1]:3000", "http://[::1]:3000", Page.ALLOWED),
        ("https://*.example", "null", Page.FOREIGN),
    ],
)
def test_allowed_pages(allowed: str, origin: str, page: Page) -> None:
    assert Origins(origins_of(allowed)).page(Sender(origin, "cross-site", NODE)) is page


@pytest.mark.parametrize(
    ("origin", "page"),
    [
        ("http://localhost:5173", Page.ALLOWED),
        ("http://app.localhost", Page.ALLOWED),
        ("https://127.0.0.1:3000", Page.ALLOWED),
        ("http://[::1]:3000", Page.ALLOWED),
        ("http://127.0.0.1.evil.example", Page.FOREIGN),
        ("http://localhost.evil.example", Page.FOREIGN),
        ("http://192.168.1.7:3000", Page.FOREIGN),
        ("null", Page.NAMELESS),
        ("file://", Page.NAMELESS),
    ],
)
def test_in_development_pages_of_this_machine(origin: str, page: Page) -> None:
    sender = Sender(origin, "cross-site", "127.0.0.1:8080")

    assert Origins(is_dev=True, is_local=True).page(sender) is page


def test_who_names_pages_means_no_nameless_ones() -> None:
    origins = Origins(["https://a.example"], is_dev=True)

    assert origins.page(Sender("null", None, "127.0.0.1:8080")) is Page.FOREIGN
    assert origins.page(Sender("http://localhost:5173", None, "127.0.0.1:8080")) is Page.ALLOWED


NAMES = {
    "127.0.0.1:8080": "anywhere",
    "localhost": "anywhere",
    "LOCALHOST:8080": "anywhere",
    "localhost.": "anywhere",
    "app.localhost:8080": "anywhere",
    "[::1]:8080": "anywhere",
    "127.9.9.9": "anywhere",
    "192.168.1.7:8080": "network",
    "[fe80::1]:8080": "network",
    "node:8080": "network",
    "laptop.local:8080": "network",
    "evil.example:8080": "nowhere",
    "localhost.evil.example": "nowhere",
    "127.0.0.1.nip.io": "nowhere",
    "127.0.0.1@evil.example": "nowhere",
    "": "nowhere",
    ":8080": "nowhere",
    "a b": "nowhere",
    "[::1": "nowhere",
}


@pytest.mark.parametrize(("host", "known"), NAMES.items())
def test_in_development_a_name_that_somebody_could_register_is_not_the_nodes(host: str, known: str) -> None:
    """DNS rebinding: a page of evil.example, whose name has come to mean this machine."""
    assert Origins(is_dev=True, is_local=True).is_own_name(host) is (known == "anywhere")
    assert Origins(is_dev=True).is_own_name(host) is (known != "nowhere")
    assert Origins().is_own_name(host)


def test_a_name_that_is_configured_is_the_nodes() -> None:
    origins = Origins(["https://fabric.example", "http://*.lan.example:8080"], is_dev=True, is_local=True)

    assert origins.is_own_name("fabric.example")
    assert origins.is_own_name("node.lan.example:8080")
    assert not origins.is_own_name("fabric.example:9090")
    assert not origins.is_own_name("fabric.example.evil.example")
    assert origins.is_own_name(None)


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("203.0.113.9", ["198.51.100.1"], "203.0.113.9"),  # no proxy of ours: anybody could have written it
        ("10.0.0.5", [], "10.0.0.5"),
        ("10.0.0.5", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.5", ["6.6.6.6, 198.51.100.1"], "198.51.100.1"),  # the client had written the first
        ("10.0.0.5", ["6.6.6.6, 198.51.100.1, 10.0.0.7"], "198.51.100.1"),
        ("10.0.0.5", ["6.6.6.6", "198.51.100.1"], "198.51.100.1"),
        ("10.0.0.5", ["198.51.100.1:4711"], "198.51.100.1"),
        ("10.0.0.5", ["[2001:db8::1]:4711"], "2001:db8::1"),
        ("::ffff:10.0.0.5", ["2001:db8::1"], "2001:db8::1"),
        ("10.0.0.5", ["unknown"], "10.0.0.5"),
        ("10.0.0.5", ["198.51.100.1, garbage, 10.0.0.7"], "10.0.0.7"),
        ("10.0.0.5", ["", ","], "10.0.0.5"),
    ],
)
def test_whom_a_proxy_speaks_for(peer: str, forwarded: list[str], client: str) -> None:
    assert Proxies(["10.0.0.0/8", "2001:db8:ffff::/48"]).client(peer, forwarded) == client


def test_only_a_proxy_says_that_it_was_asked_over_tls() -> None:
    proxies = Proxies(["10.0.0.5"])

    assert proxies.is_https("10.0.0.5", ["https"])
    assert proxies.is_https("10.0.0.5", ["http, HTTPS"])
    assert not proxies.is_https("10.0.0.5", ["https, http"])
    assert not proxies.is_https("10.0.0.5", [])
    assert not proxies.is_https("10.0.0.6", ["https"])
    assert not Proxies().is_https("10.0.0.5", ["https"])
