"""What a node in production tells of itself over HTTP, and to whom."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from hopsack.tokens import mint

from .test_production import bearer, production

pytestmark = pytest.mark.node


@pytest.mark.parametrize("path", ["/metrics", "/asyncapi.json"])
def test_what_the_node_tells_of_itself_is_for_services_and_operators(tmp_path: Path, path: str) -> None:
    """From this machine, too: whoever comes through a tunnel or a proxy that is not named comes from it."""
    other = {"Authorization": f"Bearer {mint('x' * 64, sub='olga', role='operator', ttl=60)}"}
    with production(tmp_path, HOPSACK_PROXY="127.0.0.1") as node, httpx.Client(base_url=node.http, timeout=20) as http:
        told = {role: http.get(path, headers=bearer(role)) for role in ("user", "service", "operator")}
        guest, forged, head = http.get(path), http.get(path, headers=other), http.head(path, headers=bearer("service"))
        page = http.get(path, headers=bearer("service") | {"Origin": "https://evil.example"})
        posted = http.post(path, headers=bearer("service"))
        known = http.get(path, headers=bearer("service") | {"If-None-Match": told["service"].headers.get("etag", "-")})
        open_to_all = [http.get(one).status_code for one in ("/healthz", "/readyz", "/version", "/errors", "/")]

    assert {role: answer.status_code for role, answer in told.items()} == {"user": 403, "service": 200, "operator": 200}
    assert told["user"].json()["code"] == "hopsack.denied"
    assert "demo" in told["operator"].text or "hopsack_sessions" in told["operator"].text
    assert (guest.status_code, guest.json()["code"]) == (401, "hopsack.login_required")
    assert guest.headers["www-authenticate"].startswith("Bearer ")
    assert forged.status_code == 401
    assert (head.status_code, head.content) == (200, b"")
    assert (page.status_code, posted.status_code) == (403, 405)
    assert known.status_code == (200 if path == "/metrics" else 304)
    assert "access-control-allow-origin" not in told["service"].headers
    assert open_to_all == [200] * 5
