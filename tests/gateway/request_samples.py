"""Send requests, right and wrong, for the tests of the checker and of the published schema.

The wrong ones follow the classes of bad input a gateway meets: each is one field of a right request gone wrong, with
the field that must be named and a word the problem must hold.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

Json = Any

NOW = datetime(2026, 11, 21, 4, 0, tzinfo=UTC)
PROVIDERS = ("plainline", "castello")
NUMBER = "+886912345678"
RIGHT: dict[str, Json] = {"id": "order-1", "to": "0912345678", "text": "Your parcel is here"}


def right_with(**fields: Json) -> dict[str, Json]:
    return {**RIGHT, **fields}


VALID: dict[str, dict[str, Json]] = {
    "the least": {"to": "0912345678", "text": "a"},
    "everything": {
        "id": "Order:2026/11-21_a@b.c",
        "to": [
            "0912345678",
            {"number": "+85291234567", "text": "你好", "name": "陳大文", "send_at": "2026-11-22T10:00:00+08:00"},
            {"number": "0922-333-444"},
        ],
        "text": "hello\r\nworld",
        "providers": ["castello", "plainline"],
        "send_at": "2026-11-21T13:00:00.5Z",
        "valid_for": 172800,
        "sender": "Shop 24",
        "replies": {"days": 30},
        "form": "popup",
        "too_long": "reject",
        "on_doubt": "resend",
        "label": "Autumn 週年慶",
        "context": {"order": "17", "note": "two\nlines", "empty": ""},
        "private": True,
    },
    "a push": right_with(form="push", url="https://shop.example.com/a?b=c&d=%20#e"),
    "a push over http": right_with(form="push", url="http://a.tw"),
    "a push to a port": right_with(form="push", url="HTTPS://Shop.Example.COM:8443?x"),
    "id of one character": right_with(id="/"),
    "id of 128 characters": right_with(id="i" * 128),
    "id that climbs": right_with(id="../../etc/passwd"),
    "list of one": right_with(to=["0912345678"]),
    "list of objects with their own texts": {"to": [{"number": NUMBER, "text": "a"}, {"number": NUMBER, "text": "b"}]},
    "own and common texts": right_with(to=[{"number": NUMBER}, {"number": NUMBER, "text": "b"}]),
    "ten thousand": right_with(to=[f"09{tail:08d}" for tail in range(10_000)]),
    "a country that is not enabled": right_with(to="+14165550123"),
    "full-width digits": right_with(to="０９１２３４５６７８"),
    "text of 10,000": right_with(text="字" * 10_000),
    "text with emoji": right_with(text="😀👨\u200d👩\u200d👧"),
    "text right to left": right_with(text="שלום \u202bאבג\u202c"),
    "text with combining marks": right_with(text="a\u0301e\u0308"),
    "text with markup": right_with(text="]]></USER><USER NAME='x'>&amp;<!-- -->"),
    "text with URL characters": right_with(text="a&b=c#d%20e+f;g?h"),
    "text with GSM extension": right_with(text="{}[]~\\|^€"),
    "text with templates": right_with(text="{} %s ${x} {{7*7}} #{x} <%= x %>"),
    "text with SQL": right_with(text="'; DROP TABLE messages; --"),
    "text with an encoded word": right_with(text="=?UTF-8?Q?=0A?=Bcc: x@example.com"),
    "text with a formula": right_with(text="=1+1"),
    "text of two lines": right_with(text="a\nb"),
    "text with spaces around": right_with(text="  a  "),
    "text beyond the basic plane": right_with(text="𠮷野家"),
    "text of digits": right_with(text="0"),
    "one provider": right_with(providers=["plainline"]),
    "time in Z": right_with(send_at="2026-11-22T00:00:00Z"),
    "time in lower case": right_with(send_at="2026-11-22t00:00:00z"),
    "time with a negative offset": right_with(send_at="2026-11-21T23:59:59-12:00"),
    "time of unknown local offset": right_with(send_at="2026-11-22T00:00:00-00:00"),
    "time with a fraction": right_with(send_at="2026-11-22T00:00:00.123456789+08:00"),
    "time that is now": right_with(send_at="2026-11-21T12:00:00+08:00"),
    "time a little behind": right_with(send_at="2026-11-21T11:59:01+08:00"),
    "time a year ahead": right_with(send_at="2027-11-21T12:00:00+08:00"),
    "valid for a second": right_with(valid_for=1),
    "valid for a year": right_with(valid_for=31_622_400),
    "valid until just send_at": right_with(send_at="2026-11-21T12:01:00+08:00", valid_for=60),
    "sender of one": right_with(sender="1"),
    "sender of twenty": right_with(sender="s" * 20),
    "sender in Chinese": right_with(sender="好商店"),
    "replies": right_with(replies=True),
    "no replies": right_with(replies=False),
    "replies for a day": right_with(replies={"days": 1}),
    "form text": right_with(form="text"),
    "split": right_with(too_long="split"),
    "hold": right_with(on_doubt="hold"),
    "empty label": right_with(label=""),
    "label of 100": right_with(label="標" * 100),
    "no context": right_with(context={}),
    "ten pairs": right_with(context={f"k{n}": "v" * 256 for n in range(10)}),
    "key of 64": right_with(context={"k" * 64: "v"}),
    "not private": right_with(private=False),
}

NO_STRINGS: dict[str, Json] = {
    "null": None,
    "true": True,
    "zero": 0,
    "a number": 912345678,
    "a float": 1.5,
    "a huge number": 10**400,
    "a list": ["x"],
    "an object": {"x": "y"},
}
CONTROLS = [chr(code) for code in (*range(0x20), 0x7F)]
SEPARATORS = ["\x85", "\x9f", "\u2028", "\u2029", "\ufffe", "\uffff", "\ufdd0"]


def _wrong_types() -> dict[str, tuple[Json, str, str]]:
    found: dict[str, tuple[Json, str, str]] = {}
    for kind, value in NO_STRINGS.items():
        for name in ("id", "text", "send_at", "sender", "label", "form", "too_long", "on_doubt"):
            found[f"{name} is {kind}"] = (right_with(**{name: value}), name, "is |choose")
        found[f"url is {kind}"] = (right_with(form="push", url=value), "url", "is ")
    for kind, value in NO_STRINGS.items():
        if kind != "a list":
            found[f"to is {kind}"] = (right_with(to=value), "to", "is ")
            found[f"providers is {kind}"] = (right_with(providers=value), "providers", "is ")
        if kind != "an object":
            found[f"context is {kind}"] = (right_with(context=value), "context", "is ")
            found[f"to[0] is {kind}"] = (right_with(to=[value]), "to[0]", "is ")
        found[f"to[1].number is {kind}"] = (right_with(to=[NUMBER, {"number": value}]), "to[1].number", "is ")
        found[f"to[0].text is {kind}"] = (right_with(to=[{"number": NUMBER, "text": value}]), "to[0].text", "is ")
        found[f"to[0].name is {kind}"] = (right_with(to=[{"number": NUMBER, "name": value}]), "to[0].name", "is ")
        found[f"to[0].send_at is {kind}"] = (
            right_with(to=[{"number": NUMBER, "send_at": value}]),
            "to[0].send_at",
            "is ",
        )
        found[f"providers[0] is {kind}"] = (right_with(providers=[value]), "providers[0]", "is ")
        found[f"context.k is {kind}"] = (right_with(context={"k": value}), "context.k", "is ")
        if kind != "true":
            found[f"private is {kind}"] = (right_with(private=value), "private", "is ")
        if kind not in ("true", "an object"):
            found[f"replies is {kind}"] = (right_with(replies=value), "replies", "is ")
        if kind not in ("zero", "a number", "a huge number"):
            found[f"valid_for is {kind}"] = (right_with(valid_for=value), "valid_for", "is ")
            found[f"replies.days is {kind}"] = (right_with(replies={"days": value}), "replies.days", "is ")
    found["valid_for is a string"] = (right_with(valid_for="60"), "valid_for", "a whole number")
    found["private is a string"] = (right_with(private="true"), "private", "true or false")
    found["replies is a string"] = (right_with(replies="true"), "replies", "give true")
    found["providers is a string"] = (right_with(providers="plainline"), "providers", "a list")
    found["context is a string"] = (right_with(context="k=v"), "context", "an object")
    return found


def _unknown_fields() -> dict[str, tuple[Json, str, str]]:
    meant = {
        "txt": "text",
        "Text": "text",
        "TEXT": "text",
        "texts": "text",
        "sendAt": "send_at",
        "send-at": "send_at",
        "validFor": "valid_for",
        "provider": "providers",
        "reply": "replies",
        "onDoubt": "on_doubt",
        "labels": "label",
        "contxt": "context",
        "privat": "private",
        "ID": "id",
        "To": "to",
    }
    found = {
        f"unknown {name}": (right_with(**{name: "x"}), name, f"did you mean `{known}`") for name, known in meant.items()
    }
    for name in ("response", "replyurl", "drurl", "wapurl", "callback", "__proto__", "$where", "", " ", "x" * 30):
        found[f"unknown {name!r}"] = (right_with(**{name: "http://169.254.169.254/"}), name, "unknown field")
    found["unknown in a recipient"] = (
        right_with(to=[{"number": NUMBER, "nmae": "x"}]),
        "to[0].nmae",
        "did you mean `name`",
    )
    found["request field in a recipient"] = (
        right_with(to=[{"number": NUMBER, "sender": "x"}]),
        "to[0].sender",
        "unknown",
    )
    found["unknown in replies"] = (right_with(replies={"days": 3, "day": 3}), "replies.day", "did you mean `days`")
    return found


def _bad_numbers() -> dict[str, tuple[Json, str, str]]:
    written = {
        "": "is empty",
        " ": "is empty",
        "0": "digits",
        "12345": "neither",
        "09123": "digits",
        "091234567": "not a number",
        "09123456789": "not a number",
        "+8869123456789": "not a number",
        "+88691234567890123": "digits",
        "+99912345678": "country code",
        "+12005550123": "not a number",
        "tel:+886912345678": "letters",
        "+00886912345678": "international prefix",
        "00886912345678": "international prefix",
        "886912345678": "neither",
        "0912x45678": "letters",
        "٠٩١٢٣٤٥٦٧٨": "digits other than",
        "०९१२३४५६७८": "digits other than",
        "0912345678,0922333444": "character ,",
        "0912345678;ext=1": "character ;",
        "0912345678\r\n[RECIPIENT]=0922333444": "letters|U\\+",
        "09" + "1" * 100: "longer",
        "0912345678\x00": "U\\+0000",
        "\u202d0912345678": "U\\+202D",
        "0912\ud800345678": "U\\+D800",
        "{'$gt': ''}": "letters|character",
    }
    found = {f"to {number!r}": (right_with(to=number), "to", problem) for number, problem in written.items()}
    for number, problem in written.items():
        found[f"to[1] {number!r}"] = (right_with(to=[NUMBER, number]), "to[1]", problem)
        found[f"to[1].number {number!r}"] = (right_with(to=[NUMBER, {"number": number}]), "to[1].number", problem)
    return found


def _bad_texts() -> dict[str, tuple[Json, str, str]]:
    written = {
        "empty": ("", "is empty"),
        "blank": (" \n \u3000\u00a0", "is empty"),
        "invisible": ("\u200b\u200d\ufeff", "is empty"),
        "10,001 characters": ("x" * 10_001, "longer than 10000"),
        "a megabyte": ("x" * 1_000_000, "longer than 10000"),
        "half a pair": ("a\ud83d", "U\\+D83D"),
        "the other half": ("\ude00a", "U\\+DE00"),
        "all controls": ("".join(CONTROLS), "U\\+0000.*other control characters"),
        "a lone carriage return": ("a\rb", "U\\+000D"),
    }
    for char in (*CONTROLS, *SEPARATORS):
        if char != "\n":
            written[f"U+{ord(char):04X}"] = (f"code{char}1234", f"U\\+{ord(char):04X}")
    found: dict[str, tuple[Json, str, str]] = {}
    for name, (said, problem) in written.items():
        found[f"text is {name}"] = (right_with(text=said), "text", problem)
        found[f"own text is {name}"] = (right_with(to=[{"number": NUMBER, "text": said}]), "to[0].text", problem)
    return found


def _bad_lines() -> dict[str, tuple[Json, str, str]]:
    found: dict[str, tuple[Json, str, str]] = {}
    for char in (*CONTROLS, *SEPARATORS, "\ud800"):
        said, shown = f"a{char}b", f"U+{ord(char):04X}"
        found[f"label with {shown}"] = (right_with(label=said), "label", "leave it out")
        found[f"name with {shown}"] = (right_with(to=[{"number": NUMBER, "name": said}]), "to[0].name", "leave it out")
        found[f"sender with {shown}"] = (right_with(sender=said), "sender", "cannot be printed")
        found[f"id with {shown}"] = (right_with(id=said), "id", "must be 1 to 128")
        found[f"url with {shown}"] = (right_with(form="push", url=f"https://a.tw/{said}"), "url", "must be an http")
        if char != "\n":
            found[f"context value with {shown}"] = (right_with(context={"k": said}), "context.k", "leave it out")
        found[f"context key with {shown}"] = (right_with(context={said: "v"}), "context.a?b", "leave it out")
    return found


def _bad_times() -> dict[str, tuple[Json, str, str]]:
    written = {
        "": "not a date and time of RFC 3339",
        " ": "not a date and time of RFC 3339",
        "now": "not a date and time of RFC 3339",
        "tomorrow": "not a date and time of RFC 3339",
        "1795000000": "not a date and time of RFC 3339",
        "2026-11-22": "not a date and time of RFC 3339",
        "2026-11-22T10:00+08:00": "not a date and time of RFC 3339",
        "2026-11-22 10:00:00+08:00": "not a date and time of RFC 3339",
        "2026-11-22T10:00:00+0800": "not a date and time of RFC 3339",
        "2026-11-22T10:00:00+08": "not a date and time of RFC 3339",
        "2026-11-22T10:00:00 +08:00": "not a date and time of RFC 3339",
        "2026-11-22T10:00:00+24:00": "not a date and time of RFC 3339",
        "2026-11-22T10:00:00+08:60": "not a date and time of RFC 3339",
        "2026-11-22T10:00:00,5+08:00": "not a date and time of RFC 3339",
        "2026-11-22T10:00:00.+08:00": "not a date and time of RFC 3339",
        "2026-W47-7T10:00:00+08:00": "not a date and time of RFC 3339",
        "20261122T100000+0800": "not a date and time of RFC 3339",
        "2026/11/22T10:00:00+08:00": "not a date and time of RFC 3339",
        "26-11-22T10:00:00+08:00": "not a date and time of RFC 3339",
        "+02026-11-22T10:00:00+08:00": "not a date and time of RFC 3339",
        "２０２６-11-22T10:00:00+08:00": "not a date and time of RFC 3339",
        "٢٠٢٦-11-22T10:00:00+08:00": "not a date and time of RFC 3339",
        "2026-11-22T10:00:00+08:00[Asia/Taipei]": "not a date and time of RFC 3339",
        "2026-11-22T10:00:00+08:00\n": "not a date and time of RFC 3339",
        "Sun, 22 Nov 2026 10:00:00 +0800": "not a date and time of RFC 3339",
        "2026-11-22T10:00:00": "time zone",
        "2026-11-22T10:00:00.5": "time zone",
        "2026-11-22T23:59:60Z": "leap second",
        "2026-12-31T23:59:60+08:00": "leap second",
        "2026-11-22T24:00:00+08:00": "hour 24",
        "2026-11-22T25:00:00+08:00": "that exists",
        "2026-11-22T10:60:00+08:00": "that exists",
        "2026-11-22T10:00:61+08:00": "that exists",
        "2026-13-01T10:00:00+08:00": "that exists",
        "2026-00-01T10:00:00+08:00": "that exists",
        "2026-11-31T10:00:00+08:00": "that exists",
        "2027-02-29T10:00:00+08:00": "that exists",
        "0000-01-01T00:00:00Z": "that exists",
        "0001-01-01T00:00:00+23:59": "that exists",
        "9999-12-31T23:59:59-23:59": "that exists",
        "9999-12-31T23:59:59Z": "days ahead",
        "2027-11-23T00:00:00Z": "days ahead",
        "0001-01-01T00:00:00Z": "in the past",
        "1970-01-01T00:00:00Z": "in the past",
        "2025-11-22T10:00:00+08:00": "in the past",
        "2026-11-21T11:58:59+08:00": "in the past",
        "2026-11-21T12:00:00+09:00": "in the past",
    }
    found: dict[str, tuple[Json, str, str]] = {}
    for time, problem in written.items():
        found[f"send_at {time!r}"] = (right_with(send_at=time), "send_at", problem)
        own = [{"number": NUMBER, "send_at": time}]
        found[f"own send_at {time!r}"] = (right_with(to=own), "to[0].send_at", problem)
    return found


URL_TRICKS = (
    "",
    " ",
    "shop.example.com",
    "//shop.example.com",
    "/path",
    "file:///etc/passwd",
    "ftp://example.com/",
    "javascript:alert(1)",
    "data:text/html,x",
    "gopher://example.com",
    "http:/example.com",
    "http://",
    "http://localhost/",
    "http://localhost:8080/",
    "http://db.internal/",
    "http://metadata.google.internal/",
    "http://printer.local/",
    "http://intranet/",
    "http://127.0.0.1/",
    "http://169.254.169.254/latest/meta-data/",
    "http://2852039166/",
    "http://0xa9fea9fe/",
    "http://0251.0376.0251.0376/",
    "http://127.1/",
    "http://[::1]/",
    "http://[::ffff:169.254.169.254]/",
    "http://[fe80::1%25eth0]/",
    "http://user@example.com/",
    "http://user:secret@example.com/",
    "http://example.com@169.254.169.254/",
    "http://example.com\\@169.254.169.254/",
    "http://example.com:port/",
    "http://example.com:123456/",
    "http://-example.com/",
    "http://example-.com/",
    "http://exa mple.com/",
    "http://example..com/",
    "http://例子.tw/",
    "http://example.com/a b",
    "http://example.com/路",
    "http://example.com/<script>",
    'http://example.com/"',
    "http://example.com/\\..\\",
    "http://example.com/`id`",
    "http://example.com/{x}",
    "http://example.com/|",
    "http://①⑥⑨.②⑤④.①⑥⑨.②⑤④/",
    "http://" + "a" * 64 + ".com/",
    "https://example.com/" + "x" * 300,
)


def _bad_rest() -> dict[str, tuple[Json, str, str]]:
    found: dict[str, tuple[Json, str, str]] = {
        f"url {url[:60]!r}": (right_with(form="push", url=url), "url", "must be an http|longer than")
        for url in URL_TRICKS
    }
    for bad in (
        "",
        " ",
        "a b",
        "é",
        "訂單",
        "a\tb",
        "i" * 129,
        "a,b",
        "a|b",
        "a%20b",
        "a?b",
        "a#b",
        "a\\b",
        "<a>",
        "a'b",
    ):
        found[f"id {bad[:20]!r}"] = (right_with(id=bad), "id", "must be 1 to 128 characters")
    for bad in ("TEXT", "sms", "", " text", "flash", "wap"):
        found[f"form {bad!r}"] = (right_with(form=bad), "form", "choose among text, popup, push")
    for bad in ("SPLIT", "truncate", "", "cut"):
        found[f"too_long {bad!r}"] = (right_with(too_long=bad), "too_long", "choose among split, reject")
    for bad in ("failover", "", "retry", "Hold"):
        found[f"on_doubt {bad!r}"] = (right_with(on_doubt=bad), "on_doubt", "choose among hold, resend")
    for seconds in (0, -1, -(10**12), 31_622_401, 10**12, 10**30):
        found[f"valid_for {seconds}"] = (right_with(valid_for=seconds), "valid_for", "out of range")
    for days in (0, -1, 31, 10**9):
        found[f"replies for {days} days"] = (right_with(replies={"days": days}), "replies.days", "out of range")
    return found | {
        "nothing": ({}, "to", "is missing"),
        "no to": ({"text": "x"}, "to", "is missing"),
        "no text": ({"to": NUMBER}, "text", "is missing"),
        "no text for one of two": ({"to": [{"number": NUMBER, "text": "a"}, "0922333444"]}, "text", r"to\[1\]"),
        "no text for a push": ({"to": NUMBER, "form": "push", "url": "https://a.tw"}, "text", "is missing"),
        "to is empty": (right_with(to=[]), "to", "holds 0 recipients"),
        "to is 10,001": (right_with(to=[NUMBER] * 10_001), "to", "holds 10001 recipients"),
        "to is one object": (right_with(to={"number": NUMBER}), "to", "put it into a list"),
        "to is a list in a list": (right_with(to=[[NUMBER]]), "to[0]", "is a list"),
        "recipient is empty": (right_with(to=[{}]), "to[0].number", "is missing"),
        "recipient without number": (right_with(to=[{"name": "x", "text": "y"}]), "to[0].number", "is missing"),
        "name of 101": (right_with(to=[{"number": NUMBER, "name": "n" * 101}]), "to[0].name", "longer than 100"),
        "providers is empty": (right_with(providers=[]), "providers", "empty list"),
        "provider unknown": (right_with(providers=["plainlin"]), "providers[0]", "did you mean `plainline`"),
        "provider nowhere near": (right_with(providers=["x"]), "providers[0]", "choose among castello, plainline"),
        "provider in capitals": (right_with(providers=["PLAINLINE"]), "providers[0]", "did you mean `plainline`"),
        "provider empty": (right_with(providers=[""]), "providers[0]", "not a provider"),
        "provider is a path": (right_with(providers=["../secrets"]), "providers[0]", "not a provider"),
        "provider twice": (right_with(providers=["castello", "castello"]), "providers[1]", "a second time"),
        "valid_for is a whole float": (right_with(valid_for=60.0), "valid_for", "is a number; give a whole number"),
        "valid_for ends before send_at": (
            right_with(valid_for=3600, send_at="2026-11-22T00:00:00Z"),
            "valid_for",
            "ends before send_at",
        ),
        "valid_for ends before one send_at": (
            right_with(valid_for=3600, to=[NUMBER, {"number": NUMBER, "send_at": "2026-11-22T00:00:00Z"}]),
            "valid_for",
            "ends before send_at",
        ),
        "sender is empty": (right_with(sender=""), "sender", "is empty"),
        "sender is blank": (right_with(sender="  "), "sender", "is empty"),
        "sender of 21": (right_with(sender="s" * 21), "sender", "longer than 20"),
        "sender is invisible": (right_with(sender="a\u202eb"), "sender", "cannot be printed"),
        "replies without days": (right_with(replies={}), "replies.days", "is missing"),
        "push without url": (right_with(form="push"), "url", "is missing"),
        "url without push": (right_with(url="https://a.tw"), "url", "only with the form push"),
        "url with popup": (right_with(url="https://a.tw", form="popup"), "url", "only with the form push"),
        "label of 101": (right_with(label="l" * 101), "label", "longer than 100"),
        "eleven pairs": (right_with(context={str(n): "v" for n in range(11)}), "context", "holds 11 pairs"),
        "context key empty": (right_with(context={"": "v"}), "context.", "is empty"),
        "context key of 65": (right_with(context={"k" * 65: "v"}), f"context.{'k' * 40}…", "longer than 64"),
        "context value of 257": (right_with(context={"k": "v" * 257}), "context.k", "longer than 256"),
        "context in context": (right_with(context={"k": {"l": "v"}}), "context.k", "is an object"),
    }


INVALID: dict[str, tuple[Json, str, str]] = {
    **_wrong_types(),
    **_unknown_fields(),
    **_bad_numbers(),
    **_bad_texts(),
    **_bad_lines(),
    **_bad_times(),
    **_bad_rest(),
}
"""Name of the case: the request, the field at fault, and what its problem says."""

NO_OBJECTS: dict[str, Json] = {
    "null": None,
    "true": True,
    "a number": 5,
    "a float": 0.5,
    "a string": "x",
    "a list": [RIGHT],
}
