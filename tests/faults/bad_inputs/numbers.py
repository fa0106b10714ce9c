"""Telephone numbers as people write them, and as nobody should: B19 to B22."""

from __future__ import annotations

from collections.abc import Iterator

from tests.faults.bad_inputs.shapes import E164, OTHER_E164, TEXT, TO, Posted, Right, problem_of, right_with


def variants() -> Iterator[Posted | Right]:
    yield from _digits()
    yield from _separators()
    yield from _lengths()
    yield from _repeated()


def right(of: str, name: str, written: str) -> Iterator[Right]:
    yield Right(of=of, name=name, request=right_with(to=written))
    yield Right(of=of, name=f"{name}, in a list", request=right_with(to=[written]))
    yield Right(of=of, name=f"{name}, in an object", request=right_with(to=[{"number": written}]))


def wrong(of: str, name: str, written: str, problem: str) -> Iterator[Posted]:
    yield problem_of(of, name, right_with(to=written), "to", problem)
    yield problem_of(of, f"{name}, second in a list", right_with(to=[TO, written]), "to[1]", problem)
    yield problem_of(of, f"{name}, in an object", right_with(to=[{"number": written}]), "to[0].number", problem)


def _digits() -> Iterator[Posted | Right]:
    for name, written in {
        "full-width": "０９１２３４５６７８",
        "full-width with a full-width plus": "＋８８６９１２３４５６７８",
        "half of them full-width": "０９１2345678",
        "mathematical bold": "𝟎𝟗𝟏𝟐𝟑𝟒𝟓𝟔𝟕𝟖",
    }.items():
        yield from right("B19", name, written)
    for name, written in {
        "Arabic-Indic": "٠٩١٢٣٤٥٦٧٨",
        "Persian": "۰۹۱۲۳۴۵۶۷۸",
        "Devanagari": "०९१२३४५६७८",
        "Bengali": "০৯১২৩৪৫৬৭৮",
        "Thai": "๐๙๑๒๓๔๕๖๗๘",
        "Tibetan": "༠༩༡༢༣༤༥༦༧༨",
        "Khmer": "០៩១២៣៤៥៦៧៨",
        "one Arabic-Indic digit": "091234567٨",
        "Adlam": "\U0001e950\U0001e959\U0001e951\U0001e952\U0001e953\U0001e954\U0001e955\U0001e956\U0001e957\U0001e958",
    }.items():
        yield from wrong("B19", name, written, "holds digits other than 0 to 9")
    yield from wrong("B19", "Chinese numerals", "〇九一二三四五六七八", r"holds the character U\+3007")
    yield from wrong("B19", "superscripts and others", "0912345³⁄₄", r"holds the character U\+|is not a number")


def _separators() -> Iterator[Posted | Right]:
    for name, written in {
        "hyphens": "0912-345-678",
        "spaces": "0912 345 678",
        "dots": "0912.345.678",
        "brackets": "(0912)345678",
        "international with spaces": "+886 912 345 678",
        "a zero in brackets is none": "+886-912-345678",
        "en dashes": "0912–345–678",
        "non-breaking hyphens": "0912‑345‑678",
        "a minus sign": "0912−345−678",
        "an ideographic space": "0912　345　678",
        "spaces around": "  0912345678  ",
    }.items():
        yield from right("B20", name, written)
    for name, written, problem in (
        ("tel:", "tel:+886912345678", "holds letters"),
        ("sms:", "sms:0912345678", "holds letters"),
        ("+00", "+00886912345678", "begins with an international prefix"),
        ("00", "00886912345678", "begins with an international prefix"),
        ("002", "002886912345678", "begins with an international prefix"),
        ("two pluses", "++886912345678", "holds a \\+ that is not at its beginning"),
        ("a plus at the end", "886912345678+", "holds a \\+ that is not at its beginning"),
        ("a plus in the middle", "886+912345678", "holds a \\+ that is not at its beginning"),
        ("letters", "0912-FLOWERS", "holds letters"),
        ("a letter O", "O912345678", "holds letters"),
        ("an extension", "0912345678 ext 5", "holds letters"),
        ("a pause", "0912345678,5", "holds the character ,"),
        ("a wait", "0912345678;5", "holds the character ;"),
        ("a star", "*0912345678", r"holds the character \*"),
        ("a hash", "0912345678#", "holds the character #"),
        ("slashes", "0912/345/678", "holds the character /"),
        ("two numbers", "0912345678,0922333444", "holds the character ,"),
        ("two numbers and a space", "0912345678 0922333444", "has too few or too many digits|is not a number"),
        ("underscores", "0912_345_678", "holds the character _"),
        ("a quote", "'0912345678", "holds the character '"),
        ("an invisible mark before it", "\u202d0912345678", r"holds the character U\+202D"),
        ("a zero-width space in it", "0912\u200b345678", r"holds the character U\+200B"),
        ("a tab", "0912\t345\t678", r"holds the character U\+0009"),
        ("a mail address", "a@example.com", "holds letters"),
        ("a float", "0.912345678e9", "holds letters"),
        ("nothing but a plus", "+", "has too few or too many digits"),
        ("nothing but separators", "(-) .", "is empty"),
    ):
        yield from wrong("B20", name, written, problem)


def _lengths() -> Iterator[Posted]:
    for name, written, problem in (
        ("one digit", "0", "has too few or too many digits"),
        ("one digit and a plus", "+8", "has too few or too many digits"),
        ("emergency", "110", "has neither"),
        ("emergency, international", "+886110", "is not a number|has too few"),
        ("five digits", "09123", "is not a number that exists"),
        ("one digit too few", "091234567", "is not a number that exists"),
        ("one digit too many", "09123456789", "is not a number that exists"),
        ("sixteen digits", "+8869123456789012", "has too few or too many digits"),
        ("as many as may be written", "+" + "8" * 39, "has too few or too many digits"),
        ("more than may be written", "0" * 41, "is longer than any telephone number"),
        ("a thousand digits", "1" * 1000, "is longer than any telephone number"),
        ("a thousand zeros", "+" + "0" * 1000, "is longer than any telephone number"),
        ("an unassigned country", "+999123456789", "has a country code that is not in use"),
        ("another", "+210123456789", "has a country code that is not in use"),
        ("country zero", "+0912345678", "begins with an international prefix"),
        ("a prefix that no operator has", "+886099345678", "is not a number that exists"),
        ("America's fictional numbers", "+12005550123", "is not a number that exists"),
        ("Hong Kong, a digit short", "+8529123456", "is not a number that exists"),
        ("China, a digit over", "+86138123456789", "is not a number that exists"),
        ("without a country", "886912345678", r"has neither \+ and country code"),
        ("without the zero", "912345678", r"has neither \+ and country code"),
    ):
        yield from wrong("B21", name, written, problem)


SAME = ("0912345678", "+886912345678", "0912-345-678", "０９１２３４５６７８", "+886 912 345 678", "(0912) 345.678")


def _repeated() -> Iterator[Right]:
    """The same number twice in one request with the same text is sent once, however it is written."""
    for place, written in enumerate(SAME[1:], 2):
        yield Right(of="B22", name=f"in the {place}. of its ways", request=right_with(to=[SAME[0], written]))
    yield Right(of="B22", name="in all of its ways", request=right_with(to=list(SAME)))
    yield Right(of="B22", name="a thousand times", request=right_with(to=[TO] * 1000))
    objects = [{"number": written} for written in SAME]
    yield Right(of="B22", name="as objects", request=right_with(to=objects))
    mixed = [SAME[0], {"number": SAME[1]}, {"number": SAME[2], "text": TEXT}]
    yield Right(
        of="B22", name="as a string, an object, and with the same text of its own", request=right_with(to=mixed)
    )
    named = [{"number": written, "name": f"name {place}"} for place, written in enumerate(SAME)]
    yield Right(of="B22", name="under other names", request=right_with(to=named))
    twins = ["0912345678", "0922333444", "+886922333444", "+886912345678"]
    yield Right(of="B22", name="two numbers twice", request=right_with(to=twins), to=(E164, OTHER_E164))
    again = right_with(to=[{"number": number, "send_at": "2026-11-22T12:00:00+08:00"} for number in SAME[:2]])
    yield Right(of="B22", name="for the same time", request=again)
    zones = ["2026-11-22T12:00:00+08:00", "2026-11-22T04:00:00Z", "2026-11-21T23:00:00-05:00"]
    same = right_with(to=[{"number": TO, "send_at": at} for at in zones])
    yield Right(of="B22", name="for the same time in other zones", request=same)
