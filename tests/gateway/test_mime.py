"""Raw mails: strict in whose they are, lenient in how their words are packed, done with hostile ones in no time."""

from __future__ import annotations

import base64
import time
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsgate import mime
from smsgate.mime import Mail, read

HEAD = ("From: SMS <sms@vendor.example>", "To: gateway@sms.example", "Subject: id-1")


def raw(*lines: str, body: str = "SMSDID:1") -> bytes:
    return ("\r\n".join(lines or HEAD) + "\r\n\r\n" + body + "\r\n").encode()


def of(sender: str) -> bytes:
    return raw(f"From: {sender}", *HEAD[1:])


def text(content_type: str, body: bytes | str, *headers: str) -> str:
    packed = body.encode() if isinstance(body, str) else body
    head = "\r\n".join((*HEAD, f"Content-Type: {content_type}", *headers)).encode()
    return read(head + b"\r\n\r\n" + packed).text.strip()


def test_a_plain_mail_is_its_domain_its_subject_and_its_words() -> None:
    assert read(raw()) == Mail("vendor.example", "id-1", "SMSDID:1\r\n")


def test_its_words_are_not_in_its_repr() -> None:
    assert "SMSDID" not in repr(read(raw()))


# Whose it is


@pytest.mark.parametrize(
    "sender",
    [
        "sms@vendor.example",
        "<sms@vendor.example>",
        "SMS Gateway <sms@vendor.example>",
        '"SMS Gateway, 慧昇" <sms@vendor.example>',
        "=?UTF-8?B?5oWn5piH?= <sms@vendor.example>",
        "慧昇 <sms@vendor.example>",
        "sms@VENDOR.example",
        "SMS\r\n Gateway <sms@vendor.example>",
    ],
)
def test_one_address_is_whose_mail_it_is(sender: str) -> None:
    assert read(of(sender)).sender_domain == "vendor.example"


@pytest.mark.parametrize(
    "sender",
    [
        "",
        "vendor.example",
        "sms@vendor.example, thief@evil.example",
        "thief@evil.example, sms@vendor.example",
        "sms@vendor.example <thief@evil.example>",
        "<sms@vendor.example> <thief@evil.example>",
        "<sms@vendor.example>thief@evil.example",
        "thief@evil.example <sms@vendor.example>",
        "Group: sms@vendor.example;",
        "sms@vendor.example (comment)",
        "(comment) sms@vendor.example",
        '"sms@vendor.example" thief@evil.example',
        "sms@vendor.example@evil.example",
        "<sms@vendor.example",
        "sms@vendor.example>",
        "@vendor.example",
        "=?UTF-8?Q?sms=40vendor.example?=",
        "sms@vendor.example\\",
        '"sms@vendor.example" <thief@evil.example>',
        "sms\0@vendor.example",
    ],
)
def test_anything_but_one_address_is_nobodys(sender: str) -> None:
    with pytest.raises(ValueError, match="address"):
        read(of(sender))


@pytest.mark.parametrize(
    "sender",
    [
        "sms@vendor.example.evil.example",
        "sms@evil-vendor.example",
        "sms@mail.vendor.example",
        "sms@vendor.example.",
    ],
)
def test_a_domain_that_only_looks_like_another_is_its_own(sender: str) -> None:
    assert read(of(sender)).sender_domain != "vendor.example"


def test_a_domain_of_other_letters_is_nobodys() -> None:
    with pytest.raises(ValueError, match="address"):
        read(of("sms@vendоr.example"))  # a Cyrillic о


@pytest.mark.parametrize("twice", ["From: other@vendor.example", "from: sms@vendor.example", "Subject: id-2"])
def test_a_header_that_decides_stands_there_once(twice: str) -> None:
    with pytest.raises(ValueError, match="not one"):
        read(raw(*HEAD, twice))


@pytest.mark.parametrize("missing", [0, 2])
def test_a_header_that_decides_may_not_be_missing(missing: int) -> None:
    with pytest.raises(ValueError, match="not one"):
        read(raw(*HEAD[:missing], *HEAD[missing + 1 :]))


# Its subject


@pytest.mark.parametrize(
    ("written", "subject"),
    [
        ("id-1", "id-1"),
        ("Re: id-1", "Re: id-1"),
        ("=?UTF-8?B?aWQtMQ==?=", "id-1"),
        ("=?utf-8?q?id-1?=", "id-1"),
        ("=?big5?B?wrKwVA==?= id-1", "簡訊 id-1"),
        ("=?x-unknown?Q?id-1?=", "id-1"),
        ("a\r\n id-1", "a id-1"),
        ("=?UTF-8?B?/w==?=", "\ufffd"),
        ("", ""),
    ],
)
def test_a_subject_is_read_as_it_was_meant(written: str, subject: str) -> None:
    assert read(raw(*HEAD[:2], f"Subject: {written}")).subject == subject


# Its words


PLAIN = "text/plain; charset=utf-8"


def parts(*inner: tuple[str, str], boundary: str = "b") -> str:
    packed = "".join(f"--{boundary}\r\nContent-Type: {kind}\r\n\r\n{body}\r\n" for kind, body in inner)
    return f"{packed}--{boundary}--"


@pytest.mark.parametrize(
    ("content_type", "body", "headers"),
    [
        (PLAIN, "SMSDID:1", ()),
        ("text/plain", "SMSDID:1", ()),
        ("TEXT/PLAIN; CHARSET=UTF-8", "SMSDID:1", ()),
        (PLAIN, base64.b64encode(b"SMSDID:1"), ("Content-Transfer-Encoding: base64",)),
        (PLAIN, "SMSDI=\r\nD:1", ("Content-Transfer-Encoding: quoted-printable",)),
        ("text/plain; charset=utf-16", "SMSDID:1".encode("utf-16"), ()),
        ("text/plain; charset=big5", "SMSDID:1", ()),
        ("text/plain; charset=no-such-charset", "SMSDID:1", ()),
        ("text/plain; charset=zlib_codec", "SMSDID:1", ()),
        ("text/plain; charset=unicode_escape", "SMSDID:1", ()),
        ("text/plain; charset=idna", "SMSDID:1", ()),
        ("text/plain; charset=", "SMSDID:1", ()),
        ("text/plain; charset*=utf-8''x", "SMSDID:1", ()),
        ("text/html", "<html><body><p>SMSDID:1</p></body></html>", ()),
        ("text/html", "<a href='#'>SMSDID:1</a>", ()),
        ("text/html", "<b>SMSDID&#58;1</b>", ()),
        ("text/html", "<style>ERROR:3</style><!-- ERROR:3 --><script>ERROR:3</script>SMSDID:1", ()),
        ("multipart/alternative; boundary=b", parts(("text/plain", "SMSDID:1"), ("text/html", "<p>ERROR:3</p>")), ()),
        ("multipart/alternative; boundary=b", parts(("text/plain", " "), ("text/html", "<p>SMSDID:1</p>")), ()),
        (
            "multipart/mixed; boundary=b",
            parts(
                ("multipart/alternative; boundary=a", parts(("text/plain", "SMSDID:1"), boundary="a")),
                ("application/pdf", "ERROR:3"),
            ),
            (),
        ),
    ],
)
def test_words_are_found_however_they_are_packed(
    content_type: str, body: bytes | str, headers: tuple[str, ...]
) -> None:
    assert text(content_type, body, *headers) == "SMSDID:1"


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/pdf", "SMSDID:1"),
        ("text/calendar", "SMSDID:1"),
        ("text/plain; name=a.txt", "SMSDID:1"),
        ("message/rfc822", "From: a@b.example\r\n\r\nSMSDID:1"),
        ("multipart/report; boundary=b", parts(("message/rfc822", "From: a@b.example\r\n\r\nSMSDID:1"))),
        (
            "multipart/mixed; boundary=b",
            parts(("text/plain\r\nContent-Disposition: attachment; filename=a.txt", "SMSDID:1")),
        ),
        ("multipart/mixed; boundary=b", "no boundary"),
        ("multipart/mixed", "SMSDID:1"),
        ("text/html", "<p title='SMSDID:1'>"),
        ("text/html", "<style>SMSDID:1"),
        ("text/html", "<STYLE>a</p>SMSDID:1</script>"),
        ("text/html", "<title>SMSDID:1</title>"),
    ],
)
def test_what_no_reader_is_shown_is_not_read(content_type: str, body: str) -> None:
    assert text(content_type, body) == ""


# Hostile ones


def nested(depth: int) -> bytes:
    body = b"SMSDID:1"
    for level in range(depth):
        body = b"--b%d\r\nContent-Type: multipart/mixed; boundary=b%d\r\n\r\n%s\r\n" % (level + 1, level, body)
    return raw(*HEAD, f"Content-Type: multipart/mixed; boundary=b{depth}").rstrip() + b"\r\n\r\n" + body


HOSTILE = {
    "too large": raw(body="a" * mime.LARGEST),
    "nested": nested(500),
    "nested as deep as fits": nested(3000),
    "nested deeper": nested(5000),
    "a thousand boundaries": raw(*HEAD, *(f"Content-Type: multipart/mixed; boundary=b{n}" for n in range(1000))),
    "a thousand headers": raw(*HEAD, *(f"X-{n}: a" for n in range(5000))),
    "an endless header": raw(*HEAD, "X: " + "a" * 200_000),
    "an endless fold": raw(*HEAD, "X:" + "\r\n " * 50_000),
    "an endless subject": raw(*HEAD[:2], "Subject: " + "=?UTF-8?Q?" * 20_000),
    "an endless sender": of('"' * 100_000 + " <sms@vendor.example>"),
    "angles": of("<" * 100_000),
    "a name without an end": of("a " * 50_000),
    "open tags": raw(*HEAD, "Content-Type: text/html", body="<" * 200_000),
    "open styles": raw(*HEAD, "Content-Type: text/html", body="<style>" * 30_000),
    "open comments": raw(*HEAD, "Content-Type: text/html", body="<!--" * 50_000),
    "wrong base64": raw(*HEAD, "Content-Transfer-Encoding: base64", body="=" * 100_000),
    "unknown encoding": raw(*HEAD, "Content-Transfer-Encoding: x-bomb", body="SMSDID:1"),
    "no mail": b"\x00\xff" * 1000,
    "nothing": b"",
}


@pytest.mark.parametrize("bomb", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_mail_is_done_with_in_no_time(bomb: bytes) -> None:
    started = time.perf_counter()

    with suppress(ValueError):
        read(bomb)

    assert time.perf_counter() - started < 2


@pytest.mark.parametrize("bomb", ["too large", "nested", "nested as deep as fits", "nested deeper", "nothing"])
def test_what_no_answer_looks_like_is_refused(bomb: str) -> None:
    with pytest.raises(ValueError, match=r"a mail|not one"):
        read(HOSTILE[bomb])


def test_a_mail_of_an_answers_size_is_not_too_large() -> None:
    assert len(read(raw(body="a" * (mime.LARGEST - 1000))).text) > mime.LARGEST - 1000


@given(data=st.binary(max_size=2000))
def test_whatever_bytes_come_they_are_read_or_refused(data: bytes) -> None:
    for mail in (data, raw() + data, b"\r\n".join(line.encode() for line in HEAD) + b"\r\n" + data):
        try:
            read(mail)
        except (ValueError, LookupError):
            continue
