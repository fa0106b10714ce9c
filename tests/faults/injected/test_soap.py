"""EVERY8D's answers come in an envelope, and with XML inside of that: what neither of the two says is not known."""

from __future__ import annotations

import time
from random import Random

from local.simulators.base import Fault, Says, Step
from local.simulators.every8d import MEDIA_TYPES, Every8d, envelope
from smsgate.status import Status
from tests.faults.doubt import POLICIES, doubt_every_call
from tests.faults.suite import Run, Where, fault
from tests.faults.traffic import MANY, accepts, alone, dice, statuses, until_over

ONLY = ("every8d",)
SPY = "https://every8d.example/what-an-entity-names"

_LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
_DOCUMENT_TYPES = (
    f'<!DOCTYPE x [<!ENTITY l0 "ha">{_LAUGHS}]>',
    '<!DOCTYPE x [<!ENTITY l9 SYSTEM "file:///etc/hostname">]>',
    f'<!DOCTYPE x [<!ENTITY l9 SYSTEM "{SPY}">]>',
    f'<!DOCTYPE x SYSTEM "{SPY}">',
    f'<!DOCTYPE x [<!ENTITY % p SYSTEM "{SPY}"> %p; <!ENTITY l9 "ha">]>',
)


@fault("F29", "SOAP: no result", Where.ANSWER, cases=POLICIES)
def test_an_envelope_without_a_result_is_no_answer(run: Run) -> None:
    """zeep would give None."""
    nil = envelope("sendSMS", "").replace(
        b"<sendSMSResult>", b'<sendSMSResult xmlns:i="http://www.w3.org/2001/XMLSchema-instance" i:nil="true">'
    )
    nothing = (envelope("sendSMS", None), envelope("sendSMS", ""), nil)

    def draw(random: Random, provider: str, taken: bool) -> Fault:
        return Says(random.choice(nothing), content_type=MEDIA_TYPES["1.1"], carried_out=taken)

    doubt_every_call(run, ONLY, draw)


@fault("F30", "SOAP: a Fault", Where.ANSWER, cases=POLICIES)
def test_a_soap_fault_does_not_say_what_was_done_before_it(run: Run) -> None:
    def draw(random: Random, provider: str, taken: bool) -> Fault:
        words = random.choice(("Server was unable to process request.", "Timeout expired.", "-101,密碼錯誤。"))
        return Every8d.faults(words, carried_out=taken)

    doubt_every_call(run, ONLY, draw)


@fault("F31", "SOAP: a document type, entities", Where.ANSWER, cases=(*POLICIES, "inside of the result"))
def test_what_xml_can_be_made_to_do_is_not_done(run: Run) -> None:
    started = time.process_time()
    if run.case in POLICIES:
        doubt_every_call(run, ONLY, _in_an_envelope_with_a_type)
    else:
        _inside_of_results(run)

    (world,) = run.worlds
    run.equal("entities fetched", sum(" wire.every8d.unknown " in line.text for line in world.trace), 0)
    run.at_most("seconds of computing", int(time.process_time() - started), 10)


def _in_an_envelope_with_a_type(random: Random, provider: str, taken: bool) -> Fault:
    answer = envelope("sendSMS", "1.0,1,1.0,0,@").replace(b"@", b"&l9;")
    return Says(_with_type(random, answer), content_type=MEDIA_TYPES["1.1"], carried_out=taken)


def _inside_of_results(run: Run) -> None:
    """The results of a login and of a question are XML of their own, in a string."""
    with run.world(providers=ONLY) as world:
        random = dice(world)
        world.providers["every8d"].receipts = (Step(3, "100", told=False),)
        for operation, inside in (("getConnection", _CONNECTION), ("getDeliveryStatus", _SMS_LOG)):
            for _ in range(3):
                said = Every8d.says(_with_type(random, inside).decode(), operation)
                world.faults.inject(said, service="wire", operation=f"every8d.{operation}")
        alone(world, "every8d")
        until_over(world)

        run.equal("struck", len(world.faults.struck), 6)
        run.equal("accepts", accepts(world, "every8d"), MANY)
        run.equal("delivered", statuses(world.messages())[Status.DELIVERED], MANY)


_DECLARATION = b'<?xml version="1.0" encoding="utf-8"?>'
_CONNECTION = _DECLARATION + (
    b"<SMS><GET_CONNECTION><CODE>0</CODE><SESSION_KEY>0123456789ABCDEF0123456789ABCDEF</SESSION_KEY>"
    b"<DESCRIPTION>&l9;</DESCRIPTION></GET_CONNECTION></SMS>"
)
_SMS_LOG = _DECLARATION + (
    b"<SMS_LOG><CODE>0</CODE><DESCRIPTION>&l9;</DESCRIPTION>"
    b'<GET_DELIVERY_STATUS COUNT="0"></GET_DELIVERY_STATUS></SMS_LOG>'
)


def _with_type(random: Random, document: bytes) -> bytes:
    return document.replace(b"?>", b"?>" + random.choice(_DOCUMENT_TYPES).encode(), 1)
