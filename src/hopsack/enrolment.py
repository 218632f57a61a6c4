"""Enrolment: how a machine that nobody knows yet gets a key accepted, by a code that one person tells another.

    inviter                                    joiner
    makes a code, shows it            --  a person tells it -->
                    <====  an encrypted channel, by the code  ====>
    shows its verifier                         shows its verifier: the same, if nobody is in between
                                       <--     Asking: a public key, a name
    a person says yes; the node accepts it
    Accepted, or Refused              -->      keeps the private key, which never left it
                                       <--     Kept

The channel is Magic Wormhole (:mod:`hopsack.cli.wormholes`): the code is good for one attempt. Whoever guesses has one
in 65,536, and burns it. The messages are JSON in the channel, and bounded. Here is what both sides do, without a
terminal.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit

import msgspec

from hopsack.errors import HopsackError, LocalError
from hopsack.keys import PrivateKey, fingerprint, public_from, public_text

__all__ = [
    "Accepted",
    "Channel",
    "NotAccepted",
    "Request",
    "Terms",
    "TooLate",
    "Unfit",
    "invite",
    "join",
    "kept",
    "reachable",
    "readable",
]

MOST_BYTES = 4096
"""Of a message."""

HEARD_WITHIN = 10.0
"""Seconds that the last word of each side is waited for; nothing depends on it any more."""


class Channel(Protocol):
    """A wormhole, from one side. Every method fails with a :exc:`~hopsack.errors.LocalError` when it cannot be."""

    async def code(self) -> str:
        """The code, when there is one."""

    async def verifier(self) -> bytes:
        """What both sides have in common, when the other one is there; it proves to have used the same code."""

    async def send(self, message: bytes) -> None: ...

    async def receive(self) -> bytes: ...

    async def close(self) -> None:
        """Say goodbye; what was sent is with the mailbox then."""


class TooLate(LocalError):
    """Nobody came while the invitation was good."""


class NotAccepted(LocalError):
    """The other side did not want this key."""


class Unfit(LocalError):
    """The other side says something that is not enrolment."""


# ---- messages --------------------------------------------------------------------------------------------------------


class Asking(msgspec.Struct, frozen=True, tag="asking"):
    public: str
    name: str = ""


class Accepted(msgspec.Struct, frozen=True, tag="accepted"):
    """
    :ivar url: how the inviter reaches the node.
    """

    subject: str
    role: str
    fingerprint: str
    url: str


class Refused(msgspec.Struct, frozen=True, tag="refused"):
    reason: str


class Kept(msgspec.Struct, frozen=True, tag="kept"):
    pass


Message = Asking | Accepted | Refused | Kept


def encode(message: Message) -> bytes:
    return msgspec.json.encode(message)


def decode(data: bytes) -> Message:
    """:raises Unfit: it is no message of ours."""
    if len(data) > MOST_BYTES:
        raise Unfit("the other side sends more than an enrolment has")
    try:
        message: Message = msgspec.json.decode(data, type=Message)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise Unfit("the other side is not a program of Hopsack, or of another version") from error
    return message


def readable(verifier: bytes) -> str:
    """A verifier as people compare it: the first 128 bits, which nobody finds a second channel with."""
    digits = verifier[:16].hex()
    return " ".join(digits[at : at + 4] for at in range(0, 32, 4))


# ---- the inviter -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Terms:
    """What an invitation gives.

    :ivar role: of whoever comes. :ivar name: its subject; without one, what it calls itself.
    :ivar seconds: how long the invitation is good. :ivar url: how the node is reached.
    """

    role: str
    name: str | None
    seconds: float
    url: str


@dataclass(frozen=True, slots=True)
class Request:
    """Who has come, for a person to judge.

    :ivar subject: what it will be called. :ivar called: what it calls itself.
    """

    verifier: str
    subject: str
    called: str
    public: str
    fingerprint: str


Confirm = Callable[[Request], Awaitable[bool]]
Accept = Callable[[Request], Awaitable[Mapping[str, Any]]]


async def invite(
    channel: Channel, terms: Terms, told: Callable[[str], None], confirm: Confirm, accept: Accept
) -> Mapping[str, Any]:
    """Give one invitation.

    :param told: takes the code. :param confirm: asks a person. :param accept: has the node accept the key.
    :returns: what ``accept`` returned.
    :raises TooLate: nobody came in time. :raises NotAccepted: the person said no.
    :raises LocalError: the code was wrong, or the other side is unfit.
    :raises RemoteError: the node does not accept the key.
    """
    try:
        told(await channel.code())
        request = await _before_the_end(channel, terms)
        try:
            facts = await _decide(request, terms, confirm, accept)
        except HopsackError as error:
            await channel.send(encode(Refused(str(error.args[0] if error.args else error)[:500])))
            raise
        await channel.send(encode(Accepted(request.subject, terms.role, request.fingerprint, terms.url)))
        try:
            async with asyncio.timeout(HEARD_WITHIN):
                await channel.receive()
        except (TimeoutError, LocalError):
            pass  # it is accepted; whether the other machine could keep it is shown there
        return facts
    finally:
        await channel.close()


async def _before_the_end(channel: Channel, terms: Terms) -> Request:
    """Wait for somebody, as long as the invitation is good."""
    verifier: bytes | None = None
    try:
        async with asyncio.timeout(terms.seconds):
            verifier = await channel.verifier()
            message = decode(await channel.receive())
    except TimeoutError as error:
        if verifier is not None:
            await channel.send(encode(Refused("the invitation has expired")))
        raise TooLate("the invitation has expired: nobody has used it") from error
    except Unfit as error:
        await channel.send(encode(Refused(str(error))))
        raise
    if not isinstance(message, Asking):
        raise Unfit("the other side does not ask to be enrolled")
    try:
        public = public_from(message.public)
    except ValueError as error:
        await channel.send(encode(Refused(str(error))))
        raise Unfit(f"the other side sends no key: {error}") from error
    called = message.name[:200]
    return Request(
        verifier=readable(verifier),
        subject=terms.name or called,
        called=called,
        public=public_text(public),
        fingerprint=fingerprint(public),
    )


async def _decide(request: Request, terms: Terms, confirm: Confirm, accept: Accept) -> Mapping[str, Any]:
    if not request.subject:
        raise NotAccepted("the other side has no name, and the invitation gives none")
    try:
        async with asyncio.timeout(terms.seconds):
            is_wanted = await confirm(request)
    except TimeoutError as error:
        raise TooLate("the invitation has expired: nobody has answered") from error
    if not is_wanted:
        raise NotAccepted("the person who invites has said no")
    return await accept(request)


# ---- the joiner ------------------------------------------------------------------------------------------------------


async def join(
    channel: Channel, name: str, seconds: float, compare: Callable[[str], None]
) -> tuple[PrivateKey, Accepted]:
    """Take an invitation. The channel knows the code.

    :param name: what this machine calls itself. :param seconds: how long to wait, for each step.
    :param compare: shows the verifier to a person.
    :returns: the key, which the node accepts now and which is nowhere yet: :func:`kept` when it is.
    :raises NotAccepted: the other side did not want it. :raises TooLate: nobody answered in time.
    :raises LocalError: the code was wrong, or the other side is unfit.
    """
    key = PrivateKey.new()
    try:
        async with asyncio.timeout(seconds):
            verifier = await channel.verifier()
    except TimeoutError as error:
        raise TooLate("nobody is at the other end: the code is of no invitation, or that one is over") from error
    compare(readable(verifier))
    await channel.send(encode(Asking(public_text(key.public), name)))
    try:
        async with asyncio.timeout(seconds):
            answer = decode(await channel.receive())
    except TimeoutError as error:
        raise TooLate("the person who invites has not answered") from error
    match answer:
        case Accepted():
            if answer.fingerprint != fingerprint(key.public):
                raise Unfit("the other side has accepted another key than this one")
            return key, answer
        case Refused(reason):
            raise NotAccepted(f"not accepted: {reason}")
        case _:
            raise Unfit("the other side answers what nobody asked")


async def kept(channel: Channel) -> None:
    """Tell the inviter that the key is kept."""
    await channel.send(encode(Kept()))


def reachable(url: str, mailbox: str) -> str:
    """The node's URL as the joiner writes it: an inviter that is on the node's machine knows it as the loopback only.

    :param url: the inviter's. :param mailbox: where the joiner met it; on the node's machine, unless that was said.
    """
    there, met = urlsplit(url), urlsplit(mailbox)
    if there.hostname not in _LOOPBACK or met.hostname is None or met.hostname in _LOOPBACK:
        return url
    host = f"[{met.hostname}]" if ":" in met.hostname else met.hostname
    port = "" if there.port is None else f":{there.port}"
    return there._replace(netloc=f"{host}{port}").geturl()


_LOOPBACK = ("localhost", "127.0.0.1", "::1")
