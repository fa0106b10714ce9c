"""Telephone numbers: what publishers write becomes E.164, and E.164 becomes what providers dial and logs may show.

phonenumbers decides what a valid number is. It is loaded only when a number needs it: Taiwan's mobile numbers, nearly
all of our traffic, are recognised without it (a test proves that both say the same of them).
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from phonenumbers import PhoneNumber

HOW_TO_WRITE = "write it like +886912345678, or 0912345678 for Taiwan"

WORLD = "001"
"""What `country` says of numbers of no country (freephone +800, satellites): UN M.49's code of the world."""

LONGEST = 40
"""Characters of a number as written, separators in: twice the fifteen digits E.164 allows, and some room."""

_TAIWAN = "886"
# Taiwan's mobile numbers, 090 to 098 and 099; whatever else there is, is left to phonenumbers to judge.
_TAIWAN_MOBILE = re.compile(r"(?:\+886|0)(9[0-8][0-9]{7})")
_E164 = re.compile(r"\+[1-9][0-9]{5,14}")
_SEPARATORS = re.compile(r"[ .()\-\u2010-\u2015\u2212]")  # NFKC leaves the typographic hyphens as they are


def e164(raw: str) -> str:
    """The number in E.164. Raises ValueError with a sentence that says what is wrong, and never the number itself."""
    plain = _TAIWAN_MOBILE.fullmatch(raw)
    if plain:
        return f"+{_TAIWAN}{plain[1]}"
    return _valid(_digits(raw))


def country(number: str) -> str:
    """The ISO region of a valid E.164 number, or WORLD."""
    if number.startswith(f"+{_TAIWAN}"):
        return "TW"
    regions = _regions_by_code()[calling_code(number)]
    if len(regions) == 1:
        return regions[0]
    return _region_of_shared_code(number)


def calling_code(number: str) -> str:
    """`886` of `+886912345678`. No calling code is the beginning of another."""
    if number.startswith(f"+{_TAIWAN}"):
        return _TAIWAN
    codes = _regions_by_code()
    for length in (1, 2, 3):
        code = number[1 : 1 + length]
        if number.startswith("+") and code in codes:
            return code
    raise ValueError("the number has no calling code that is in use")


def national_digits(number: str) -> str:
    """What follows the calling code: `912345678` of `+886912345678`."""
    return number[1 + len(calling_code(number)) :]


def taiwan_national(number: str) -> str:
    """`0912345678` of `+886912345678`. Raises ValueError for a number of another country."""
    if not number.startswith(f"+{_TAIWAN}"):
        raise ValueError("the number is not one of Taiwan's")
    return "0" + number[1 + len(_TAIWAN) :]


def is_taiwan(number: str) -> bool:
    return number.startswith(f"+{_TAIWAN}")


def is_taiwan_mobile(number: str) -> bool:
    """As vendors know them: 09 and eight more digits."""
    return is_taiwan(number) and re.fullmatch("09[0-9]{8}", taiwan_national(number)) is not None


def from_dialled(written: str) -> str | None:
    """In E.164 what a vendor names by 09xxxxxxxx, or by the country code and the rest, with its plus or without.

    None for what is no telephone number. (A plus that nobody percent-encoded arrives as a space, and is gone by now.)
    """
    try:
        return e164(written if written.startswith(("0", "+")) else f"+{written}")
    except ValueError:
        return None


def masked(number: str) -> str:
    """What a log line or an answer may show: the last three digits, and how long the number is."""
    digits = number.lstrip("+")
    return "*" * (len(digits) - 3) + digits[-3:] if len(digits) > 6 else "*" * len(digits)


def _digits(raw: str) -> str:
    """`raw` without its separators: ASCII digits after a `+`, Taiwan's national form brought to it."""
    if len(raw) > LONGEST:
        raise ValueError(f"is longer than any telephone number; {HOW_TO_WRITE}")
    # Full-width digits, as Chinese input methods type them, are the same number; other scripts' digits stay apart.
    digits = _SEPARATORS.sub("", unicodedata.normalize("NFKC", raw))
    if not digits:
        raise ValueError(f"is empty; {HOW_TO_WRITE}")
    if not all(char.isascii() and (char.isdigit() or char == "+") for char in digits):
        raise ValueError(f"holds {_stranger(digits)}; {HOW_TO_WRITE}")
    if "+" in digits[1:]:
        raise ValueError(f"holds a + that is not at its beginning; one number each: {HOW_TO_WRITE}")
    if digits.startswith(("00", "+0")):
        raise ValueError(f"begins with an international prefix; put + and the country code instead: {HOW_TO_WRITE}")
    if digits.startswith("0"):
        return f"+{_TAIWAN}{digits[1:]}"
    if not digits.startswith("+"):
        raise ValueError(f"has neither + and country code nor Taiwan's leading 0; {HOW_TO_WRITE}")
    return digits


def _stranger(digits: str) -> str:
    """The first thing that is neither digit nor plus, said without repeating what might be part of a number."""
    char = next(char for char in digits if not (char.isascii() and (char.isdigit() or char == "+")))
    if char.isdecimal():
        return "digits other than 0 to 9"
    if char.isascii() and char.isalpha():
        return "letters"
    if char.isascii() and char.isprintable():
        return f"the character {char}"
    return f"the character U+{ord(char):04X}"


def _valid(digits: str) -> str:
    if not _E164.fullmatch(digits):
        raise ValueError(f"has too few or too many digits for a telephone number; {HOW_TO_WRITE}")
    import phonenumbers

    try:
        parsed = _parsed(digits)
    except phonenumbers.NumberParseException:
        raise ValueError(f"has a country code that is not in use; {HOW_TO_WRITE}") from None
    if not phonenumbers.is_valid_number(parsed):
        raise ValueError(
            "is not a number that exists in its country's numbering plan; check its digits and country code"
        )
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)


def _parsed(number: str) -> PhoneNumber:
    import phonenumbers

    return phonenumbers.parse(number)


@lru_cache(maxsize=4096)
def _region_of_shared_code(number: str) -> str:
    import phonenumbers

    region = phonenumbers.region_code_for_number(_parsed(number))
    if region is None:
        raise ValueError("the number belongs to no country's numbering plan")
    return region


@lru_cache(maxsize=1)
def _regions_by_code() -> dict[str, tuple[str, ...]]:
    import phonenumbers

    return {str(code): regions for code, regions in phonenumbers.COUNTRY_CODE_TO_REGION_CODE.items()}
