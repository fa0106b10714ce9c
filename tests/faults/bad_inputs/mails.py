"""Mails that pretend to be the vendor's, or that nobody can read: B41, and what other classes do to a mail."""

from __future__ import annotations

import base64
import quopri
from collections.abc import Iterator, Mapping
from typing import Any

from tests.faults.bad_inputs.gateway import CANARY
from tests.faults.bad_inputs.shapes import Mailed
from tests.faults.bad_inputs.structure import INVALID_UTF8
from tests.faults.bad_inputs.texts import CONTROLS
from tests.faults.bad_inputs.vendors import REFERENCES

REFUSED, UNREADABLE, UNMATCHED = "MailRefused", "MailUnreadable", "MailUnmatched"
FROM, SUBJECT, TAKEN = "sendsms@meteorsis.com", "SUBJECT", "SMSDID:10002"

MIXED = "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n{}\r\n--b--"


def mail(text: str = TAKEN, sender: str = FROM, subject: str = SUBJECT, more: str = "") -> bytes:
    return f"From: {sender}\r\nSubject: {subject}\r\n{more}\r\n{text}\r\n".encode()


def variants() -> Iterator[Mailed]:
    yield from _forged()
    yield from _wrapped()
    yield from _bombs()
    yield from _texts()
    yield from _subjects()
    yield from _broken()


def _mailed(of: str, name: str, raw: bytes, counts: str | None, **more: Any) -> Mailed:
    return Mailed(of=of, name=f"a mail {name}", raw=raw, counts=counts, **more)


def _forged() -> Iterator[Mailed]:
    for verdict in ("FAIL", "GRAY", "PROCESSING_FAILED", "DISABLED", "pass", "", None):
        for name in ("spamVerdict", "virusVerdict"):
            yield _mailed("B41", f"with {name} {verdict}", mail(), REFUSED, verdicts={name: verdict})
    for name, verdicts in {
        "DMARC fails": {"dmarcVerdict": "FAIL"},
        "DMARC unknown, SPF fails": {"dmarcVerdict": "GRAY", "spfVerdict": "FAIL"},
        "DMARC unknown, DKIM fails": {"dmarcVerdict": "GRAY", "dkimVerdict": "FAIL"},
        "no verdict of DMARC, SPF grey": {"dmarcVerdict": None, "spfVerdict": "GRAY"},
        "no verdict at all": dict.fromkeys(
            ("spfVerdict", "dkimVerdict", "dmarcVerdict", "spamVerdict", "virusVerdict")
        ),
    }.items():
        yield _mailed("B41", f"where {name}", mail(), REFUSED, verdicts=verdicts)
    grey = {"dmarcVerdict": "GRAY"}
    for source in (
        "x@evil.example",
        "x@meteorsis.com.evil.example",
        "x@sub.meteorsis.com",
        "",
        "@",
        "meteorsis.com",
        "x@",
    ):
        yield _mailed("B41", f"handed over by {source!r}", mail(), REFUSED, verdicts=grey, source=source)
    for name, sender in {
        "another domain": "x@evil.example",
        "a domain that ends alike": "x@evilmeteorsis.com",
        "a domain that begins alike": "x@meteorsis.com.evil.example",
        "a domain below": "x@mail.meteorsis.com",
        "the domain as a user": "meteorsis.com@evil.example",
        "a dot behind": "x@meteorsis.com.",
        "a letter that looks alike": "x@meteor\u0455is.com",
    }.items():
        yield _mailed("B41", f"from {name}", mail(sender=sender), REFUSED if sender.isascii() else UNREADABLE)
    for name, sender in {
        "two addresses": "x@evil.example, sendsms@meteorsis.com",
        "the domain as a name": '"x@meteorsis.com" <x@evil.example>',
        "two in brackets": "<x@evil.example> <sendsms@meteorsis.com>",
        "a group": "undisclosed: sendsms@meteorsis.com;",
        "an encoded address": "=?utf-8?q?sendsms=40meteorsis.com?=",
        "an address in a comment": "sendsms@meteorsis.com (x@evil.example)",
        "a route": "<@evil.example:sendsms@meteorsis.com>",
        "nobody": "",
        "no address": CANARY,
    }.items():
        yield _mailed("B41", f"from {name}", mail(sender=sender), UNREADABLE)
    yield _mailed("B41", "with two From", b"From: x@evil.example\r\n" + mail(), UNREADABLE)
    yield _mailed("B41", "with two Subject", b"Subject: hello\r\n" + mail(), UNREADABLE)
    yield _mailed("B41", "with another's reference", mail(f"SMSDID:{REFERENCES['meteorsis']}"), REFUSED)


def _wrapped() -> Iterator[Mailed]:
    """The same answer however a mail program packs it, in whatever charset: ASCII is in all of them."""
    for charset in ("utf-8", "big5", "gb18030", "iso-8859-1", "us-ascii", "utf-16", "x-unknown", "utf-8; x=y", ""):
        encoding = charset if charset in ("utf-16", "big5", "gb18030") else "utf-8"
        head = f"From: {FROM}\r\nSubject: {SUBJECT}\r\nContent-Type: text/plain; charset={charset}\r\n\r\n"
        raw = head.encode() + TAKEN.encode(encoding)
        if charset == "utf-16":
            raw = head.replace("\r\n\r\n", "\r\nContent-Transfer-Encoding: base64\r\n\r\n").encode() + base64.b64encode(
                TAKEN.encode("utf-16")
            )
        yield _mailed("B41", f"in the charset {charset!r}", raw, None)
    head = "Content-Transfer-Encoding: {}\r\n"
    for name, text in {
        "base64": base64.b64encode(TAKEN.encode()),
        "quoted-printable": quopri.encodestring(TAKEN.encode()),
    }.items():
        yield _mailed("B41", f"in {name}", mail(text.decode(), more=head.format(name)), None)
    yield _mailed("B41", "in an encoding that is none", mail(more=head.format("x-none")), None)
    yield _mailed("B41", "in HTML", mail(f"<p>{TAKEN}</p>", more="Content-Type: text/html\r\n"), None)
    yield _mailed("B41", "with a byte order mark before its words", mail("\ufeff\r\n" + TAKEN), None)
    hidden = f"<style>{TAKEN}</style><p>hello</p>"
    yield _mailed("B41", "with its answer hidden", mail(hidden, more="Content-Type: text/html\r\n"), UNREADABLE)
    inside = f"Content-Type: message/rfc822\r\n\r\nSubject: x\r\n\r\n{TAKEN}"
    yield _mailed("B41", "with its answer in a mail inside", mail("", more=MIXED.format(inside)), UNREADABLE)
    attached = f"Content-Disposition: attachment; filename=x\r\n\r\n{TAKEN}"
    yield _mailed("B41", "with its answer attached", mail("", more=MIXED.format(attached)), UNREADABLE)


def _bombs() -> Iterator[Mailed]:
    many = "Content-Type: multipart/mixed; boundary=b{0}\r\n\r\n--b{0}\r\n"
    nested = "".join(many.format(level) for level in range(1000))
    yield _mailed("B10", "of a thousand parts in each other", mail(more=nested), UNREADABLE)
    yield _mailed(
        "B41", "of twenty-one parts in each other", mail(more="".join(many.format(n) for n in range(21))), UNREADABLE
    )
    yield _mailed("B41", "that never ends its parts", mail(more=many.format("x")), None)
    parts = "Content-Type: multipart/mixed; boundary=b\r\n\r\n" + "--b\r\n\r\nx\r\n" * 10_000
    yield _mailed("B41", "of ten thousand parts", mail(more=parts), None)
    for of, name, size in (("B09", "of 256 KiB and more", 262_144), ("B41", "of ten megabytes", 10 * 1024 * 1024)):
        yield _mailed(of, name, mail("x" * size), UNREADABLE)
    yield _mailed("B09", "of one line of 200,000 letters", mail("x" * 200_000), UNREADABLE)
    yield _mailed("B09", "with a subject of 100,000 letters", mail(subject="x" * 100_000), UNREADABLE)
    yield _mailed("B41", "with a thousand From", b"From: x@meteorsis.com\r\n" * 1000 + mail(), UNREADABLE)
    tags = mail("<a" * 50_000, more="Content-Type: text/html\r\n")
    yield _mailed("B41", "of tags that never end", tags, UNREADABLE)
    yield _mailed("B41", "of entities", mail("&amp;" * 20_000, more="Content-Type: text/html\r\n"), UNREADABLE)


def _texts() -> Iterator[Mailed]:
    kinds: Mapping[str, Mapping[str, str]] = {
        "B01": {
            "that says hello": f"hello {CANARY}",
            "in JSON": '{"SMSDID": "10002"}',
            "in XML": "<SMSDID>10002</SMSDID>",
        },
        "B03": {"without a reference": "SMSDID:", "without a code": "ERROR:", "without anything": ""},
        "B04": {"with two references for one": "SMSDID:10002,10003", "with both answers": f"{TAKEN}\r\nERROR:3"},
        "B05": {"with a word for a reference": "SMSDID:abc", "with a word for a code": "ERROR:abc"},
        "B06": {"with null for a reference": "SMSDID:null"},
        "B08": {"of blanks": "   \r\n\t"},
        "B11": {"with two references": f"{TAKEN}\r\nSMSDID:10003", "with two errors": "ERROR:3\r\nERROR:16"},
        "B12": {"with NaN": "SMSDID:NaN", "with 1e999": "SMSDID:1e999", "with Infinity": "ERROR:Infinity"},
        "B13": {
            "with 21 digits": f"SMSDID:{'9' * 21}",
            "with 400": f"SMSDID:{'9' * 400}",
            "with a fraction": "ERROR:1.5e9x",
        },
        "B19": {"with Arabic-Indic digits": "SMSDID:١٠٠٠٢", "with full-width digits": "SMSDID:１０００２"},
        "B28": {"with its answer in the middle of a line": f"said {TAKEN}"},
        "B31": {"with a statement": "SMSDID:' OR '1'='1"},
        "B32": {"with a template": "SMSDID:${x}"},
        "B33": {"with a path": "SMSDID:../../x"},
        "B37": {"with a reference below zero": "SMSDID:-5", "with a code below zero": "ERROR:-5"},
    }
    for of, texts in kinds.items():
        for name, text in texts.items():
            yield _mailed(of, name, mail(text), UNREADABLE)
    for char in CONTROLS[::4]:
        if char not in "\t\n\r":
            yield _mailed("B16", f"with U+{ord(char):04X}", mail(f"SMSDID:1{char}2"), UNREADABLE)
    for name, stray in INVALID_UTF8.items():
        raw = mail("", more="Content-Type: text/plain; charset=utf-8\r\n") + b"SMSDID:" + stray
        yield _mailed("B14", f"with {name}", raw, UNREADABLE)


def _subjects() -> Iterator[Mailed]:
    nobody = "a" * 24
    for of, name, subject, counts in (
        ("B03", "about nothing", "", UNREADABLE),
        ("B01", "about something else", f"hello {CANARY}", UNREADABLE),
        ("B30", "about something encoded", "=?utf-8?q?hello=0A?=", UNREADABLE),
        ("B30", "about something encoded wrongly", "=?utf-8?b?x?=", UNREADABLE),
        ("B30", "about something of no charset", "=?x-none?q?hello?=", UNREADABLE),
        ("B30", "about something that encodes a header", "=?utf-8?q?x=0D=0ABcc=3A_x=40example.com?=", UNREADABLE),
        ("B41", "about a message of nobody", f"{nobody}-1-1", UNMATCHED),
        ("B41", "about an attempt that was not made", "SUBJECT9", UNMATCHED),
        ("B41", "about two messages", f"SUBJECT {nobody}-1-1", UNREADABLE),
        ("B41", "about more messages than it answers", "SUBJECT-3", UNREADABLE),
        ("B13", "about a place of 400 digits", f"{nobody}-{'9' * 400}-1", UNREADABLE),
        ("B13", "about an attempt of 400 digits", f"{nobody}-1-{'9' * 400}", UNREADABLE),
        ("B33", "about a path", "../../etc/passwd", UNREADABLE),
        ("B31", "about a statement", "' OR '1'='1", UNREADABLE),
        ("B19", "about a place in Arabic-Indic digits", f"{nobody}-١-1", UNREADABLE),
        ("B37", "about a place below zero", f"{nobody}--1-1", UNREADABLE),
        ("B37", "about an attempt before the first", f"{nobody}-1-0", UNMATCHED),
    ):
        yield _mailed(of, name, mail(subject=subject), counts)
    for name, mail_id in {"a path": "../../secrets", "a NUL": "x\x00", "empty": ""}.items():
        # SES makes these ids; even another's would find nothing but what lies in the mails' own folder.
        yield _mailed("B33", f"whose id is {name}", mail("hello"), UNREADABLE, mail_id=mail_id)


def _broken() -> Iterator[Mailed]:
    for name, raw in {
        "of nothing": b"",
        "of NULs": b"\x00" * 1000,
        "of no headers": b"hello\r\n",
        "of headers alone": b"From: sendsms@meteorsis.com\r\nSubject: SUBJECT",
        "of a colon": b":\r\n\r\n",
        "compressed": b"\x1f\x8b\x08\x00" + b"\xff" * 100,
        "in UTF-16": mail().decode().encode("utf-16"),
        "of HTTP": b"HTTP/1.1 200 OK\r\n\r\nSMSDID:10002",
        "cut in its headers": mail()[:20],
    }.items():
        yield _mailed("B41", name, raw, UNREADABLE)
    yield _mailed("B03", "without From", mail().split(b"\r\n", 1)[1], UNREADABLE)
    yield _mailed("B03", "without a subject", mail().replace(b"Subject", b"X-Subject"), UNREADABLE)
