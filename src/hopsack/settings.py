"""One process's configuration: read once, frozen, printed with its secrets masked.

This is the only file that knows the names of the environment variables. It imports nothing but the standard library,
because every verb of the command line reads it before it does anything else.

    os.environ -> Settings.from_environ -> one frozen value -> everybody

An unknown ``HOPSACK_*`` variable is an error, not a silence: a misspelt ``HOPSACK_PROT`` would otherwise look like
a node that ignores its port. An empty variable counts as not set, since compose files write ``${HOPSACK_TOKEN:-}``.
"""

from __future__ import annotations

import difflib
import ipaddress
import os
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args
from urllib.parse import urlsplit

from hopsack.errors import LocalError

__all__ = ["VARIABLES", "ConfigError", "Settings", "Variable"]

Environment = Literal["dev", "prod"]
LogLevel = Literal["debug", "info", "warning"]
Guests = Literal["all", "read", "none"]

LEAST_SECRET_BYTES = 32
"""RFC 7518, section 3.2: an HS256 key is at least as long as the hash it makes."""

DEVELOPMENT = "dev-"
"""What secrets begin with that were made up: no production goes on with one (:mod:`hopsack.production`)."""

SCHEMES = ("tcp", "tls", "unix", "ws", "wss", "http", "https")
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_ANY_INTERFACE = frozenset({"", "0.0.0.0", "::"})


class ConfigError(LocalError):
    """The configuration cannot work. The message names the variable and what would be right; exit code 3.

    :param message: what is wrong.
    :param advice: what to write instead.
    """

    def __init__(self, message: str, advice: str | None = None) -> None:
        self.message = message
        self.advice = advice
        super().__init__(f"{message} ({advice})" if advice else message)


@dataclass(frozen=True, slots=True)
class Variable:
    """One row of the configuration reference.

    :ivar name: the environment variable.
    :ivar field: the field of :class:`Settings` it sets; ``None`` if it only matters to the launcher.
    :ivar meaning: one sentence.
    :ivar default: for the reference; empty if there is none.
    """

    name: str
    field: str | None
    meaning: str
    default: str = ""


_ROWS = (
    Variable("HOPSACK_ENV", "env", "`dev` or `prod`. In `prod` nothing is made up: secrets must be given.", "dev"),
    Variable("HOPSACK_HOST", "host", "The interface the node listens on.", "127.0.0.1"),
    Variable("HOPSACK_PORT", "port", "The HTTP port, with every door on it. 0 is any free port.", "8080"),
    Variable("HOPSACK_RAWSOCKET_PORT", "rawsocket_port", "The port that services connect to.", "8081"),
    Variable("HOPSACK_RAWSOCKET_PATH", "rawsocket_path", "A Unix socket for services, in place of the port."),
    Variable(
        "HOPSACK_URL", "url", "The node that services and the command line connect to.", "the RawSocket port here"
    ),
    Variable("HOPSACK_DATA", "data", "The folder for the secret, logs and state.", ".hopsack"),
    Variable("HOPSACK_SCHEMAS", "schemas", "The folder of the contracts.", "schemas"),
    Variable("HOPSACK_WEB", "web", "The folder served at `/`.", "web_client/dist"),
    Variable("HOPSACK_DRAIN", "drain", "Seconds that a node which stops gives the calls in flight to end.", "5"),
    Variable(
        "HOPSACK_FINISH",
        "finish",
        "Seconds that a service which stops has to finish what it has in hand. `up` gives 1.5 at most.",
        "10",
    ),
    Variable(
        "HOPSACK_UNSENT",
        "unsent",
        "Bytes that may wait for one connection that reads slowly, and for those of a role.",
        "1 MiB, service=16 MiB, operator=16 MiB",
    ),
    Variable("HOPSACK_PATIENCE", "patience", "Seconds after which a connection that takes nothing is closed.", "30"),
    Variable("HOPSACK_JOURNAL", "journal", "Bytes of all kept events together.", "1 GiB"),
    Variable("HOPSACK_LOG", "log", "How much is logged: `debug`, `info` or `warning`.", "info"),
    Variable("HOPSACK_TOKEN", "token", "The token to log in with."),
    Variable("HOPSACK_TOKEN_FILE", "token", "A file that holds the token."),
    Variable("HOPSACK_SECRET", "given_secret", "The key that signs tokens (HS256), 32 bytes or more."),
    Variable("HOPSACK_SECRET_FILE", "given_secret", "A file that holds the key.", "$HOPSACK_DATA/secret"),
    Variable(
        "HOPSACK_GUESTS",
        "given_guests",
        "What clients without a proof may do: `all` that contracts give the role guest, `read` (subscribe, read back, "
        "call what is idempotent), or `none`.",
        "all in dev, none in prod",
    ),
    Variable("HOPSACK_TOKEN_KEYS", "token_keys", "A file of public keys that verify tokens: PEM, or a JWK set."),
    Variable("HOPSACK_JWKS", "jwks", "The URL of a JWK set that verifies tokens: https, or http on this machine."),
    Variable("HOPSACK_ISSUER", "issuer", "The `iss` of tokens that those keys verify; needed with them."),
    Variable(
        "HOPSACK_AUDIENCE", "audience", "The `aud` that tokens must have. Without it, tokens that have one are refused."
    ),
    Variable("HOPSACK_TOKEN_ROLES", "token_roles", "The roles that tokens of those keys may give.", "user"),
    Variable(
        "HOPSACK_CLAIMS",
        "claims",
        "Where role, groups and tenant stand in those tokens. A dot goes down.",
        "role=role, groups=groups, tenant=tenant",
    ),
    Variable("HOPSACK_GRACE", "grace", "Seconds that a session goes on after its token has expired.", "10"),
    Variable("HOPSACK_KEYS", "keys", "The folder of the public keys that services log in with.", "$HOPSACK_DATA/keys"),
    Variable("HOPSACK_KEY", "key", "A file with the private key that this program logs in with, if it has no token."),
    Variable(
        "HOPSACK_PRINCIPALS", "principals", "A YAML file of who logs in by ticket, SCRAM or a TLS client certificate."
    ),
    Variable(
        "HOPSACK_MAILBOX", "given_mailbox", "The Magic Wormhole mailbox for invitations.", "the mailbox port here"
    ),
    Variable(
        "HOPSACK_MAILBOX_PORT", "mailbox_port", "The port of the mailbox that `up` runs. 0: it runs none.", "4000"
    ),
    Variable(
        "HOPSACK_ORIGINS",
        "origins",
        "Pages of other sites that may connect: `https://app.example, https://*.example`.",
        "none; in dev those of this machine",
    ),
    Variable("HOPSACK_TLS_CERT", "tls_cert", "A PEM file with the certificate and its chain: both ports speak TLS."),
    Variable("HOPSACK_TLS_KEY", "tls_key", "A PEM file with the certificate's private key."),
    Variable(
        "HOPSACK_TLS_CLIENT_CA", "tls_client_ca", "A PEM file: clients may log in with certificates it has signed."
    ),
    Variable("HOPSACK_TLS_CA", "tls_ca", "A PEM file that clients trust beside the machine's own authorities."),
    Variable(
        "HOPSACK_PROXY",
        "proxy",
        "Addresses or networks of the proxies in front: what they forward of the client's address and https counts.",
    ),
    Variable("HOPSACK_LIMITS", "limits", "Changes to the limits: `messages.connection=500/s, connects.address=20/s`."),
    Variable("HOPSACK_PROJECT", "project", "The folder that the defaults above are relative to.", "the current folder"),
    Variable("HOPSACK_PYTHON", None, "The Python that the launcher makes the environment with.", "the newest found"),
)

VARIABLES: Mapping[str, Variable] = {row.name: row for row in _ROWS}
"""Every variable this version knows, in the order of the reference."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything one process may be told from outside.

    :ivar project: folder that default paths are relative to; absolute.
    :ivar env: ``dev`` makes up what is missing (a secret, an operator's token); ``prod`` never does.
    :ivar host: interface the node listens on.
    :ivar port: HTTP port, 0 for any free one.
    :ivar rawsocket_port: RawSocket port, 0 for any free one.
    :ivar rawsocket_path: Unix socket path, taken in place of ``rawsocket_port``.
    :ivar url: what services and the command line connect to.
    :ivar data: folder for secret, logs, state; made at first use.
    :ivar schemas: folder of the contracts.
    :ivar web: folder served at ``/``.
    :ivar drain: seconds that a node which stops gives the calls in flight to end.
    :ivar finish: seconds that a service which stops gives what it has in hand.
    :ivar unsent: bytes that may wait for a slow connection, as :attr:`budgets` reads them.
    :ivar patience: seconds after which a connection that takes nothing is closed.
    :ivar journal: bytes of all kept events together.
    :ivar log: log level.
    :ivar token: the token that was given, if any. :meth:`operator_token` is what the command line logs in with.
    :ivar token_file: where the token came from, if it came in a file.
    :ivar secret_file: where the signing key came from, if it came in a file.
    :ivar url_is_given: whether ``url`` was said, or follows from the other values.
    :ivar given_secret: the signing key that was given, if any. :meth:`secret` is what to sign and verify with.
    """

    project: Path = field(default_factory=Path.cwd)
    env: Environment = "dev"
    host: str = "127.0.0.1"
    port: int = 8080
    rawsocket_port: int = 8081
    rawsocket_path: Path | None = None
    url: str = "tcp://127.0.0.1:8081"
    data: Path = Path(".hopsack")
    schemas: Path = Path("schemas")
    web: Path = Path("web_client/dist")
    drain: float = 5.0
    finish: float = 10.0
    unsent: str = "1 MiB, service=16 MiB, operator=16 MiB"
    patience: float = 30.0
    journal: int = 1 << 30
    log: LogLevel = "info"
    token: str | None = field(default=None, repr=False)
    given_secret: str | None = field(default=None, repr=False)
    given_guests: Guests | None = None
    token_keys: Path | None = None
    jwks: str | None = None
    issuer: str | None = None
    audience: str | None = None
    token_roles: str = "user"  # noqa: S105
    claims: str = ""
    grace: float = 10.0
    keys: Path = Path(".hopsack/keys")
    key: Path | None = None
    principals: Path | None = None
    given_mailbox: str | None = None
    mailbox_port: int = 4000
    origins: str = ""
    tls_cert: Path | None = None
    tls_key: Path | None = None
    tls_client_ca: Path | None = None
    tls_ca: Path | None = None
    proxy: str = ""
    limits: str = ""
    url_is_given: bool = False
    token_file: Path | None = None
    secret_file: Path | None = None

    @classmethod
    def from_environ(cls, environ: Mapping[str, str], **overrides: Any) -> Settings:
        """Read the variables; ``overrides`` are fields by name and win over them, ``None`` meaning *not given*.

        Paths that are given are relative to the current folder, default paths to ``project``; all become absolute.

        :raises ConfigError: a variable is unknown or a value cannot be right.
        :raises TypeError: an override is not a field.
        """
        given = _read(environ)
        for name, value in overrides.items():
            if name not in _PARSERS:
                raise TypeError(f"Settings has no field {name!r}")
            if value is not None:
                given[name] = _PARSERS[name](_OPTIONS.get(name) or "--" + name.replace("_", "-"), str(value))
        project: Path = given.setdefault("project", Path.cwd())
        for name, default in (("data", ".hopsack"), ("schemas", "schemas"), ("web", "web_client/dist")):
            given.setdefault(name, project / default)
        given.setdefault("keys", given["data"] / "keys")
        settings = cls(**given, url_is_given="url" in given)
        _check_ports_differ(settings)
        _check_tls(settings)
        return settings if settings.url_is_given else settings._with_local_url()

    def _with_local_url(self) -> Settings:
        if self.rawsocket_path is not None:
            return replace(self, url=f"unix://{self.rawsocket_path}")
        scheme = "tcp" if self.tls_cert is None else "tls"
        return replace(self, url=f"{scheme}://{authority(self.host, self.rawsocket_port)}")

    @property
    def client(self) -> Path:
        """Folder of the built web client: ``sdk.js`` is served from it whatever :attr:`web` is."""
        return self.project / "web_client" / "dist"

    @property
    def is_local(self) -> bool:
        """Whether :attr:`url` leads to this machine: only there is this data folder's secret of any use."""
        parts = urlsplit(self.url)
        return parts.scheme == "unix" or parts.hostname in _LOOPBACK or parts.hostname == self.host

    @property
    def budgets(self) -> Mapping[str, int]:
        """:attr:`unsent` by role; ``""`` is every other role."""
        return _budgets("HOPSACK_UNSENT", self.unsent)

    @property
    def guests(self) -> Guests:
        """What clients without a proof of who they are may do."""
        return self.given_guests or ("none" if self.env == "prod" else "all")

    @property
    def mailbox(self) -> str:
        """The URL of the mailbox that invitations go through."""
        return self.given_mailbox or f"ws://{authority(self.host, self.mailbox_port)}/v1"

    @property
    def secret_path(self) -> Path:
        return self.data / "secret"

    def secret(self) -> str:
        """The key that signs tokens: the given one, else the data folder's, which development makes at first use.

        :raises ConfigError: production without a secret, or a folder that cannot be written.
        """
        if self.given_secret is not None:
            return self.given_secret
        if self.secret_path.exists():
            return _check_secret(str(self.secret_path), _text_of(str(self.secret_path), self.secret_path))
        if self.env == "prod":
            raise ConfigError(
                "HOPSACK_ENV=prod needs a secret, and none is given",
                f"set HOPSACK_SECRET or HOPSACK_SECRET_FILE to {LEAST_SECRET_BYTES} random bytes or more",
            )
        return _make_secret(self.secret_path)

    def newest_token(self) -> str | None:
        """The given token; one that came in a file, as it stands there now.

        :raises ConfigError: it cannot be read now.
        """
        if self.token_file is None:
            return self.token
        return _token("HOPSACK_TOKEN_FILE", _text_of("HOPSACK_TOKEN_FILE", self.token_file))

    def operator_token(self) -> str | None:
        """What the command line logs in with: the given token, else, in development and on this machine, a fresh one.

        ``None`` means *with the key*, if there is one, else *as a guest*: somebody else's node cannot know the secret
        of this folder, and a client verb does not make a secret that no node has read.
        """
        if self.token is not None or self.key is not None:
            return self.token
        known = self.given_secret is not None or self.secret_path.exists()
        if self.env == "prod" or not self.is_local or not known:
            return None
        from hopsack import tokens

        return tokens.mint(self.secret(), sub="cli", role="operator", ttl=3600)

    def masked(self) -> dict[str, Any]:
        """Every field as plain JSON, with secrets told only by whether they are set."""
        facts: dict[str, Any] = {}
        for name in self.__slots__:
            value = getattr(self, name)
            if name in ("token", "given_secret"):
                facts[name.removeprefix("given_")] = "(set)" if value else "(not set)"
            elif name not in ("url_is_given", "token_file", "secret_file"):
                facts[name.removeprefix("given_")] = str(value) if isinstance(value, Path) else value
        return facts

    def environ(self) -> dict[str, str]:
        """The same values as variables, for a process of ours that is started elsewhere. Secrets are not among them."""
        facts = {
            row.name: getattr(self, row.field) for row in _ROWS if row.field not in (None, "token", "given_secret")
        }
        return {name: str(value) for name, value in facts.items() if value is not None}


def authority(host: str, port: int) -> str:
    """``host:port`` as a client on this machine writes it (RFC 3986, section 3.2): wildcards become the loopback."""
    name = "127.0.0.1" if host in _ANY_INTERFACE else host
    return f"[{name}]:{port}" if ":" in name else f"{name}:{port}"


def _read(environ: Mapping[str, str]) -> dict[str, Any]:
    given: dict[str, Any] = {}
    for name, raw in environ.items():
        if not name.startswith("HOPSACK_"):
            continue
        row = VARIABLES.get(name)
        if row is None:
            raise ConfigError(f"{name} is not a variable of Hopsack", _nearest_variable(name))
        if raw.strip() == "" or row.field is None:
            continue
        if row.field in given:
            raise ConfigError(f"{name} and its twin are both set", "set one of them")
        text = _text_of(name, Path(raw.strip())) if name.endswith("_FILE") else raw.strip()
        given[row.field] = _PARSERS[row.field](name, text)
        if name.endswith("_FILE"):
            given[name.removeprefix("HOPSACK_").lower()] = _path(name, raw.strip())
    return given


def _nearest_variable(name: str) -> str:
    # Compared without the prefix they all share: with it, everything is near everything.
    rest = [known.removeprefix("HOPSACK_") for known in VARIABLES]
    near = difflib.get_close_matches(name.removeprefix("HOPSACK_"), rest, n=1, cutoff=0.6)
    if near:
        return f"did you mean HOPSACK_{near[0]}?"
    if "_SERVICE_" in name or "_TCP" in name:
        return "Kubernetes sets it for a Service of this name: write enableServiceLinks: false, or name it otherwise"
    return "the known ones are " + ", ".join(VARIABLES)


def _text_of(name: str, path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigError(f"{name}: cannot read {path}: {error.strerror or error}") from error


def _port(name: str, raw: str) -> int:
    if raw.isascii() and raw.isdigit() and int(raw) <= 65535:
        return int(raw)
    kubernetes = raw.startswith("tcp://") and name.startswith("HOPSACK_")
    raise ConfigError(
        f"{name}={raw} is not a port",
        "Kubernetes sets it for a Service called hopsack: write enableServiceLinks: false, or name it otherwise"
        if kubernetes
        else "a number from 0 to 65535; 0 is any free port",
    )


def _seconds(name: str, raw: str) -> float:
    if re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6})?", raw):
        return float(raw)
    raise ConfigError(f"{name}={raw} is not a number of seconds", "such as 5 or 0.5")


def _size(name: str, raw: str) -> int:
    found = re.fullmatch(r"([0-9]{1,15}) ?(KiB|MiB|GiB)?", raw)
    if found is None or int(found[1]) == 0:
        raise ConfigError(f"{name}={raw} is not a number of bytes", "such as 65536, 512 KiB, 16 MiB or 1 GiB")
    return int(found[1]) << _UNITS[found[2]]


_OPTIONS = {"given_mailbox": "--mailbox", "mailbox_port": "--port"}
"""What people have typed where it is not called as the field is."""

_UNITS = {None: 0, "KiB": 10, "MiB": 20, "GiB": 30}
_ROLES = ("guest", "user", "service", "operator")


def _budgets(name: str, raw: str) -> Mapping[str, int]:
    sizes: dict[str, int] = {"": 1 << 20}
    for part in raw.split(","):
        role, equals, size = (word.strip() for word in part.rpartition("="))
        if equals and role not in _ROLES:
            near = difflib.get_close_matches(role, _ROLES, n=1, cutoff=0.5)
            advice = f"did you mean {near[0]}?" if near else "one of " + ", ".join(_ROLES)
            raise ConfigError(f"{name}: {role} is not a role", advice)
        sizes[role] = _size(name, size)
    return sizes


def _unsent(name: str, raw: str) -> str:
    _budgets(name, raw)
    return raw


def _one_of(*words: str) -> Callable[[str, str], str]:
    def parse(name: str, raw: str) -> str:
        if raw in words:
            return raw
        near = difflib.get_close_matches(raw.lower(), words, n=1, cutoff=0.5)
        raise ConfigError(
            f"{name}={raw} is not known", f"did you mean {near[0]}?" if near else "one of " + ", ".join(words)
        )

    return parse


def _path(_name: str, raw: str) -> Path:
    return Path(os.path.abspath(os.path.expanduser(raw)))


def _host(name: str, raw: str) -> str:
    host = raw[1:-1] if raw.startswith("[") and raw.endswith("]") else raw
    if "/" in host or host.count(":") == 1 or any(c.isspace() for c in host):
        raise ConfigError(
            f"{name}={raw} is not an interface", "an address such as 127.0.0.1 or 0.0.0.0, without a port"
        )
    return host


def _url(name: str, raw: str) -> str:
    parts = urlsplit(raw)
    if parts.username is not None or parts.password is not None:
        raise ConfigError(
            f"{name} has a name or a password in it, which logs would keep", "give a token: HOPSACK_TOKEN"
        )
    if parts.scheme not in SCHEMES:
        raise ConfigError(
            f"{name}={raw} is not a URL of a node", "it begins with one of " + ", ".join(s + "://" for s in SCHEMES)
        )
    try:
        reachable = bool(parts.path) if parts.scheme == "unix" else bool(parts.hostname)
        reachable = reachable and (parts.scheme not in ("tcp", "tls") or parts.port is not None)
    except ValueError:
        reachable = False
    if not reachable:
        raise ConfigError(
            f"{name}={raw} names no place",
            "such as tcp://127.0.0.1:8081, unix:///run/hopsack.sock or ws://host:8080/ws",
        )
    return raw


def _check_secret(name: str, raw: str) -> str:
    length = len(raw.encode())
    if length < LEAST_SECRET_BYTES:
        raise ConfigError(
            f"{name} is too short: {length} bytes",
            f"HS256 wants {LEAST_SECRET_BYTES} or more (RFC 7518, 3.2), such as the output of `openssl rand -hex 32`",
        )
    return raw


def _token(name: str, raw: str) -> str:
    if any(c.isspace() for c in raw):
        raise ConfigError(f"{name} holds white space, which no token does")
    return raw


def _plain(_name: str, raw: str) -> str:
    """Read where it is used, which knows what may stand there."""
    return raw


def _word(name: str, raw: str) -> str:
    if any(c.isspace() for c in raw):
        raise ConfigError(f"{name} holds white space", "such as https://login.example")
    return raw


def shown(url: str) -> str:
    """A URL as it may stand in a log or an error: without a name, a password, or a query, which may hold a key."""
    scheme, mark, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    query = "?…" if "?" in path else ""
    return f"{scheme}{mark}{authority.rpartition('@')[2]}{slash}{path.partition('#')[0].partition('?')[0]}{query}"


def _jwks(name: str, raw: str) -> str:
    parts = urlsplit(raw)
    if "@" in parts.netloc:
        advice = "leave it out: the keys are public ones, and are asked for without a login"
        raise ConfigError(f"{name}={shown(raw)} has a name or a password in it", advice)
    if parts.hostname and (parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)):
        return raw
    raise ConfigError(f"{name}={shown(raw)} is not a place to get keys from", "an https URL; http only on this machine")


def _mailbox(name: str, raw: str) -> str:
    parts = urlsplit(raw)
    if parts.scheme in ("ws", "wss") and parts.hostname:
        return raw
    raise ConfigError(f"{name}={shown(raw)} is not the URL of a mailbox", "such as ws://127.0.0.1:4000/v1")


def _words(raw: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in raw.split(",") if word.strip())


def _token_roles(name: str, raw: str) -> str:
    for role in _words(raw):
        if role not in _ROLES:
            near = difflib.get_close_matches(role, _ROLES, n=1, cutoff=0.5)
            advice = f"did you mean {near[0]}?" if near else "one of " + ", ".join(_ROLES)
            raise ConfigError(f"{name}: {role} is not a role", advice)
    return raw


CLAIMS = ("role", "groups", "tenant")


def _claims(name: str, raw: str) -> str:
    for word in _words(raw):
        fact, equals, place = word.partition("=")
        if fact.strip() not in CLAIMS or not equals or not place.strip():
            raise ConfigError(
                f"{name}: {word} says of no fact where it stands", "such as role=realm.role, groups=groups"
            )
    return raw


def _origins(name: str, raw: str) -> str:
    for word in _words(raw):
        if word not in ("*", "null") and not re.fullmatch(r"https?://[^/\s,]+", word):
            raise ConfigError(
                f"{name}: {word} is not an origin", "such as https://app.example or https://*.example:8443"
            )
    return raw


def _proxy(name: str, raw: str) -> str:
    for word in _words(raw):
        try:
            ipaddress.ip_network(word, strict=False)
        except ValueError as error:
            raise ConfigError(
                f"{name}: {word} is not an address or network", "such as 10.0.0.5 or 10.0.0.0/8"
            ) from error
    return raw


_PARSERS: Mapping[str, Callable[[str, str], Any]] = {
    "project": _path,
    "env": _one_of(*get_args(Environment)),
    "host": _host,
    "port": _port,
    "rawsocket_port": _port,
    "rawsocket_path": _path,
    "url": _url,
    "data": _path,
    "schemas": _path,
    "web": _path,
    "drain": _seconds,
    "finish": _seconds,
    "unsent": _unsent,
    "patience": _seconds,
    "journal": _size,
    "log": _one_of(*get_args(LogLevel)),
    "token": _token,
    "given_secret": _check_secret,
    "given_guests": _one_of(*get_args(Guests)),
    "token_keys": _path,
    "jwks": _jwks,
    "issuer": _word,
    "audience": _word,
    "token_roles": _token_roles,
    "claims": _claims,
    "grace": _seconds,
    "keys": _path,
    "key": _path,
    "principals": _path,
    "given_mailbox": _mailbox,
    "mailbox_port": _port,
    "origins": _origins,
    "tls_cert": _path,
    "tls_key": _path,
    "tls_client_ca": _path,
    "tls_ca": _path,
    "proxy": _proxy,
    "limits": _plain,
}


def _check_ports_differ(settings: Settings) -> None:
    if settings.rawsocket_path is None and settings.port == settings.rawsocket_port != 0:
        raise ConfigError(
            f"HOPSACK_PORT and HOPSACK_RAWSOCKET_PORT are both {settings.port}", "give the two doors different ports"
        )


def _check_tls(settings: Settings) -> None:
    if (settings.tls_cert is None) != (settings.tls_key is None):
        missing = "HOPSACK_TLS_KEY" if settings.tls_key is None else "HOPSACK_TLS_CERT"
        raise ConfigError("a certificate is nothing without its key", f"set {missing}, too")
    if settings.tls_client_ca is not None and settings.tls_cert is None:
        raise ConfigError(
            "HOPSACK_TLS_CLIENT_CA: without TLS nobody shows a certificate", "set HOPSACK_TLS_CERT and HOPSACK_TLS_KEY"
        )


def _make_secret(path: Path) -> str:
    """Make the secret so that of two processes that start at once both end with the same one."""
    made = DEVELOPMENT + secrets.token_urlsafe(LEAST_SECRET_BYTES)
    draft = path.with_name(f".secret-{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(made + "\n")
            os.link(draft, path)  # fails if the other process was first; rename would overwrite what it already uses
        except FileExistsError:
            return _text_of(str(path), path)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(
            f"cannot write {path}: {error.strerror or error}", "set HOPSACK_DATA to a folder that can be written"
        ) from error
    return made
