"""Whatever may be sent: requests with any text to any number, as far as our own checks let them pass.

Nothing here says by hand what is allowed. The numbers come from every numbering plan there is, the texts from all of
Unicode; the intake's check and the provider's `refusal` decide. `examples` shows how far that reaches, for tests that
watch over it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import cache

import phonenumbers
from hypothesis import assume
from hypothesis import strategies as st
from phonenumbers import PhoneNumberFormat, PhoneNumberType

from smsgate.messages import Form, Lane, Message
from smsgate.numbers import country, e164
from smsgate.providers.base import Provider
from smsgate.requests import InvalidRequest, check

# Numbers


@cache
def numbers() -> tuple[str, ...]:
    """A number of each kind in each region of the world, and of each code of no country."""
    found = [
        phonenumbers.example_number_for_type(region, kind)
        for region in sorted(phonenumbers.SUPPORTED_REGIONS)
        for kind in PhoneNumberType.values()
    ]
    found += [
        phonenumbers.example_number_for_non_geo_entity(code)
        for code in sorted(phonenumbers.COUNTRY_CODES_FOR_NON_GEO_REGIONS)
    ]
    written = (phonenumbers.format_number(each, PhoneNumberFormat.E164) for each in found if each is not None)
    return tuple(dict.fromkeys(each for each in written if exists(each)))


def exists(number: str) -> bool:
    """In the intake's eyes."""
    try:
        return e164(number) == number
    except ValueError:
        return False


def is_reached(provider: type[Provider], number: str, now: datetime) -> bool:
    """Would the provider carry a plain message there?"""
    return all(provider.refusal(each, now) is None for each in _checked({"to": number, "text": "hi"}, now))


def countries() -> frozenset[str]:
    return frozenset(country(number) for number in numbers())


@cache
def examples(provider: type[Provider], now: datetime) -> Mapping[str, tuple[str, ...]]:
    """By country, those of `numbers` that the provider's checks let pass."""
    reached: dict[str, list[str]] = {}
    for number in numbers():
        if is_reached(provider, number, now):
            reached.setdefault(country(number), []).append(number)
    return {where: tuple(found) for where, found in reached.items()}


taiwans = st.integers(0, 89_999_999).map(lambda rest: f"+8869{rest:08}")
"""Taiwan's mobile numbers."""


def numbers_of(provider: type[Provider], now: datetime) -> st.SearchStrategy[str]:
    """Any number that is reached: half of them Taiwan's mobile numbers, as in real traffic, half anywhere."""
    by_country = examples(provider, now)

    def near(example: str, tail: str) -> str:
        """Another number beside this one, where there is one that is reached as well."""
        other = example[: -len(tail)] + tail
        return other if exists(other) and is_reached(provider, other, now) else example

    anywhere = st.sampled_from(sorted(by_country)).flatmap(lambda where: st.sampled_from(by_country[where]))
    return st.one_of(taiwans, st.builds(near, anywhere, st.text("0123456789", min_size=1, max_size=6)))


# Texts: pieces of some alphabet, short ones as they are, long ones as many of it as it takes

# All of Unicode but what the intake refuses in every text: half of what is drawn would be no message otherwise.
_anything = st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp"), include_characters="\n")
_english = st.characters(codec="ascii", categories=("L", "N", "P", "S", "Zs"), include_characters="\n")
_chinese = st.characters(min_codepoint=0x4E00, max_codepoint=0x9FA5)
_traditional = st.characters(codec="big5", min_codepoint=0x20)


def _texts(alphabet: st.SearchStrategy[str], longest: int) -> st.SearchStrategy[str]:
    pieces = st.text(alphabet, min_size=1, max_size=70)
    lengths = st.integers(1, longest)
    long = st.builds(lambda piece, length: (piece * (length // len(piece) + 1))[:length], pieces, lengths)
    return st.one_of(pieces, pieces, long)


texts = st.one_of(_texts(_anything, 400), _texts(_english, 800), _texts(_chinese, 400), _texts(_traditional, 400))
lines = st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), max_size=50)


# Requests


def _checked(payload: Mapping[str, object], now: datetime) -> tuple[Message, ...]:
    """What the intake makes of it. Raises InvalidRequest."""
    request = check(payload, fallback_id="any", accepted_at=now, lane=Lane.URGENT, known_providers=())
    return request.in_order


def verdict(provider: type[Provider], payload: Mapping[str, object], now: datetime) -> str | None:
    """What the first of our checks has against its first message, or None."""
    try:
        first = _checked(payload, now)[0]
    except InvalidRequest as invalid:
        return str(invalid)
    refusal = provider.refusal(first, now)
    return refusal.problem if refusal else None


def payloads(provider: type[Provider], now: datetime) -> st.SearchStrategy[dict[str, object]]:
    """Requests with the options that the provider declares, for one recipient or a few.

    A push message is no text on a phone but an address to open, so it is not among them.
    """
    can = provider.capabilities
    options: dict[str, st.SearchStrategy[object]] = {"label": lines}
    if can.two_way:
        options["replies"] = st.sampled_from([False, False, True])
    if can.sender:
        options["sender"] = st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=1, max_size=11)
    if can.validity:
        options["valid_for"] = st.integers(300, 28_800)
    if len(can.forms) > 1:
        options["form"] = st.sampled_from(sorted(form.value for form in can.forms - {Form.PUSH}))
    number = numbers_of(provider, now)
    recipient = number | st.fixed_dictionaries({"number": number}, optional={"name": lines, "text": texts})
    recipients = st.lists(recipient, min_size=1, max_size=min(3, can.recipients_per_call))
    return st.fixed_dictionaries({"to": recipients, "text": texts}, optional=options)


@st.composite
def companies(draw: st.DrawFn, provider: type[Provider], now: datetime) -> tuple[Message, ...]:
    """Messages that our checks allow, and that one call may carry together; mostly there is one."""
    try:
        messages = _checked(draw(payloads(provider, now)), now)
    except InvalidRequest:
        assume(False)
    carried = [message for message in messages if provider.refusal(message, now) is None]
    assume(carried)
    alike = [message for message in carried if provider.group(message) == provider.group(carried[0])]
    return tuple({message.to: message for message in reversed(alike)}.values())[::-1]
