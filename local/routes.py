"""Which route a request takes: the most specific one, as API Gateway chooses among the routes of an HTTP API."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote

from local.stack import Route


@dataclass(frozen=True, slots=True)
class Match:
    route: Route
    parameters: dict[str, str]


def find_route(routes: Sequence[Route], method: str, path: str) -> Match | None:
    """`path` as it was sent, still percent-encoded: an encoded slash separates nothing."""
    given = path.removeprefix("/").split("/")
    decoded = [unquote(part) for part in given] if "%" in path else given
    matches = []
    for route in routes:
        if route.method not in {method, "ANY"}:
            continue
        first, wanted = _shape(route.path)
        if first is None or first == decoded[0]:
            parameters = _parameters(wanted, given, decoded)
            if parameters is not None:
                matches.append(Match(route, parameters))
    return max(matches, key=_rank, default=None)


@lru_cache
def _shape(template: str) -> tuple[str | None, tuple[str, ...]]:
    """The first part, when it can only be itself, and all of them."""
    parts = tuple(template.strip("/").split("/"))
    return None if parts[0].startswith(("{", "$")) else parts[0], parts


def _parameters(wanted: Sequence[str], given: Sequence[str], decoded: Sequence[str]) -> dict[str, str] | None:
    if wanted == ("$default",):
        return {}
    parameters: dict[str, str] = {}
    for position, part in enumerate(wanted):
        if part.startswith("{") and part.endswith("+}"):
            rest = "/".join(given[position:])
            return {**parameters, part[1:-2]: unquote(rest)} if rest else None
        if position >= len(given):
            return None
        if part.startswith("{"):
            if not given[position]:
                return None
            parameters[part[1:-1]] = decoded[position]
        elif part != decoded[position]:
            return None
    return parameters if len(wanted) == len(given) else None


def _rank(match: Match) -> tuple[int, list[int], bool]:
    """AWS, "Create routes for HTTP APIs": a full match before a greedy one, `$default` last, a method before ANY."""
    if match.route.path == "$default":
        return 0, [], False
    parts = match.route.path.strip("/").split("/")
    greedy = parts[-1].endswith("+}")
    literal = [0 if part.startswith("{") else 1 for part in parts]
    return 1 if greedy else 2, literal, match.route.method != "ANY"
