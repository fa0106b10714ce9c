"""Real sockets, a scripted server: for each way a call can break, which outcome it is and what the server saw of it."""

from __future__ import annotations

import gzip
import logging
import random
import socket
import ssl
import threading
import time
import traceback
import tracemalloc
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qs

import httpx
import pytest
import trustme

from smsgate.outcomes import CallBroken, MaybeSent, NotSent
from smsgate.reasons import Code, Reason
from smsgate.wire import HttpRequest, HttpResponse
from smstransports import sockets
from smstransports.http import HttpTransport
from smstransports.sockets import DeadlineTransport
from tests.transports.conftest import Serve, tls_with
from tests.transports.raw_server import Conversation, RawServer, answer

DEADLINE = 0.5
SLACK = 1.0  # The promise; a busy machine wakes a thread late.
PATIENT = 10.0
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
Method = Literal["GET", "POST"]
Script = Callable[[Conversation], None]
CANARIES = ("canary-user", "canary-pässword", "+886912345678", "驗證碼 canary-text")
FIELDS = tuple(zip(("username", "password", "dstaddr", "smbody"), CANARIES, strict=True))


_open: list[HttpTransport] = []


def caller(deadline: float = PATIENT, *, connect_seconds: float = 3.0, **wire: Any) -> HttpTransport:
    _open.append(HttpTransport(deadline, connect_seconds=connect_seconds, transport=DeadlineTransport(**wire)))
    return _open[-1]


@pytest.fixture(autouse=True)
def _close_connections() -> Iterator[None]:
    yield
    while _open:
        _open.pop().close()


def outcome_of(transport: HttpTransport, url: str, method: Method = "POST") -> NotSent | MaybeSent:
    """Of a call that breaks, and that ends in time."""
    started = time.monotonic()
    with pytest.raises(CallBroken) as broken:
        transport.exchange(HttpRequest(method, url, FIELDS))
    assert time.monotonic() - started < DEADLINE + SLACK
    return broken.value.outcome


def patience_for(kind: str, **wire: Any) -> HttpTransport:
    """Little where only the clock can end the call."""
    return caller(DEADLINE if kind == "ReadTimeout" else PATIENT, **wire)


def not_sent(kind: str) -> NotSent:
    return NotSent(Reason(Code.PROVIDER_UNREACHABLE, provider_text=kind))


def maybe_sent(kind: str) -> MaybeSent:
    return MaybeSent(Reason(Code.NO_REPLY, provider_text=kind))


def always(reply: bytes) -> Script:
    def script(conversation: Conversation) -> None:
        for _ in conversation.requests():
            conversation.say(reply)

    return script


def once_then_close(reply: bytes) -> Script:
    def script(conversation: Conversation) -> None:
        conversation.hear()
        conversation.say(reply)

    return script


class TestNothingLeftUs:
    def test_a_refused_connection_is_not_sent(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]

        assert outcome_of(caller(), f"http://127.0.0.1:{port}/") == not_sent("ConnectError")

    def test_a_name_that_does_not_exist_is_not_sent(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sockets, "getaddrinfo", _raise_no_such_name)

        assert outcome_of(caller(), "http://sms.invalid/") == not_sent("NameNotResolved")

    def test_the_real_resolver_does_not_know_a_reserved_name_either(self) -> None:
        with pytest.raises(CallBroken) as broken:
            caller(5).exchange(HttpRequest("GET", "http://sms.invalid/"))

        assert isinstance(broken.value.outcome, NotSent)

    def test_a_resolver_that_hangs_is_left_behind_at_the_deadline_and_asked_once_for_all(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked: list[str] = []
        released = threading.Event()

        def hang(host: str, _: int, **how: int) -> None:
            if "flags" in how:
                _raise_no_such_name()
            asked.append(host)
            released.wait(10)
            _raise_no_such_name()

        monkeypatch.setattr(sockets, "getaddrinfo", hang)
        transport = caller(DEADLINE)

        with ThreadPoolExecutor(8) as pool:
            outcomes = list(pool.map(lambda _: outcome_of(transport, "http://sms.invalid/"), range(8)))
        released.set()

        assert set(outcomes) == {not_sent("NameNotResolved")}
        assert asked == ["sms.invalid"]

    def test_a_host_that_swallows_packets_is_not_sent(self) -> None:
        with black_hole() as port:
            outcome = outcome_of(caller(DEADLINE), f"http://127.0.0.1:{port}/")

        assert outcome == not_sent("ConnectTimeout")

    def test_connecting_gets_less_time_than_the_whole_call(self) -> None:
        with black_hole() as port:
            outcome = outcome_of(caller(60, connect_seconds=0.2), f"http://127.0.0.1:{port}/")

        assert outcome == not_sent("ConnectTimeout")

    def test_an_address_that_does_not_answer_leaves_time_for_the_next(
        self, serve: Serve, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        server = serve(always(answer()))
        with black_hole() as dead:
            both = [(socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", port)) for port in (dead, server.port)]
            monkeypatch.setattr(sockets, "getaddrinfo", lambda *_, **__: both)

            response = caller(2).exchange(HttpRequest("POST", "http://sms.invalid/", FIELDS))

        assert response.status == 200

    def test_no_free_connection_is_not_sent(self, serve: Serve) -> None:
        server = serve(Conversation.stay_silent)
        transport = caller(DEADLINE, connections=1, connect_seconds=0.1)
        first = threading.Thread(target=outcome_of, args=(transport, server.url))
        first.start()
        server.wait_for(lambda: server.accepted == 1)

        assert outcome_of(transport, server.url) == not_sent("PoolTimeout")
        first.join()

    def test_no_file_descriptor_is_not_sent(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(*_: object) -> None:
            raise OSError(24, "Too many open files")

        monkeypatch.setattr(sockets, "socket", full)

        assert outcome_of(caller(), "http://127.0.0.1:9/") == not_sent("ConnectError")

    def test_an_unknown_authority_is_not_sent(self, serve: Serve, ca_file: str) -> None:
        server = serve(always(answer()), tls_with(trustme.CA().issue_cert("127.0.0.1")))

        assert outcome_of(caller(ca_file=ca_file), server.url) == not_sent("TlsFailed")
        assert server.requests == []

    def test_the_authorities_of_the_world_do_not_vouch_for_a_certificate_of_our_own(
        self, serve: Serve, server_tls: ssl.SSLContext
    ) -> None:
        server = serve(always(answer()), server_tls)

        with pytest.raises(CallBroken) as broken:
            caller(5).exchange(HttpRequest("POST", server.url, FIELDS))

        assert broken.value.outcome == not_sent("TlsFailed")
        assert server.requests == []

    def test_a_certificate_for_another_name_is_not_sent(
        self, serve: Serve, authority: trustme.CA, ca_file: str
    ) -> None:
        server = serve(always(answer()), tls_with(authority.issue_cert("sms.example.com")))

        assert outcome_of(caller(ca_file=ca_file), server.url) == not_sent("TlsFailed")
        assert server.requests == []

    def test_an_expired_certificate_is_not_sent(self, serve: Serve, authority: trustme.CA, ca_file: str) -> None:
        yesterday = datetime.now(UTC) - timedelta(days=1)
        server = serve(always(answer()), tls_with(authority.issue_cert("127.0.0.1", not_after=yesterday)))

        assert outcome_of(caller(ca_file=ca_file), server.url) == not_sent("TlsFailed")
        assert server.requests == []

    def test_tls_older_than_1_2_is_not_sent(self, serve: Serve, authority: trustme.CA, ca_file: str) -> None:
        old = tls_with(authority.issue_cert("127.0.0.1"))
        old.set_ciphers("ALL:@SECLEVEL=0")
        with pytest.warns(DeprecationWarning, match="TLSv1_1"):
            old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
        server = serve(always(answer()), old)

        assert outcome_of(caller(ca_file=ca_file), server.url) == not_sent("TlsFailed")
        assert server.requests == []

    def test_plain_http_on_a_tls_port_is_not_sent(self, serve: Serve) -> None:
        def complain(conversation: Conversation) -> None:
            conversation.wire.recv(1000)
            conversation.say(answer(b"plain HTTP is spoken here", b"400 Bad Request"))

        server = serve(complain)

        assert outcome_of(caller(), server.url.replace("http:", "https:")) == not_sent("TlsFailed")

    def test_a_tls_handshake_that_never_ends_is_not_sent(self, serve: Serve) -> None:
        server = serve(Conversation.stay_silent)

        assert outcome_of(caller(DEADLINE), server.url.replace("http:", "https:")) == not_sent("ConnectTimeout")

    @pytest.mark.parametrize("url", ["ftp://127.0.0.1/", "127.0.0.1/sms", "http://", "http://[::1", "http://a:b/", ""])
    def test_what_is_no_address_is_not_sent(self, url: str) -> None:
        assert isinstance(outcome_of(caller(), url), NotSent)

    def test_a_host_name_that_is_no_name_is_not_sent(self) -> None:
        assert outcome_of(caller(), f"http://{'a' * 70}.example/") == not_sent("NameNotResolved")

    @pytest.mark.parametrize("method", ["GET", "POST"])
    def test_a_text_that_has_no_utf_8_is_not_sent(self, serve: Serve, method: Method) -> None:
        server = serve(always(answer()))

        with pytest.raises(CallBroken) as broken:
            caller().exchange(HttpRequest(method, server.url, (("smbody", "half an emoji \ud83d"),)))

        assert broken.value.outcome == NotSent(Reason(Code.UNSUPPORTED_CHARACTER, provider_text="lone surrogate"))
        assert server.accepted == 0

    def test_a_deadline_that_is_over_is_not_sent(self, serve: Serve) -> None:
        server = serve(always(answer()))

        with pytest.raises(CallBroken) as broken:
            caller(1e-9).exchange(HttpRequest("POST", server.url, FIELDS))

        assert isinstance(broken.value.outcome, NotSent)
        assert server.requests == []


def drip_headers(conversation: Conversation) -> None:
    conversation.hear()
    conversation.drip(answer(b"statuscode=0", b"200 OK", b"Server: " + b"x" * 500), every=0.1)


def drip_body(conversation: Conversation) -> None:
    conversation.hear()
    conversation.say(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n")
    conversation.drip(b"x" * 500, every=0.1)


def drip_chunks(conversation: Conversation) -> None:
    conversation.hear()
    conversation.say(CHUNKED)
    conversation.say(*[b"1\r\nx\r\n"] * 500, every=0.1)


def drip_interim_answers(conversation: Conversation) -> None:
    conversation.hear()
    conversation.say(*[b"HTTP/1.1 102 Processing\r\n\r\n"] * 500, every=0.05)


def hear_and_stay_silent(conversation: Conversation) -> None:
    conversation.hear()
    conversation.stay_silent()


def hear_and_close(conversation: Conversation) -> None:
    conversation.hear()


def hear_and_reset(conversation: Conversation) -> None:
    conversation.hear()
    conversation.reset()


def thirty_mebibytes(conversation: Conversation) -> None:
    conversation.hear()
    conversation.say(b"HTTP/1.1 200 OK\r\nContent-Length: 31457280\r\n\r\n", *[b"x" * 65536] * 480)


def endless_chunks(conversation: Conversation) -> None:
    conversation.hear()
    conversation.say(CHUNKED, *[b"400\r\n" + b"x" * 1024 + b"\r\n"] * 9999)


def endless_headers(conversation: Conversation) -> None:
    conversation.hear()
    conversation.say(b"HTTP/1.1 200 OK\r\n", *[b"X-More: " + b"x" * 1000 + b"\r\n"] * 9999)


BOMB = gzip.compress(b"x" * 30 * 1024 * 1024)
PACKED = gzip.compress(b"msgid=1\r\nstatuscode=0")

BREAKS_AFTER_THE_REQUEST = [
    pytest.param(hear_and_stay_silent, "ReadTimeout", id="silence"),
    pytest.param(hear_and_close, "RemoteProtocolError", id="closed"),
    pytest.param(hear_and_reset, "ReadError", id="reset"),
    pytest.param(once_then_close(b"HTTP/1.1 200 OK\r\nContent-Le"), "RemoteProtocolError", id="closed in the headers"),
    pytest.param(
        once_then_close(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nmsgid=12"), "RemoteProtocolError", id="cut body"
    ),
    pytest.param(
        once_then_close(CHUNKED + b"8\r\nmsgid=12\r\n"),
        "RemoteProtocolError",
        id="cut between chunks",
    ),
    pytest.param(
        once_then_close(CHUNKED + b"zz\r\nmsgid=12\r\n"),
        "RemoteProtocolError",
        id="chunks that are none",
    ),
    pytest.param(
        once_then_close(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc"),
        "RemoteProtocolError",
        id="two lengths",
    ),
    pytest.param(drip_headers, "ReadTimeout", id="dripping headers"),
    pytest.param(drip_body, "ReadTimeout", id="dripping body"),
    pytest.param(drip_chunks, "ReadTimeout", id="dripping chunks"),
    pytest.param(drip_interim_answers, "ReadTimeout", id="dripping interim answers"),
    pytest.param(thirty_mebibytes, "AnswerTooLarge", id="30 MiB"),
    pytest.param(endless_chunks, "AnswerTooLarge", id="endless chunks"),
    pytest.param(endless_headers, "RemoteProtocolError", id="endless headers"),
    pytest.param(
        always(answer(BOMB, b"200 OK", b"Content-Encoding: gzip")), "AnswerTooLarge", id="30 MiB packed into 30 KiB"
    ),
    pytest.param(
        always(answer(PACKED[:-6], b"200 OK", b"Content-Encoding: gzip")), "RemoteProtocolError", id="packed and cut"
    ),
    pytest.param(
        always(answer(b"plain", b"200 OK", b"Content-Encoding: gzip")), "RemoteProtocolError", id="not packed after all"
    ),
    pytest.param(
        always(answer(b"?", b"200 OK", b"Content-Encoding: br")), "RemoteProtocolError", id="a coding we do not know"
    ),
    pytest.param(once_then_close(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), "RemoteProtocolError", id="another protocol"),
    pytest.param(once_then_close(bytes(range(256)) * 4), "RemoteProtocolError", id="garbage"),
    pytest.param(once_then_close(b"<html>Busy</html>"), "RemoteProtocolError", id="HTTP/0.9"),
    pytest.param(
        once_then_close(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n"),
        "RemoteProtocolError",
        id="upgrade",
    ),
]


class TestItMayHaveBeenRead:
    @pytest.mark.parametrize("method", ["POST", "GET"])
    @pytest.mark.parametrize(("script", "kind"), BREAKS_AFTER_THE_REQUEST)
    def test_a_call_that_breaks_after_the_request_may_have_been_sent_and_goes_out_once(
        self, serve: Serve, script: Script, kind: str, method: Method
    ) -> None:
        server = serve(script)

        assert outcome_of(patience_for(kind), server.url, method) == maybe_sent(kind)
        assert len(server.requests) == 1
        assert server.accepted == 1

    @pytest.mark.parametrize(("script", "kind"), BREAKS_AFTER_THE_REQUEST)
    def test_the_same_over_tls(
        self, serve: Serve, server_tls: ssl.SSLContext, ca_file: str, script: Script, kind: str
    ) -> None:
        server = serve(script, server_tls)

        outcome = outcome_of(patience_for(kind, ca_file=ca_file), server.url)

        assert isinstance(outcome, MaybeSent)
        assert len(server.requests) == 1
        assert server.accepted == 1

    def test_an_answer_without_length_that_ends_raggedly_over_tls_may_be_cut(
        self, serve: Serve, server_tls: ssl.SSLContext, ca_file: str
    ) -> None:
        # Closing without TLS's close_notify, as the script's end does; RFC 9112, section 9.8.
        server = serve(once_then_close(b"HTTP/1.0 200 OK\r\n\r\nmsgid=12"), server_tls)

        assert outcome_of(caller(ca_file=ca_file), server.url) == maybe_sent("ReadError")

    def test_a_server_that_never_reads_the_request_holds_the_call_no_longer_than_the_deadline(
        self, serve: Serve
    ) -> None:
        server = serve(Conversation.stay_silent)
        started = time.monotonic()

        with pytest.raises(CallBroken) as broken:
            caller(DEADLINE).carry("POST", server.url, content=b"x" * 20_000_000)

        assert broken.value.outcome == maybe_sent("WriteTimeout")
        assert time.monotonic() - started < DEADLINE + SLACK

    def test_a_server_that_goes_away_while_the_request_is_written_may_have_read_it(self, serve: Serve) -> None:
        def hear_a_little_and_reset(conversation: Conversation) -> None:
            conversation.wire.recv(1000)
            conversation.reset()

        server = serve(hear_a_little_and_reset)

        with pytest.raises(CallBroken) as broken:
            caller(5).carry("POST", server.url, content=b"x" * 20_000_000)

        assert broken.value.outcome in (maybe_sent("WriteError"), maybe_sent("ReadError"))

    def test_a_packed_answer_is_never_unpacked_beyond_the_cap(self, serve: Serve) -> None:
        server = serve(always(answer(BOMB, b"200 OK", b"Content-Encoding: gzip")))
        tracemalloc.start()

        with pytest.raises(CallBroken):
            caller().exchange(HttpRequest("POST", server.url))

        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 2 * 1024 * 1024

    def test_an_error_nobody_thought_of_may_have_been_sent(self) -> None:
        def surprise(_: httpx.Request) -> httpx.Response:
            raise ZeroDivisionError("https://sms.example.com/?password=canary")

        transport = HttpTransport(transport=httpx.MockTransport(surprise))

        assert outcome_of(transport, "https://sms.example.com/") == maybe_sent("ZeroDivisionError")


class TestAnswers:
    @pytest.mark.parametrize(
        ("reply", "expected"),
        [
            (answer(b"msgid=1\r\nstatuscode=0"), HttpResponse(200, b"msgid=1\r\nstatuscode=0")),
            (answer(b"{}", b"200 OK", b"Content-Type: text/html"), HttpResponse(200, b"{}", "text/html")),
            (answer(b""), HttpResponse(200, b"")),
            (b"HTTP/1.1 204 No Content\r\n\r\n", HttpResponse(204, b"")),
            (answer(b"oops", b"500 Internal Server Error"), HttpResponse(500, b"oops")),
            (answer(b"", b"302 Found", b"Location: http://127.0.0.1:1/elsewhere"), HttpResponse(302, b"")),
            (answer(b"", b"307 Again", b"Location: ::::not an address"), HttpResponse(307, b"")),
            (
                CHUNKED + b"5\r\nmsgid\r\n2;x=y\r\n=1\r\n0\r\nTrailer: x\r\n\r\n",
                HttpResponse(200, b"msgid=1"),
            ),
            (b"HTTP/1.1 100 Continue\r\n\r\n" + answer(b"ok"), HttpResponse(200, b"ok")),
            (b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" * 3 + answer(b"ok"), HttpResponse(200, b"ok")),
            (answer(b"x" * 64 * 1024), HttpResponse(200, b"x" * 64 * 1024)),
            (answer(PACKED, b"200 OK", b"Content-Encoding: gzip"), HttpResponse(200, b"msgid=1\r\nstatuscode=0")),
            (answer(zlib.compress(b"ok"), b"200 OK", b"Content-Encoding: deflate"), HttpResponse(200, b"ok")),
        ],
    )
    def test_whatever_is_http_is_an_answer_after_one_request(
        self, serve: Serve, reply: bytes, expected: HttpResponse
    ) -> None:
        server = serve(always(reply))

        response = caller().exchange(HttpRequest("POST", server.url, FIELDS))

        assert response == expected
        assert len(server.requests) == 1

    @pytest.mark.parametrize("method", ["GET", "POST"])
    def test_a_list_may_be_longer_than_other_answers_as_long_as_its_question_says(
        self, serve: Serve, method: Method
    ) -> None:
        server = serve(always(answer(b"x" * 200_000)))
        transport = caller()

        heard = transport.exchange(HttpRequest(method, server.url, longest_answer=200_000))

        assert len(heard.body) == 200_000
        for too_little in (199_999, None):
            with pytest.raises(CallBroken) as broken:
                transport.exchange(HttpRequest(method, server.url, longest_answer=too_little))
            assert broken.value.outcome == maybe_sent("AnswerTooLarge")

    def test_an_old_server_ends_its_answer_by_closing(self, serve: Serve) -> None:
        server = serve(once_then_close(b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nmsgid=1"))

        assert caller().exchange(HttpRequest("GET", server.url)) == HttpResponse(200, b"msgid=1", "text/plain")

    def test_over_tls_an_answer_without_length_is_whole_when_it_is_closed_properly(
        self, serve: Serve, server_tls: ssl.SSLContext, ca_file: str
    ) -> None:
        def close_properly(conversation: Conversation) -> None:
            once_then_close(b"HTTP/1.0 200 OK\r\n\r\nmsgid=12")(conversation)
            assert isinstance(conversation.wire, ssl.SSLSocket)
            conversation.wire.unwrap()

        server = serve(close_properly, server_tls)

        assert caller(ca_file=ca_file).exchange(HttpRequest("POST", server.url)).body == b"msgid=12"

    def test_over_tls(self, serve: Serve, server_tls: ssl.SSLContext, ca_file: str) -> None:
        server = serve(always(answer(b"ok")), server_tls)

        assert caller(ca_file=ca_file).exchange(HttpRequest("POST", server.url, FIELDS)).body == b"ok"

    def test_a_cookie_does_not_come_back(self, serve: Serve) -> None:
        server = serve(always(answer(b"", b"200 OK", b"Set-Cookie: session=1")))
        transport = caller()

        transport.exchange(HttpRequest("GET", server.url))
        transport.exchange(HttpRequest("GET", server.url))

        assert b"ookie" not in server.requests[1]

    def test_proxies_and_key_logs_of_the_environment_are_not_for_us(
        self, serve: Serve, server_tls: ssl.SSLContext, ca_file: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        server = serve(always(answer(b"ok")), server_tls)
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, "http://127.0.0.1:1/")
        monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys"))

        assert caller(ca_file=ca_file).exchange(HttpRequest("POST", server.url)).body == b"ok"
        assert not (tmp_path / "keys").exists()


HARD_VALUES = (
    ("a", "& = # % + ; \n \r \0 ' \" < > ? / \\"),
    ("中文", "你好嗎?😀 é"),
    ("a", "twice, and in between another"),
    ("empty", ""),
    ("password", "%41&username=other"),
    ("crlf", "\r\nX-Injected: 1\r\n\r\nGET / HTTP/1.1"),
)


class TestWhatIsOnTheWire:
    def test_a_get_carries_every_field_once_encoded_in_the_query_in_order(self, serve: Serve) -> None:
        server = serve(always(answer()))

        caller().exchange(HttpRequest("GET", server.url, HARD_VALUES))

        line, rest = server.requests[0].split(b"\r\n", 1)
        method, target, version = line.split(b" ")
        path, _, query = target.partition(b"?")
        assert (method, path, version) == (b"GET", b"/sms/send.asp", b"HTTP/1.1")
        assert _pairs(query) == list(HARD_VALUES)
        assert b"X-Injected" not in rest
        assert rest.endswith(b"\r\n\r\n")

    def test_a_post_carries_them_the_same_in_its_form_and_nothing_in_the_address(self, serve: Serve) -> None:
        server = serve(always(answer()))

        caller().exchange(HttpRequest("POST", server.url, HARD_VALUES))

        head, _, form = server.requests[0].partition(b"\r\n\r\n")
        assert head.startswith(b"POST /sms/send.asp HTTP/1.1\r\n")
        assert _pairs(form) == list(HARD_VALUES)

    def test_the_bytes_of_a_form_are_these(self, serve: Serve) -> None:
        server = serve(always(answer()))

        caller().exchange(HttpRequest("POST", server.url, (("to", "+886912345678"), ("text", "a b&c=驗%\n"))))

        assert server.requests[0].endswith(b"\r\n\r\nto=%2B886912345678&text=a+b%26c%3D%E9%A9%97%25%0A")

    def test_a_query_that_is_already_in_the_address_stays(self, serve: Serve) -> None:
        server = serve(always(answer()))

        caller().exchange(HttpRequest("GET", server.url + "?rtype=JSON", (("msgid", "1"),)))
        caller().exchange(HttpRequest("GET", server.url + "?rtype=JSON"))

        assert [request.split(b" ")[1] for request in server.requests] == [
            b"/sms/send.asp?rtype=JSON&msgid=1",
            b"/sms/send.asp?rtype=JSON",
        ]

    def test_the_headers_are_these_and_no_others(self, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("_X_AMZN_TRACE_ID", "Root=1-5759e988-bd862e3fe1be46a994272793")
        server = serve(always(answer()))

        caller().exchange(HttpRequest("POST", server.url, (("a", "1"),)))

        head = server.requests[0].partition(b"\r\n\r\n")[0].decode()
        assert dict(line.split(": ", 1) for line in head.split("\r\n")[1:]) == {
            "Host": f"127.0.0.1:{server.port}",
            "User-Agent": "smsgate",
            "Accept": "*/*",
            "Accept-Encoding": "identity",
            "Content-Type": "application/x-www-form-urlencoded",
            "Content-Length": "3",
        }

    def test_a_body_of_another_kind_goes_out_as_it_is(self, serve: Serve) -> None:
        server = serve(always(answer(b"<answer/>")))

        headers = {"Content-Type": "text/xml; charset=utf-8", "SOAPAction": '"x"'}

        response = caller().carry("POST", server.url, content=b"<envelope/>", headers=headers)

        head, _, body = server.requests[0].partition(b"\r\n\r\n")
        assert body == b"<envelope/>"
        assert b"\r\nContent-Type: text/xml; charset=utf-8\r\n" in head + b"\r\n"
        assert b'\r\nSOAPAction: "x"' in head
        assert response.body == b"<answer/>"

    def test_a_header_that_would_begin_a_new_line_is_not_sent(self, serve: Serve) -> None:
        server = serve(always(answer()))

        with pytest.raises(CallBroken) as broken:
            caller().carry("POST", server.url, content=b"", headers={"SOAPAction": "x\r\nX-Injected: 1"})

        assert isinstance(broken.value.outcome, NotSent)
        assert server.requests == []

    def test_ipv6_by_its_number(self) -> None:
        try:
            listener = socket.create_server(("::1", 0), family=socket.AF_INET6)
        except OSError:
            pytest.skip("no IPv6 on this machine")
        with listener:
            port = listener.getsockname()[1]

            def say_six() -> None:
                wire, _ = listener.accept()
                with wire:
                    wire.recv(65536)
                    wire.sendall(answer(b"six"))

            threading.Thread(target=say_six, daemon=True).start()

            assert caller().exchange(HttpRequest("POST", f"http://[::1]:{port}/")).body == b"six"


class TestKeepAlive:
    def test_one_connection_carries_call_after_call(
        self, serve: Serve, server_tls: ssl.SSLContext, ca_file: str
    ) -> None:
        for tls in (None, server_tls):
            server = serve(always(answer()), tls)
            transport = caller(ca_file=ca_file)

            for _ in range(50):
                transport.exchange(HttpRequest("POST", server.url, FIELDS))

            assert len(server.requests) == 50
            assert server.accepted == 1

    def test_each_thread_has_a_connection_and_they_are_used_again(self, serve: Serve) -> None:
        def slowly(conversation: Conversation) -> None:
            for request in conversation.requests():
                time.sleep(0.002)
                conversation.say(answer(request.partition(b"\r\n\r\n")[2]))

        server = serve(slowly)
        transport = caller(20)

        def call(number: int) -> bool:
            return transport.exchange(HttpRequest("POST", server.url, (("id", str(number)),))).body == b"id=%d" % number

        with ThreadPoolExecutor(64) as pool:
            right = list(pool.map(call, range(640)))

        assert all(right)
        assert len(server.requests) == 640
        assert server.accepted <= 64

    def test_a_connection_the_server_closed_is_noticed_before_anything_is_written(self, serve: Serve) -> None:
        server = serve(once_then_close(answer()))
        transport = caller()

        for _ in range(5):
            assert transport.exchange(HttpRequest("POST", server.url, FIELDS)).status == 200
            time.sleep(0.02)

        assert len(server.requests) == server.accepted == 5

    def test_a_connection_on_which_the_server_says_more_than_asked_is_not_used_again(self, serve: Serve) -> None:
        def chatter(conversation: Conversation) -> None:
            for _ in conversation.requests():
                conversation.say(answer(b"right"))
                time.sleep(0.01)
                conversation.say(answer(b"an answer to nothing"))

        together = always(answer(b"right") + answer(b"an answer to nothing"))
        for script in (chatter, together):
            server = serve(script)
            transport = caller()

            for _ in range(3):
                assert transport.exchange(HttpRequest("POST", server.url, FIELDS)).body == b"right"
                time.sleep(0.03)

            assert server.accepted == 3

    def test_a_connection_that_rested_too_long_is_not_used_again(self, serve: Serve) -> None:
        server = serve(always(answer()))
        transport = caller(idle_seconds=0.05)

        transport.exchange(HttpRequest("POST", server.url, FIELDS))
        transport.exchange(HttpRequest("POST", server.url, FIELDS))
        time.sleep(0.1)
        transport.exchange(HttpRequest("POST", server.url, FIELDS))

        assert server.accepted == 2

    def test_connections_nobody_needs_any_more_are_closed_one_by_one(self, serve: Serve) -> None:
        closed: list[int] = []

        def note_the_end(conversation: Conversation) -> None:
            for _ in conversation.requests():
                time.sleep(0.05)
                conversation.say(answer())
            closed.append(conversation.number)

        server = serve(note_the_end)
        transport = caller(idle_seconds=0.1)
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _: transport.exchange(HttpRequest("POST", server.url)), range(8)))
        assert server.accepted == 8

        for _ in range(12):
            transport.exchange(HttpRequest("POST", server.url))

        server.wait_for(lambda: len(closed) >= 7)

    @pytest.mark.parametrize("header", [b"Connection: close", b"Connection: Close, x"])
    def test_a_server_that_announces_to_close_is_believed(self, serve: Serve, header: bytes) -> None:
        server = serve(always(answer(b"", b"200 OK", header)))
        transport = caller()

        for _ in range(3):
            transport.exchange(HttpRequest("POST", server.url, FIELDS))

        assert server.accepted == 3

    def test_after_a_broken_call_the_next_has_a_fresh_connection(self, serve: Serve) -> None:
        def first_breaks(conversation: Conversation) -> None:
            if conversation.number == 0:
                hear_and_stay_silent(conversation)
            always(answer(b"ok"))(conversation)

        server = serve(first_breaks)
        transport = caller(DEADLINE)

        assert outcome_of(transport, server.url) == maybe_sent("ReadTimeout")
        assert transport.exchange(HttpRequest("POST", server.url, FIELDS)).body == b"ok"

    @pytest.mark.parametrize("over_tls", [False, True])
    def test_a_server_that_closes_idle_connections_at_random_gets_no_request_twice(
        self, serve: Serve, server_tls: ssl.SSLContext, ca_file: str, over_tls: bool
    ) -> None:
        seed = random.Random(7)
        pauses = [seed.uniform(0, 0.004) for _ in range(2000)]

        def close_at_random(conversation: Conversation) -> None:
            conversation.wire.settimeout(pauses[conversation.number])  # So a read that takes longer ends the talk.
            if conversation.hear():
                conversation.say(answer())
            for _ in conversation.requests():
                conversation.say(answer())

        server = serve(close_at_random, server_tls if over_tls else None)
        transport = caller(5, ca_file=ca_file)
        ends: Counter[str] = Counter()
        for number in range(300):
            try:
                transport.exchange(HttpRequest("POST", server.url, (("id", str(number)),)))
                ends["answered"] += 1
            except CallBroken as broken:
                ends[type(broken.outcome).__name__] += 1
            time.sleep(seed.uniform(0, 0.004))

        seen = Counter(request.partition(b"\r\n\r\n")[2] for request in server.requests)
        assert max(seen.values()) == 1
        assert sum(seen.values()) <= ends["answered"] + ends["MaybeSent"]
        assert ends["answered"] > 100
        assert 10 < server.accepted < 300  # Both happened: connections used again, connections found closed.


class TestSecretsStayInside:
    """S8: the call's fields hold the password, the number and the text; no exception and no log line may."""

    @pytest.mark.parametrize("method", ["GET", "POST"])
    @pytest.mark.parametrize(
        "script",
        [case.values[0] for case in BREAKS_AFTER_THE_REQUEST],
        ids=[str(c.id) for c in BREAKS_AFTER_THE_REQUEST],
    )
    def test_in_no_log_at_debug_and_in_no_exception(
        self,
        serve: Serve,
        caplog: pytest.LogCaptureFixture,
        capfd: pytest.CaptureFixture[str],
        script: Script,
        method: Method,
    ) -> None:
        server = serve(script)

        shown = _everything_said_of(server, method, caplog)

        assert _leaks(shown + "".join(capfd.readouterr())) == set()

    @pytest.mark.parametrize("method", ["GET", "POST"])
    def test_nor_of_a_call_that_works_or_finds_nobody(
        self, serve: Serve, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str], method: Method
    ) -> None:
        server = serve(always(answer()))
        shown = _everything_said_of(server, method, caplog)
        server.close()

        shown += _everything_said_of(server, method, caplog)

        assert _leaks(shown + "".join(capfd.readouterr())) == set()

    def test_no_library_hangs_its_own_exception_on_ours(self, serve: Serve) -> None:
        server = serve(hear_and_close)

        with pytest.raises(CallBroken) as broken:
            caller().exchange(HttpRequest("GET", server.url, FIELDS))

        assert broken.value.__cause__ is None
        assert broken.value.__context__ is None

    @pytest.mark.parametrize("library", ["httpx", "httpcore", "h11"])
    def test_their_loggers_stay_quiet_even_if_somebody_turns_them_up(
        self, library: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        logger = logging.getLogger(library)
        level = logger.level
        logger.setLevel(logging.DEBUG)
        with caplog.at_level(logging.DEBUG):
            logger.info("HTTP Request: GET https://sms.example.com/?password=canary")
        logger.setLevel(level)

        assert caplog.text == ""


def _everything_said_of(server: RawServer, method: Method, caplog: pytest.LogCaptureFixture) -> str:
    caplog.set_level(logging.DEBUG)
    request = HttpRequest(method, server.url, FIELDS)
    shown = repr(request)
    try:
        shown += repr(caller(DEADLINE).exchange(request))
    except CallBroken as broken:
        shown += repr(broken) + str(broken) + repr(broken.outcome) + "".join(traceback.format_exception(broken))
    return shown + caplog.text


def _leaks(shown: str) -> set[str]:
    return {canary for canary in ("canary", "912345678", "%E9", "驗證碼", "ssword=") if canary in shown}


def _pairs(encoded: bytes) -> list[tuple[str, str]]:
    pairs = []
    for pair in encoded.split(b"&"):
        ((key, values),) = parse_qs(pair.decode("ascii"), keep_blank_values=True, strict_parsing=True).items()
        pairs.append((key, values[0]))
    return pairs


@contextmanager
def black_hole() -> Iterator[int]:
    """A port whose queue of callers is full: it lets every further one try for ever."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        time.sleep(0.05)
        yield listener.getsockname()[1]
        for filler in fillers:
            filler.close()


def _raise_no_such_name(*_: object, **__: object) -> None:
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
