"""What operators may write wrongly: the secrets of the providers and of the callbacks, and the routing document."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from tests.faults.bad_inputs.gateway import SECRETS
from tests.faults.bad_inputs.shapes import Kept, Routed
from tests.faults.bad_inputs.vendors import KEYS

NO_OBJECT = "must hold one JSON object"
ADDRESSED = ("twsms", "smsgo", "smsget", "every8d")


def variants() -> Iterator[Kept | Routed]:
    yield from _secrets()
    yield from _routing()


def right(provider: str, **fields: Any) -> dict[str, Any]:
    secret = SECRETS[f"providers/{provider}"]
    assert isinstance(secret, dict)
    return {**secret, **fields}


def _secrets() -> Iterator[Kept]:
    def kept(of: str, provider: str, name: str, secret: object, names: str) -> Kept:
        written = secret if isinstance(secret, str) else json.dumps(secret)
        return Kept(of=of, name=f"{provider}'s secret {name}", provider=provider, secret=written, names=names)

    for key in KEYS:
        for of, name, written in (
            ("B01", "is nothing", ""),
            ("B01", "is a password", "planted-pw"),
            ("B01", "is cut", '{"username": "x'),
            ("B02", "is null", "null"),
            ("B02", "is a list", "[]"),
            ("B02", "is a string", '"planted"'),
            ("B10", "is deep", '{"a":' * 10_000),
            ("B10", "is deep and whole", '{"a":' * 100_000 + "1" + "}" * 100_000),
            ("B13", "is a number of 5,000 digits", "9" * 5000),
            ("B15", "holds half a pair", json.dumps(right(key, password="planted\ud83d"))),
        ):
            yield kept(of, key, name, written, NO_OBJECT)
        deep = '{"a":' * 5_000 + "1" + "}" * 5_000  # more than Python 3.11 reads, less than 3.13 does
        yield kept("B10", key, "is deep and whole, for some", deep, f"{NO_OBJECT}|username")
        for field in ("username", "password"):
            without = {name: value for name, value in right(key).items() if name != field}
            yield kept("B03", key, f"has no {field}", without, field)
            for of, kind, value in (
                ("B05", "a number", 912345678),
                ("B05", "a list", ["planted"]),
                ("B06", "null", None),
                ("B07", "empty", ""),
                ("B08", "blank", "   "),
            ):
                yield kept(of, key, f"has a {field} that is {kind}", right(key, **{field: value}), field)
    for key in ADDRESSED:
        for name, url in {
            "without TLS": "http://sms.example/",
            "of the metadata service, without TLS": "http://169.254.169.254/",
            "of a file": "file:///etc/passwd",
            "with a password in it": "https://user:planted@sms.example/",
            "of no host": "https:///x",
            "with a query": "https://sms.example/?x=y",
            "with a fragment": "https://sms.example/#x",
            "with a line break": "https://sms.example/\r\nHost: x",
            "with a backslash": "https://sms.example\\@evil.example/",
            "with a port that is none": "https://sms.example:99999/",
            "that is a word": "sms.example",
            "with brackets that are none": "https://[::1/",
        }.items():
            yield kept("B34", key, f"has an address {name}", right(key, base_url=url), "base_url")
        yield kept("B05", key, "has an address that is a list", right(key, base_url=["x"]), "base_url")
        yield kept("B05", key, "allows http by a word", right(key, allow_http="yes"), "allow_http")
    for name, smtp in {
        "a word": "smtp.example",
        "without a host": {"port": 587},
        "with a port that is a word": {"host": "smtp.example", "port": "587"},
        "with a port below zero": {"host": "smtp.example", "port": -1},
        "with a port too large": {"host": "smtp.example", "port": 65_536},
        "without TLS": {"host": "smtp.example", "starttls": False},
        "with a name and no password": {"host": "smtp.example", "username": "x"},
        "with a line break": {"host": "smtp.example\r\nX: y"},
    }.items():
        of = "B37" if "port" in name else "B28" if "break" in name else "B05"
        yield kept(of, "meteorsis", f"has a mail server {name}", right("meteorsis", smtp=smtp), "smtp")
    for name, address in {"two": "a@x.example, b@x.example", "a line break": "a@x.example\r\nBcc: b@x.example"}.items():
        yield kept("B28", "meteorsis", f"is from {name}", right("meteorsis", mail_from=address), "mail_from")
    for char in ("\r", "\n", "\x00", "\x85", "é"):
        secret = right("meteorsis", password=f"planted{char}[RECIPIENT]=886")
        yield kept("B28", "meteorsis", f"has a password with U+{ord(char):04X}", secret, "password")
    yield kept("B20", "meteorsis", "has a sender that is none", right("meteorsis", sender="#Shop"), "sender")
    yield kept("B13", "smsget", "has a reply code of a number", right("smsget", reply_code=3), "reply_code")
    yield kept("B21", "smsget", "has a reply code of three digits", right("smsget", reply_code="033"), "reply_code")
    yield kept(
        "B21", "twsms", "has a reply number of four digits", right("twsms", reply_numbers=["1234"]), "reply_numbers"
    )
    yield kept(
        "B05", "twsms", "has a reply number that is no list", right("twsms", reply_numbers="12345"), "reply_numbers"
    )
    yield kept("B12", "every8d", "has a version that is a number", right("every8d", soap_version=1.1), "soap_version")


def _routing() -> Iterator[Routed]:
    def rule(**fields: Any) -> dict[str, Any]:
        return {"version": 1, "rules": [{"name": "one", "use": [{"provider": "smsgo"}], **fields}]}

    documents: Mapping[str, Mapping[str, tuple[object, str]]] = {
        "B01": {
            "is cut": ('{"version": 1', "document"),
            "is YAML": ("version: 1", "document"),
            "is nothing": ("", "document"),
        },
        "B02": {"is null": ("null", "document"), "is a list": ("[]", "document"), "is a string": ('"x"', "document")},
        "B03": {
            "has no version": ({"rules": []}, "version"),
            "has a rule of no use": ({"version": 1, "rules": [{"name": "x"}]}, "use"),
        },
        "B04": {
            "has a field more": ({"version": 1, "rule": []}, "rule"),
            "has a word more in a rule": (rule(provider="smsgo"), "provider"),
        },
        "B05": {
            "has rules that are none": ({"version": 1, "rules": {}}, "rules"),
            "has a rule that is a word": ({"version": 1, "rules": ["smsgo"]}, "rules"),
        },
        "B06": {
            "has null for a version": ({"version": None}, "version"),
            "has null for rules": ({"version": 1, "rules": None}, "rules"),
        },
        "B07": {"has a rule without a name": (rule(name=""), "name")},
        "B09": {"is larger than a parameter may be": (json.dumps({"version": 1}) + " " * 10_000, "document")},
        "B10": {"is deep": ("[" * 4_000, "document")},
        "B11": {"says something twice": ('{"version": 1, "version": 1}', "document")},
        "B12": {"has a price of NaN": ('{"version": 1, "x": NaN}', "document")},
        "B13": {
            "has a number of 5,000 digits": (f'{{"version": {"9" * 5000}}}', "document"),
            "is of another version": ({"version": 10**30}, "version"),
        },
        "B15": {"has half a pair for a name": (rule(name="\ud83d"), "name")},
        "B16": {"has a NUL in a name": (rule(name="a\x00b"), "name")},
        "B23": {"has a rule that uses nobody": (rule(use=[]), "use")},
        "B36": {
            "names a provider there is not": (rule(use=[{"provider": "nobody"}]), "provider"),
            "names one in capitals": (rule(use=[{"provider": "SMSGO"}]), "provider"),
            "names one twice": (rule(use=[{"provider": "smsgo"}, {"provider": "smsgo"}]), "provider"),
            "names a path": (rule(use=[{"provider": "../callbacks"}]), "provider"),
            "has a rule nobody reaches": (
                {
                    "version": 1,
                    "rules": [
                        {"name": "a", "use": [{"provider": "smsgo"}]},
                        {"name": "b", "use": [{"provider": "twsms"}]},
                    ],
                },
                "rules",
            ),
        },
        "B37": {
            "has a weight below zero": (rule(use=[{"provider": "smsgo", "weight": -1}], choose="weighted"), "weight"),
            "has a priority of zero": (rule(use=[{"provider": "smsgo", "priority": 0}]), "priority"),
            "has a price below zero": (rule(use=[{"provider": "smsgo", "price": -1}], choose="cheapest"), "price"),
            "limits to minus five": (
                {"version": 1, "limits": {"per_number": [{"messages": -5, "seconds": 600}]}},
                "messages",
            ),
            "limits in no time": (
                {"version": 1, "limits": {"rates": {"smsgo": {"messages": 1, "seconds": 0}}}},
                "seconds",
            ),
        },
        "B35": {
            "has an hour that is none": (
                rule(when={"between": {"from": "24:30", "to": "08:00", "offset": "+08:00"}}),
                "from",
            )
        },
        "B21": {
            "has a prefix that is none": (rule(when={"prefixes": ["886"]}), "prefixes"),
            "has a country that is none": (rule(when={"countries": ["XX"]}), "countries"),
        },
        "B31": {"has a statement for a country": (rule(when={"countries": ["' OR 1=1"]}), "countries")},
    }
    for of, named in documents.items():
        for name, (document, names) in named.items():
            written = document if isinstance(document, str) else json.dumps(document)
            yield Routed(of=of, name=f"a routing document that {name}", document=written, names=names)
