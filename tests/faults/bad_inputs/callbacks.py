"""Callbacks that say too little, too much, or something nobody understands, and such as no provider sent: B38 and B39,
and what other classes put into a callback's parameters.

What must come of a parameter that is missing, blank or nonsense is written down here for each vendor's, by what the
parameter is for: which message, which number, which status.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple
from urllib.parse import quote, quote_plus, urlencode

from tests.faults.bad_inputs.gateway import CANARY, SENT_TO, TOKEN, TOKEN_BEFORE
from tests.faults.bad_inputs.shapes import Told
from tests.faults.bad_inputs.structure import INVALID_UTF8
from tests.faults.bad_inputs.texts import CONTROLS, FORMULAS, LINE_ENDS, MARKUP, STATEMENTS, TEMPLATES
from tests.faults.bad_inputs.vendors import REFERENCES

FORM = {"content-type": "application/x-www-form-urlencoded"}
NATIONAL = "0" + SENT_TO.removeprefix("+886")
SAID = f"{CANARY} reply"
HALF = "\ud83d"

ComesTo = tuple[str, ...]
Fields = Mapping[str, str]


class Gone(NamedTuple):
    """What comes of a callback in which one parameter is missing, empty or blank, or nonsense."""

    missing: ComesTo
    blank: ComesTo
    nonsense: ComesTo


UNREADABLE: ComesTo = ("unreadable",)
UNMATCHED: ComesTo = ("unmatched",)
KEPT: ComesTo = ("kept",)
DELIVERED: ComesTo = ("delivered",)
REPLY: ComesTo = ("reply",)
# A reference may look like one and be nobody's.
NOBODYS: ComesTo = ("unreadable", "unmatched", "kept")

NEEDED = Gone(UNREADABLE, UNREADABLE, NOBODYS)
IGNORED = Gone(DELIVERED, DELIVERED, DELIVERED)


@dataclass(frozen=True)
class Sample:
    """A callback of a vendor's as it should be."""

    provider: str
    kind: str
    fields: Fields
    gone: Mapping[str, Gone]
    comes_to: ComesTo
    method: str = "GET"
    write: Callable[[Mapping[str, str]], str] = field(default=urlencode)

    @property
    def name(self) -> str:
        return f"{self.provider}'s {'receipt' if self.comes_to == DELIVERED else 'reply'}"

    def told(self, of: str, name: str, fields: Fields | None = None, comes_to: ComesTo | None = None) -> Told:
        return self.raw(of, name, self.write(self.fields if fields is None else fields), comes_to)

    def raw(self, of: str, name: str, written: str, comes_to: ComesTo | None = None, **more: Any) -> Told:
        posted = self.method == "POST"
        call: dict[str, Any] = {
            "provider": self.provider,
            "kind": self.kind,
            "query": "" if posted else written,
            "body": written.encode("latin-1") if posted else None,
            "method": self.method,
            "headers": FORM if posted else {},
            "sender": SENT_TO,
            "text": SAID,
        }
        return Told(of=of, name=f"{self.name} {name}", comes_to=comes_to or self.comes_to, **{**call, **more})

    def with_(self, **fields: str) -> dict[str, str]:
        return {**self.fields, **fields}

    def without(self, name: str) -> dict[str, str]:
        return {key: value for key, value in self.fields.items() if key != name}


def _twsms(fields: Mapping[str, str]) -> str:
    """Section 4.1: JSON, URL-encoded, as one parameter of a GET."""
    return urlencode({"smsresp": json.dumps(dict(fields))})


def _smsget(fields: Mapping[str, str]) -> str:
    """Section 二: columns with | between, as one field of a form."""
    columns = "|".join(fields[name] for name in ("number", "recognition", "time", "state") if name in fields)
    return urlencode({name: fields[name] for name in ("sms_id",) if name in fields} | {"content": columns})


def _smsget_reply(fields: Mapping[str, str]) -> str:
    """Section 四: the text is URL-encoded once more."""
    columns = [fields[name] for name in ("number", "recognition", "time") if name in fields]
    return urlencode({"content": "|".join([*columns, *(quote_plus(fields[n]) for n in ("text",) if n in fields)])})


RECEIPTS = (
    Sample(
        "twsms",
        "receipts",
        {
            "code": "00000",
            "text": "Success",
            "msgid": REFERENCES["twsms"],
            "mobile": NATIONAL,
            "statuscode": "0",
            "statustext": "DELIVRD",
            "downtime": "20261121120001",
        },
        {
            # The URL is this message's own, so it says whose report it is.
            "msgid": Gone(DELIVERED, DELIVERED, ("delivered", "kept")),
            "mobile": IGNORED,
            "statustext": Gone(KEPT, KEPT, KEPT),
            "code": IGNORED,
            "text": IGNORED,
            "statuscode": IGNORED,
            "downtime": IGNORED,
        },
        DELIVERED,
        write=_twsms,
    ),
    Sample(
        "smsgo",
        "receipts",
        {"msgid": REFERENCES["smsgo"], "statusstr": "DELIVRD", "statuscode": "0", "dstaddr": NATIONAL},
        {
            "msgid": NEEDED,
            "dstaddr": Gone(DELIVERED, DELIVERED, UNREADABLE),
            "statusstr": Gone(KEPT, KEPT, KEPT),
            "statuscode": Gone(DELIVERED, DELIVERED, KEPT),
        },
        DELIVERED,
    ),
    Sample(
        "smsget",
        "receipts",
        {
            "sms_id": REFERENCES["smsget"],
            "number": NATIONAL,
            "recognition": "59c4e123",
            "time": "2026-11-21 12:00:01",
            "state": "DELIVRD",
        },
        {
            "sms_id": NEEDED,
            "number": Gone(UNREADABLE, UNREADABLE, UNMATCHED),
            "recognition": Gone(UNREADABLE, DELIVERED, DELIVERED),
            "time": Gone(UNREADABLE, DELIVERED, DELIVERED),
            "state": Gone(UNREADABLE, UNREADABLE, KEPT),
        },
        DELIVERED,
        method="POST",
        write=_smsget,
    ),
    Sample(
        "every8d",
        "receipts",
        {
            "BatchID": REFERENCES["every8d"],
            "RM": SENT_TO,
            "RT": "20261121120001",
            "STATUS": "100",
            "SM": f"{CANARY} before",
            "MR": "",
        },
        {
            "BatchID": NEEDED,
            "RM": Gone(UNREADABLE, UNMATCHED, UNMATCHED),
            "STATUS": Gone(UNREADABLE, KEPT, KEPT),
            "RT": IGNORED,
            "SM": IGNORED,
            "MR": IGNORED,
        },
        DELIVERED,
    ),
    Sample(
        "meteorsis",
        "receipts",
        {
            "smsdid": REFERENCES["meteorsis"],
            "recipient": SENT_TO.removeprefix("+"),
            "senderid": "Gateway",
            "content": CANARY.encode("utf-16-be").hex(),
            "dos": "2026-11-21 12:00:01",
            "smsdstatus": "22",
            "smsderrorcode": "300",
            "charged": "1",
        },
        {
            "smsdid": NEEDED,
            "recipient": Gone(UNMATCHED, UNMATCHED, UNMATCHED),
            "smsdstatus": Gone(UNREADABLE, KEPT, KEPT),
            "smsderrorcode": IGNORED,
            "dos": IGNORED,
            "charged": IGNORED,
            "content": IGNORED,
            "senderid": IGNORED,
        },
        DELIVERED,
    ),
)

_IRRELEVANT = Gone(REPLY, REPLY, REPLY)
REPLIES = (
    Sample(
        "smsgo",
        "replies",
        {
            "msgid": REFERENCES["smsgo"],
            "srcaddr": NATIONAL,
            "dstaddr": "0911510128",
            "smbody": SAID,
            "encoding": "ASCII",
            "timestamp": "2026/11/21 12:00:02",
        },
        {
            "msgid": _IRRELEVANT,
            "srcaddr": Gone(UNREADABLE, UNREADABLE, REPLY),
            "smbody": Gone(UNREADABLE, REPLY, REPLY),
            "dstaddr": _IRRELEVANT,
            "encoding": _IRRELEVANT,
            "timestamp": _IRRELEVANT,
        },
        REPLY,
    ),
    Sample(
        "smsget",
        "replies",
        {"number": NATIONAL, "recognition": "59c4e123", "time": "2026-11-21 12:00:02", "text": f"03{SAID}"},
        {
            "number": Gone(UNREADABLE, UNREADABLE, REPLY),
            "text": Gone(UNREADABLE, REPLY, REPLY),
            "recognition": Gone(UNREADABLE, REPLY, REPLY),
            "time": Gone(UNREADABLE, REPLY, REPLY),
        },
        REPLY,
        method="POST",
        write=_smsget_reply,
    ),
    Sample(
        "every8d",
        "receipts",
        {
            "BatchID": REFERENCES["every8d"],
            "RM": SENT_TO,
            "RT": "20261121120002",
            "STATUS": "999",
            "SM": SAID,
        },
        {
            "RM": Gone(UNREADABLE, UNREADABLE, REPLY),
            "SM": Gone(UNREADABLE, REPLY, REPLY),
            "BatchID": _IRRELEVANT,
            "RT": _IRRELEVANT,
        },
        REPLY,
    ),
)
SAMPLES = RECEIPTS + REPLIES

# Which message, which number and which status, by each vendor's names.
POINTED = {
    "twsms": ("msgid", "mobile", "statustext"),
    "smsgo": ("msgid", "dstaddr", "statusstr"),
    "smsget": ("sms_id", "number", "state"),
    "every8d": ("BatchID", "RM", "STATUS"),
    "meteorsis": ("smsdid", "recipient", "smsdstatus"),
}
WRITTEN_BY_PHONES = {"smsgo": ("srcaddr", "smbody"), "smsget": ("number", "text"), "every8d": ("RM", "SM")}


def variants() -> Iterator[Told]:
    for sample in SAMPLES:
        yield from _gone(sample)
        yield from _extra(sample)
        yield from _shapes(sample)
    for receipt in RECEIPTS:
        yield from _nonsense(receipt)
    for reply in REPLIES:
        yield from _from_phones(reply)
    yield from _json_in_a_parameter(RECEIPTS[0])
    for sample in SAMPLES:
        yield from _strangers(sample)
    yield from _no_providers()


def _gone(sample: Sample) -> Iterator[Told]:
    for name, gone in sample.gone.items():
        yield sample.told("B03", f"without {name}", sample.without(name), gone.missing)
        for of, kind, blank in (("B07", "empty", ""), ("B08", "blank", "   "), ("B08", "a tab", "\t")):
            changed = sample.with_(**{name: blank})
            told = sample.told(of, f"with {name} {kind}", changed, gone.blank)
            yield _replied(told, changed, sample) if sample.comes_to == REPLY else told


def _extra(sample: Sample) -> Iterator[Told]:
    if sample.provider in ("twsms", "smsget"):  # All they say is in one parameter; what stands beside it is new.
        return
    for name in ("token", "password", "callback", "__proto__", "x", "message_id", "to"):
        yield sample.told("B04", f"with {name}", sample.with_(**{name: CANARY}))


def _shapes(sample: Sample) -> Iterator[Told]:
    """Repeated, missing altogether, as an array, by another method, too many, too large, wrongly escaped."""
    right = sample.write(sample.fields)
    names = [pair.partition("=")[0] for pair in right.split("&")]
    repeated = {"meteorsis": UNREADABLE}.get(sample.provider, sample.comes_to)
    yield sample.raw("B38", "said twice", f"{right}&{right}", repeated)
    first = right.split("&")[0]
    # SMS-Get's and TwSMS's are read as PHP would: the last of two counts. The others do not guess.
    if sample.provider not in ("twsms", "smsget"):
        yield sample.raw("B38", "with another value of the same name", f"{right}&{first}x", UNREADABLE)
    arrays = "&".join(
        f"{name}%5B%5D={pair.partition('=')[2]}" for name, pair in zip(names, right.split("&"), strict=True)
    )
    yield sample.raw("B38", "as arrays", arrays, UNREADABLE)
    yield sample.raw("B38", "as keyed arrays", arrays.replace("%5B%5D", "[0]"), UNREADABLE)
    yield sample.raw("B38", "as JSON", json.dumps(dict(sample.fields)), UNREADABLE)
    yield sample.raw("B38", "as XML", f"<r><msgid>{CANARY}</msgid></r>", UNREADABLE)
    for kind, nonsense in {
        "nothing but &": "&&&&",
        "an equals sign": "=",
        "equals signs": "==&==",
        "a word": "x",
        "per cents": "%%%%",
        "a NUL": "%00",
        "escapes that are none": "%zz=%u1234",
        "a question mark": "?",
        "a plus": "+",
        "another vendor's": "pin=1&result=ok",
        "half a pair": "%ed%a0%bd",
    }.items():
        yield sample.raw("B38", f"is {kind}", nonsense, UNREADABLE)
    yield sample.raw("B38", "with fifty parameters more", right + "&x=1" * 50, UNREADABLE)
    yield sample.raw("B38", "with ten thousand parameters", right + "&x=" * 10_000, UNREADABLE)
    yield sample.raw("B38", "with an escape that is none", f"{right}&x=%", sample.comes_to)
    yield sample.raw("B38", "with a parameter without a value", f"{right}&x", sample.comes_to)
    if len(names) > 1:
        yield sample.raw("B38", "with semicolons", right.replace("&", ";"), UNREADABLE)
    cased = "&".join(
        f"{name.upper()}={pair.partition('=')[2]}" for name, pair in zip(names, right.split("&"), strict=True)
    )
    any_case = sample.provider in ("smsgo", "every8d")
    yield sample.raw("B38", "in capitals", cased, sample.comes_to if any_case else UNREADABLE)
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"):
        yield sample.raw("B38", f"by {method}", right, method=method)
    yield sample.raw("B38", "as a form", "", query="", body=right.encode(), headers=FORM)
    yield sample.raw("B38", "in the query", "", query=right, body=None, headers={})
    yield sample.raw("B38", "without any header", right, headers=None)
    yield sample.raw("B15", "under half a content type", right, headers={"content-type": f"{CANARY}{HALF}"})
    if sample.method == "GET":
        yield sample.raw("B15", "with half a pair as it stands", f"{right}&x={HALF}")
        yield sample.raw("B38", "with a letter that nobody encoded", f"{right}&x=字")
    other_type = {"content-type": "text/plain; charset=big5"}
    yield sample.raw("B38", "under another content type", right, headers=other_type)
    yield sample.raw("B38", "that says nothing", "", ("nothing",))
    yield sample.raw("B38", "that says nothing, posted", "", ("nothing",), query="", body=b"", method="POST")
    too_large = ("too large",)
    for of, name, size in (("B09", "of 64 KiB and one", 64 * 1024 + 1), ("B38", "of ten megabytes", 10 * 1024 * 1024)):
        yield sample.raw(of, name, "", too_large, query="", body=b"x" * size, headers=FORM)
    yield sample.raw("B09", "with a parameter of 64 KiB", f"{right}&x={'y' * 65536}", too_large)
    yield sample.raw("B09", "just small enough", f"{right}&x={'y' * (65536 - len(right) - 3)}")


NONSENSE: Mapping[str, Mapping[str, str]] = {
    "B05": {"true": "true", "a list": "[]", "an object": "{}", "a list of numbers": "[0]"},
    "B06": {"null": "null", "None": "None", "nil": "(null)", "NaN": "NaN", "undefined": "undefined"},
    "B12": {"infinite": "Infinity", "too large": "1e999", "minus infinite": "-Infinity"},
    "B13": {"of 400 digits": "9" * 400, "a float": "1.5", "of 5,000 digits": "9" * 5000, "below zero": "-7"},
    "B15": {"half a pair": "\\ud83d", "half a pair as JSON has it": '"\\ud800"'},
    "B18": {"an override": "\u202e001", "a joiner": "1\u200d1", "combining": "1\u0301"},
    "B19": {"Arabic-Indic": "٠٩١٢٣٤٥٦٧٨", "Persian": "۱۰۰"},
    "B20": {"letters": "tel:0912x45678", "two": "1,2"},
    "B21": {"too short": "091", "too long": "0" * 45, "of nowhere": "+999123456789"},
    "B33": {"a path": "../../etc/passwd", "an absolute path": "/etc/passwd", "a key of ours": "callback#smsgo#x"},
    "B34": {"an address inside": "http://169.254.169.254/", "a file": "file:///etc/passwd"},
}


def _nonsense(sample: Sample) -> Iterator[Told]:
    kinds = {
        **NONSENSE,
        "B16": {f"U+{ord(char):04X}": f"x{char}y" for char in CONTROLS[::3]},
        "B28": {kind: f"x{end}y" for kind, end in LINE_ENDS.items()},
        "B29": dict(list(MARKUP.items())[:4]),
        "B31": dict(list(STATEMENTS.items())[:4]),
        "B32": dict(list(TEMPLATES.items())[:4]),
        "B42": dict(list(FORMULAS.items())[:4]),
    }
    for of, values in kinds.items():
        for kind, value in values.items():
            for name in POINTED[sample.provider]:
                comes_to = sample.gone[name].nonsense
                if sample.provider == "smsget" and ("," in value or "|" in value):
                    continue  # Another row, or another column.
                if (sample.provider, name, value) == ("every8d", "STATUS", "-1"):
                    continue  # A code of theirs.
                yield sample.told(of, f"with {name} {kind}", sample.with_(**{name: value}), comes_to)
    if sample.provider == "twsms":
        return  # JSON is escaped as ASCII; what its parameter holds raw is in _json_in_a_parameter.
    for kind, stray in INVALID_UTF8.items():
        for name in POINTED[sample.provider]:
            right = sample.write(sample.with_(**{name: "STRAY"}))
            written = right.replace("STRAY", quote(stray))
            yield sample.raw("B14", f"with {name} {kind}", written, sample.gone[name].nonsense)


def _replied(told: Told, fields: Fields, sample: Sample) -> Told:
    """As `told`, with the sender and the text that must be kept."""
    number, text = WRITTEN_BY_PHONES[sample.provider]
    said = fields[text].removeprefix("03") if sample.provider == "smsget" else fields[text]
    sender = fields[number].strip()[:128]  # as much as a key may hold
    return replace(told, text=said, sender=SENT_TO if sender in (NATIONAL, SENT_TO) else sender)


def _from_phones(sample: Sample) -> Iterator[Told]:
    """What people type, and what stands for who typed it, is kept as it came."""
    number, text = WRITTEN_BY_PHONES[sample.provider]
    prefix = "03" if sample.provider == "smsget" else ""
    said: dict[str, dict[str, str]] = {
        "B16": {f"U+{ord(char):04X}": f"{CANARY}{char}x" for char in CONTROLS[::4]},
        "B17": {"a face": f"{CANARY} 😀", "a family": f"{CANARY} 👨\u200d👩\u200d👧"},
        "B18": {"Hebrew": f"{CANARY} שלום", "beyond the basic plane": f"{CANARY} 𠮷"},
        "B27": {"URL characters": f"{CANARY} &=#%+;?/", "encoded twice": f"{CANARY} %2526"},
        "B28": {kind: f"{CANARY}{end}x" for kind, end in LINE_ENDS.items()},
        "B29": {kind: f"{CANARY} {value}" for kind, value in list(MARKUP.items())[:5]},
        "B31": {kind: f"{CANARY} {value}" for kind, value in list(STATEMENTS.items())[:4]},
        "B32": {kind: f"{CANARY} {value}" for kind, value in list(TEMPLATES.items())[:4]},
        "B42": dict(list(FORMULAS.items())[:6]),
        "B25": {f"{length} characters": "字" * length for length in (70, 335, 2000)},
    }
    for of, texts in said.items():
        for kind, typed in texts.items():
            fields = sample.with_(**{text: prefix + typed})
            yield _replied(sample.told(of, f"of {kind}", fields, REPLY), fields, sample)
    senders: dict[str, dict[str, str]] = {
        "B13": {"of 400 digits": "9" * 400, "of 5,000 digits": "9" * 5000},
        "B09": {"of 20,000 letters": "x" * 20_000},
        "B20": {"a word": "Bank", "a mail address": "a@example.com", "a short code": "55123"},
        "B21": {"one digit": "1", "too long": "0" * 45},
        "B31": {"a condition": "attribute_exists(pk)"},
        "B33": {"a path": "../../x"},
        "B42": {"a formula": "=1+1"},
    }
    for of, numbers in senders.items():
        for kind, who in numbers.items():
            fields = sample.with_(**{number: who})
            yield _replied(sample.told(of, f"from {kind}", fields, REPLY), fields, sample)


def _json_in_a_parameter(sample: Sample) -> Iterator[Told]:
    """TwSMS's reports are JSON in a parameter."""

    def resp(of: str, name: str, written: str, comes_to: ComesTo) -> Told:
        return sample.raw(of, f"whose JSON {name}", f"smsresp={quote(written)}", comes_to)

    whole = json.dumps(dict(sample.fields))
    for name, written in {
        "is empty": "",
        "is blank": " ",
        "is cut": whole[:40],
        "is not ended": whole[:-1],
        "has something behind it": whole + "x",
        "is in single quotes": whole.replace('"', "'"),
        "is a form": "msgid=1",
    }.items():
        yield resp("B01", name, written, UNREADABLE)
    for value in ("null", "true", "5", '"DELIVRD"', "[]", "[[]]"):
        yield resp("B02", f"is {value}", value, UNREADABLE)
    for name, depth in {"lists": "[" * 10_000, "objects": '{"a":' * 4_000, "whole": "[" * 5000 + "]" * 5000}.items():
        yield resp("B10", f"is deep {name}", depth, UNREADABLE)
    for word in ("NaN", "Infinity", "-Infinity"):
        yield resp("B12", f"has a msgid {word}", whole.replace(f'"{REFERENCES["twsms"]}"', word), UNREADABLE)
    yield resp("B12", "has a msgid 1e999", whole.replace(f'"{REFERENCES["twsms"]}"', "1e999"), DELIVERED)
    yield resp("B13", "has a msgid of 5,000 digits", whole.replace(REFERENCES["twsms"], "9" * 5000), DELIVERED)
    number = whole.replace(f'"{REFERENCES["twsms"]}"', "9" * 5000)
    yield resp("B13", "has a msgid that is a number of 5,000 digits", number, UNREADABLE)
    for value in ("null", "true", "[]", "{}"):
        for name, comes_to in (("msgid", DELIVERED), ("mobile", DELIVERED), ("statustext", KEPT)):
            written = json.dumps(sample.with_(**{name: "VALUE"})).replace('"VALUE"', value)
            yield resp("B06" if value == "null" else "B05", f"has a {name} that is {value}", written, comes_to)
    for kind, stray in INVALID_UTF8.items():
        written = whole.replace("DELIVRD", "STRAY")
        yield sample.raw("B14", f"holds {kind}", "smsresp=" + quote(written).replace("STRAY", quote(stray)), KEPT)
    yield resp("B15", "holds half a pair", whole.replace("DELIVRD", "\\ud83d"), KEPT)


TOKENS: Mapping[str, Callable[[str], str]] = {
    "wrong": lambda right: "wrong",
    "of the right length": lambda right: "x" * len(right),
    "cut by one": lambda right: right[:-1],
    "cut at its beginning": lambda right: right[1:],
    "one letter": lambda right: right[0],
    "with a letter more": lambda right: right + "x",
    "twice": lambda right: right + right,
    "in capitals": lambda right: right.upper(),
    "reversed": lambda right: right[::-1],
    "with its first letter changed": lambda right: ("a" if right[0] != "a" else "b") + right[1:],
    "with its last letter changed": lambda right: right[:-1] + ("a" if right[-1] != "a" else "b"),
    "with a NUL behind it": lambda right: right + "\x00",
    "with a space behind it": lambda right: right + " ",
    "with a line break behind it": lambda right: right + "\n",
    "percent-encoded": lambda right: "".join(f"%{ord(char):02x}" for char in right),
    "with a letter that looks the same": lambda right: right[:-1] + "а",
    "with half a pair": lambda right: right + "\ud83d",
    "empty": lambda right: "",
    "a wildcard": lambda right: "*",
    "null": lambda right: "null",
    "a dot": lambda right: "..",
    "of a megabyte": lambda right: right * 30_000,
    "never one of ours": lambda right: "capability-t0ken-rotated-out-001",
}
PATHS: Mapping[str, Callable[[str], str]] = {
    "another message": lambda right: right[:-1] + "2",
    "a message of another request": lambda right: "a" * 24 + "-1",
    "nothing": lambda right: "",
    "a letter more": lambda right: right + "x",
    "a folder more": lambda right: f"x/{right}",
    "a path": lambda right: f"../{right}",
    "in capitals": lambda right: right.upper(),
    "half a pair": lambda right: right + "\ud83d",
    "many": lambda right: right + "~",
}


def _strangers(sample: Sample) -> Iterator[Told]:
    """404, whatever is wrong with the token; and a callback that would be right is as lost as one that would not."""
    stranger = ("stranger",)
    right = sample.write(sample.fields)
    for name, changed in TOKENS.items():
        yield sample.raw("B39", f"with a token {name}", right, stranger, token=changed)
    other = {"receipts": "replies", "replies": "receipts"}[sample.kind]
    own = sample.provider in ("twsms", "smsgo")  # whose tokens are good for one message, and one kind of call
    if own:
        given = f"{sample.kind}/{sample.provider}"
        yield sample.raw("B39", "at the URL of the other kind", right, stranger, kind=other, given=given)
        for name, changed in PATHS.items():
            yield sample.raw("B39", f"whose path is {name}", right, stranger, path=changed)
        yield sample.raw("B39", "at another vendor's URL", right, stranger, provider="smsget", given=given)
    yield sample.raw("B39", "with the account's token", right, token=lambda _: TOKEN)
    yield sample.raw("B39", "with the token before", right, token=lambda _: TOKEN_BEFORE)
    reads_replies = sample.provider not in ("twsms", "meteorsis")
    if not reads_replies:
        yield sample.raw("B39", "where no replies are sent to", right, stranger, kind="replies", token=lambda _: TOKEN)
    lost = ("unreadable", "unmatched", "kept")
    others = {"twsms": "smsgo", "smsgo": "twsms", "smsget": "every8d", "every8d": "meteorsis", "meteorsis": "smsget"}
    elsewhere = others[sample.provider]
    if sample.kind == "receipts":
        name = f"at {elsewhere}'s URL, with the account's token"
        yield sample.raw("B39", name, right, lost, provider=elsewhere, token=lambda _: TOKEN, path=lambda _: "")


NO_PROVIDERS = (
    "nobody",
    "TWSMS",
    "twsms ",
    "twsms\x00",
    "",
    "..",
    "../twsms",
    "base",
    "__init__",
    "providers",
    "callbacks",
    "*",
    "twsms,smsgo",
    "smsgate.providers.twsms",
    "\ud83d",
    "t" * 10_000,
)


def _no_providers() -> Iterator[Told]:
    for sample in (RECEIPTS[2], REPLIES[1]):
        right = sample.write(sample.fields)
        for key in NO_PROVIDERS:
            name = f"under the name {key[:20]!r}"
            yield sample.raw("B36", name, right, ("stranger",), provider=key, token=lambda _: TOKEN)
