"""DynamoDB's expressions, as much of their grammar as a ledger may use: parsed once, then evaluated on typed items.

What is not known here is refused as DynamoDB refuses what it does not know, so an expression that passes in the tests
is one that was understood, not one that was skipped.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

Typed = dict[str, Any]
"""One attribute's value as it travels: `{"S": "text"}`."""
Item = dict[str, Typed]

_TOKEN = re.compile(r"\s*(?:([A-Za-z_][A-Za-z0-9_]*)|(#[A-Za-z0-9_]+)|(:[A-Za-z0-9_]+)|(<=|>=|<>|[=<>(),.+-]))")
_COMPARISONS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "=": lambda a, b: bool(a == b),
    "<>": lambda a, b: bool(a != b),
    "<": lambda a, b: bool(a < b),
    "<=": lambda a, b: bool(a <= b),
    ">": lambda a, b: bool(a > b),
    ">=": lambda a, b: bool(a >= b),
}
_ORDERED = frozenset({"S", "N", "B"})


class Refused(Exception):
    """An expression that is not valid, or whose names and values do not fit it."""


@dataclass(frozen=True, slots=True)
class Filling:
    """What stands for the placeholders of one call."""

    names: Mapping[str, str]
    values: Mapping[str, Typed]


Operand = Callable[[Item, Filling], Typed | None]
Condition = Callable[[Item, Filling], bool]


@dataclass(frozen=True, slots=True)
class Placeholders:
    names: frozenset[str]
    values: frozenset[str]


@dataclass(frozen=True, slots=True)
class Parsed:
    holds: Condition
    uses: Placeholders


@dataclass(frozen=True, slots=True)
class Action:
    """One assignment of an update: what becomes of the attribute behind `path`, given the item as it was."""

    path: tuple[str, ...]
    change: Callable[[Typed | None, Item, Filling], Typed | None]


@dataclass(frozen=True, slots=True)
class Update:
    actions: tuple[Action, ...]
    uses: Placeholders


@lru_cache(maxsize=256)
def condition(expression: str) -> Parsed:
    parser = _Parser(expression)
    holds = parser.disjunction()
    parser.end()
    return Parsed(holds, parser.uses)


@lru_cache(maxsize=256)
def update(expression: str) -> Update:
    parser = _Parser(expression)
    actions = tuple(parser.clauses())
    parser.end()
    paths = [action.path for action in actions]
    if len(set(paths)) < len(paths):
        raise Refused("Two document paths overlap with each other")
    return Update(actions, parser.uses)


@dataclass(frozen=True, slots=True)
class KeyCondition:
    hash_name: str  # or its placeholder
    hash_value: str
    range_name: str | None
    holds: Condition | None
    uses: Placeholders


@lru_cache(maxsize=256)
def key_condition(expression: str) -> KeyCondition:
    """`hash = :value`, alone or with one condition on the range key behind AND."""
    parser = _Parser(expression)
    name = parser.name()
    parser.take("=")
    value = parser.take_value()
    range_name, holds = None, None
    if parser.peek() and parser.word() == "AND":
        parser.take_word("AND")
        range_name, holds = parser.range_condition()
    parser.end()
    return KeyCondition(name, value, range_name, holds, parser.uses)


@dataclass(frozen=True, slots=True)
class Projection:
    paths: tuple[tuple[str, ...], ...]
    uses: Placeholders


@lru_cache(maxsize=256)
def projection(expression: str) -> Projection:
    """Attributes, or what their maps hold, with commas between."""
    parser = _Parser(expression)
    paths = [parser.path()]
    while parser.peek() == ",":
        parser.next()
        paths.append(parser.path())
    parser.end()
    return Projection(tuple(paths), parser.uses)


class _Parser:
    def __init__(self, expression: str) -> None:
        self._tokens = list(_tokens(expression))
        self._place = 0
        self._names: set[str] = set()
        self._values: set[str] = set()

    @property
    def uses(self) -> Placeholders:
        return Placeholders(frozenset(self._names), frozenset(self._values))

    # Tokens

    def peek(self) -> str | None:
        return self._tokens[self._place] if self._place < len(self._tokens) else None

    def word(self) -> str:
        return (self.peek() or "").upper()

    def next(self) -> str:
        token = self.peek()
        if token is None:
            raise Refused("the expression ends too early")
        self._place += 1
        return token

    def take(self, wanted: str) -> None:
        token = self.next()
        if token != wanted:
            raise Refused(f"{wanted} was expected, not {token}")

    def take_word(self, wanted: str) -> None:
        if self.next().upper() != wanted:
            raise Refused(f"{wanted} was expected")

    def end(self) -> None:
        if self.peek() is not None:
            raise Refused(f"nothing is known that begins with {self.peek()} here")

    def name(self) -> str:
        token = self.next()
        if token.startswith("#"):
            self._names.add(token)
        elif not token[0].isalpha() and token[0] != "_":
            raise Refused(f"{token} is no name")
        elif token.upper() in _reserved():
            raise Refused(f"Attribute name is a reserved keyword; reserved keyword: {token}")
        return token

    def take_value(self) -> str:
        token = self.next()
        if not token.startswith(":"):
            raise Refused(f"a value was expected, not {token}")
        self._values.add(token)
        return token

    def path(self) -> tuple[str, ...]:
        names = [self.name()]
        while self.peek() == ".":
            self.next()
            names.append(self.name())
        return tuple(names)

    # Conditions

    def disjunction(self) -> Condition:
        sides = [self._conjunction()]
        while self.word() == "OR":
            self.next()
            sides.append(self._conjunction())
        return sides[0] if len(sides) == 1 else lambda item, filling: any(side(item, filling) for side in sides)

    def _conjunction(self) -> Condition:
        sides = [self._negation()]
        while self.word() == "AND":
            self.next()
            sides.append(self._negation())
        return sides[0] if len(sides) == 1 else lambda item, filling: all(side(item, filling) for side in sides)

    def _negation(self) -> Condition:
        if self.word() != "NOT":
            return self._primary()
        self.next()
        inner = self._negation()
        return lambda item, filling: not inner(item, filling)

    def _primary(self) -> Condition:
        if self.peek() == "(":
            self.next()
            inner = self.disjunction()
            self.take(")")
            return inner
        if self._is_call():
            function = self.next()
            if function in ("attribute_exists", "attribute_not_exists"):
                (path,) = self._arguments(self.path)
                wanted = function == "attribute_exists"
                return lambda item, filling: (found(item, path, filling) is not None) is wanted
            if function == "begins_with":
                whole, start = self._arguments(self._operand, self._operand)
                return lambda item, filling: _begins_with(whole(item, filling), start(item, filling))
            if function == "contains":
                path, sought = self._arguments(self.path, self._operand)
                return lambda item, filling: _contains(found(item, path, filling), sought(item, filling))
            raise Refused(f"Invalid function name; function: {function}")
        return self._comparison(self._operand())

    def _comparison(self, left: Operand) -> Condition:
        if self.word() == "BETWEEN":
            self.next()
            low = self._operand()
            self.take_word("AND")
            high = self._operand()
            return lambda item, filling: (
                _compares(">=", left(item, filling), low(item, filling))
                and _compares("<=", left(item, filling), high(item, filling))
            )
        operator = self.next()
        if operator not in _COMPARISONS:
            raise Refused(f"{operator} compares nothing")
        right = self._operand()
        return lambda item, filling: _compares(operator, left(item, filling), right(item, filling))

    def range_condition(self) -> tuple[str, Condition]:
        start = self._place
        if self._is_call():
            if self.next() != "begins_with":
                raise Refused("a range key is compared, or begins with something")
            self.take("(")
            range_name = self.name()
        else:
            range_name = self.name()
        self._place = start
        if self._is_call():
            return range_name, self._primary()
        if self._tokens[start + 1 : start + 2] == ["<>"]:
            raise Refused("a range key cannot be asked for by what it is not")
        return range_name, self._comparison(self._operand())

    # Operands

    def _operand(self) -> Operand:
        token = self.peek() or ""
        if token.startswith(":"):
            name = self.take_value()
            return lambda _, filling: filling.values[name]
        path = self.path()
        return lambda item, filling: found(item, path, filling)

    def _is_call(self) -> bool:
        return self._tokens[self._place + 1 : self._place + 2] == ["("] and self._tokens[self._place] != "("

    def _arguments(self, *readers: Callable[[], Any]) -> list[Any]:
        self.take("(")
        read = []
        for place, reader in enumerate(readers):
            if place:
                self.take(",")
            read.append(reader())
        self.take(")")
        return read

    # Updates

    def clauses(self) -> Iterator[Action]:
        seen: set[str] = set()
        readers = {"SET": self._set, "REMOVE": self._remove, "ADD": self._add, "DELETE": self._delete}
        while self.peek() is not None:
            clause = self.next().upper()
            if clause not in readers or clause in seen:
                raise Refused(f"{clause} begins no clause, or one that was there before")
            seen.add(clause)
            yield readers[clause]()
            while self.peek() == ",":
                self.next()
                yield readers[clause]()
        if not seen:
            raise Refused("an update says nothing")

    def _set(self) -> Action:
        path = self.path()
        self.take("=")
        left = self._set_operand()
        if self.peek() in ("+", "-"):
            sign = 1 if self.next() == "+" else -1
            right = self._set_operand()
            return Action(
                path, lambda _, item, filling: _sum(_there(left(item, filling)), _there(right(item, filling)), sign)
            )
        return Action(path, lambda _, item, filling: _there(left(item, filling)))

    def _set_operand(self) -> Operand:
        if not self._is_call():
            return self._operand()
        function = self.next()
        if function == "if_not_exists":
            path, other = self._arguments(self.path, self._set_operand)
            return lambda item, filling: found(item, path, filling) or other(item, filling)
        if function == "list_append":
            first, second = self._arguments(self._set_operand, self._set_operand)
            return lambda item, filling: _appended(_there(first(item, filling)), _there(second(item, filling)))
        raise Refused(f"Invalid function name; function: {function}")

    def _remove(self) -> Action:
        return Action(self.path(), lambda *_: None)

    def _add(self) -> Action:
        path, value = self.path(), self.take_value()
        return Action(path, lambda before, _, filling: _added(before, filling.values[value]))

    def _delete(self) -> Action:
        path, value = self.path(), self.take_value()
        return Action(path, lambda before, _, filling: _without(before, filling.values[value]))


def found(item: Item, path: tuple[str, ...], filling: Filling) -> Typed | None:
    first, *rest = path
    value = item.get(filling.names[first] if first[0] == "#" else first)
    for name in rest:
        if value is None or "M" not in value:
            return None
        value = value["M"].get(filling.names[name] if name[0] == "#" else name)
    return value


def typed(value: Typed) -> tuple[str, Any]:
    """The type of an attribute's value, and the value so that it compares as DynamoDB compares it."""
    ((kind, inner),) = value.items()
    if kind == "N":
        return kind, Decimal(inner)
    if kind == "S":
        return kind, inner.encode()
    return kind, frozenset(inner) if kind in ("SS", "NS", "BS") else inner


def _compares(operator: str, left: Typed | None, right: Typed | None) -> bool:
    """What is not there compares as nothing, and what is of another type is only ever different."""
    if left is None or right is None:
        return operator == "<>"
    (kind, mine), (other, yours) = typed(left), typed(right)
    if operator in ("=", "<>"):
        return ((kind, mine) == (other, yours)) is (operator == "=")
    if kind not in _ORDERED:
        raise Refused(f"Incorrect operand type for operator or function; operator: {operator}, operand type: {kind}")
    return kind == other and _COMPARISONS[operator](mine, yours)


def _begins_with(whole: Typed | None, start: Typed | None) -> bool:
    if whole is None or start is None:
        return False
    (kind, text), (other, beginning) = typed(whole), typed(start)
    if other not in ("S", "B"):
        raise Refused("Incorrect operand type for operator or function; operator or function: begins_with")
    return kind == other and bool(text.startswith(beginning))


def _contains(whole: Typed | None, sought: Typed | None) -> bool:
    if whole is None or sought is None:
        return False
    ((kind, inner),) = whole.items()
    ((of, part),) = sought.items()
    if kind == "S":
        return of == "S" and part in inner
    if kind in ("SS", "NS", "BS"):
        return kind == f"{of}S" and part in inner
    return kind == "L" and sought in inner


def _there(value: Typed | None) -> Typed:
    if value is None:
        raise Refused("The provided expression refers to an attribute that does not exist in the item")
    return value


def _sum(left: Typed, right: Typed, sign: int) -> Typed:
    if "N" not in left or "N" not in right:
        raise Refused("Incorrect operand type for operator or function; operator or function: +")
    return {"N": number(Decimal(left["N"]) + sign * Decimal(right["N"]))}


def _appended(first: Typed, second: Typed) -> Typed:
    if "L" not in first or "L" not in second:
        raise Refused("Incorrect operand type for operator or function; operator or function: list_append")
    return {"L": [*first["L"], *second["L"]]}


def _added(before: Typed | None, value: Typed) -> Typed:
    ((kind, inner),) = value.items()
    if kind not in ("N", "SS", "NS", "BS"):
        raise Refused(f"Incorrect operand type for operator or function; operator: ADD, operand type: {kind}")
    if before is None:
        return value
    if kind not in before:
        raise Refused("An operand in the update expression has an incorrect data type")
    if kind == "N":
        return _sum(before, value, 1)
    return {kind: sorted({*before[kind], *inner})}


def _without(before: Typed | None, value: Typed) -> Typed | None:
    ((kind, inner),) = value.items()
    if kind not in ("SS", "NS", "BS"):
        raise Refused(f"Incorrect operand type for operator or function; operator: DELETE, operand type: {kind}")
    if before is None:
        return None
    if kind not in before:
        raise Refused("An operand in the update expression has an incorrect data type")
    left = sorted(set(before[kind]) - set(inner))
    return {kind: left} if left else None


def number(value: Decimal) -> str:
    """As DynamoDB gives a number back: without an exponent of ours, and without zeros that say nothing."""
    if value == value.to_integral_value():
        return str(int(value))
    return f"{value.normalize():f}"


def for_lambda(value: Typed) -> Typed:
    """As a stream's record holds it for Lambda, where JSON has no bytes."""
    ((kind, inner),) = value.items()
    if kind == "B":
        return {"B": b64encode(inner).decode()}
    if kind == "M":
        return {"M": {name: for_lambda(each) for name, each in inner.items()}}
    if kind == "L":
        return {"L": [for_lambda(each) for each in inner]}
    return value


def _tokens(expression: str) -> Iterator[str]:
    place = 0
    text = expression.rstrip()
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None:
            raise Refused(f"Syntax error; token: {text[place : place + 10]}")
        yield match.group().strip()
        place = match.end()


@lru_cache(maxsize=1)
def _reserved() -> frozenset[str]:
    """The words DynamoDB keeps to itself, from moto's copy of the list and without loading moto."""
    found_spec = find_spec("moto")
    if found_spec is None or found_spec.origin is None:
        raise LookupError("moto is not installed")
    words = Path(found_spec.origin).parent / "dynamodb" / "parsing" / "reserved_keywords.txt"
    return frozenset(word.strip().upper() for word in words.read_text().splitlines() if word.strip())
