"""Which route a request takes: the most specific one, as API Gateway chooses among the routes of an HTTP API."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from local.stack import Route


@dataclass(frozen=True, slots=True)
class Match:
    route: Route
    parameters: dict[str, str]


def find_route(routes: Sequence[Route], method: str, path: str) -> Match | None:
    """`path` as it was sent, still percent-encoded: an encoded slash separates nothing."""
    matches = [
        Match(route, parameters)
        for route in routes
        if route.method in {method, "ANY"} and (parameters := _parameters(route.path, path)) is not None
    ]
    return max(matches, key=_rank, default=None)


def _parameters(template: str, path: str) -> dict[str, str] | None:
    if template == "$default":
        return {}
    wanted, given = template.strip("/").split("/"), path.removeprefix("/").split("/")
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
            parameters[part[1:-1]] = unquote(given[position])
        elif part != unquote(given[position]):
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
