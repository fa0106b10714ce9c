"""Whatever comes in, nothing breaks: properties of the whole gateway, for what nobody thought of putting on a list.

The parsers have properties of their own in tests/providers and tests/gateway; here the bytes go through the handlers,
as they would come. The nightly profile tries each ten thousand times.
"""

from __future__ import annotations

import importlib
import inspect
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from smsgate import telemetry
from smsgate.requests import FIELDS
from tests.faults.bad_inputs.callbacks import FORM, SAMPLES, Sample
from tests.faults.bad_inputs.gateway import (
    Gateway,
    Known,
    callback_event,
    encoded,
    furnish,
    mail_event,
    record,
    wake_up,
)
from tests.faults.bad_inputs.shapes import RIGHT, TO
from tests.faults.bad_inputs.vendors import KEYS

shared = settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
"""The gateway is put back by each example itself, as the first thing it does."""

METHODS = ("GET", "POST", "PUT", "DELETE", "HEAD", "PATCH", "OPTIONS")

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)
NUMBERS = st.sampled_from([TO, "+85261234567", "０９１２３４５６７８", "tel:1"]) | st.text(max_size=16)
REQUESTS = st.fixed_dictionaries(
    {"id": st.just("order-1") | JSON, "to": NUMBERS | st.lists(NUMBERS, max_size=3) | JSON, "text": st.text() | JSON},
    optional={name: JSON for name in FIELDS if name not in ("id", "to", "text")},
)


@pytest.fixture(scope="module")
def furnished() -> Iterator[tuple[Gateway, Known]]:
    telemetry.logger.cache_clear()
    gateway = Gateway()
    yield gateway, furnish(gateway)
    telemetry.logger.cache_clear()


@st.composite
def damaged(draw: st.DrawFn, whole: bytes) -> bytes:
    """With a few of its bytes cut out, changed, or put in between."""
    found = bytearray(whole)
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(found)))
        end = draw(st.integers(start, min(len(found), start + 6)))
        found[start:end] = draw(
            st.binary(max_size=6) | st.text(max_size=3).map(lambda said: said.encode("utf-8", "surrogatepass"))
        )
    return bytes(found)


def statuses(gateway: Gateway, known: Known) -> dict[str, str]:
    found = {key: gateway.ledger.get(message_id) for key, message_id in known.message_ids.items()}
    return {key: message.status.value for key, message in found.items() if message is not None}


def tell(gateway: Gateway, known: Known, sample: Sample, query: str, body: bytes | None, method: str) -> int:
    token, path = known.tokens[f"{sample.kind}/{sample.provider}"]
    headers = FORM if body is not None else {}
    event = callback_event(sample.provider, token, path=path, query=query, body=body, method=method, headers=headers)
    status, _ = gateway.call(sample.kind, event)
    return status


@given(
    sample=st.sampled_from(SAMPLES),
    query=st.text(max_size=200),
    body=st.none() | st.binary(max_size=200),
    method=st.sampled_from(METHODS),
)
@shared
def test_any_callback_with_a_right_token_is_taken_and_none_of_nonsense_is_a_report(
    furnished: tuple[Gateway, Known], sample: Sample, query: str, body: bytes | None, method: str
) -> None:
    gateway, known = furnished
    gateway.reset()

    assert tell(gateway, known, sample, query, body, method) == 200
    assert set(statuses(gateway, known).values()) == {"sent"}
    assert gateway.vendors.calls == []


@given(data=st.data())
@shared
def test_a_damaged_callback_is_taken_and_touches_no_other_vendors_message(
    furnished: tuple[Gateway, Known], data: st.DataObject
) -> None:
    gateway, known = furnished
    gateway.reset()
    sample = data.draw(st.sampled_from(SAMPLES))
    written = data.draw(damaged(sample.write(sample.fields).encode()))
    body, query = (written, "") if sample.method == "POST" else (None, written.decode("latin-1"))

    assert tell(gateway, known, sample, query, body, sample.method) == 200
    others = {key: status for key, status in statuses(gateway, known).items() if key != sample.provider}
    assert set(others.values()) == {"sent"}
    assert gateway.vendors.calls == []


@given(data=st.data())
@shared
def test_a_damaged_mail_settles_nothing_but_the_message_it_answers(
    furnished: tuple[Gateway, Known], data: st.DataObject
) -> None:
    gateway, known = furnished
    gateway.reset()
    answer = data.draw(
        st.sampled_from(["SMSDID:10002", "ERROR:17 (XXXXXX)", "<p>SMSDID: 10002</p>", "SMSDID:10002,10003"])
    )
    kind = data.draw(st.sampled_from(["text/plain", "text/html; charset=big5", "multipart/mixed; boundary=b"]))
    whole = f"From: sendsms@meteorsis.com\r\nSubject: {known.awaited}\r\nContent-Type: {kind}\r\n\r\n{answer}\r\n"
    gateway.bucket.mails["mails/mail-2"] = data.draw(damaged(whole.encode()))

    gateway.run("mailbox", mail_event("mail-2"))

    assert set(statuses(gateway, known).values()) == {"sent"}
    assert gateway.vendors.calls == []


@given(said=REQUESTS | JSON, by=st.sampled_from(["queue", "http", "wake-up"]))
@shared
def test_any_json_is_sent_or_refused_with_its_problems_and_never_comes_again(
    furnished: tuple[Gateway, Known], said: Any, by: str
) -> None:
    gateway, _ = furnished
    gateway.reset()
    body = json.dumps(said)

    if by == "http":
        status, answer = gateway.ask("POST /messages", **encoded(body.encode()))
        assert status == (422 if "problems" in answer else 202)
        assert status == 202 or answer["problems"]
        assert gateway.vendors.calls == []
    elif by == "wake-up":
        assert gateway.queue(wake_up(body)) == []
        assert gateway.vendors.calls == []
    else:
        assert gateway.queue(record(body)) == []
        refused = [item for (_, sk), item in gateway.table.added().items() if sk.startswith("rejected#")]
        messages = [item for (_, sk), item in gateway.table.added().items() if sk.startswith("m#")]
        assert bool(refused) != bool(messages)


@given(body=st.binary(max_size=300) | damaged(json.dumps(dict(RIGHT)).encode()))
@shared
def test_any_bytes_posted_are_answered(furnished: tuple[Gateway, Known], body: bytes) -> None:
    gateway, _ = furnished
    gateway.reset()

    status, answer = gateway.ask("POST /messages", **encoded(body))

    assert status in (202, 422)
    assert status == 202 or answer["problems"]
    assert gateway.vendors.calls == []


def test_every_parser_has_properties_enough_for_a_hundred_thousand_examples_a_night() -> None:
    """Five send answers (the mail's among them), five callbacks, the queries, the mail: by vendor and by parser."""
    properties: dict[tuple[str, str], int] = {}
    for path in sorted(Path(__file__).parents[1].glob("providers/test_*.py")):
        module = importlib.import_module(f"tests.providers.{path.stem}")
        for name, found in inspect.getmembers(module, inspect.isclass):
            tried = [each for _, each in inspect.getmembers(found) if getattr(each, "is_hypothesis_test", False)]
            if name.startswith("Test") and tried:
                properties[path.stem.removeprefix("test_"), name] = len(tried)

    sending = {key for key, name in properties if name == "TestSending"}
    receipts = {key for key, name in properties if name == "TestReceipts"}
    querying = {key for key, name in properties if name == "TestQuerying"}
    nightly = settings.get_profile("nightly").max_examples
    assert sending == set(KEYS) - {"meteorsis"}  # whose answer comes by mail, and is read by what reads mails
    assert receipts == set(KEYS)
    assert querying == {"twsms", "smsgo", "every8d"}
    assert sum(properties.values()) * nightly >= 100_000
