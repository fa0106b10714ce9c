"""The routing document: what the operator wrote about classes of messages, providers and limits, checked whole.

Nothing here does I/O. `routebook.py` fetches the document, `routing.py` follows its rules; its limits are the values
of `policy.py`. schemas/routing.schema.json says the same to machines; tests hold the two together.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import StrEnum
from typing import TypeVar

from smsgate.messages import Lane, Message
from smsgate.numbers import WORLD
from smsgate.policy import Mode, Policy, Rate, SlowReceipts, Velocity
from smsgate.requests import LABEL_CHARACTERS, Problem
from smsgate.strict_json import NotJson, did_you_mean, kind, needs, parse, repeatable
from smsgate.text import forbidden

VERSION = 1
LARGEST = 8192
"""Bytes. Systems Manager, quotas of Parameter Store: an advanced parameter holds 8 KB, a standard one 4 KB."""

NAME_CHARACTERS = 40
PRIORITIES = (1, 100)
WEIGHTS = (1, 1000)
PRICES = (Decimal("0.0001"), Decimal(1_000_000))
VELOCITIES = 5  # each is another counter that every message is written to
MESSAGES = (1, 1_000_000)
VELOCITY_SECONDS = (1, 7 * 86_400)
RATE_SECONDS = (1, 86_400)
RECEIPT_SECONDS = (1, 7 * 86_400)

DOCUMENT = "document"
"""The `field` of a problem of the document as a whole."""

PROBLEMS_LISTED = 50

FIELDS = ("version", "classes", "rules", "limits")
CLASS_FIELDS = ("name", "lanes", "labels", "transactional")
RULE_FIELDS = ("name", "when", "use", "choose", "failover")
WHEN_FIELDS = ("countries", "prefixes", "classes", "labels", "lanes", "between")
BETWEEN_FIELDS = ("from", "to", "offset")
USE_FIELDS = ("provider", "priority", "weight", "price")
LIMIT_FIELDS = ("countries", "parts", "points", "per_number", "rates", "slow_receipts")
PER_NUMBER_FIELDS = ("messages", "seconds", "mode")
RATE_FIELDS = ("messages", "seconds")
SLOW_RECEIPTS_FIELDS = ("after_seconds", "share", "least")

_REGIONS = (
    "AC AD AE AF AG AI AL AM AO AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BW BY BZ "
    "CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM "
    "FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GT GU GW GY HK HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE "
    "JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN "
    "MO MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PR PS PT "
    "PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TA TC TD TG TH TJ TK "
    f"TL TM TN TO TR TT TV TW TZ UA UG US UY UZ VA VC VE VG VI VN VU WF WS XK YE YT ZA ZM ZW {WORLD}"
)
"""What `numbers.country` may say. A list of our own, as loading phonenumbers for it would cost every cold start."""

_PREFIX = re.compile(r"\+[1-9][0-9]{0,14}")
_CLOCK = re.compile(r"(?:[01][0-9]|2[0-3]):[0-5][0-9]")
_OFFSET = re.compile(r"([+-])(0[0-9]|1[0-4]):([0-5][0-9])")

_T = TypeVar("_T")
_D = TypeVar("_D")
_Word = TypeVar("_Word", bound=StrEnum)


class Choose(StrEnum):
    """In which order providers of one priority are tried."""

    LISTED = "listed"
    WEIGHTED = "weighted"
    CHEAPEST = "cheapest"


@dataclass(frozen=True, slots=True)
class Hours:
    """A time of day at a fixed distance from UTC. Where `start` is the later one, midnight lies between."""

    start: time
    end: time
    offset: timezone

    def hold(self, at: datetime) -> bool:
        clock = at.astimezone(self.offset).time()
        if self.start < self.end:
            return self.start <= clock < self.end
        return clock >= self.start or clock < self.end


@dataclass(frozen=True, slots=True)
class When:
    """All that is said must hold, of each list at least one. What is not said holds for every message."""

    countries: frozenset[str] = frozenset()
    prefixes: tuple[str, ...] = ()
    classes: frozenset[str] = frozenset()
    labels: tuple[str, ...] = ()
    lanes: frozenset[Lane] = frozenset()
    between: Hours | None = None

    def holds(self, message: Message, class_name: str | None, country: str, at: datetime) -> bool:
        return (
            (not self.lanes or message.lane in self.lanes)
            and (not self.classes or class_name in self.classes)
            and (not self.countries or country in self.countries)
            and (not self.prefixes or message.to.startswith(self.prefixes))
            and (not self.labels or _matches_any(self.labels, message.label))
            and (self.between is None or self.between.hold(at))
        )

    def covers(self, other: When) -> bool:
        """Does this hold wherever the other does? May miss that it does; never says so where it does not."""
        return (
            _allows(self.lanes, other.lanes)
            and _allows(self.classes, other.classes)
            and _allows(self.countries, other.countries)
            and _allows(self.prefixes, other.prefixes, lambda prefix: prefix.startswith(self.prefixes))
            and _allows(self.labels, other.labels, lambda label: _matches_any(self.labels, label))
            and (self.between is None or self.between == other.between)
        )


@dataclass(frozen=True, slots=True)
class MessageClass:
    """What messages are for. The first class that takes a message is its class."""

    name: str
    when: When = When()
    transactional: bool = False

    def takes(self, message: Message) -> bool:
        return self.when.holds(message, None, "", message.accepted_at)


@dataclass(frozen=True, slots=True)
class Use:
    provider: str
    priority: int = 1  # the lower ones first
    weight: int = 1
    price: Decimal = Decimal(1)  # of one of the provider's points


@dataclass(frozen=True, slots=True)
class Rule:
    name: str
    use: tuple[Use, ...]
    when: When = When()
    choose: Choose = Choose.LISTED
    failover: bool = True


@dataclass(frozen=True, slots=True)
class RoutingDocument:
    """Without anything in it, it says what holds where there is no document."""

    classes: tuple[MessageClass, ...] = ()
    rules: tuple[Rule, ...] = ()
    policy: Policy = field(default_factory=Policy)

    def class_of(self, message: Message) -> MessageClass | None:
        return next((each for each in self.classes if each.takes(message)), None)

    def rule_for(self, message: Message, class_name: str | None, country: str, now: datetime) -> Rule | None:
        """The first that holds at the time at which the message is to go out."""
        at = max(now, message.send_at) if message.send_at else now
        return next((rule for rule in self.rules if rule.when.holds(message, class_name, country, at)), None)


class InvalidRoutingDocument(Exception):
    """Every problem of a document that cannot be followed."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("; ".join(f"{problem.field} {problem.problem}" for problem in problems))
        self.problems = problems


def read(text: str, known_providers: Collection[str]) -> RoutingDocument:
    """The document in `text`. Raises InvalidRoutingDocument, naming every problem at once."""
    try:
        payload = parse(text, LARGEST, "no SSM parameter holds more, so write it with fewer rules or spaces")
    except NotJson as error:
        raise InvalidRoutingDocument((Problem(DOCUMENT, str(error)),)) from None
    if not isinstance(payload, dict):
        raise InvalidRoutingDocument((Problem(DOCUMENT, f"is {kind(payload)}; it is one JSON object"),))
    reader = _Reader(known_providers)
    document = reader.read(payload)
    if reader.problems:
        raise InvalidRoutingDocument(reader.listed())
    return document


# Matching


def _matches_any(patterns: Iterable[str], label: str | None) -> bool:
    return label is not None and any(_matches(pattern, label) for pattern in patterns)


def _matches(pattern: str, label: str) -> bool:
    """`*` stands for any characters, everything else for itself. In one pass, however many stars there are."""
    if "*" not in pattern:
        return pattern == label
    first, *middle, last = pattern.split("*")
    if len(label) < len(first) + len(last) or not (label.startswith(first) and label.endswith(last)):
        return False
    place, end = len(first), len(label) - len(last)
    for piece in middle:
        found = label.find(piece, place, end)
        if found < 0:
            return False
        place = found + len(piece)
    return True


def _allows(ours: Collection[_T], theirs: Collection[_T], holds: Callable[[_T], bool] | None = None) -> bool:
    """Is each of theirs among ours? Nothing said allows all."""
    if not ours or not theirs:
        return not ours
    return all(holds(each) if holds else each in ours for each in theirs)


# Reading


class _Wrong(ValueError):
    """Says what is wrong with a value, and the remedy."""


class _Reader:
    def __init__(self, known_providers: Collection[str]) -> None:
        self._known_providers = known_providers
        self._class_names: list[str] = []
        self._rule_names: list[str] = []
        self._listed: list[Problem] = []
        self.problems = 0

    def listed(self) -> tuple[Problem, ...]:
        """The first problems, and how many more there are."""
        if self.problems <= PROBLEMS_LISTED:
            return tuple(self._listed)
        more = self.problems - PROBLEMS_LISTED
        return (*self._listed, Problem(DOCUMENT, f"has {more} more problem{'s' if more > 1 else ''}, not listed here"))

    def read(self, fields: Mapping[str, object]) -> RoutingDocument:
        self._refuse_unknown(fields, FIELDS, "")
        self._required(fields, "version", "", _version, VERSION)
        classes = self._entries(fields, "classes", self._class)
        self._refuse_unreachable((path, each.when) for path, each in classes)
        rules = self._entries(fields, "rules", self._rule)
        self._refuse_unreachable((path, each.when) for path, each in rules)
        limits = self._optional(fields, "limits", "", _an_object, {})
        return RoutingDocument(
            tuple(each for _, each in classes), tuple(each for _, each in rules), self._policy(limits, "limits.")
        )

    # What a document is made of

    def _class(self, fields: Mapping[str, object], path: str) -> MessageClass:
        self._refuse_unknown(fields, CLASS_FIELDS, path)
        return MessageClass(
            name=self._name(fields, path, self._class_names),
            when=When(lanes=self._lanes(fields, path), labels=self._labels(fields, path)),
            transactional=self._optional(fields, "transactional", path, _flag, False),
        )

    def _rule(self, fields: Mapping[str, object], path: str) -> Rule:
        self._refuse_unknown(fields, RULE_FIELDS, path)
        name = self._name(fields, path, self._rule_names)
        before = self.problems
        choose = self._optional(fields, "choose", path, _word_of(Choose), Choose.LISTED)
        return Rule(
            name=name,
            use=self._uses(fields, path, choose if self.problems == before else None),
            when=self._when(self._optional(fields, "when", path, _conditions, {}), f"{path}when."),
            choose=choose,
            failover=self._optional(fields, "failover", path, _flag, True),
        )

    def _when(self, fields: Mapping[str, object], path: str) -> When:
        self._refuse_unknown(fields, WHEN_FIELDS, path)
        return When(
            countries=frozenset(self._each(fields, "countries", path, _country, "countries, like TW")),
            prefixes=self._each(fields, "prefixes", path, _prefix, "beginnings of numbers, like +8529"),
            classes=frozenset(self._each(fields, "classes", path, self._known_class, "classes of this document")),
            labels=self._labels(fields, path),
            lanes=self._lanes(fields, path),
            between=self._between(fields, path),
        )

    def _labels(self, fields: Mapping[str, object], path: str) -> tuple[str, ...]:
        return self._each(fields, "labels", path, _pattern, "labels, in which * stands for any characters")

    def _lanes(self, fields: Mapping[str, object], path: str) -> frozenset[Lane]:
        return frozenset(self._each(fields, "lanes", path, _word_of(Lane), f"lanes: {', '.join(Lane)}"))

    def _between(self, fields: Mapping[str, object], path: str) -> Hours | None:
        if "between" not in fields:
            return None
        hours = self._optional(fields, "between", path, _an_object, {})
        if not isinstance(fields["between"], dict):
            return None
        path = f"{path}between."
        self._refuse_unknown(hours, BETWEEN_FIELDS, path)
        before = self.problems
        start = self._required(hours, "from", path, _clock, time())
        end = self._required(hours, "to", path, _clock, time())
        offset = self._required(hours, "offset", path, _offset, UTC)
        if before == self.problems and start == end:
            self._problem(f"{path}to", "is the same as `from`; give another time, or leave out `between` for all day")
        return Hours(start, end, offset)

    def _uses(self, fields: Mapping[str, object], path: str, choose: Choose | None) -> tuple[Use, ...]:
        entries: list[object] = self._required(fields, "use", path, _some, [])
        uses: list[Use] = []
        named: set[str] = set()
        for position, entry in enumerate(entries):
            own = f"{path}use[{position}]"
            if not isinstance(entry, dict):
                self._problem(own, f"is {kind(entry)}; give an object with the field `provider`")
                continue
            use = self._use(entry, f"{own}.", choose)
            if use.provider and use.provider in named:
                self._problem(f"{own}.provider", f"names {use.provider} a second time; name each provider once")
            named.add(use.provider)
            uses.append(use)
        return tuple(uses)

    def _use(self, fields: Mapping[str, object], path: str, choose: Choose | None) -> Use:
        self._refuse_unknown(fields, USE_FIELDS, path)
        for name, counts in (("weight", Choose.WEIGHTED), ("price", Choose.CHEAPEST)):
            if name in fields and choose not in (counts, None):
                self._problem(
                    f"{path}{name}", f"counts only where `choose` is {counts}; set that, or leave the {name} out"
                )
        return Use(
            provider=self._required(fields, "provider", path, self._known_provider, ""),
            priority=self._optional(fields, "priority", path, _whole(PRIORITIES), 1),
            weight=self._optional(fields, "weight", path, _whole(WEIGHTS), 1),
            price=self._optional(fields, "price", path, _price, Decimal(1)),
        )

    def _policy(self, fields: Mapping[str, object], path: str) -> Policy:
        self._refuse_unknown(fields, LIMIT_FIELDS, path)
        mode = _word_of(Mode)
        return Policy(
            countries=self._optional(fields, "countries", path, mode, Mode.ENFORCE),
            parts=self._optional(fields, "parts", path, mode, Mode.ENFORCE),
            points=self._optional(fields, "points", path, mode, Mode.ENFORCE),
            velocities=self._velocities(fields, path),
            rates=self._rates(fields, path),
            slow_receipts=self._slow_receipts(fields, path),
        )

    def _velocities(self, fields: Mapping[str, object], path: str) -> tuple[Velocity, ...]:
        if "per_number" not in fields:
            return ()
        entries = self._optional(fields, "per_number", path, _some, [])
        if len(entries) > VELOCITIES:
            self._problem(f"{path}per_number", f"has {len(entries)} limits; {VELOCITIES} are the most")
        found: list[Velocity] = []
        for position, entry in enumerate(entries[:VELOCITIES]):
            own = f"{path}per_number[{position}]"
            if not isinstance(entry, dict):
                self._problem(own, f"is {kind(entry)}; give an object with the fields `messages` and `seconds`")
                continue
            self._refuse_unknown(entry, PER_NUMBER_FIELDS, f"{own}.")
            velocity = Velocity(
                messages=self._required(entry, "messages", f"{own}.", _whole(MESSAGES), 1),
                per=timedelta(seconds=self._required(entry, "seconds", f"{own}.", _whole(VELOCITY_SECONDS), 1)),
                mode=self._optional(entry, "mode", f"{own}.", _word_of(Mode), Mode.ENFORCE),
            )
            if any((velocity.per, velocity.mode) == (other.per, other.mode) for other in found):
                self._problem(f"{own}.seconds", "is limited by an earlier entry already; keep the lower of the two")
            found.append(velocity)
        return tuple(found)

    def _rates(self, fields: Mapping[str, object], path: str) -> dict[str, Rate]:
        found: dict[str, Rate] = {}
        for key, entry in self._optional(fields, "rates", path, _an_object, {}).items():
            own = f"{path}rates.{repeatable(key)}"
            try:
                self._known_provider(key)
                rate = _an_object(entry)
            except _Wrong as wrong:
                self._problem(own, str(wrong))
                continue
            self._refuse_unknown(rate, RATE_FIELDS, f"{own}.")
            found[key] = Rate(
                messages=self._required(rate, "messages", f"{own}.", _whole(MESSAGES), 1),
                per=timedelta(seconds=self._required(rate, "seconds", f"{own}.", _whole(RATE_SECONDS), 1)),
            )
        return found

    def _slow_receipts(self, fields: Mapping[str, object], path: str) -> SlowReceipts | None:
        entry = self._optional(fields, "slow_receipts", path, _an_object, None)
        if entry is None:
            return None
        path = f"{path}slow_receipts."
        self._refuse_unknown(entry, SLOW_RECEIPTS_FIELDS, path)
        return SlowReceipts(
            after=timedelta(seconds=self._required(entry, "after_seconds", path, _whole(RECEIPT_SECONDS), 1)),
            share=self._required(entry, "share", path, _share, 1.0),
            least=self._required(entry, "least", path, _whole(MESSAGES), 1),
        )

    # How it is read: each problem is noted under its field's path, and reading goes on

    def _problem(self, name: str, problem: str) -> None:
        self.problems += 1
        if self.problems <= PROBLEMS_LISTED:
            self._listed.append(Problem(name, problem))

    def _refuse_unknown(self, fields: Mapping[str, object], known: Collection[str], path: str) -> None:
        for name in fields:
            if name not in known:
                meant = did_you_mean(name, known) or f"; the fields are {', '.join(known)}"
                self._problem(f"{path}{repeatable(name)}", f"unknown field `{repeatable(name)}`{meant}")

    def _required(
        self, fields: Mapping[str, object], name: str, path: str, read: Callable[[object], _T], default: _T
    ) -> _T:
        if name not in fields:
            self._problem(f"{path}{name}", "is missing")
        return self._optional(fields, name, path, read, default)

    def _optional(
        self, fields: Mapping[str, object], name: str, path: str, read: Callable[[object], _T], default: _D
    ) -> _T | _D:
        if name not in fields:
            return default
        try:
            return read(fields[name])
        except _Wrong as wrong:
            self._problem(f"{path}{name}", str(wrong))
            return default

    def _each(
        self, fields: Mapping[str, object], name: str, path: str, read: Callable[[object], _T], what: str
    ) -> tuple[_T, ...]:
        """A list in which nothing stands twice."""
        if name not in fields:
            return ()
        entries = fields[name]
        if not isinstance(entries, list):
            self._problem(f"{path}{name}", f"is {kind(entries)}; {needs(f'a list of {what}', entries)}")
            return ()
        if not entries:
            self._problem(f"{path}{name}", "is an empty list; leave it out where it makes no difference")
        found: list[_T] = []
        for position, entry in enumerate(entries):
            try:
                value = read(entry)
                if value in found:
                    raise _Wrong("is there already; leave it out")
            except _Wrong as wrong:
                self._problem(f"{path}{name}[{position}]", str(wrong))
            else:
                found.append(value)
        return tuple(found)

    def _entries(
        self, fields: Mapping[str, object], name: str, read: Callable[[Mapping[str, object], str], _T]
    ) -> list[tuple[str, _T]]:
        """Those in which nothing is wrong, each with its path."""
        entries = self._optional(fields, name, "", _a_list, [])
        found: list[tuple[str, _T]] = []
        for position, entry in enumerate(entries):
            path = f"{name}[{position}]"
            if not isinstance(entry, dict):
                self._problem(path, f"is {kind(entry)}; give an object")
                continue
            before = self.problems
            value = read(entry, f"{path}.")
            if self.problems == before:
                found.append((path, value))
        return found

    def _name(self, fields: Mapping[str, object], path: str, taken: list[str]) -> str:
        name = self._required(fields, "name", path, _name, "")
        if name and name in taken:
            self._problem(f"{path}name", "is the name of an earlier one as well; give each its own")
        taken.append(name)
        return name

    def _known_provider(self, value: object) -> str:
        if not isinstance(value, str):
            raise _Wrong(f"is {kind(value)}; give a provider key")
        if value not in self._known_providers:
            known = ", ".join(sorted(self._known_providers))
            remedy = did_you_mean(value, self._known_providers) or f"; choose among {known}"
            raise _Wrong(f"is not a provider of this gateway{remedy}")
        return value

    def _known_class(self, value: object) -> str:
        if not isinstance(value, str):
            raise _Wrong(f"is {kind(value)}; give the name of a class")
        if value not in self._class_names:
            raise _Wrong(
                "is not the name of a class of this document"
                + (did_you_mean(value, self._class_names) or "; add it to `classes`")
            )
        return value

    def _refuse_unreachable(self, entries: Iterable[tuple[str, When]]) -> None:
        """The first that holds decides: one that holds only where an earlier one does is never asked."""
        before: list[tuple[str, When]] = []
        for path, when in entries:
            cover = next((earlier for earlier, theirs in before if theirs.covers(when)), None)
            if cover is not None:
                self._problem(
                    path,
                    f"is never reached: {cover} takes every message it would; put it before that, or narrow that",
                )
            before.append((path, when))


# Values. Each gives what it was given in our terms, or raises _Wrong


def _version(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value != VERSION:
        raise _Wrong(f"must be {VERSION}, the only version there is")
    return value


def _an_object(value: object) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise _Wrong(f"is {kind(value)}; {needs('an object', value)}")
    return value


def _conditions(value: object) -> Mapping[str, object]:
    if value == {}:
        raise _Wrong("is empty; leave it out where the rule is for every message")
    return _an_object(value)


def _a_list(value: object) -> list[object]:
    if not isinstance(value, list):
        raise _Wrong(f"is {kind(value)}; {needs('a list of objects', value)}")
    return value


def _some(value: object) -> list[object]:
    if value == []:
        raise _Wrong("is an empty list; give at least one entry")
    return _a_list(value)


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise _Wrong(f"is {kind(value)}; {needs('true or false', value)}")
    return value


def _word_of(words: type[_Word]) -> Callable[[object], _Word]:
    def read_word(value: object) -> _Word:
        if isinstance(value, str) and value in {word.value for word in words}:
            return words(value)
        said = "is none of the words it may be" if isinstance(value, str) else f"is {kind(value)}"
        raise _Wrong(f"{said}; choose among {', '.join(words)}")

    return read_word


def _whole(bounds: tuple[int, int]) -> Callable[[object], int]:
    least, most = bounds

    def read_whole(value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool):
            raise _Wrong(f"is {kind(value)}; {needs('a whole number', value)}")
        if not least <= value <= most:
            raise _Wrong(f"is out of range; give {least} to {most}")
        return value

    return read_whole


def _price(value: object) -> Decimal:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise _Wrong(f"is {kind(value)}; {needs('what one point costs, as a number', value)}")
    price = Decimal(str(value))
    if not PRICES[0] <= price <= PRICES[1]:
        raise _Wrong(f"is out of range; give {PRICES[0]} to {PRICES[1]}")
    return price


def _share(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise _Wrong(f"is {kind(value)}; {needs('a number above 0 and up to 1', value)}")
    if not 0 < value <= 1:
        raise _Wrong("is out of range; give a number above 0 and up to 1, like 0.5 for one half")
    return float(value)


def _name(value: object) -> str:
    if not isinstance(value, str):
        raise _Wrong(f"is {kind(value)}; give a string")
    if not value or value != value.strip() or not value.isprintable() or len(value) > NAME_CHARACTERS:
        raise _Wrong(f"must be 1 to {NAME_CHARACTERS} characters that can be printed, without a space at either end")
    return value


def _pattern(value: object) -> str:
    if not isinstance(value, str):
        raise _Wrong(f"is {kind(value)}; give a string")
    if not 1 <= len(value) <= LABEL_CHARACTERS:
        raise _Wrong(f"must be 1 to {LABEL_CHARACTERS} characters; * stands for any, also none")
    if "\n" in value or forbidden(value):
        raise _Wrong("holds a line break or control character, which no label can; leave it out")
    return value


def _country(value: object) -> str:
    if not isinstance(value, str):
        raise _Wrong(f"is {kind(value)}; give a country's two letters, like TW")
    regions = _REGIONS.split()
    if value not in regions:
        upper = value.upper()
        remedy = f"did you mean `{upper}`?" if upper in regions else "write it like TW, HK or GB"
        raise _Wrong(f"is not the code of a country in ISO 3166-1; {remedy}")
    return value


def _prefix(value: object) -> str:
    if not isinstance(value, str):
        raise _Wrong(f"is {kind(value)}; give a string, like +8529")
    if not _PREFIX.fullmatch(value):
        raise _Wrong("must be + and the first digits of a number with its country code, like +8529")
    return value


def _clock(value: object) -> time:
    if not isinstance(value, str) or not _CLOCK.fullmatch(value):
        raise _Wrong("must be a time of day from 00:00 to 23:59, like 08:30")
    return time.fromisoformat(value)


def _offset(value: object) -> timezone:
    found = _OFFSET.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise _Wrong("must be the clock's distance from UTC, like +08:00 for Taiwan and Hong Kong")
    sign = -1 if found[1] == "-" else 1
    return timezone(sign * timedelta(hours=int(found[2]), minutes=int(found[3])))
