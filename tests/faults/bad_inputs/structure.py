"""Bodies that are no request, and requests whose fields are missing, unknown or of another kind: B01 to B15, B23, B24,
B36, B37 and B40."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tests.faults.bad_inputs.gateway import CANARY, envelope
from tests.faults.bad_inputs.shapes import (
    DELIVERED_RAW,
    E164,
    ENTRANCES,
    ENVELOPE,
    HTTP,
    HTTP_BASE64,
    OTHER,
    OTHER_E164,
    QUEUE,
    RIGHT,
    TEXT,
    TO,
    Posted,
    Right,
    problem_of,
    right_with,
)

BODY = "body"
NO_OBJECT = r"^is (null|true|false|a \w+); a send request is one JSON object"
STRINGS = ("id", "text", "send_at", "sender", "label", "form", "too_long", "on_doubt")
OF_A_RECIPIENT = ("number", "text", "name", "send_at")
KINDS: dict[str, Any] = {
    "null": None,
    "true": True,
    "false": False,
    "zero": 0,
    "a number": 912345678,
    "a float": 1.5,
    "a string": TO,
    "a list": [TO],
    "an empty object": {},
    "an object": {"number": {"number": TO}},
}


def variants() -> Iterator[Posted | Right]:
    yield from _not_json()
    yield from _wrong_top_level()
    yield from _missing()
    yield from _extra()
    yield from _wrong_types()
    yield from _nulls()
    yield from _empty()
    yield from _blank()
    yield from _large()
    yield from _deep()
    yield from _twice()
    yield from _no_numbers()
    yield from _huge_numbers()
    yield from _invalid_utf8()
    yield from _half_characters()
    yield from _empty_lists()
    yield from _too_many()
    yield from _providers()
    yield from _negative()
    yield from _envelopes()


UNWRAPPED = (QUEUE, DELIVERED_RAW, HTTP, HTTP_BASE64)


def body(of: str, name: str, said: str | bytes, problem: str, entrances: tuple[str, ...] = ENTRANCES) -> Posted:
    at = entrances if isinstance(said, str) else (HTTP_BASE64,)
    return Posted(of=of, name=name, body=said, problems={BODY: problem}, entrances=at)


def _not_json() -> Iterator[Posted]:
    whole = json.dumps(RIGHT)
    for name, said in {
        "nothing": "",
        "blank": " \r\n\t ",
        "a word": "hello",
        "an open brace": "{",
        "cut in the middle": whole[: len(whole) // 2],
        "cut before its end": whole[:-1],
        "two of them": whole + whole,
        "something behind it": whole + ";",
        "a comma too many": whole[:-1] + ",}",
        "single quotes": f"{{'to': '{TO}', 'text': '{TEXT}'}}",
        "names without quotes": f'{{to: "{TO}", text: "{TEXT}"}}',
        "no comma between": f'{{"to": "{TO}" "text": "{TEXT}"}}',
        "a number with a leading zero": f'{{"to": {TO}, "text": "{TEXT}"}}',
        "an end of line in a text": f'{{"to": "{TO}", "text": "{CANARY}\n"}}',
        "a NUL in a text": f'{{"to": "{TO}", "text": "{CANARY}\x00"}}',
        "an escape that is none": f'{{"to": "{TO}", "text": "{CANARY}\\x41"}}',
        "half an escape": f'{{"to": "{TO}", "text": "{CANARY}\\ud8"}}',
        "a text without end": f'{{"to": "{TO}", "text": "{CANARY}',
        "a form": f"to={TO}&text={CANARY}",
        "XML": f"<request><to>{TO}</to><text>{CANARY}</text></request>",
        "YAML": f"to: '{TO}'\ntext: {CANARY}\n",
        "a comment before it": f"// {CANARY}\n{whole}",
        "a repr of Python": repr(dict(RIGHT)),
        "undefined": "undefined",
        "base64 of it": "eyJ0byI6ICIwOTEyMzQ1Njc4In0=",
        "NUL": "\x00",
        "a pickle": "\x80\x04\x95",
    }.items():
        yield body("B01", name, said, "^is not JSON")


def _wrong_top_level() -> Iterator[Posted]:
    for said in ("null", "true", "false", "0", "886912345678", "0.5", '""', json.dumps(TEXT), "[]", "[[[]]]"):
        yield body("B02", said, said, NO_OBJECT)
    yield body("B02", "a list of it", json.dumps([dict(RIGHT)]), NO_OBJECT)
    yield body("B02", "a list of numbers", json.dumps([TO, OTHER]), NO_OBJECT)


def _missing() -> Iterator[Posted]:
    own = {"number": TO, "text": TEXT}
    for name, request, where, problem in (
        ("to", {"text": TEXT}, "to", "is missing"),
        ("to, of a request with an id", {"id": "order-1", "text": TEXT}, "to", "is missing"),
        ("text", {"to": TO}, "text", "is missing"),
        ("text of a list", {"to": [TO, OTHER]}, "text", r"is missing, and `to\[0\]` has none"),
        ("text of one of two", {"to": [own, OTHER]}, "text", r"is missing, and `to\[1\]` has none"),
        ("text of an object", {"to": [{"number": TO}]}, "text", r"is missing, and `to\[0\]` has none"),
        ("number", right_with(to=[{"text": TEXT}]), "to[0].number", "is missing"),
        ("number of one of two", right_with(to=[own, {"name": CANARY}]), "to[1].number", "is missing"),
        ("everything of a recipient", right_with(to=[{}]), "to[0].number", "is missing"),
        ("url of a push", right_with(form="push"), "url", "is missing"),
        ("days of replies", right_with(replies={}), "replies.days", "is missing"),
        ("days of replies, misspelt", right_with(replies={"days": 1, "day": 1}), "replies.day", "unknown field"),
    ):
        yield problem_of("B03", name, request, where, problem)
    yield problem_of("B03", "everything", {}, "to", "is missing")


def _extra() -> Iterator[Posted]:
    for name, meant in {
        "txt": "text",
        "Text": "text",
        "TEXT": "text",
        "sendAt": "send_at",
        "send-at": "send_at",
        "validFor": "valid_for",
        "provider": "providers",
        "reply": "replies",
        "onDoubt": "on_doubt",
        "contxt": "context",
        "privat": "private",
        "ID": "id",
    }.items():
        yield problem_of("B04", name, right_with(**{name: CANARY}), name, f"^unknown field .* did you mean `{meant}`")
    for name in ("response", "message_id", "$schema", "__proto__", "", " ", "constructor", "x" * 30):
        yield problem_of("B04", repr(name), right_with(**{name: CANARY}), name, "^unknown field")
    yield problem_of("B04", "a number as its name", right_with(**{TO: "x"}), "*" * 10, r"^unknown field `\*+`")
    yield problem_of("B04", "a long name", right_with(**{"z" * 5000: "x"}), "z" * 40 + "…", "^unknown field")
    yield problem_of("B04", "an unprintable name", right_with(**{"a\x00\u202e": "x"}), "a??", "^unknown field")
    yield problem_of(
        "B04", "in a recipient", right_with(to=[{"number": TO, "nmae": CANARY}]), "to[0].nmae", "did you mean `name`"
    )
    yield problem_of(
        "B04", "a request's, in a recipient", right_with(to=[{"number": TO, "sender": "x"}]), "to[0].sender", "unknown"
    )
    many = Posted(
        of="B04",
        name="ten thousand of them",
        body=json.dumps(right_with(**{f"field{n}": 1 for n in range(10_000)})),
        problems={**{f"field{n}": "unknown field" for n in range(50)}, BODY: "has 9950 more problems"},
    )
    yield many


# What each field may be; whatever else it is, it is refused.
STRING, LIST, OBJECT, FLAG, NUMBER = (
    {"a string"},
    {"a list"},
    {"an object", "an empty object"},
    {"true", "false"},
    {"zero", "a number"},
)
MAY_BE: dict[str, set[str]] = {
    **dict.fromkeys(STRINGS, STRING),
    "to": STRING | LIST,
    "providers": LIST,
    "context": OBJECT,
    "private": FLAG,
    "replies": FLAG | OBJECT,
    "valid_for": NUMBER,
}


def _wrong_types() -> Iterator[Posted]:
    for kind, value in KINDS.items():
        if kind == "null":
            continue
        for name, allowed in MAY_BE.items():
            if kind not in allowed:
                yield problem_of("B05", f"{name} is {kind}", right_with(**{name: value}), name, r"is (?!null)\w+")
        for where, request, allowed in (
            ("to[0]", right_with(to=[value]), STRING | OBJECT),
            ("providers[0]", right_with(providers=[value]), set()),
            *((f"to[0].{name}", right_with(to=[{"number": TO, name: value}]), STRING) for name in OF_A_RECIPIENT),
            ("context.k", right_with(context={"k": value}), STRING),
            ("url", right_with(form="push", url=value), STRING),
            ("replies.days", right_with(replies={"days": value}), NUMBER),
        ):
            if kind not in allowed:
                yield problem_of("B05", f"{where} is {kind}", request, where, "^is ")


def _nulls() -> Iterator[Posted]:
    for name in (*STRINGS, "to", "providers", "context", "private", "replies", "valid_for"):
        yield problem_of("B06", name, right_with(**{name: None}), name, "is null")
    yield problem_of("B06", "url", right_with(form="push", url=None), "url", "is null")
    yield problem_of("B06", "to[0]", right_with(to=[None]), "to[0]", "is null")
    yield problem_of("B06", "providers[0]", right_with(providers=[None]), "providers[0]", "is null")
    yield problem_of("B06", "context.k", right_with(context={"k": None}), "context.k", "is null")
    yield problem_of("B06", "replies.days", right_with(replies={"days": None}), "replies.days", "is null")
    for name in OF_A_RECIPIENT:
        request = right_with(to=[{"number": TO, name: None}])
        yield problem_of("B06", f"to[0].{name}", request, f"to[0].{name}", "is null")


def _empty() -> Iterator[Posted | Right]:
    for name, problem in {
        "id": "must be 1 to 128 characters",
        "to": "is empty",
        "text": "is empty",
        "send_at": "is not a date and time",
        "sender": "is empty",
        "form": "choose among",
        "too_long": "choose among",
        "on_doubt": "choose among",
        "providers": "is a string",
        "context": "is a string",
        "replies": "is a string",
        "private": "is a string",
        "valid_for": "is a string",
    }.items():
        yield problem_of("B07", name, right_with(**{name: ""}), name, problem)
    yield problem_of("B07", "url", right_with(form="push", url=""), "url", "must be an http or https address")
    yield problem_of("B07", "to[1]", right_with(to=[TO, ""]), "to[1]", "is empty")
    yield problem_of("B07", "to[0].number", right_with(to=[{"number": ""}]), "to[0].number", "is empty")
    yield problem_of("B07", "to[0].text", right_with(to=[{"number": TO, "text": ""}]), "to[0].text", "is empty")
    yield problem_of("B07", "to[0].send_at", right_with(to=[{"number": TO, "send_at": ""}]), "to[0].send_at", "date")
    yield problem_of("B07", "providers[0]", right_with(providers=[""]), "providers[0]", "is not a provider")
    yield problem_of("B07", "a key of context", right_with(context={"": "v"}), "context.", "has a key that is empty")
    yield Right(of="B07", name="label, which may be", request=right_with(label=""))
    yield Right(of="B07", name="a value of context, which may be", request=right_with(context={"k": ""}))
    yield Right(of="B07", name="name, which may be", request=right_with(to=[{"number": TO, "name": ""}]))


BLANKS = {
    "a space": " ",
    "spaces": "    ",
    "an ideographic space": "\u3000",
    "a no-break space": "\u00a0",
    "line feeds": "\n\n",
    "an em space": "\u2003",
    "a zero-width space": "\u200b",
    "a byte order mark": "\ufeff",
    "joiners": "\u200d\u200c",
    "a word joiner": "\u2060",
}


def _blank() -> Iterator[Posted]:
    for kind, blank in BLANKS.items():
        yield problem_of("B08", f"text is {kind}", right_with(text=blank), "text", "is empty")
        own = right_with(to=[{"number": TO, "text": blank}])
        yield problem_of("B08", f"to[0].text is {kind}", own, "to[0].text", "is empty")
        yield problem_of("B08", f"to is {kind}", right_with(to=blank), "to", "is empty|holds the character U")
        yield problem_of("B08", f"id is {kind}", right_with(id=blank), "id", "must be 1 to 128")
        yield problem_of("B08", f"sender is {kind}", right_with(sender=blank), "sender", "is empty|cannot be printed")
        yield problem_of("B08", f"send_at is {kind}", right_with(send_at=blank), "send_at", "is not a date")
        yield problem_of("B08", f"form is {kind}", right_with(form=blank), "form", "choose among")
        yield problem_of("B08", f"providers[0] is {kind}", right_with(providers=[blank]), "providers[0]", "is not a")


def _large() -> Iterator[Posted]:
    mib = 1024 * 1024
    for name, said in {
        "spaces": json.dumps(RIGHT) + " " * mib,
        "a text": json.dumps(right_with(text=CANARY * mib)),
        "Chinese, fewer characters than bytes": json.dumps(right_with(text="字" * (mib // 3)), ensure_ascii=False),
        "one number after another": json.dumps(right_with(to=[TO] * 100_000)),
        "digits": f'{{"id": {"9" * (mib + 1)}}}',
        "an open list": "[" * (mib + 1),
        "an open text": '"' + "x" * (mib + 1),
        "a context": json.dumps(right_with(context={"k": "v" * mib})),
        "an unknown field": json.dumps(right_with(x="y" * mib)),
        "NULs": "\x00" * (mib + 1),
        "ten megabytes": "x" * (10 * mib),
    }.items():
        yield body("B09", name, said, "^is larger than 1048576 bytes")
    at_most = json.dumps(right_with(text=""))
    long = "x" * (mib - len(at_most))
    whole = json.dumps(right_with(text=long))
    problems = {"text": "is longer than 10000"}
    yield Posted(of="B09", name="a text of a mebibyte exactly", body=whole, problems=problems, entrances=UNWRAPPED)
    yield problem_of(
        "B09", "a label of half a mebibyte", right_with(label=long[: mib // 2]), "label", "longer than 100"
    )
    yield problem_of("B09", "a number of half a mebibyte", right_with(to="1" * (mib // 2)), "to", "is longer than any")
    yield problem_of("B09", "an id of half a mebibyte", right_with(id="1" * (mib // 2)), "id", "must be 1 to 128")
    yield problem_of("B09", "a time of half a mebibyte", right_with(send_at="1" * (mib // 2)), "send_at", "is not a")


DEPTH = 10_000


def _deep() -> Iterator[Posted]:
    lists, objects = "[" * DEPTH + "]" * DEPTH, '{"a":' * DEPTH + "1" + "}" * DEPTH
    both = '{"a":[' * DEPTH + "1" + "]}" * DEPTH
    for name, said in {
        "lists": lists,
        "open lists": "[" * DEPTH,
        "objects": objects,
        "open objects": '{"a":' * DEPTH,
        "lists in objects": both,
        "recipients": f'{{"to": {lists}, "text": "{CANARY}"}}',
        "a text of lists": f'{{"to": "{TO}", "text": {lists}}}',
        "a context": f'{{"to": "{TO}", "text": "{CANARY}", "context": {objects}}}',
        "replies": f'{{"to": "{TO}", "text": "{CANARY}", "replies": {both}}}',
        "an unknown field": f'{{"to": "{TO}", "text": "{CANARY}", "x": {lists}}}',
        "an id": f'{{"id": {lists}}}',
        "providers": f'{{"to": "{TO}", "text": "{CANARY}", "providers": {lists}}}',
    }.items():
        yield body("B10", name, said, "^is nested too deeply")


def _twice() -> Iterator[Posted]:
    rest = f'"to": "{TO}", "text": "{CANARY}"'
    for name, said, named in (
        ("to", f'{{{rest}, "to": "{OTHER}"}}', "to"),
        ("to, the same", f'{{{rest}, "to": "{TO}"}}', "to"),
        ("text", f'{{{rest}, "text": "{CANARY} other"}}', "text"),
        ("id", f'{{"id": "a", {rest}, "id": "b"}}', "id"),
        ("id, escaped", f'{{"id": "a", {rest}, "\\u0069d": "b"}}', "id"),
        ("number", f'{{"text": "{CANARY}", "to": [{{"number": "{TO}", "number": "{OTHER}"}}]}}', "number"),
        ("own text", f'{{"to": [{{"number": "{TO}", "text": "a", "text": "b"}}]}}', "text"),
        ("a key of context", f'{{{rest}, "context": {{"k": "a", "k": "b"}}}}', "k"),
        ("days", f'{{{rest}, "replies": {{"days": 1, "days": 30}}}}', "days"),
        ("an unknown field", f'{{{rest}, "x": 1, "x": 2}}', "x"),
        ("a number as a name", f'{{{rest}, "{TO}": 1, "{TO}": 2}}', r"\*+"),
        ("send_at", f'{{{rest}, "send_at": null, "send_at": null}}', "send_at"),
        ("three times", f'{{{rest}, "private": true, "private": false, "private": true}}', "private"),
    ):
        yield body("B11", name, said, f"^names `{named}` twice")


def _no_numbers() -> Iterator[Posted]:
    for number, problem in {
        "NaN": "holds NaN, which is not JSON",
        "Infinity": "holds Infinity, which is not JSON",
        "-Infinity": "holds -Infinity, which is not JSON",
        "1e999": "holds a number that is too large",
        "-1e999": "holds a number that is too large",
        "1E+400": "holds a number that is too large",
    }.items():
        for name, said in {
            "valid_for": f'{{"to": "{TO}", "text": "{CANARY}", "valid_for": {number}}}',
            "to": f'{{"to": {number}, "text": "{CANARY}"}}',
            "days": f'{{"to": "{TO}", "text": "{CANARY}", "replies": {{"days": {number}}}}}',
            "the whole body": number,
        }.items():
            yield body("B12", f"{name} is {number}", said, f"^{problem}")
    for word in ("nan", "inf", "+1", ".5", "1.", "0x10", "1_000", "--1", "-", "1e"):
        yield body("B12", f"valid_for is {word}", f'{{"valid_for": {word}}}', "^is not JSON")


def _huge_numbers() -> Iterator[Posted]:
    for digits in (5, 20, 400, 4000):
        number = "9" * digits
        rest = f'"to": "{TO}", "text": "{CANARY}"'
        for name, said, where, problem in (
            ("id", f'{{"id": {number}, {rest}}}', "id", "is a number; give a string"),
            ("to", f'{{"id": "order-1", "text": "{CANARY}", "to": {number}}}', "to", "is a number"),
            ("days", f'{{{rest}, "replies": {{"days": {number}}}}}', "replies.days", "is out of range"),
            ("context.k", f'{{{rest}, "context": {{"k": {number}}}}}', "context.k", "is a number; give a string"),
        ):
            yield Posted(of="B13", name=f"{name} of {digits} digits", body=said, problems={where: problem})
        if digits > 5:
            said = f'{{{rest}, "valid_for": {number}}}'
            problems = {"valid_for": "is out of range"}
            yield Posted(of="B13", name=f"valid_for of {digits} digits", body=said, problems=problems)
    for name in ("id", "to", "valid_for", "x"):
        said = f'{{"{name}": {"9" * 5000}}}'
        yield body("B13", f"{name} of more digits than anybody reads", said, "^holds a number of too many digits")
    for number in ("1.0", "1e3", "17.5", "-0.0", "9.99e300"):
        said = f'{{"id": {number}, "to": "{TO}", "text": "{CANARY}"}}'
        yield Posted(of="B13", name=f"id is {number}", body=said, problems={"id": "is a number; give a string"})
    for number in ("60.0", "1e2", "0.5"):
        said = f'{{"to": "{TO}", "text": "{CANARY}", "valid_for": {number}}}'
        problems = {"valid_for": "is a number; give a whole number"}
        yield Posted(of="B13", name=f"valid_for is {number}", body=said, problems=problems)


INVALID_UTF8 = {
    "a lone continuation": b"\x80",
    "a lone start": b"\xe4",
    "half a character": "你".encode()[:2],
    "a start of five": b"\xf8\x88\x80\x80\x80",
    "an overlong slash": b"\xc0\xaf",
    "an overlong NUL": b"\xc0\x80",
    "half a surrogate pair": b"\xed\xa0\xbd",
    "a pair as two": b"\xed\xa0\xbd\xed\xb8\x80",
    "beyond Unicode": b"\xf4\x90\x80\x80",
    "0xFF": b"\xff",
    "Big5": "簡訊".encode("big5"),
    "GB18030": "简讯".encode("gb18030"),
    "Latin-1": "café".encode("latin-1"),
}


def _invalid_utf8() -> Iterator[Posted]:
    rest = f'"to": "{TO}", "text": "{CANARY}'.encode()
    for name, stray in INVALID_UTF8.items():
        yield body("B14", f"{name} in a text", b"{" + rest + stray + b'"}', "^is not UTF-8")
        yield body("B14", f"{name} in a name", b"{" + rest + b'", "' + stray + b'": 1}', "^is not UTF-8")
        yield body("B14", f"{name} before it", stray + b"{" + rest + b'"}', "^is not UTF-8")
    whole = json.dumps(RIGHT)
    yield body("B14", "UTF-16 with its mark", whole.encode("utf-16"), "^is not UTF-8")
    yield body("B14", "UTF-16 without", whole.encode("utf-16-le"), "^is not JSON")
    yield body("B14", "compressed", b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xabV*.", "^is not UTF-8")


def _half_characters() -> Iterator[Posted]:
    for kind, half in {
        "a high half": "\\ud83d",
        "a low half": "\\ude00",
        "two highs": "\\ud83d\\ud83d",
        "a pair in reverse": "\\ude00\\ud83d",
        "the last of them": "\\udfff",
    }.items():
        rest = f'"to": "{TO}", "text": "{CANARY}"'
        for name, said, where, problem in (
            ("text", f'{{"to": "{TO}", "text": "{CANARY}{half}"}}', "text", r"holds .*U\+D[89A-F]"),
            ("id", f'{{"id": "a{half}", {rest}}}', "id", "must be 1 to 128"),
            ("to", f'{{"to": "{TO}{half}", "text": "{CANARY}"}}', "to", r"U\+D[89A-F]"),
            ("label", f'{{{rest}, "label": "{half}"}}', "label", r"U\+D[89A-F]"),
            ("sender", f'{{{rest}, "sender": "x{half}"}}', "sender", "cannot be printed"),
            ("context.k", f'{{{rest}, "context": {{"k": "{half}"}}}}', "context.k", r"U\+D[89A-F]"),
            ("to[0].name", f'{{"text": "a", "to": [{{"number": "{TO}", "name": "{half}"}}]}}', "to[0].name", r"U\+D"),
            ("send_at", f'{{{rest}, "send_at": "{half}"}}', "send_at", "is not a date"),
            ("providers[0]", f'{{{rest}, "providers": ["{half}"]}}', "providers[0]", "is not a provider"),
            ("url", f'{{{rest}, "form": "push", "url": "https://a.tw/{half}"}}', "url", "must be an http"),
        ):
            yield Posted(of="B15", name=f"{name} with {kind}", body=said, problems={where: problem})
        field = "?" * (len(half) // 6)
        said = f'{{{rest}, "{half}": 1}}'
        yield Posted(of="B15", name=f"a name of {kind}", body=said, problems={field: "unknown field"})
    raw = f'{{"to": "{TO}", "text": "{CANARY}\ud83d"}}'
    yield Posted(
        of="B15",
        name="a half as it stands, not escaped",
        body=raw,
        problems={"text": r"U\+D83D"},
        entrances=(QUEUE, ENVELOPE),
    )


def _empty_lists() -> Iterator[Posted | Right]:
    yield problem_of("B23", "to", right_with(to=[]), "to", "holds 0 recipients; give at least one")
    yield problem_of("B23", "to, without a text", {"id": "order-1", "to": []}, "to", "holds 0 recipients")
    yield problem_of("B23", "providers", right_with(providers=[]), "providers", "is an empty list")
    yield problem_of("B23", "a list in to", right_with(to=[[]]), "to[0]", "is a list")
    yield problem_of("B23", "lists in to", right_with(to=[TO, [], OTHER]), "to[1]", "is a list")
    yield problem_of("B23", "an object in to", right_with(to=[{}]), "to[0].number", "is missing")
    yield problem_of("B23", "an object as to", right_with(to={}), "to", "is an object; put it into a list")
    yield problem_of("B23", "text", right_with(text=[]), "text", "is a list")
    yield problem_of("B23", "replies", right_with(replies={}), "replies.days", "is missing")
    yield problem_of("B23", "context as a list", right_with(context=[]), "context", "is a list")
    yield Posted(
        of="B23",
        name="to and providers",
        body=json.dumps(right_with(to=[], providers=[])),
        problems={"to": "holds 0 recipients", "providers": "an empty list"},
    )
    yield Right(of="B23", name="context, which may be", request=right_with(context={}))


def _too_many() -> Iterator[Posted | Right]:
    many = 10_001
    numbers = [f"09{n:08d}" for n in range(12_345_678, 12_345_678 + many)]
    many_ways: dict[str, list[Any]] = {
        "of the same number": [TO] * many,
        "of different numbers": numbers,
        "as objects": [{"number": number} for number in numbers],
        "with texts of their own": [{"number": TO, "text": f"{CANARY} {n}"} for n in range(many)],
        "none of them a number": ["x"] * many,
        "nulls": [None] * many,
        "lists": [[]] * many,
        "objects": [{}] * many,
        "twice as many": numbers * 2,
        "one right and the rest empty": [TO, *[""] * (many - 1)],
    }
    for name, to in many_ways.items():
        request = right_with(to=to)
        yield problem_of("B24", name, request, "to", f"holds {len(to)} recipients; give at least one and at most 10000")
    yield Right(of="B24", name="just as many as may be, all the same", request=right_with(to=[TO] * 10_000))
    more = Posted(
        of="B24",
        name="ten thousand, none of them a number",
        body=json.dumps(right_with(to=["x"] * 10_000)),
        problems={**{f"to[{n}]": "holds letters" for n in range(50)}, BODY: "has 9950 more problems"},
    )
    yield more


def _providers() -> Iterator[Posted | Right]:
    for name, keys, where, problem in (
        ("unknown", ["nobody"], "providers[0]", "is not a provider of this gateway; choose among every8d, meteorsis"),
        ("misspelt", ["twsmss"], "providers[0]", "did you mean `twsms`"),
        ("in capitals", ["TWSMS"], "providers[0]", "did you mean `twsms`"),
        ("with a space", ["twsms "], "providers[0]", "did you mean `twsms`"),
        ("a path", ["../callbacks"], "providers[0]", "is not a provider"),
        ("a module", ["base"], "providers[0]", "is not a provider"),
        ("a dunder", ["__init__"], "providers[0]", "is not a provider"),
        ("a wildcard", ["*"], "providers[0]", "is not a provider"),
        ("a list of them as one", ["twsms,smsgo"], "providers[0]", "is not a provider"),
        ("one known, one not", ["twsms", "nobody"], "providers[1]", "is not a provider"),
        ("a loop of one", ["twsms", "twsms"], "providers[1]", "names twsms a second time"),
        ("a loop of two", ["twsms", "smsgo", "twsms"], "providers[2]", "names twsms a second time"),
        ("a number", [912345678], "providers[0]", "is a number"),
        ("an URL", ["https://sms.example"], "providers[0]", "is not a provider"),
    ):
        yield problem_of("B36", name, right_with(providers=keys), where, problem)
    yield Posted(
        of="B36",
        name="a loop of a thousand",
        body=json.dumps(right_with(providers=["twsms"] * 1000)),
        problems={**{f"providers[{n}]": "a second time" for n in range(1, 51)}, BODY: "has 949 more problems"},
    )


def _negative() -> Iterator[Posted | Right]:
    for seconds in (0, -1, -60, -(2**31), -(10**30), 31_622_401, 2**31, 2**63, 10**12, 10**30):
        yield problem_of("B37", f"valid_for {seconds}", right_with(valid_for=seconds), "valid_for", "is out of range")
    for days in (0, -1, -30, 31, 365, 2**31, 10**18):
        request = right_with(replies={"days": days})
        yield problem_of("B37", f"replies for {days} days", request, "replies.days", "is out of range; give 1 to 30")
    yield Right(of="B37", name="valid for a second", request=right_with(valid_for=1))
    yield Right(of="B37", name="valid for a year", request=right_with(valid_for=31_622_400))


def _envelopes() -> Iterator[Posted | Right]:
    whole = json.dumps(RIGHT)
    event = {"version": "0", "detail-type": "Send", "source": "shop", "detail": dict(RIGHT)}
    for name, said, problem in (
        ("encoded twice", json.dumps(whole), "is a string; .*encoded as JSON once"),
        ("encoded three times", json.dumps(json.dumps(whole)), "is a string"),
        ("an EventBridge event", json.dumps(event), "is an EventBridge event; give its detail alone"),
        ("an EventBridge event in an envelope", envelope(json.dumps(event)), "is an EventBridge event"),
        ("an envelope of a string", envelope(json.dumps("x")), "is a string"),
        ("an envelope of nothing", envelope(""), "is not JSON"),
        ("an envelope of words", envelope(CANARY), "is not JSON"),
        ("an envelope of a list", envelope("[]"), "is a list"),
        ("an envelope of null", envelope("null"), "is null"),
        ("an envelope without a message", envelope("", Message=None), "an SNS envelope whose Message is not a string"),
        ("an envelope of an object", envelope("", Message=dict(RIGHT)), "whose Message is not a string"),
        ("an envelope of a number", envelope("", Message=5), "whose Message is not a string"),
        ("a subscription", envelope(whole, Type="SubscriptionConfirmation"), "a message of SNS about a subscription"),
        ("an unsubscription", envelope(whole, Type="UnsubscribeConfirmation"), "a message of SNS about a subscr"),
        ("an envelope of no type", envelope(whole, Type=None), "a message of SNS about a subscription"),
        ("an encoded envelope", json.dumps(envelope(whole)), "is a string"),
        ("a list of envelopes", f"[{envelope(whole)}]", "is a list"),
        ("a batch of SQS", json.dumps({"Records": [{"body": whole}]}), ""),
    ):
        if problem:
            yield body("B40", name, said, problem, UNWRAPPED)
        else:
            problems = {"to": "is missing", "Records": "unknown field"}
            yield Posted(of="B40", name=name, body=said, problems=problems, entrances=UNWRAPPED)
    twice = envelope(envelope(whole))
    fields = ("Type", "MessageId", "TopicArn", "Message", "Timestamp", "SignatureVersion")
    yield Posted(
        of="B40",
        name="an envelope in an envelope",
        body=twice,
        problems={"to": "is missing", **dict.fromkeys(fields, "unknown field")},
        entrances=UNWRAPPED,
    )
    yield Right(of="B40", name="nothing odd at all", request=right_with())
    both = right_with(to=[{"number": TO}, {"number": OTHER}])
    yield Right(of="B40", name="recipients as objects", request=both, to=(E164, OTHER_E164))
