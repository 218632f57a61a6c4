"""What of Crossbar a node does not take: with stock Crossbar it passes, with our personality it is refused."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from crossbar.common.checkconfig import InvalidConfigException
from crossbar.personality import Personality as Stock

from hopsack.settings import Settings
from hopsack_router import configuration, refusals
from hopsack_router.doors import SERVICES
from hopsack_router.personality import Personality

TCP = {"type": "tcp", "port": 8080}
SHELL = {"endpoint": {"type": "tcp", "port": 6022}, "users": [{"user": "ann", "password": "x"}]}

SERVICES_OF_CROSSBAR: dict[str, dict[str, Any]] = {
    "publisher": {"realm": "realm1", "role": "r1role"},
    "caller": {"realm": "realm1", "role": "r1role"},
    "webhook": {"realm": "realm1", "role": "r1role", "options": {"topic": "com.hook"}},
    "longpoll": {},
    "nodeinfo": {},
    "json": {"value": 1},
    "static": {"directory": "web"},
    "cgi": {"directory": "cgi", "processor": "/bin/sh"},
    "websocket-reverseproxy": {"backend": {"type": "websocket", "url": "ws://localhost:9", "endpoint": {}}},
}


@pytest.fixture
def config(tmp_path: Path) -> dict[str, Any]:
    settings = Settings.from_environ({"HOPSACK_DATA": str(tmp_path)})
    made: dict[str, Any] = copy.deepcopy(configuration.node(settings))
    made["workers"][0]["transports"][0]["endpoint"]["port"] = 8080
    return made


def refused(config: dict[str, Any]) -> str:
    with pytest.raises(InvalidConfigException) as error:
        Personality.check_config(Personality, config)
    return str(error.value)


def web(config: dict[str, Any]) -> dict[str, Any]:
    transport: dict[str, Any] = config["workers"][0]["transports"][0]
    return transport


def test_our_own_configuration_passes(config: dict[str, Any]) -> None:
    Personality.check_config(Personality, config)


@pytest.mark.parametrize("name", refusals.WEB_SERVICES)
def test_web_services(config: dict[str, Any], name: str) -> None:
    asked = {"type": name, **SERVICES_OF_CROSSBAR.get(name, {})}
    web(config)["paths"]["theirs"] = asked

    assert f"no web service {name}" in refused(config)
    assert name in Stock.WEB_SERVICE_FACTORIES
    assert name not in Personality.WEB_SERVICE_FACTORIES


def test_a_web_service_below_a_path_is_refused_too(config: dict[str, Any]) -> None:
    web(config)["paths"]["more"] = {"type": "path", "paths": {"pub": {"type": "publisher", "realm": "a", "role": "b"}}}

    assert "no web service publisher" in refused(config)


def test_all_web_services_are_known() -> None:
    """A new one of Crossbar's is looked at before it is let in."""
    harmless = {"none", "path", "redirect", "resource", "reverseproxy", "wsgi", "websocket"}

    assert set(Personality.WEB_SERVICE_FACTORIES) == harmless | set(SERVICES)
    assert set(Stock.WEB_SERVICE_FACTORIES) == harmless | set(refusals.WEB_SERVICES)


@pytest.mark.parametrize("kind", refusals.TRANSPORTS)
def test_transports(config: dict[str, Any], kind: str) -> None:
    config["workers"][0]["transports"].append({"id": "theirs", "type": kind, "endpoint": TCP})

    assert f"no transport {kind}" in refused(config)


@pytest.mark.parametrize("method", refusals.METHODS)
@pytest.mark.parametrize("number", [0, 1])
def test_authentication_that_proves_nothing(config: dict[str, Any], method: str, number: int) -> None:
    transport = config["workers"][0]["transports"][number]
    place = transport["paths"]["ws"] if transport["type"] == "web" else transport
    place["auth"] = {method: {"type": "static", "role": "trusted"}}

    assert f"no authentication by {method}" in refused(config)


def test_crossbars_tls(config: dict[str, Any]) -> None:
    web(config)["endpoint"]["tls"] = {"key": "a", "certificate": "b"}

    assert "HOPSACK_TLS_CERT" in refused(config)


@pytest.mark.parametrize("place", ["controller", "worker"])
def test_the_manhole(config: dict[str, Any], place: str) -> None:
    """S14: stock Crossbar takes the configuration, and lets in a key that is not in it."""
    if place == "controller":
        config["controller"] = {"manhole": SHELL}
    else:
        config["workers"][0]["manhole"] = SHELL

    assert "no manhole" in refused(config)
    Stock.check_manhole(Stock, SHELL)


def test_a_store_of_a_realm(config: dict[str, Any]) -> None:
    config["workers"][0]["realms"][0]["store"] = {"type": "memory"}

    assert "no store in realms" in refused(config)


@pytest.mark.parametrize("kind", ["proxy", "websocket-testee"])
def test_workers(config: dict[str, Any], kind: str) -> None:
    config["workers"].append({"type": kind, "anything": 1})

    assert kind in refused(config)
