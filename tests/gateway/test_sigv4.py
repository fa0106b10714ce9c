"""Signature Version 4, against AWS's own published examples and against botocore for any request."""

from __future__ import annotations

import string
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as TheirCredentials
from hypothesis import given
from hypothesis import strategies as st

from smsgate.sigv4 import Credentials, Signer, amz_date

# "Signature Version 4 test suite": its credentials, scope and time are the same in every example.
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
SUITE = Signer(Credentials("AKIDEXAMPLE", SECRET), "us-east-1", "service")
HEADERS = {"host": "example.amazonaws.com", "x-amz-date": "20150830T123600Z"}
TOKEN = (
    "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx"
    "7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6"
    "d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA=="
)


@pytest.mark.parametrize(
    ("example", "headers", "body", "signed", "signature"),
    [
        (
            "post-vanilla",
            {},
            b"",
            "host;x-amz-date",
            "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
        ),
        (
            "post-header-key-sort",
            {"my-header1": "value1"},
            b"",
            "host;my-header1;x-amz-date",
            "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c",
        ),
        (
            "post-header-value-case",
            {"my-header1": "VALUE1"},
            b"",
            "host;my-header1;x-amz-date",
            "cdbc9802e29d2942e5e10b5bccfdd67c5f22c7c4e8ae67b53629efa58b974b7d",
        ),
        (
            "post-sts-header-before",
            {"x-amz-security-token": TOKEN},
            b"",
            "host;x-amz-date;x-amz-security-token",
            "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead",
        ),
        (
            "post-x-www-form-urlencoded",
            {"content-type": "application/x-www-form-urlencoded"},
            b"Param1=value1",
            "content-type;host;x-amz-date",
            "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
        ),
    ],
)
def test_the_published_examples_come_out(
    example: str, headers: dict[str, str], body: bytes, signed: str, signature: str
) -> None:
    authorization = SUITE.authorization("POST", "/", {**HEADERS, **headers}, body)

    assert authorization == (
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
        f"SignedHeaders={signed}, Signature={signature}"
    )


WORDS = st.text(string.ascii_letters + string.digits + "/+=.-_", min_size=1, max_size=40)
DATES = st.datetimes().map(lambda at: f"{at:%m%dT%H%M%SZ}".rjust(len("20150830T123600Z"), "2"))


@given(
    secret=WORDS,
    region=WORDS,
    service=st.sampled_from(["dynamodb", "sqs", "events", "secretsmanager", "ssm"]),
    path=st.sampled_from(["/", "/aws", "/a/b", "/a%20b"]),
    date=DATES,
    headers=st.dictionaries(
        WORDS.map(lambda word: "x-" + "".join(c for c in word.lower() if c.isalnum())), WORDS, max_size=5
    ),
    body=st.binary(max_size=300),
)
def test_a_signature_is_botocores_for_any_request(
    secret: str, region: str, service: str, path: str, date: str, headers: dict[str, str], body: bytes
) -> None:
    headers = {**headers, "host": "127.0.0.1:4566", "x-amz-date": date}
    theirs = AWSRequest("POST", f"http://127.0.0.1:4566{path}", headers=headers, data=body)
    theirs.context["timestamp"] = date
    auth = SigV4Auth(TheirCredentials("id", secret), service, region)
    canonical = auth.canonical_request(theirs)
    to_sign = auth.string_to_sign(theirs, canonical)
    quoted_path = canonical.split("\n")[1]  # botocore quotes it; ours is given what goes into the request.

    ours = Signer(Credentials("id", secret), region, service).authorization("POST", quoted_path, headers, body)

    assert ours.rpartition("Signature=")[2] == auth.signature(to_sign, theirs)
    assert f"Credential={auth.scope(theirs)}," in ours
    assert f"SignedHeaders={auth.signed_headers(auth.headers_to_sign(theirs))}," in ours


@given(at=st.datetimes(timezones=st.just(UTC)))
def test_a_moment_is_written_as_aws_writes_it(at: datetime) -> None:
    written = amz_date(at)

    assert datetime.strptime(written, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC) == at.replace(microsecond=0)


def test_the_next_day_has_a_key_of_its_own_and_so_has_the_day_before() -> None:
    days = ["20150830", "20150831", "20150830"]

    signed = [SUITE.authorization("POST", "/", {**HEADERS, "x-amz-date": f"{day}T123600Z"}, b"") for day in days]

    fresh = [
        Signer(Credentials("AKIDEXAMPLE", SECRET), "us-east-1", "service").authorization(
            "POST", "/", {**HEADERS, "x-amz-date": f"{day}T123600Z"}, b""
        )
        for day in days
    ]
    assert signed == fresh
    assert signed[0] != signed[1]


def test_threads_that_meet_at_midnight_sign_with_the_key_of_their_own_day(many_switches: None) -> None:
    dates = [f"2015083{number % 2}T123600Z" for number in range(2000)]
    alone = {
        date: Signer(Credentials("AKIDEXAMPLE", SECRET), "us-east-1", "service").authorization(
            "POST", "/", {**HEADERS, "x-amz-date": date}, b""
        )
        for date in set(dates)
    }

    with ThreadPoolExecutor(8) as pool:
        signed = list(
            pool.map(lambda date: SUITE.authorization("POST", "/", {**HEADERS, "x-amz-date": date}, b""), dates)
        )

    assert signed == [alone[date] for date in dates]
