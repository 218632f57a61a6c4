"""Who stands behind the proxies in front of this node (``HOPSACK_PROXY``).

A proxy appends the address it was asked from to ``X-Forwarded-For``, and says in ``X-Forwarded-Proto`` whether it was
asked over TLS. Anybody can send these fields, so they count only as far as the addresses are known to be proxies: the
list is read from its end, and the first address that is no proxy's is the client's. A core without I/O.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network


class Proxies:
    """The proxies of a node.

    :param networks: addresses and networks, ``10.0.0.5`` or ``10.0.0.0/8``.
    """

    def __init__(self, networks: Iterable[str] = ()) -> None:
        self._networks = [ip_network(one, strict=False) for one in networks]

    def trusts(self, address: str) -> bool:
        """Whether an address is one of theirs."""
        if not self._networks:
            return False
        found = _address(address)
        return found is not None and any(found in network for network in self._networks)

    def client(self, peer: str, forwarded: Sequence[str]) -> str:
        """The address of the client.

        :param peer: who has connected.
        :param forwarded: the values of ``X-Forwarded-For``.
        """
        client = peer
        for text in reversed([part for line in forwarded for part in line.split(",")]):
            if not self.trusts(client):
                break
            address = _address(text.strip())
            if address is None:
                break
            client = str(address)
        return client

    def is_https(self, peer: str, forwarded: Sequence[str]) -> bool:
        """Whether the client speaks TLS with the proxy.

        :param forwarded: the values of ``X-Forwarded-Proto``.
        """
        if not forwarded or not self.trusts(peer):
            return False
        return forwarded[-1].rpartition(",")[2].strip().lower() == "https"


def _address(text: str) -> IPv4Address | IPv6Address | None:
    """An address as proxies write it: some put a port behind it, or brackets around it."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        found = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return mapped or found


def proxies_of(given: str) -> Proxies:
    """The proxies of ``HOPSACK_PROXY``."""
    return Proxies(word.strip() for word in given.split(",") if word.strip())
