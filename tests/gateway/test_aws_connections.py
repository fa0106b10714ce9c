"""Connections to AWS, over real sockets: kept, replaced, given up in time, and read as HTTP has it."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import botocore
import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from smsgate import aws_connections
from smsgate.aws_connections import Endpoint, HttpAnswer, NoAnswer
from tests.transports.conftest import tls_with
from tests.transports.raw_server import Conversation, RawServer, answer

Serve = Callable[..., RawServer]

REQUEST = b"POST / HTTP/1.1\r\nhost: canary\r\ncontent-length: 6\r\n\r\ncanary"
PATIENT = 5.0
HASTY = 0.2


@pytest.fixture
def open_endpoint() -> Iterator[Callable[..., Endpoint]]:
    opened: list[Endpoint] = []

    def open_one(server: RawServer, read_seconds: float = PATIENT, **options: object) -> Endpoint:
        url = f"{'https' if 'ca_file' in options else 'http'}://127.0.0.1:{server.port}"
        given: dict[str, object] = {"connect_seconds": PATIENT, "most_kept": 50, **options}
        opened.append(Endpoint(url, read_seconds=read_seconds, **given))  # type: ignore[arg-type]
        return opened[-1]

    yield open_one
    for endpoint in opened:
        endpoint.close()


Open = Callable[..., Endpoint]


def echoes(talk: Conversation) -> None:
    for request in talk.requests():
        talk.say(answer(request.rpartition(b"\r\n")[2]))


def says(*parts: bytes) -> Callable[[Conversation], None]:
    """Answers each request with these bytes, and hangs up after that."""

    def script(talk: Conversation) -> None:
        if talk.hear():
            talk.say(*parts)

    return script


class TestKeeping:
    def test_calls_one_after_the_other_share_a_connection(self, serve: Serve, open_endpoint: Open) -> None:
        server = serve(echoes)
        endpoint = open_endpoint(server)

        bodies = [endpoint.exchange(REQUEST).body for _ in range(5)]

        assert bodies == [b"canary"] * 5
        assert server.accepted == 1

    def test_a_request_leaves_in_one_piece_exactly_as_it_is(self, serve: Serve, open_endpoint: Open) -> None:
        server = serve(echoes)

        open_endpoint(server).exchange(REQUEST)

        assert server.requests == [REQUEST]

    def test_nagle_is_off(self, serve: Serve, open_endpoint: Open) -> None:
        endpoint = open_endpoint(serve(echoes))
        endpoint.exchange(REQUEST)

        (kept,) = endpoint._kept

        assert kept._wire.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)

    def test_each_thread_has_a_connection_to_itself_and_its_own_answer(self, serve: Serve, open_endpoint: Open) -> None:
        together = threading.Barrier(8)

        def meet(talk: Conversation) -> None:
            for request in talk.requests():
                together.wait(PATIENT)
                talk.say(answer(request.rpartition(b"\r\n")[2]))

        server = serve(meet)
        endpoint = open_endpoint(server)
        requests = [REQUEST.replace(b"canary", b"%06d" % number) for number in range(800)]

        with ThreadPoolExecutor(8) as pool:
            bodies = list(pool.map(lambda request: endpoint.exchange(request).body, requests))

        assert bodies == [b"%06d" % number for number in range(800)]
        assert server.accepted == 8

    def test_no_more_are_kept_than_are_allowed(self, serve: Serve, open_endpoint: Open) -> None:
        together = threading.Barrier(4)

        def meet(talk: Conversation) -> None:
            for _ in talk.requests():
                together.wait(PATIENT)
                talk.say(answer())

        endpoint = open_endpoint(serve(meet), most_kept=1)

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(endpoint.exchange, [REQUEST] * 4))

        assert len(endpoint._kept) == 1

    @pytest.mark.parametrize(
        "said",
        [
            answer(b"x", b"200 OK", b"Connection: close"),
            answer(b"x").replace(b"HTTP/1.1", b"HTTP/1.0"),
            answer(b"x") + b"surplus",
        ],
    )
    def test_a_connection_that_is_over_or_out_of_step_is_not_kept(
        self, serve: Serve, open_endpoint: Open, said: bytes
    ) -> None:
        def says_it_and_stays(talk: Conversation) -> None:
            for _ in talk.requests():
                talk.say(said)

        server = serve(says_it_and_stays)
        endpoint = open_endpoint(server)

        bodies = [endpoint.exchange(REQUEST).body for _ in range(2)]

        assert bodies == [b"x", b"x"]
        assert server.accepted == 2

    def test_an_answer_that_ends_with_its_connection_leaves_none(self, serve: Serve, open_endpoint: Open) -> None:
        server = serve(says(b"HTTP/1.1 200 OK\r\n\r\nx"))
        endpoint = open_endpoint(server)

        bodies = [endpoint.exchange(REQUEST).body for _ in range(2)]

        assert bodies == [b"x", b"x"]
        assert server.accepted == 2


class TestReplacing:
    def test_one_that_was_closed_while_it_lay_idle_is_replaced_unasked(self, serve: Serve, open_endpoint: Open) -> None:
        def ends_and_goes_on_listening(talk: Conversation) -> None:
            talk.hear()
            talk.say(answer())
            talk.wire.shutdown(socket.SHUT_WR)
            talk.hear()

        server = serve(ends_and_goes_on_listening)
        endpoint = open_endpoint(server)

        for _ in range(3):
            assert endpoint.exchange(REQUEST).status == 200
            kept = endpoint._kept[0]
            server.wait_for(lambda kept=kept: not kept.is_silent())  # type: ignore[misc]

        assert server.accepted == len(server.requests) == 3

    @pytest.mark.parametrize("end", [lambda talk: None, Conversation.reset], ids=["closed", "reset"])
    def test_one_that_closes_on_the_request_is_replaced_and_the_request_sent_again(
        self, serve: Serve, open_endpoint: Open, end: Callable[[Conversation], None]
    ) -> None:
        def answers_one_request_a_connection(talk: Conversation) -> None:
            talk.hear()
            talk.say(answer())
            if talk.hear():
                end(talk)

        server = serve(answers_one_request_a_connection)
        endpoint = open_endpoint(server)
        endpoint.exchange(REQUEST)

        second = endpoint.exchange(REQUEST)

        assert second.status == 200
        assert len(server.requests) == 3

    def test_where_one_was_given_up_the_others_are_not_kept_either(self, serve: Serve, open_endpoint: Open) -> None:
        together = threading.Barrier(4)

        def answers_one_request_a_connection(talk: Conversation) -> None:
            talk.hear()
            if talk.number < 4:
                together.wait(PATIENT)
            talk.say(answer())
            talk.hear()

        server = serve(answers_one_request_a_connection)
        endpoint = open_endpoint(server)
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(endpoint.exchange, [REQUEST] * 4))

        endpoint.exchange(REQUEST)

        assert len(server.requests) == 6  # four, one into a dead connection, and the same on a new one
        assert len(endpoint._kept) == 1

    def test_a_new_one_that_closes_without_an_answer_is_not_tried_again_here(
        self, serve: Serve, open_endpoint: Open
    ) -> None:
        server = serve(lambda talk: talk.hear())

        with pytest.raises(NoAnswer, match="closed without an answer"):
            open_endpoint(server).exchange(REQUEST)

        assert len(server.requests) == 1

    def test_one_that_breaks_within_its_answer_is_not_tried_again_here(self, serve: Serve, open_endpoint: Open) -> None:
        def breaks(talk: Conversation) -> None:
            talk.hear()
            talk.say(answer())
            talk.hear()
            talk.say(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n")

        server = serve(breaks)
        endpoint = open_endpoint(server)
        endpoint.exchange(REQUEST)

        with pytest.raises(NoAnswer, match="broken within the answer"):
            endpoint.exchange(REQUEST)

        assert len(server.requests) == 2


class TestGivingUp:
    @pytest.mark.parametrize(
        "said",
        [b"", b"HTTP/1.1 200", b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhal"],
        ids=["silent", "head", "body"],
    )
    def test_what_does_not_come_is_not_waited_for(self, serve: Serve, open_endpoint: Open, said: bytes) -> None:
        def stalls(talk: Conversation) -> None:
            talk.hear()
            talk.say(said)
            talk.stay_silent()

        server = serve(stalls)
        began = time.monotonic()

        with pytest.raises(NoAnswer, match="timed out") as caught:
            open_endpoint(server, HASTY).exchange(REQUEST)

        assert caught.value.is_timeout
        assert HASTY <= time.monotonic() - began < HASTY + 1
        assert len(server.requests) == 1

    def test_nobody_there_is_said_at_once(self, open_endpoint: Open, serve: Serve) -> None:
        server = serve(echoes)
        server.close()

        with pytest.raises(NoAnswer, match=r"not connected, ConnectionRefusedError$") as caught:
            open_endpoint(server).exchange(REQUEST)

        assert not caught.value.is_timeout

    @pytest.mark.parametrize("name", ["nobody.invalid", f"{'a' * 64}.example"])
    def test_a_name_that_is_nobodys_is_no_answer_either(self, name: str) -> None:
        endpoint = Endpoint(f"http://{name}", connect_seconds=PATIENT, read_seconds=PATIENT, most_kept=1)

        with pytest.raises(NoAnswer, match="not connected"):
            endpoint.exchange(REQUEST)

    def test_a_connection_that_is_not_accepted_is_not_waited_for(self) -> None:
        with socket.socket() as full:
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            fillers = [socket.socket() for _ in range(3)]
            for filler in fillers:
                filler.setblocking(False)
                filler.connect_ex(full.getsockname())
            url = f"http://127.0.0.1:{full.getsockname()[1]}"
            endpoint = Endpoint(url, connect_seconds=HASTY, read_seconds=HASTY, most_kept=1)

            with pytest.raises(NoAnswer) as caught:
                endpoint.exchange(REQUEST)

            for filler in fillers:
                filler.close()
        assert caught.value.is_timeout

    def test_no_failure_shows_the_request(self, serve: Serve, open_endpoint: Open) -> None:
        told = []
        for said in (b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf"):
            with pytest.raises(NoAnswer) as caught:
                open_endpoint(serve(says(said))).exchange(REQUEST)
            told.append(f"{caught.value!r} {caught.value} {caught.value.__cause__}")

        assert "canary" not in "".join(told)
        assert all("127.0.0.1:" in each for each in told)

    def test_what_came_is_not_shown_by_its_repr(self) -> None:
        assert "canary" not in repr(HttpAnswer(200, {"x-canary": "canary"}, b"canary"))


class TestReading:
    @pytest.mark.parametrize(
        ("said", "status", "body"),
        [
            (answer(b"hello"), 200, b"hello"),
            (answer(b""), 200, b""),
            (answer(b"{}", b"400 Bad Request"), 400, b"{}"),
            (b"HTTP/1.1 200\r\ncontent-length:5\r\n\r\nhello", 200, b"hello"),
            (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
            (b"HTTP/1.1 100 Continue\r\n\r\n" + answer(b"hello"), 200, b"hello"),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 200, b"hello"),
            (
                (
                    b"HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n"
                    b"3;why=not\r\nhel\r\n2\r\nlo\r\n0\r\nx-trailer: 1\r\n\r\n"
                ),
                200,
                b"hello",
            ),
            (b"HTTP/1.1 503 Slow Down\r\n\r\n<html>", 503, b"<html>"),
        ],
    )
    def test_an_answer_is_read_in_each_form_it_may_come_in(
        self, serve: Serve, open_endpoint: Open, said: bytes, status: int, body: bytes
    ) -> None:
        whole = open_endpoint(serve(says(said))).exchange(REQUEST)
        drops = open_endpoint(serve(says(*(said[at : at + 1] for at in range(len(said)))))).exchange(REQUEST)

        assert (whole.status, whole.body) == (drops.status, drops.body) == (status, body)

    def test_headers_are_known_by_their_names_in_lower_case(self, serve: Serve, open_endpoint: Open) -> None:
        server = serve(says(answer(b"", b"200 OK", b"x-amzn-RequestId:  R1 ", b"X-Amz-Crc32: 0")))

        headers = open_endpoint(server).exchange(REQUEST).headers

        assert (headers["x-amzn-requestid"], headers["x-amz-crc32"]) == ("R1", "0")

    def test_a_large_answer_is_read_whole(self, serve: Serve, open_endpoint: Open) -> None:
        large = bytes(range(256)) * 20_000

        assert open_endpoint(serve(says(answer(large)))).exchange(REQUEST).body == large

    @pytest.mark.parametrize(
        "said",
        [
            b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
            b"HTTP/2 200 OK\r\n\r\n",
            b"HTTP/1.1 2_0 OK\r\n\r\n",
            b"HTTP/1.1 \xb2\xb3\xb9 OK\r\n\r\n",
            b"HTTP/1.1\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ncontent-length: 1_0\r\n\r\n0123456789",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n-1\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nx: " + b"y" * 200_000,
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + b"0" * 200_000,
        ],
    )
    def test_what_is_no_http_is_no_answer(self, serve: Serve, open_endpoint: Open, said: bytes) -> None:
        with pytest.raises(NoAnswer, match="is not HTTP"):
            open_endpoint(serve(says(said))).exchange(REQUEST)

    @given(said=st.binary(max_size=60) | st.binary(max_size=60).map(lambda rest: b"HTTP/1.1 200 OK\r\n" + rest))
    def test_any_bytes_are_an_answer_or_none_and_nothing_else(self, said: bytes) -> None:
        server = RawServer(says(said))
        url = f"http://127.0.0.1:{server.port}"
        endpoint = Endpoint(url, connect_seconds=PATIENT, read_seconds=PATIENT, most_kept=1)

        try:
            outcome: object = endpoint.exchange(REQUEST)
        except NoAnswer as none:
            outcome = none

        endpoint.close()
        server.close()
        assert isinstance(outcome, HttpAnswer | NoAnswer)


class TestAddresses:
    @pytest.mark.parametrize(
        ("url", "host", "path"),
        [
            ("https://dynamodb.eu-west-1.amazonaws.com", "dynamodb.eu-west-1.amazonaws.com", "/"),
            ("https://dynamodb.eu-west-1.amazonaws.com:443/", "dynamodb.eu-west-1.amazonaws.com", "/"),
            ("http://localhost:4566", "localhost:4566", "/"),
            ("http://localhost:80/aws", "localhost", "/aws"),
            ("http://[::1]:4566", "[::1]:4566", "/"),
        ],
    )
    def test_a_url_says_host_and_path(self, url: str, host: str, path: str) -> None:
        endpoint = Endpoint(url, connect_seconds=1, read_seconds=1, most_kept=1)

        assert (endpoint.host, endpoint.path) == (host, path)

    @pytest.mark.parametrize("url", ["localhost:4566", "ftp://localhost", "http://", ""])
    def test_what_is_no_address_is_refused(self, url: str) -> None:
        with pytest.raises(ValueError, match="http or https"):
            Endpoint(url, connect_seconds=1, read_seconds=1, most_kept=1)


class TestTls:
    def test_calls_go_over_one_connection(
        self, serve: Serve, open_endpoint: Open, authority: trustme.CA, ca_file: str
    ) -> None:
        server = serve(echoes, tls_with(authority.issue_cert("127.0.0.1")))
        endpoint = open_endpoint(server, ca_file=ca_file)

        bodies = [endpoint.exchange(REQUEST).body for _ in range(3)]

        assert bodies == [b"canary"] * 3
        assert server.accepted == 1

    def test_a_large_answer_is_read_whole(
        self, serve: Serve, open_endpoint: Open, authority: trustme.CA, ca_file: str
    ) -> None:
        large = bytes(range(256)) * 2_000
        server = serve(says(answer(large)), tls_with(authority.issue_cert("127.0.0.1")))

        assert open_endpoint(server, ca_file=ca_file).exchange(REQUEST).body == large

    def test_silence_is_not_waited_for(
        self, serve: Serve, open_endpoint: Open, authority: trustme.CA, ca_file: str
    ) -> None:
        server = serve(Conversation.stay_silent, tls_with(authority.issue_cert("127.0.0.1")))

        with pytest.raises(NoAnswer, match="timed out"):
            open_endpoint(server, HASTY, ca_file=ca_file).exchange(REQUEST)

    def test_somebody_elses_certificate_is_refused(
        self, serve: Serve, open_endpoint: Open, authority: trustme.CA, ca_file: str
    ) -> None:
        server = serve(echoes, tls_with(authority.issue_cert("elsewhere.example")))

        with pytest.raises(NoAnswer, match="not connected, SSLCertVerificationError"):
            open_endpoint(server, ca_file=ca_file).exchange(REQUEST)

        assert server.requests == []

    def test_an_unknown_authority_is_refused(self, serve: Serve, open_endpoint: Open, authority: trustme.CA) -> None:
        server = serve(echoes, tls_with(authority.issue_cert("127.0.0.1")))

        with pytest.raises(NoAnswer, match="not connected, SSLCertVerificationError"):
            open_endpoint(server, ca_file=None).exchange(REQUEST)

        assert server.requests == []

    def test_without_a_bundle_of_the_operators_it_trusts_whom_botocore_trusts(self) -> None:
        theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        theirs.load_verify_locations(Path(botocore.__file__).with_name("cacert.pem"))

        ours = aws_connections._tls(None)

        assert sorted(ours.get_ca_certs(True)) == sorted(theirs.get_ca_certs(True)) != []
        assert (ours.verify_mode, ours.check_hostname) == (ssl.CERT_REQUIRED, True)
        assert ours.minimum_version >= ssl.TLSVersion.TLSv1_2

    def test_no_session_key_is_written_out(
        self,
        serve: Serve,
        open_endpoint: Open,
        authority: trustme.CA,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        keys, bundle = tmp_path / "keys", tmp_path / "ca.pem"
        authority.cert_pem.write_to_path(str(bundle))  # not read before: a context of its own
        monkeypatch.setenv("SSLKEYLOGFILE", str(keys))
        server = serve(echoes, tls_with(authority.issue_cert("127.0.0.1")))

        open_endpoint(server, ca_file=str(bundle)).exchange(REQUEST)

        assert not keys.exists()
