"""Who may do one thing with one contract: a list such as ``[service, 'user:{sub}', 'group:ops']``, compiled.

    service               every session of that role
    user:ann              the session of that role whose subject is ann
    user:{sub}            the one whose subject stands in the URI where the contract has ``{sub}``
    group:ops             who is in that group, whatever the role
    group:{team}          who is in the group that stands in the URI
    tenant:acme           who belongs to that tenant
    tenant:{org}          who belongs to the tenant that stands in the URI

A list is compiled once, when contracts are loaded. What it is asked about is one session and one URI; nothing is
remembered of an answer, so none can reach another user. A role costs one look-up. Entries about persons cost as many
comparisons as the list has of them, however many users, groups and URIs there are.

An empty list is for nobody but the node. Where the list is not empty, an operator may do it too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, Protocol

from hopsack.contracts import uris

if TYPE_CHECKING:
    from hopsack.contracts.document import Origin

Action = Literal["publish", "subscribe", "register", "call"]
Match = Literal["exact", "prefix", "wildcard"]

GROUP, TENANT = "group", "tenant"
FACTS = (GROUP, TENANT)
"""What an entry may ask for beside a role and its subject."""


class Who(Protocol):
    """What a permission reads of a session. The names of role and subject are those that WAMP routers give them."""

    @property
    def _authid(self) -> str | None: ...

    @property
    def _authrole(self) -> str: ...

    @property
    def groups(self) -> frozenset[str]: ...

    @property
    def tenant(self) -> str | None: ...


@dataclass(frozen=True, slots=True)
class Somebody:
    """A session's facts without the session: for questions about who is not there."""

    _authid: str | None
    _authrole: str
    groups: frozenset[str] = frozenset()
    tenant: str | None = None


@dataclass(frozen=True, slots=True)
class _Placed:
    """An entry whose name stands in the URI.

    :ivar place: at which component.
    """

    kind: str
    place: int
    entry: str


class Permission:
    """
    :ivar action: what the list is about.
    :ivar entries: as they stand in the contract.
    :ivar barred: roles that the node's settings keep from it, whatever the list says, and the setting that does.
    :param uri: the contract's, with ``{name}`` components. :param origin: where the list stands.
    """

    __slots__ = ("_by_role", "_named", "_origin", "_placed", "_uri", "action", "barred", "entries")

    def __init__(
        self,
        action: Action,
        entries: Iterable[str],
        uri: str,
        origin: Origin,
        barred: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.action: Action = action
        self.entries = tuple(entries)
        self.barred = barred
        self._uri, self._origin = uri, origin
        self._by_role = {"operator": "operator", "trusted": "trusted"} if self.entries else {"trusted": "trusted"}
        self._named: dict[str, dict[str, str]] = {}
        placed = []
        places = {component: place for place, component in enumerate(uris.split(uri))}
        for entry in self.entries:
            kind, _, whom = entry.partition(":")
            if not whom:
                self._by_role[kind] = entry
            elif uris.is_parameter(whom):
                placed.append(_Placed(kind, places[whom], entry))
            else:
                self._named.setdefault(kind, {})[whom] = entry
        self._placed = tuple(placed)
        for role in barred:
            self._by_role.pop(role, None)

    def rule_for(self, who: Who, uri: str) -> str | None:
        """The entry that lets a session do it; ``None``: none does.

        :param uri: a concrete one of this contract's.
        """
        rule = self._by_role.get(who._authrole)
        if rule is not None or not (self._placed or self._named):
            return rule
        return self._claimed(who, uri.split("."))

    def rule_for_pattern(self, who: Who, pattern: str, match: Literal["prefix", "wildcard"]) -> str | None:
        """The same for all URIs of this contract's that a pattern matches.

        An entry whose name stands in the URI counts only where the pattern has that component whole: ``inbox.ann.``
        matches inboxes of ann alone, ``inbox.ann`` those of anna, too.
        """
        rule = self._by_role.get(who._authrole)
        if rule is not None or not (self._placed or self._named):
            return rule
        components = pattern.split(".")
        return self._claimed(who, components[:-1] if match == "prefix" else components)

    def _claimed(self, who: Who, components: Sequence[str]) -> str | None:
        """:param components: those of the URI that are known; an empty one is not."""
        if who._authrole in self.barred:
            return None
        if self._named:
            rule = self._by_name(who)
            if rule is not None:
                return rule
        for one in self._placed:
            if one.place < len(components) and _is(who, one.kind, components[one.place]):
                return one.entry
        return None

    def _by_name(self, who: Who) -> str | None:
        named = self._named
        subjects, tenants, groups = named.get(who._authrole), named.get(TENANT), named.get(GROUP)
        if subjects is not None and who._authid is not None and who._authid in subjects:
            return subjects[who._authid]
        if tenants is not None and who.tenant is not None and who.tenant in tenants:
            return tenants[who.tenant]
        if groups is not None:
            mine = who.groups
            return next((entry for group, entry in groups.items() if group in mine), None)
        return None

    def without(self, role: str, setting: str) -> Permission:
        """The same list, but not for this role.

        :param setting: what keeps it away, for people.
        """
        return Permission(self.action, self.entries, self._uri, self._origin, {**self.barred, role: setting})

    @property
    def place(self) -> str:
        """File and line of the list."""
        return str(self._origin)

    def __str__(self) -> str:
        return f"{self.action}: [{', '.join(self.entries)}]"

    def __repr__(self) -> str:
        return f"<{self} of {self._uri}>"


def _is(who: Who, kind: str, name: str) -> bool:
    if kind == GROUP:
        return name in who.groups
    if kind == TENANT:
        return bool(name) and who.tenant == name
    return bool(name) and who._authrole == kind and who._authid == name


def fault(entry: str, uri: str, roles: Sequence[str]) -> tuple[str, str | None] | None:
    """What is wrong with an entry of a list, and what would be right (``None``: whatever role looks like it).

    :param uri: the contract's. :param roles: those that contracts may name.
    """
    kind, colon, whom = entry.partition(":")
    if not colon:
        return None if kind in roles else (f"`{entry}` is not a role", None)
    if kind not in (*roles, *FACTS):
        return f"`{entry}` is not a role, a group or a tenant", f"write `user:…`, `{GROUP}:…` or `{TENANT}:…`"
    if uris.PARAMETER.match(whom):
        if whom in uris.split(uri):
            return None
        known = [f"`{kind}:{{{name}}}`" for name in uris.parameters(uri)]
        advice = "write " + " or ".join(known) if known else "give the URI that parameter, or write a name"
        return f"`{uri}` has no parameter `{whom}`", advice
    if not whom or not _is_name(whom):
        return f"`{entry}` names nobody", f"write `{kind}:name`, or `{kind}:{{parameter}}` of the URI"
    return None


def _is_name(text: str) -> bool:
    return not any(character.isspace() or character in "{}" for character in text)
