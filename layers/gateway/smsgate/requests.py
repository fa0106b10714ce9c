"""Send requests: decoded, checked, every problem named; what is left is a Request, one message per recipient.

Nothing here does I/O or looks at a clock. schemas/send-request.schema.json says the same to machines; tests hold the
two together.
"""

from __future__ import annotations

import json
import re
import unicodedata
from base64 import b32encode
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from typing import Any, NamedTuple, TypeVar

from smsgate import numbers
from smsgate import text as texts
from smsgate.messages import Form, Lane, Message, OnDoubt, TooLong
from smsgate.strict_json import NotJson, did_you_mean, kind, needs, parse, repeatable

# What the contract leaves open is bounded here, far above what any provider takes: what a provider cannot carry is for
# routing to say; these only keep one request from filling the memory of a function or an item of the table.
BODY_BYTES = 1024 * 1024  # SQS: "the maximum message size is 1 MiB"
RECIPIENTS = 10_000
TEXT_CHARACTERS = 10_000
NAME_CHARACTERS = 100
SENDER_CHARACTERS = 20
LABEL_CHARACTERS = 100
URL_CHARACTERS = 300
CONTEXT_PAIRS = 10
CONTEXT_KEY_CHARACTERS = 64
CONTEXT_VALUE_CHARACTERS = 256
REPLY_DAYS = 3  # smsgo's default, for `replies: true`
MOST_REPLY_DAYS = 30
HORIZON = timedelta(days=366)  # of send_at and of valid_for
CLOCK_TOLERANCE = timedelta(seconds=60)  # a publisher's "now" may be a little behind ours

PROBLEMS_LISTED = 50

FIELDS = (
    "id",
    "to",
    "text",
    "providers",
    "send_at",
    "valid_for",
    "sender",
    "replies",
    "form",
    "url",
    "too_long",
    "on_doubt",
    "label",
    "context",
    "private",
)
RECIPIENT_FIELDS = ("number", "text", "name", "send_at")

BODY = "body"
"""The `field` of a problem of the request as a whole."""

_ID = re.compile(r"[A-Za-z0-9._:@/-]{1,128}")
_MESSAGE_ID = re.compile(r"([a-z2-7]{24})-([1-9][0-9]{0,4})")
_RFC_3339 = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt]([0-9]{2}:[0-9]{2}:[0-9]{2})(\.[0-9]+)?([Zz]|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])?"
)
_LINK = re.compile(
    r"https?://((?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+([a-z](?:[a-z0-9-]{0,61}[a-z0-9])?))(?::[0-9]{1,5})?"
    r"(?:[/?#][!#$%&'()*+,./0-9:;=?@A-Z_a-z~-]*)?",
    re.IGNORECASE,
)
_PRIVATE_DOMAINS = frozenset({"localhost", "localdomain", "local", "internal", "intranet", "lan", "arpa"})
_INVISIBLE = frozenset({"Cc", "Cf", "Zl", "Zp", "Zs"})

_Word = TypeVar("_Word", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a field, and how to mend it. Never holds a number or a text."""

    field: str
    problem: str

    def as_json(self) -> dict[str, str]:
        return {"field": self.field, "problem": self.problem}


@dataclass(frozen=True, slots=True)
class Request:
    """A request in which nothing is wrong."""

    request_id: str
    digest: str
    _messages: tuple[Message, ...] = field(repr=False)
    _order: tuple[int, ...] = field(repr=False)

    def messages(self) -> tuple[Message, ...]:
        """One message per recipient, in an order of their own: the publisher's order makes no difference to it."""
        return self._messages

    @property
    def in_order(self) -> tuple[Message, ...]:
        """The same messages in the order in which the publisher named their recipients."""
        return tuple(self._messages[position] for position in self._order)


class InvalidRequest(Exception):
    """Every problem of a request that cannot be taken, under the id it is recorded by."""

    def __init__(self, request_id: str, problems: tuple[Problem, ...], late: Request | None = None) -> None:
        super().__init__(f"{len(problems)} problems in {', '.join(sorted({problem.field for problem in problems}))}")
        self.request_id = request_id
        self.problems = problems
        self.late = late
        """The request itself, where its only fault is to come after its own `send_at`: if its id and digest are known
        already, it is one that came in time and is repeated, and no new problem."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A body that is no request at all. `check` makes an InvalidRequest of it, under the queue's message id."""

    problem: Problem


def request_hash(request_id: str) -> str:
    """A name for the request that fits wherever an id must: 120 bits of its hash, in letters and digits."""
    return b32encode(sha256(request_id.encode(errors="surrogatepass")).digest()).decode().lower()[:24]


def split_message_id(message_id: str) -> tuple[str, int]:
    """The request's hash and the message's position in it. Raises ValueError for what is no message id of ours."""
    match = _MESSAGE_ID.fullmatch(message_id)
    if match is None or int(match[2]) > RECIPIENTS:
        raise ValueError("not a message id")
    return match[1], int(match[2])


def decode(body: str | bytes) -> object:
    """What a body holds: a request as JSON, or one in an SNS envelope. Where it holds neither, an Unreadable.

    Never raises: a body that could not be read would come again until it lands among the dead letters.
    """
    try:
        payload = _parse(body)
        if isinstance(payload, dict) and _is_envelope(payload):
            payload = _parse(_enveloped(payload))
        if isinstance(payload, dict) and "detail-type" in payload:
            raise NotJson("is an EventBridge event; give its detail alone, by an input path of the rule")
        return payload
    except NotJson as error:
        return Unreadable(Problem(BODY, str(error)))


def check(
    payload: object,
    *,
    fallback_id: str,
    accepted_at: datetime,
    lane: Lane,
    known_providers: Collection[str],
) -> Request:
    """The request in `payload`, which `decode` gave. Raises InvalidRequest, naming every problem at once."""
    if isinstance(payload, Unreadable):
        raise InvalidRequest(fallback_id, (payload.problem,))
    if not isinstance(payload, dict):
        encoded_twice = ", encoded as JSON once" if isinstance(payload, str) else ""
        problem = f"is {kind(payload)}; a send request is one JSON object{encoded_twice}"
        raise InvalidRequest(fallback_id, (Problem(BODY, problem),))
    checker = _Checker(payload, accepted_at, known_providers)
    checked = checker.check()
    request_id = checked.request_id or fallback_id
    if checker.problems and not checker.only_late:
        raise InvalidRequest(request_id, checker.listed())
    request = _request(request_id, checked, accepted_at, lane)
    if checker.problems:
        raise InvalidRequest(request_id, checker.listed(), late=request)
    return request


# Decoding


def _parse(body: str | bytes) -> object:
    return parse(body, BODY_BYTES, "send fewer recipients in each request")


def _is_envelope(payload: Mapping[str, object]) -> bool:
    """SNS's own fields begin with a capital, ours never do."""
    return "Type" in payload and ("Message" in payload or "TopicArn" in payload)


def _enveloped(envelope: Mapping[str, object]) -> str:
    said = envelope.get("Message")
    if envelope["Type"] != "Notification":
        raise NotJson("is a message of SNS about a subscription, not a send request")
    if not isinstance(said, str):
        raise NotJson("is an SNS envelope whose Message is not a string")
    return said


# Checking


class _Recipient(NamedTuple):
    """In the order in which recipients are sorted."""

    number: str
    text: str
    send_at: datetime | None
    name: str | None

    @property
    def identity(self) -> tuple[str, str, str]:
        return self.number, self.text, _stamp(self.send_at) or ""

    @property
    def sort_key(self) -> tuple[str, str, str, str]:
        return *self.identity, self.name or ""


@dataclass(frozen=True, slots=True)
class _Checked:
    """The fields of a request, each either right or with a problem on the list."""

    request_id: str | None
    recipients: list[_Recipient]
    providers: tuple[str, ...]
    valid_for: int | None
    sender: str | None
    reply_days: int | None
    form: Form
    url: str | None
    too_long: TooLong
    on_doubt: OnDoubt
    label: str | None
    context: tuple[tuple[str, str], ...]
    private: bool


class _Checker:
    def __init__(self, payload: Mapping[str, object], accepted_at: datetime, known_providers: Collection[str]) -> None:
        self._payload = payload
        self._accepted_at = accepted_at
        self._known_providers = known_providers
        self._listed: list[Problem] = []
        self.problems = 0
        self.only_late = True

    def listed(self) -> tuple[Problem, ...]:
        """The first problems, and how many more there are."""
        if self.problems <= PROBLEMS_LISTED:
            return tuple(self._listed)
        more = self.problems - PROBLEMS_LISTED
        return (*self._listed, Problem(BODY, f"has {more} more problem{'s' if more > 1 else ''}, not listed here"))

    def check(self) -> _Checked:
        request_id = self._text_field("id", _checked_id)
        send_at = self._send_at(self._payload, "send_at")
        recipients = self._recipients(send_at)
        form = self._word("form", Form, Form.TEXT)
        checked = _Checked(
            request_id=request_id,
            recipients=recipients,
            providers=self._providers(),
            valid_for=self._valid_for(send_at, recipients),
            sender=self._text_field("sender", _checked_sender),
            reply_days=self._reply_days(),
            form=form,
            url=self._url(form),
            too_long=self._word("too_long", TooLong, TooLong.SPLIT),
            on_doubt=self._word("on_doubt", OnDoubt, OnDoubt.HOLD),
            label=self._text_field("label", lambda value: _checked_line(value, LABEL_CHARACTERS)),
            context=self._context(),
            private=self._private(),
        )
        self._refuse_unknown(self._payload, FIELDS, "")
        return checked

    def _problem(self, name: str, problem: str, *, late: bool = False) -> None:
        self.problems += 1
        self.only_late = self.only_late and late
        if self.problems <= PROBLEMS_LISTED:
            self._listed.append(Problem(name, problem))

    def _refuse_unknown(self, fields: Mapping[str, object], known: Collection[str], path: str) -> None:
        for name in fields:
            if name in known:
                continue
            # Finding what was meant takes time, which somebody with ten thousand made-up fields shall not have.
            meant = did_you_mean(name, known) if self.problems < PROBLEMS_LISTED else ""
            self._problem(f"{path}{repeatable(name)}", f"unknown field `{repeatable(name)}`{meant}")

    def _text_field(
        self,
        name: str,
        checked: Callable[[str], str],
        fields: Mapping[str, object] | None = None,
        path: str = "",
    ) -> str | None:
        """An optional string, right after `checked`, which raises ValueError saying what is wrong."""
        fields = self._payload if fields is None else fields
        if name not in fields:
            return None
        value = fields[name]
        if not isinstance(value, str):
            self._problem(f"{path}{name}", f"is {kind(value)}; {needs('a string', value)}")
            return None
        try:
            return checked(value)
        except ValueError as error:
            self._problem(f"{path}{name}", str(error))
            return None

    def _recipients(self, send_at: datetime | None) -> list[_Recipient]:
        common = self._text_field("text", _checked_text)
        if "to" not in self._payload:
            self._problem("to", f"is missing; name at least one recipient: {numbers.HOW_TO_WRITE}")
            return []
        to = self._payload["to"]
        if isinstance(to, str):
            self._refuse_without_text(["to"] if "text" not in self._payload else [])
            number = self._number(to, "to")
            return [_Recipient(number, common or "", send_at, None)] if number else []
        if not isinstance(to, list):
            remedy = "put it into a list" if isinstance(to, dict) else "give a number as a string, or a list of them"
            self._problem("to", f"is {kind(to)}; {remedy}")
            return []
        if not 1 <= len(to) <= RECIPIENTS:
            self._problem(
                "to",
                f"holds {len(to)} recipients; give at least one and at most {RECIPIENTS}, and split what is larger",
            )
            return []
        self._refuse_without_text(
            f"to[{position}]"
            for position, entry in enumerate(to)
            if "text" not in self._payload and not (isinstance(entry, dict) and "text" in entry)
        )
        found = (self._recipient(entry, f"to[{position}]", common, send_at) for position, entry in enumerate(to))
        return [recipient for recipient in found if recipient is not None]

    def _refuse_without_text(self, paths: Iterable[str]) -> None:
        first = next(iter(paths), None)
        if first == "to":
            self._problem("text", "is missing; say what is to be sent")
        elif first is not None:
            self._problem(
                "text", f"is missing, and `{first}` has none of its own; give the request or each recipient one"
            )

    def _recipient(self, entry: object, path: str, common: str | None, send_at: datetime | None) -> _Recipient | None:
        if isinstance(entry, str):
            number = self._number(entry, path)
            return _Recipient(number, common or "", send_at, None) if number else None
        if not isinstance(entry, dict):
            self._problem(path, f"is {kind(entry)}; give a number as a string, or an object with the field `number`")
            return None
        own = f"{path}."
        number = self._number(entry["number"], f"{own}number") if "number" in entry else None
        if "number" not in entry:
            self._problem(f"{own}number", f"is missing; {numbers.HOW_TO_WRITE}")
        said = self._text_field("text", _checked_text, entry, own) if "text" in entry else common
        name = self._text_field("name", lambda value: _checked_line(value, NAME_CHARACTERS), entry, own)
        at = self._send_at(entry, f"{own}send_at") if "send_at" in entry else send_at
        self._refuse_unknown(entry, RECIPIENT_FIELDS, own)
        return _Recipient(number, said or "", at, name) if number else None

    def _number(self, value: object, path: str) -> str | None:
        if not isinstance(value, str):
            self._problem(path, f"is {kind(value)}; {needs('a string', value)}: {numbers.HOW_TO_WRITE}")
            return None
        try:
            return numbers.e164(value)
        except ValueError as error:
            self._problem(path, str(error))
            return None

    def _send_at(self, fields: Mapping[str, object], path: str) -> datetime | None:
        if "send_at" not in fields:
            return None
        value = fields["send_at"]
        if not isinstance(value, str):
            self._problem(path, f"is {kind(value)}; {needs('a string', value)}: {_HOW_TO_WRITE_A_TIME}")
            return None
        try:
            at = checked_time(value)
        except ValueError as error:
            self._problem(path, str(error))
            return None
        if at - self._accepted_at > HORIZON:
            self._problem(path, f"is more than {HORIZON.days} days ahead; ask again nearer to it")
        elif self._accepted_at - at > CLOCK_TOLERANCE:
            self._problem(path, "is a time in the past; give a later one, or leave it out to send at once", late=True)
        return at

    def _valid_for(self, send_at: datetime | None, recipients: Iterable[_Recipient]) -> int | None:
        if "valid_for" not in self._payload:
            return None
        value, most = self._payload["valid_for"], int(HORIZON.total_seconds())
        if not isinstance(value, int) or isinstance(value, bool):
            self._problem("valid_for", f"is {kind(value)}; {needs('a whole number of seconds', value)}")
            return None
        if not 1 <= value <= most:
            self._problem("valid_for", f"is out of range; give 1 to {most} seconds")
            return None
        times = [time for time in (send_at, *(recipient.send_at for recipient in recipients)) if time is not None]
        if times and self._accepted_at + timedelta(seconds=value) < max(times):
            self._problem(
                "valid_for", "ends before send_at; it is counted from when the request is accepted, so give more"
            )
        return value

    def _providers(self) -> tuple[str, ...]:
        if "providers" not in self._payload:
            return ()
        value = self._payload["providers"]
        if not isinstance(value, list):
            self._problem("providers", f"is {kind(value)}; {needs('a list of provider keys', value)}")
            return ()
        if not value:
            self._problem("providers", "is an empty list; leave it out to let the routing document decide")
        chosen: list[str] = []
        for position, key in enumerate(value):
            path = f"providers[{position}]"
            if not isinstance(key, str):
                self._problem(path, f"is {kind(key)}; {needs('a provider key', key)}")
            elif key in chosen:
                self._problem(path, f"names {key} a second time; name each provider once")
            elif key in self._known_providers:
                chosen.append(key)
            else:
                known = ", ".join(sorted(self._known_providers))
                meant = did_you_mean(key, self._known_providers) if self.problems < PROBLEMS_LISTED else ""
                self._problem(path, f"is not a provider of this gateway{meant or f'; choose among {known}'}")
        return tuple(chosen)

    def _reply_days(self) -> int | None:
        value = self._payload.get("replies", False)
        if isinstance(value, bool):
            return REPLY_DAYS if value else None
        if not isinstance(value, dict):
            self._problem("replies", f'is {kind(value)}; give true, or {{"days": 1}} to {{"days": {MOST_REPLY_DAYS}}}')
            return None
        self._refuse_unknown(value, ("days",), "replies.")
        if "days" not in value:
            self._problem("replies.days", f"is missing; give 1 to {MOST_REPLY_DAYS}")
            return None
        days = value["days"]
        if not isinstance(days, int) or isinstance(days, bool):
            self._problem("replies.days", f"is {kind(days)}; {needs('a whole number of days', days)}")
            return None
        if not 1 <= days <= MOST_REPLY_DAYS:
            self._problem("replies.days", f"is out of range; give 1 to {MOST_REPLY_DAYS}")
            return None
        return days

    def _url(self, form: Form) -> str | None:
        url = self._text_field("url", _checked_url)
        if form is Form.PUSH and "url" not in self._payload:
            self._problem("url", "is missing; a push message needs the address it opens")
        if "url" in self._payload and form is not Form.PUSH:
            self._problem("url", "goes only with the form push; write the address into the text instead")
        return url

    def _word(self, name: str, words: type[_Word], default: _Word) -> _Word:
        if name not in self._payload:
            return default
        value = self._payload[name]
        if isinstance(value, str) and value in {word.value for word in words}:
            return words(value)
        known = ", ".join(word.value for word in words)
        said = "is none of the words it may be" if isinstance(value, str) else f"is {kind(value)}"
        self._problem(name, f"{said}; choose among {known}")
        return default

    def _context(self) -> tuple[tuple[str, str], ...]:
        value = self._payload.get("context", {})
        if not isinstance(value, dict):
            self._problem("context", f"is {kind(value)}; {needs('an object of strings', value)}")
            return ()
        if len(value) > CONTEXT_PAIRS:
            self._problem("context", f"holds {len(value)} pairs; {CONTEXT_PAIRS} are the most")
            return ()
        for key, said in value.items():
            path = f"context.{repeatable(key)}"
            try:
                _checked_line(key, CONTEXT_KEY_CHARACTERS)
                if not key:
                    raise ValueError("is empty; give it a name")
            except ValueError as error:
                self._problem(path, f"has a key that {error}")
            if not isinstance(said, str):
                self._problem(path, f"is {kind(said)}; {needs('a string', said)}")
            elif len(said) > CONTEXT_VALUE_CHARACTERS:
                self._problem(path, f"is longer than {CONTEXT_VALUE_CHARACTERS} characters; shorten it")
            elif found := texts.forbidden(said):
                self._problem(path, f"holds {_listed_characters(found)}; leave it out")
        return tuple(sorted((key, said) for key, said in value.items() if isinstance(said, str)))

    def _private(self) -> bool:
        value = self._payload.get("private", False)
        if not isinstance(value, bool):
            self._problem("private", f"is {kind(value)}; {needs('true or false', value)}")
            return False
        return value


def _checked_id(value: str) -> str:
    if not _ID.fullmatch(value):
        raise ValueError("must be 1 to 128 characters out of A-Z a-z 0-9 . _ : @ / -")
    return value


def _checked_text(value: str) -> str:
    said = texts.normalized(value)
    if len(value) > TEXT_CHARACTERS:
        raise ValueError(f"is longer than {TEXT_CHARACTERS} characters; no provider carries as much")
    if found := texts.forbidden(said):
        raise ValueError(f"holds {_listed_characters(found)}, which no provider can carry; leave it out")
    if all(unicodedata.category(char) in _INVISIBLE for char in said):
        raise ValueError("is empty; write at least one character that can be seen")
    return said


def _checked_line(value: str, longest: int) -> str:
    if len(value) > longest:
        raise ValueError(f"is longer than {longest} characters; shorten it")
    if found := texts.forbidden(value.replace("\n", "\0")):
        shown = _listed_characters(found) if "\n" not in value else "a line break or control character"
        raise ValueError(f"holds {shown}; leave it out")
    return value


def _checked_sender(value: str) -> str:
    if not value.strip():
        raise ValueError("is empty; leave it out to send under the provider's own number or name")
    if len(value) > SENDER_CHARACTERS:
        raise ValueError(f"is longer than {SENDER_CHARACTERS} characters; shorten it")
    if not value.isprintable():
        raise ValueError("holds a character that cannot be printed; leave it out")
    return value


def _checked_url(value: str) -> str:
    if len(value) > URL_CHARACTERS:
        raise ValueError(f"is longer than {URL_CHARACTERS} characters; shorten it")
    link = _LINK.fullmatch(value)
    # A telephone opens it, over the public network: an address inside somebody's own network is a mistake or worse.
    if link is None or link[2].lower() in _PRIVATE_DOMAINS:
        raise ValueError(
            "must be an http or https address of a public host name, without user name or password,"
            " other characters percent-encoded"
        )
    return value


_HOW_TO_WRITE_A_TIME = "write it like 2027-01-31T18:30:00+08:00"


def checked_time(value: str) -> datetime:
    """RFC 3339, section 5.6, whose offset is not optional. The instant in UTC, so that equal times are equal."""
    match = _RFC_3339.fullmatch(value)
    if match is None:
        raise ValueError(f"is not a date and time of RFC 3339; {_HOW_TO_WRITE_A_TIME}")
    day, time, fraction, offset = match.groups()
    if offset is None:
        raise ValueError(f"does not say which time zone it is in; {_HOW_TO_WRITE_A_TIME}")
    if time.endswith(":60"):
        raise ValueError("is a leap second, which clocks here do not keep; give the second before or after it")
    if time.startswith("24"):
        raise ValueError("has the hour 24; give 00:00:00 of the next day")
    zone = "+00:00" if offset in "Zz" else offset
    try:
        return datetime.fromisoformat(f"{day}T{time}{(fraction or '')[:7]}{zone}").astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"is not a date and time that exists; {_HOW_TO_WRITE_A_TIME}") from None


# Saying what is wrong


def _listed_characters(found: tuple[str, ...]) -> str:
    shown = ", ".join(found[:5])
    return f"{shown} and other control characters" if len(found) > 5 else f"the control character {shown}"


# From what was checked to messages


def _request(request_id: str, checked: _Checked, accepted_at: datetime, lane: Lane) -> Request:
    # Sorted, so that the same recipients in another order are the same messages; one named twice is one message.
    by_identity: dict[tuple[str, str, str], _Recipient] = {}
    for recipient in sorted(checked.recipients, key=lambda each: each.sort_key):
        by_identity.setdefault(recipient.identity, recipient)
    recipients = by_identity.values()
    digest = _digest(checked, recipients)
    hashed = request_hash(request_id)
    messages = tuple(
        Message(
            message_id=f"{hashed}-{position}",
            request_id=request_id,
            to=recipient.number,
            text=recipient.text,
            accepted_at=accepted_at,
            digest=digest,
            lane=lane,
            name=recipient.name,
            providers=checked.providers,
            send_at=recipient.send_at,
            valid_for=checked.valid_for,
            sender=checked.sender,
            reply_days=checked.reply_days,
            form=checked.form,
            url=checked.url,
            too_long=checked.too_long,
            on_doubt=checked.on_doubt,
            label=checked.label,
            context=checked.context,
            private=checked.private,
        )
        for position, recipient in enumerate(recipients, 1)
    )
    position_of = {identity: position for position, identity in enumerate(by_identity)}
    order = tuple(dict.fromkeys(position_of[recipient.identity] for recipient in checked.recipients))
    return Request(request_id, digest, messages, order)


def _digest(checked: _Checked, recipients: Iterable[_Recipient]) -> str:
    """What is asked for, whoever asks again: not its id, its lane, or the order of its recipients.

    A field at its default leaves no trace, so that fields to come do not change the digests of requests without them.
    """
    content = {
        "to": [
            _without_defaults(
                {"number": each.number, "text": each.text, "name": each.name, "send_at": _stamp(each.send_at)}
            )
            for each in recipients
        ],
        "providers": checked.providers,
        "valid_for": checked.valid_for,
        "sender": checked.sender,
        "reply_days": checked.reply_days,
        "form": None if checked.form is Form.TEXT else checked.form,
        "url": checked.url,
        "too_long": None if checked.too_long is TooLong.SPLIT else checked.too_long,
        "on_doubt": None if checked.on_doubt is OnDoubt.HOLD else checked.on_doubt,
        "label": checked.label,
        "context": checked.context,
        "private": checked.private,
    }
    canonical = json.dumps(_without_defaults(content), sort_keys=True, separators=(",", ":"))
    return sha256(canonical.encode()).hexdigest()


def _without_defaults(content: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in content.items() if value}


def _stamp(at: datetime | None) -> str | None:
    return at.isoformat() if at else None
