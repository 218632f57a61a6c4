"""``hopsack invite``, ``join`` and ``mailbox``: a machine that nobody knows yet gets a key accepted (enrolment.py)."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from hopsack.cli.exits import DeadlinePassed, Ended, Exit, Unreachable
from hopsack.cli.main import json_option, local_options, own_name, remote_options, settings_from
from hopsack.cli.output import for_people, plain, say, to_json
from hopsack.cli.parent import end_with_parent
from hopsack.cli.token import Duration
from hopsack.errors import UsageError
from hopsack.settings import Settings, authority

if TYPE_CHECKING:
    from hopsack.cli.wormholes import Wormhole

mailbox_option = click.option("--mailbox", metavar="URL", help="Where both sides meet. [HOPSACK_MAILBOX]")

VOID = "Nothing was given to anybody. Make a new invitation."

# ----- invite


@click.command(short_help="Let another machine in, by a code.")
@click.option("--role", type=click.Choice(["service", "user", "operator"]), default="service", show_default=True)
@click.option("--name", metavar="NAME", help="What it will be called. [what it calls itself]")
@click.option(
    "--for", "ttl", type=Duration(), default="10m", show_default=True, metavar="TIME", help="How long to wait."
)
@click.option("--node", metavar="URL", help="How the other machine reaches the node. [HOPSACK_URL]")
@click.option("--yes", is_flag=True, help="Ask nobody whether the verifiers are the same.")
@mailbox_option
@remote_options
@json_option
def invite(
    role: str,
    name: str | None,
    ttl: float,
    node: str | None,
    yes: bool,
    as_json: bool,
    mailbox: str | None,
    **given: Any,
) -> None:
    """Let another machine in: print a code that is good once, and wait.

    Tell the code to the person at the other machine, who types `hopsack join CODE`. That makes a key pair there; the
    private key stays there. Both of you then see a verifier. If they are the same, nobody is in between, and you say
    yes. A wrong code makes the invitation void.
    """
    from hopsack import enrolment
    from hopsack.cli import wormholes
    from hopsack.cli.client import remote_settings

    settings = remote_settings(given_mailbox=mailbox, **given)
    terms = enrolment.Terms(role, name, ttl, node or settings.url)
    inviter = _Inviter(settings, terms, yes, as_json)
    try:
        wormholes.run(inviter.work)
    except wormholes.WrongCode as error:
        raise Ended("somebody used a wrong code: this invitation is void", Exit.FAILURE, VOID) from error
    except enrolment.TooLate as error:
        raise DeadlinePassed(str(error)) from error
    except enrolment.NotAccepted as error:
        raise Ended(f"not accepted: {error}", Exit.DENIED) from error


class _Inviter:
    """What one invitation says and asks."""

    def __init__(self, settings: Settings, terms: Any, yes: bool, as_json: bool) -> None:
        self._settings, self._terms, self._yes, self._as_json = settings, terms, yes, as_json

    async def work(self) -> None:
        from hopsack import enrolment
        from hopsack.cli.client import joined

        async with joined(self._settings) as fabric:
            await fabric.call("hopsack.keys.list")  # who may not accept keys need not invite anybody

            async def accept(request: enrolment.Request) -> Mapping[str, Any]:
                note = f"invited, from {request.called}"[:200] if request.called else "invited"
                asked = {"subject": request.subject, "role": self._terms.role, "public": request.public, "note": note}
                return await fabric.call("hopsack.keys.add", asked)  # type: ignore[no-any-return]

            channel = await _opened(self._settings.mailbox)
            added = await enrolment.invite(channel, self._terms, self._tell, self._confirm, accept)
        self._show_added(added)

    def _tell(self, code: str) -> None:
        from hopsack.cli.control import duration

        if not for_people(self._as_json):
            click.echo(to_json({"code": code, "mailbox": self._settings.mailbox, "for": self._terms.seconds}))
            sys.stdout.flush()
            return
        also = f" --mailbox {self._settings.mailbox}"
        say(f"On the other machine, within {duration(self._terms.seconds)}:\n")
        click.echo(f"    hopsack join {code}{also}")
        say(f"\n{_where(self._settings)}It is good for one attempt. Waiting; Ctrl-C takes it back.")

    async def _confirm(self, request: Any) -> bool:
        from hopsack.cli.wormholes import ask

        if not for_people(self._as_json):
            facts = {"verifier": request.verifier, "subject": request.subject, "called": request.called}
            click.echo(to_json(facts | {"role": self._terms.role, "fingerprint": request.fingerprint}))
            sys.stdout.flush()
        who = plain(request.called) or "somebody without a name"
        say(f"\n{who} is there. The verifier, which must be the same on both sides:\n\n    {request.verifier}\n")
        if self._yes:
            say("Accepted without a look at it (--yes): whoever guessed the code, or is in between, would be, too.")
            return True
        question = f"Is it the same there, and may it be the {self._terms.role} {plain(request.subject)}? [y/N] "
        return await ask(lambda: _answer(question))

    def _show_added(self, added: Mapping[str, Any]) -> None:
        if for_people(self._as_json):
            click.echo(f"Accepted: {added['role']} {plain(added['subject'])}, key {added['name']}")
            say(f"`{own_name()} keys revoke {added['name']}` takes it back.")
        else:
            click.echo(to_json({"accepted": True} | dict(added)))


async def _opened(mailbox: str) -> Wormhole:
    """A new wormhole. Behind `hopsack up` the mailbox of this machine is there a moment later than the node."""
    from hopsack.cli.wormholes import Wormhole

    for tries in range(TRIES if urlsplit(mailbox).hostname in _LOOPBACK else 1, 0, -1):
        channel = Wormhole(mailbox)
        try:
            await channel.code()
            return channel
        except Unreachable:
            if tries == 1:
                raise
            await asyncio.sleep(AGAIN)
    raise AssertionError


TRIES, AGAIN = 8, 0.5
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def _answer(question: str) -> bool:
    click.echo(question, nl=False, err=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _where(settings: Settings) -> str:
    """A word of warning where the other machine cannot reach the mailbox."""
    if urlsplit(settings.mailbox).hostname not in _LOOPBACK:
        return ""
    if settings.given_mailbox is None and settings.host in ("", "0.0.0.0", "::"):
        return "There, write an address of this machine in place of 127.0.0.1.\n\n"
    return (
        "This mailbox is reached from this machine only: from elsewhere, start Hopsack with HOPSACK_HOST set to an\n"
        "address of this machine, or set HOPSACK_MAILBOX to a mailbox that both reach.\n\n"
    )


# ----- join


@click.command(short_help="Get a key accepted, by a code that somebody told you.")
@click.argument("code", required=False)
@click.option("--key", metavar="FILE", help="Where the private key is kept. [HOPSACK_KEY; key in the data folder]")
@click.option("--name", metavar="NAME", help="What this machine calls itself. [its host name]")
@click.option("--wait", "patience", type=Duration(), default="10m", show_default=True, metavar="TIME")
@mailbox_option
@local_options
@json_option
def join(code: str | None, name: str | None, patience: float, as_json: bool, mailbox: str | None, **given: Any) -> None:
    """Get a key accepted, by the code that `hopsack invite` has printed elsewhere.

    Makes a key pair, sends the public key, and shows a verifier: the person who invites sees the same, or somebody is
    in between. When that person has said yes, the private key is written to a file that only you can read.
    """
    from hopsack import enrolment
    from hopsack.cli import wormholes

    settings = settings_from(given_mailbox=mailbox, **given)
    path = settings.key or settings.data / "key"
    if path.exists():
        raise UsageError(f"{path} is there already: name another file with --key, or move that one away")
    code = code or click.prompt("The code", err=True)
    joiner = _Joiner(settings, str(code).strip(), name or socket.gethostname(), patience, path, as_json)
    try:
        wormholes.run(joiner.work)
    except wormholes.WrongCode as error:
        advice = "The invitation is void now: ask for a new one. If the code was right, somebody else was quicker."
        raise Ended("that code is wrong", Exit.FAILURE, advice) from error
    except enrolment.TooLate as error:
        raise DeadlinePassed(str(error)) from error
    except enrolment.NotAccepted as error:
        raise Ended(str(error), Exit.DENIED) from error


class _Joiner:
    """What one who takes an invitation says."""

    def __init__(self, settings: Settings, code: str, name: str, patience: float, path: Path, as_json: bool) -> None:
        self._settings, self._code, self._name, self._patience = settings, code, name, patience
        self._path, self._as_json = path, as_json

    async def work(self) -> None:
        from hopsack import enrolment
        from hopsack.cli.wormholes import Wormhole

        channel = Wormhole(self._settings.mailbox, self._code)
        hint = asyncio.get_running_loop().call_later(LONELY, say, NOBODY)

        def compare(verifier: str) -> None:
            hint.cancel()
            self._compare(verifier)

        try:
            key, accepted = await enrolment.join(channel, self._name, self._patience, compare)
            key.write(self._path)
            await enrolment.kept(channel)
        finally:
            hint.cancel()
            await channel.close()
        self._show(accepted, enrolment.reachable(accepted.url, self._settings.mailbox))

    def _compare(self, verifier: str) -> None:
        if not for_people(self._as_json):
            click.echo(to_json({"verifier": verifier}))
            sys.stdout.flush()
        say(f"The verifier, which must be the same where the code was made:\n\n    {verifier}\n")
        say("Waiting for the person there to say yes …")

    def _show(self, accepted: Any, url: str) -> None:
        if not for_people(self._as_json):
            facts = {"subject": accepted.subject, "role": accepted.role, "fingerprint": accepted.fingerprint}
            click.echo(to_json({"accepted": True} | facts | {"key": str(self._path), "url": url}))
            return
        say(f"Accepted as the {accepted.role} {plain(accepted.subject)}. The private key is in {self._path}.\n")
        click.echo(f"    export HOPSACK_URL={plain(url)} HOPSACK_KEY={self._path}")
        say("\nWith these, `hopsack run`, `hopsack call` and all others log in with it.")


LONELY = 5.0
"""Seconds after which somebody who waits for the other side is told what that may mean."""

NOBODY = "Nobody has answered yet. Is the number in front right, and does `hopsack invite` still wait there?"


# ----- mailbox


@click.command(short_help="Run the mailbox that invitations go through.")
@click.option("--host", help="The interface to listen on. [HOPSACK_HOST; 127.0.0.1]")
@click.option("--port", "mailbox_port", metavar="N", help="Its port; 0 is any free one. [HOPSACK_MAILBOX_PORT; 4000]")
@click.option("--with-parent", is_flag=True, hidden=True)
@local_options
@json_option
def mailbox(with_parent: bool, as_json: bool, **given: Any) -> int:
    """Run the mailbox that invitations go through, in this process: Magic Wormhole's own server.

    It sees who meets, and nothing of what they say. What waits in it is kept in the data folder, so that a mailbox that
    is started again goes on. `hopsack up` runs one.
    """
    settings = settings_from(**given)
    if with_parent:
        end_with_parent()
    from hopsack.cli.mailbox import serve

    def ready(port: int) -> None:
        url = f"ws://{authority(settings.host, port)}/v1"
        if for_people(as_json):
            click.echo(f"ready: {url}")
        else:
            click.echo(to_json({"ready": True, "mailbox": url}))
        sys.stdout.flush()

    return serve(settings, ready)
