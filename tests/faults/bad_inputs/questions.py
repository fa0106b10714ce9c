"""Questions and orders over HTTP with ids, numbers, cursors and bodies nobody should send; wake-ups of nobody.

B33 and B34 (paths in ids, addresses in URLs) live here, with what other classes put into those parameters.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from typing import Any

from tests.faults.bad_inputs.gateway import CANARY, SENT_TO
from tests.faults.bad_inputs.shapes import TO, Asked, Posted, Right, Variant, Woken, problem_of, right_with
from tests.faults.bad_inputs.structure import INVALID_UTF8
from tests.faults.bad_inputs.texts import CONTROLS, FORMULAS, LINE_ENDS, MARKUP, STATEMENTS, TEMPLATES
from tests.gateway.request_samples import URL_TRICKS

PATHS = {
    "up": "../../etc/passwd",
    "up, encoded": "..%2F..%2Fetc%2Fpasswd",
    "up, encoded twice": "..%252F..%252Fetc",
    "up, backwards": "..\\..\\windows",
    "absolute": "/etc/passwd",
    "a dot": ".",
    "two dots": "..",
    "of slashes": "////",
    "with a NUL": "x\x00.json",
    "a file": "file:///etc/passwd",
    "a bucket": "s3://mails/mail-1",
    "a key of ours": "callback#smsgo#x",
    "another key of ours": "m#1",
    "a stream": "x/../y",
    "full-width dots": "．．／．．／etc",
    "overlong": "..%c0%af..%c0%afetc",
}

IDS: Mapping[str, Mapping[str, str]] = {
    "B07": {"empty": ""},
    "B08": {"blank": "   ", "a tab": "\t"},
    "B09": {"of 100,000 letters": "x" * 100_000},
    "B13": {"of 400 digits": "9" * 400, "with a place of 400 digits": "a" * 24 + "-" + "9" * 400},
    "B14": {"an escape that is no UTF-8": "%ff%fe", "half an escape": "%e4%bd"},
    "B15": {"half a pair": "a\ud83d", "the other half": "\ude00a"},
    "B16": {f"with U+{ord(char):04X}": f"x{char}y" for char in CONTROLS[::5]},
    "B17": {"a face": "😀"},
    "B18": {"an override": "\u202eabc", "combining": "a\u0301"},
    "B19": {"in Arabic-Indic digits": "a" * 24 + "-١"},
    "B28": {f"with {kind}": f"x{end}y" for kind, end in LINE_ENDS.items()},
    "B29": dict(list(MARKUP.items())[:5]),
    "B31": dict(list(STATEMENTS.items())[:8]),
    "B32": dict(list(TEMPLATES.items())[:6]),
    "B33": PATHS,
    "B34": {"an address": "http://169.254.169.254/latest/meta-data/"},
    "B37": {"below zero": "a" * 24 + "--1", "at zero": "a" * 24 + "-0", "beyond all": "a" * 24 + "-10001"},
    "B42": dict(list(FORMULAS.items())[:4]),
}
BY_ID = (
    ("GET /messages/{message_id}", "message_id", ""),
    ("POST /messages/{message_id}/cancel", "message_id", ""),
    ("POST /messages/{message_id}/resolve", "message_id", '{"as": "sent"}'),
    ("GET /requests/{id}", "id", ""),
    ("POST /requests/{id}/cancel", "id", ""),
    ("POST /providers/{provider}/suspend", "provider", '{"why": "maintenance"}'),
    ("POST /providers/{provider}/resume", "provider", ""),
)

NUMBERS: Mapping[str, Mapping[str, str]] = {
    "B07": {"empty": ""},
    "B08": {"blank": "   "},
    "B09": {"of 100,000 digits": "9" * 100_000},
    "B15": {"half a pair": f"{TO}\ud83d"},
    "B16": {"with a NUL": f"{TO}\x00", "with a tab": f"{TO[:4]}\t{TO[4:]}"},
    "B19": {"Arabic-Indic": "٠٩١٢٣٤٥٦٧٨", "Thai": "๐๙๑๒๓๔๕๖๗๘"},
    "B20": {"tel:": f"tel:{TO}", "00": "00886912345678", "letters": "0912FLOWERS", "two": f"{TO},{TO}"},
    "B21": {"too short": "0912", "too long": TO + "9", "of no country": "+999123456789", "of nobody": "+12005550123"},
    "B31": {"a statement": "' OR '1'='1", "a condition": "#to = :to"},
    "B32": {"a template": "${x}"},
    "B33": {"a path": "../../x"},
    "B42": {"a formula": "=1+1"},
}
BY_NUMBER = (
    ("GET /messages", "to"),
    ("GET /replies", "from"),
    ("GET /suppressions/{number}", "number"),
    ("PUT /suppressions/{number}", "number"),
    ("DELETE /suppressions/{number}", "number"),
)


def variants() -> Iterator[Variant]:
    yield from _ids()
    yield from _numbers()
    yield from _cursors()
    yield from _times()
    yield from _bodies()
    yield from _lanes()
    yield from _requests_of_odd_ids()
    yield from _urls()
    yield from _wake_ups()


def _ids() -> Iterator[Asked]:
    for of, kinds in IDS.items():
        for name, value in kinds.items():
            for route, parameter, body in BY_ID:
                yield Asked(
                    of=of,
                    name=f"{route} whose {parameter} is {name}",
                    route=route,
                    parameters={parameter: value},
                    body=body,
                    status=404,
                )


def _numbers() -> Iterator[Asked]:
    for of, kinds in NUMBERS.items():
        for name, value in kinds.items():
            for route, parameter in BY_NUMBER:
                in_path = "{number}" in route
                yield Asked(
                    of=of,
                    name=f"{route} of a number {name}",
                    route=route,
                    parameters={parameter: value} if in_path else {},
                    query=None if in_path else {parameter: value},
                    status=400,
                    names=parameter,
                )
    for route, parameter in BY_NUMBER[:2]:
        for name, query in {"nothing": None, "no number": {}, "another parameter": {"number": TO}}.items():
            yield Asked(of="B03", name=f"{route} with {name}", route=route, query=query, status=400, names=parameter)
    for route, _ in BY_NUMBER[2:]:
        yield Asked(of="B03", name=f"{route} with nothing", route=route, status=400, names="number")


def cursor(key: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(key).encode()).decode().rstrip("=")


def _no_cursors(right: Mapping[str, str]) -> dict[str, dict[str, str]]:
    _, _, whose, when = right
    return {
        "B01": {"not JSON": base64.urlsafe_b64encode(b"{").decode(), "no base64": "!!!", "a word": "cursor"},
        "B02": {f"of {said}": base64.urlsafe_b64encode(said.encode()).decode() for said in ("null", "[]", "5", '"x"')},
        "B03": {f"without {name}": cursor({k: v for k, v in right.items() if k != name}) for name in right},
        "B04": {"with a field more": cursor({**right, "x": "y"})},
        "B05": {f"whose {name} is a list": cursor({**right, name: [right[name]]}) for name in right},
        "B06": {f"whose {name} is null": cursor({**right, name: None}) for name in right},
        "B07": {f"whose {name} is empty": cursor({**right, name: ""}) for name in right},
        "B09": {"of a megabyte": "A" * 1024 * 1024},
        "B10": {"of 10,000 lists": base64.urlsafe_b64encode(b"[" * 10_000).decode()},
        "B13": {"of 5,000 digits": base64.urlsafe_b64encode(b"9" * 5000).decode()},
        "B14": {"of no UTF-8": base64.urlsafe_b64encode(b'{"pk": "\xff"}').decode()},
        "B15": {"with half a pair": cursor({**right, "pk": "\ud83d"}), "half a pair": "\ud83d"},
        "B18": {"of other letters": "курсор"},
        "B21": {"of another list": cursor({**right, whose: right[whose].replace("8", "9").replace("u", "U")})},
        "B35": {
            "of a time that is none": cursor({**right, when: "now"}),
            "of a time in another form": cursor({**right, when: "2026-11-21T12:00:00+08:00"}),
            "of the year 0": cursor({**right, when: "0000-01-01T00:00:00.000000Z"}),
        },
    }


def _cursors() -> Iterator[Asked]:
    at = "2026-11-21T04:00:00.000000Z"
    of_messages = {"pk": "a" * 24, "sk": "m#1", "to": SENT_TO, "accepted_at": at}
    of_replies = {"pk": "reply#smsgo#x", "sk": "reply", "to": f"from:{SENT_TO}", "accepted_at": at}
    of_callbacks = {"pk": "callback#smsgo#x", "sk": "callback", "due_shard": "unread", "due_at": at}
    for route, parameter, right in (
        ("GET /messages", "to", of_messages),
        ("GET /replies", "from", of_replies),
        ("POST /callbacks/replay", "", of_callbacks),
    ):
        made = _no_cursors(right)
        if parameter:
            made |= {
                "B31": {"with a statement": cursor({**right, "pk": "' OR '1'='1"})},
                "B33": {"of another item": cursor({**right, "pk": "provider#twsms", "sk": "credit"})},
            }
        for of, kinds in made.items():
            for name, value in kinds.items():
                query = {parameter: SENT_TO, "cursor": value} if parameter else {"cursor": value}
                full = f"{route} by a cursor {name}"
                yield Asked(of=of, name=full, route=route, query=query, status=400, names="cursor")
    long = cursor({**of_replies, "pk": "reply#" + "x" * 5000})
    query = {"from": SENT_TO, "cursor": long}
    yield Asked(
        of="B09",
        name="GET /replies by a cursor of a long key",
        route="GET /replies",
        query=query,
        status=400,
        names="cursor",
    )
    early = cursor({**of_replies, "accepted_at": "2020-01-01T00:00:00.000000Z"})
    query = {"from": SENT_TO, "cursor": early, "since": "2026-11-01T00:00:00Z"}
    yield Asked(
        of="B35",
        name="GET /replies by a cursor before since",
        route="GET /replies",
        query=query,
        status=400,
        names="cursor",
    )


def _times() -> Iterator[Asked]:
    for time in ("now", "2026-11-21", "2026-11-21T10:00:00", "2027-02-29T00:00:00Z", "2026-11-21T24:00:00Z", "\ud83d"):
        yield Asked(
            of="B35",
            name=f"GET /replies since {time!r}",
            route="GET /replies",
            query={"from": SENT_TO, "since": time},
            status=400,
            names="since",
        )


BODIES: Mapping[str, Mapping[str, tuple[Any, str]]] = {
    # The body and the field that must be named; FIELD stands for the route's own field.
    "B01": {"cut": ('{"FIELD": "x', "body"), "a form": ("FIELD=x", "body"), "a word": (CANARY, "body")},
    "B02": {"a list": ("[]", "body"), "null": ("null", "body"), "a string": (f'"{CANARY}"', "body")},
    "B03": {"nothing in it": ("{}", "FIELD")},
    "B04": {"a field more": ('{"FIELD": "x", "other": 1}', "other"), "a number": (f'{{"{TO}": 1}}', "*" * 10)},
    "B05": {"a list": ('{"FIELD": ["x"]}', "FIELD"), "a number": ('{"FIELD": 5}', "FIELD")},
    "B09": {"five thousand letters": ('{"FIELD": "' + "x" * 5000 + '"}', "body")},
    "B10": {"lists": ("[" * 2000, "body")},
    "B11": {"the field twice": ('{"FIELD": "x", "FIELD": "y"}', "body")},
    "B12": {"NaN": ('{"FIELD": NaN}', "body")},
    "B13": {"a huge number": (f'{{"FIELD": {"9" * 400}}}', "FIELD")},
    "B14": {name: (b'{"FIELD": "' + stray + b'"}', "body") for name, stray in list(INVALID_UTF8.items())[:4]},
    "B15": {"half a pair": ('{"FIELD": "\\ud83d"}', "FIELD")},
    "B16": {"U+0000": ('{"FIELD": "a\\u0000b"}', "FIELD"), "U+001B": ('{"FIELD": "\\u001b[2J"}', "FIELD")},
    "B28": {kind: (json.dumps({"FIELD": f"a{end}b"}), "FIELD") for kind, end in LINE_ENDS.items()},
}


def _bodies() -> Iterator[Asked]:
    for route, parameters, field, status in (
        ("POST /messages/{message_id}/resolve", {"message_id": "a" * 24 + "-1"}, "as", 422),
        ("POST /providers/{provider}/suspend", {"provider": "twsms"}, "why", 422),
        ("PUT /suppressions/{number}", {"number": TO}, "why", 400),
    ):
        for of, kinds in BODIES.items():
            for name, (said, names) in kinds.items():
                if (route.startswith("PUT"), name) == (True, "nothing in it"):
                    continue  # It need not say why.
                body = (
                    said.replace(b"FIELD", field.encode()) if isinstance(said, bytes) else said.replace("FIELD", field)
                )
                yield Asked(
                    of=of,
                    name=f"{route} with {name}",
                    route=route,
                    parameters=parameters,
                    body=body,
                    status=status,
                    names=names.replace("FIELD", field),
                )
    for said in ("delivered", "SENT", "", " sent", "rejected", "true", "sent\n"):
        yield Asked(
            of="B05" if said else "B07",
            name=f"resolve as {said!r}",
            route="POST /messages/{message_id}/resolve",
            parameters={"message_id": "a" * 24 + "-1"},
            body=json.dumps({"as": said}),
            status=422,
            names="as",
        )


def _lanes() -> Iterator[Asked]:
    for lane in ("express", "BULK", "bulk ", "urgent,bulk", "../bulk", "0", "null", "\ud83d"):
        yield Asked(
            of="B05",
            name=f"POST /messages?lane={lane!r}",
            route="POST /messages",
            query={"lane": lane},
            body=json.dumps(right_with()),
            status=422,
            names="lane",
        )


def _requests_of_odd_ids() -> Iterator[Variant]:
    """What an id may hold, it may hold in any order: it becomes a hash before it becomes a key."""
    for name, request_id in {
        "up": "../../etc/passwd",
        "absolute": "/etc/passwd",
        "two dots": "..",
        "of slashes": "////",
        "a bucket": "s3://mails/mail-1",
        "a telephone number": TO,
        "a mail address": "a@example.com",
        "an ARN": "arn:aws:sns:ap-northeast-1:123456789012:x",
        "a message id of ours": "abcdefghijklmnopqrstuvwx-1",
        "of 128 characters": "." * 128,
        "a word of JavaScript": "__proto__",
        "an URL": "http://169.254.169.254/latest",
    }.items():
        yield Right(of="B33", name=f"an id that is {name}", request=right_with(id=request_id))
    for name, path in PATHS.items():
        if not all(char.isascii() and (char.isalnum() or char in "._:@/-") for char in path):
            yield problem_of("B33", f"an id that is {name}", right_with(id=path), "id", "must be 1 to 128")


def _urls() -> Iterator[Posted | Right]:
    problem = "must be an http or https address of a public host name|is longer than"
    for url in URL_TRICKS:
        yield problem_of("B34", f"url {url[:50]!r}", right_with(form="push", url=url), "url", problem)
    for name in ("response", "replyurl", "drurl", "wapurl", "callback", "webhook"):
        for url in ("http://169.254.169.254/", "https://evil.example/"):
            yield problem_of("B34", f"{name} {url}", right_with(**{name: url}), name, "^unknown field")
    others = dict.fromkeys(("twsms", "smsget", "every8d", "meteorsis"), "unsupported_feature")
    for url in ("https://shop.example.com/a?b=c&d=%20#e", "http://a.tw", "HTTPS://Shop.Example.COM:8443?x"):
        short = "Canary"
        request = right_with(form="push", url=url, text=short)
        yield Right(of="B34", name=f"a right url {url}", request=request, text=short, refused=others)


def _wake_ups() -> Iterator[Woken]:
    unreadable, unmatched = "WakeUpUnreadable", "WakeUpUnmatched"
    bodies: dict[str, dict[str, tuple[str, str]]] = {
        "B01": {
            "nothing": ("", unreadable),
            "a word": (CANARY, unreadable),
            "cut": ('["a', unreadable),
            "a comma too many": ('["a",]', unreadable),
        },
        "B02": {
            "null": ("null", unreadable),
            "a string": ('"x"', unreadable),
            "an object": ("{}", unreadable),
            "a request": (json.dumps(right_with()), unreadable),
            "a number": ("5", unreadable),
        },
        "B05": {"numbers": ("[1, 2]", unmatched), "lists": ("[[], {}]", unmatched), "true": ("[true]", unmatched)},
        "B06": {"null": ("[null]", unmatched)},
        "B07": {"empty": ('[""]', unmatched)},
        "B08": {"blank": ('["  "]', unmatched)},
        "B10": {"lists": ("[" * 10_000, unreadable), "objects": ('{"a":' * 10_000, unreadable)},
        "B12": {"NaN": ("[NaN]", unmatched), "Infinity": ("[-Infinity]", unmatched)},
        "B13": {"5,000 digits": (f"[{'9' * 5000}]", unreadable), "400 digits": (f"[{'9' * 400}]", unmatched)},
        "B15": {"half a pair": ('["a\\ud83d"]', unmatched)},
        "B24": {"10,001 of nobody": (json.dumps(["a" * 24 + "-1"] * 10_001), unmatched)},
        "B40": {"encoded twice": (json.dumps(json.dumps(["a" * 24 + "-1"])), unreadable)},
    }
    for of, kinds in IDS.items():
        for name, value in kinds.items():
            bodies.setdefault(of, {}).setdefault(f"an id that is {name}", (json.dumps([value]), unmatched))
    for of, named in bodies.items():
        for name, (said, counts) in named.items():
            yield Woken(of=of, name=f"a wake-up of {name}", body=said, counts=counts)
