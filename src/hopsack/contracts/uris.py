"""URIs of topics and procedures: their syntax, their ``{name}`` components, and which declaration a URI belongs to.

A declared URI is components joined by dots. A component is literal (``[a-z0-9_]+``: the strict URIs of the WAMP basic
profile, section "URIs") or a parameter, ``{name}``. A parameter stands for exactly one component of a concrete URI:
at least one character, without white space, ``.`` and ``#`` (the loose URIs of the same section).

Which declaration does a concrete URI belong to, where several match? The one with the most literal components. Two
declarations with as many, that some URI matches both of, are refused when contracts are loaded, unless a third one,
more literal than both, takes all URIs that they share. So there is always one answer, and it does not depend on order.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import combinations

LITERAL = re.compile(r"[a-z0-9_]+\Z")
PARAMETER = re.compile(r"\{([a-z][a-z0-9_]*)\}\Z")
VALUE = re.compile(r"[^\s.#]+\Z")

Components = tuple[str, ...]

_REMEMBERED, _LONGEST = 8192, 256
"""URIs a table remembers the answers for, misses included, and the characters of the longest it remembers. When full
it forgets them all, and learns anew: 2 MB at most, whatever strangers ask for."""


def split(uri: str) -> Components:
    return tuple(uri.split("."))


def is_parameter(component: str) -> bool:
    return component.startswith("{")


def parameters(uri: str) -> tuple[str, ...]:
    """The names of a declared URI's parameters, in order."""
    return tuple(component[1:-1] for component in split(uri) if is_parameter(component))


def literals(components: Components) -> int:
    return sum(not is_parameter(component) for component in components)


def fault(uri: str) -> tuple[str, str] | None:
    """What is wrong with a declared URI, and what would be right; ``None`` if nothing is."""
    names: set[str] = set()
    for component in split(uri):
        if not component:
            return "has an empty component", "write one dot between components and none at the ends"
        if found := PARAMETER.match(component):
            if found[1] in names:
                return f"has the parameter `{found[1]}` twice", "give each its own name"
            names.add(found[1])
        elif not LITERAL.match(component):
            wrong = "parameter" if "{" in component or "}" in component else "component"
            return f"has the {wrong} `{component}`", _ADVICE
    return None


_ADVICE = "components are lower-case letters, digits and `_`; parameters are `{name}` and take a whole component"


def covers(pattern: Components, other: Components) -> bool:
    """Whether every URI that the other matches is matched by this pattern too."""
    return len(pattern) == len(other) and all(
        is_parameter(mine) or mine == theirs for mine, theirs in zip(pattern, other, strict=True)
    )


def shared(one: Components, other: Components) -> Components | None:
    """The pattern of the URIs that both match; ``None`` if there are none."""
    if len(one) != len(other):
        return None
    both = []
    for mine, theirs in zip(one, other, strict=True):
        if not is_parameter(mine) and not is_parameter(theirs) and mine != theirs:
            return None
        both.append(theirs if is_parameter(mine) else mine)
    return tuple(both)


def ambiguities(uris: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Pairs of declared URIs that are equally good for some concrete URI."""
    everything = sorted((split(uri), uri) for uri in uris)
    equals: dict[tuple[int, int], list[tuple[Components, str]]] = {}
    for components, uri in everything:
        if literals(components) < len(components):  # two without parameters never match the same
            equals.setdefault((len(components), literals(components)), []).append((components, uri))
    for patterns in equals.values():
        for (one, first), (other, second) in combinations(patterns, 2):
            common = shared(one, other)
            if common is not None and not any(
                literals(third) > literals(one) and covers(third, common) for third, _ in everything
            ):
                yield first, second


class _Branch:
    __slots__ = ("literal", "parameter", "uri")

    def __init__(self) -> None:
        self.literal: dict[str, _Branch] = {}
        self.parameter: _Branch | None = None
        self.uri: str | None = None


class Table:
    """Concrete URI → declared URI. An exact one is a single dictionary look-up; others are remembered, boundedly."""

    def __init__(self, uris: Iterable[str]) -> None:
        self._exact: dict[str, str] = {}
        self._root = _Branch()
        self._remembered: dict[str, str | None] = {}
        for uri in uris:
            if parameters(uri):
                self._grow(uri)
            else:
                self._exact[uri] = uri

    def _grow(self, uri: str) -> None:
        branch = self._root
        for component in split(uri):
            if is_parameter(component):
                branch.parameter = branch.parameter or _Branch()
                branch = branch.parameter
            else:
                branch = branch.literal.setdefault(component, _Branch())
        branch.uri = uri

    def find(self, uri: str) -> str | None:
        """The declared URI that a concrete one belongs to."""
        found = self._exact.get(uri)
        if found is not None:
            return found
        try:
            return self._remembered[uri]
        except KeyError:
            pass
        if len(self._remembered) >= _REMEMBERED:
            self._remembered.clear()
        candidates = _walk(self._root, split(uri), 0)
        found = max(candidates, key=lambda one: literals(split(one)), default=None)
        if len(uri) <= _LONGEST:
            self._remembered[uri] = found
        return found


def _walk(branch: _Branch, components: Components, index: int) -> Iterator[str]:
    if index == len(components):
        if branch.uri is not None:
            yield branch.uri
        return
    component = components[index]
    if (literal := branch.literal.get(component)) is not None:
        yield from _walk(literal, components, index + 1)
    if branch.parameter is not None and VALUE.match(component):
        yield from _walk(branch.parameter, components, index + 1)


def meets(declared: Components, pattern: str, match: str) -> bool:
    """Whether some URI belongs to the declaration and to a subscriber's pattern as well.

    :param match: ``"prefix"``: the URI begins with the pattern's characters; ``"wildcard"``: the pattern has as many
        components, and its empty ones match any (WAMP advanced profile, "Pattern-based Subscriptions").
    """
    wanted = split(pattern)
    if match == "wildcard":
        return len(wanted) == len(declared) and all(
            not want or _takes(have, want) for have, want in zip(declared, wanted, strict=True)
        )
    *whole, begun = wanted
    if len(wanted) > len(declared):
        return False
    last = declared[len(whole)]
    opens = not begun or bool(VALUE.match(begun)) if is_parameter(last) else last.startswith(begun)
    return opens and all(_takes(have, want) for have, want in zip(declared, whole, strict=False))


def _takes(declared: str, component: str) -> bool:
    return bool(VALUE.match(component)) if is_parameter(declared) else declared == component
