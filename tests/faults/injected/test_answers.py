"""Answers that nobody documented: what cannot be read means neither yes nor no, and what can be read is believed.

Mails are answered by mail: what is wrong with those is in test_mail.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from random import Random

from local.simulators.base import HTML, Cut, Fault, HttpAnswer, HttpCall, HttpSimulator, Says, Simulator
from local.simulators.every8d import MEDIA_TYPES, envelope
from smsgate.status import Status
from tests.faults.doubt import HOLD, POLICIES, doubt_every_call
from tests.faults.suite import Run, Where, fault
from tests.faults.traffic import (
    MANY,
    OVER_HTTP,
    REPORTED_AT_OWN_URL,
    accepts,
    alone,
    calls,
    dice,
    of_provider,
    some,
    statuses,
    strike,
    until_over,
)

_PAGES = (
    b"<html><head><title>502 Bad Gateway</title></head><body><h1>nginx</h1></body></html>",
    b"<!DOCTYPE html><html><body>Sign in to the hotel's network</body></html>",
    b"<html><body>00000 OK msgid=1 statuscode=0 true 000 1.0,1,1.0,0</body></html>",
    "<html><body>系統維護中，請稍候再試</body></html>".encode(),
)

_DONE = {
    "smsgo": b'{"result":{"msgid":2603020930000001,"statuscode":"0","statusstr":"OK","point":1}}',
    "twsms": b'{"code":"00000","text":"Success","msgid":222160591}',
    "smsget": b'{"stats":true,"error_code":"000","error_msg":"5837201|1|999999"}',
    "every8d": envelope("sendSMS", "999999.00,1,1.0,0,0f3cb9d2-4a8f-4e7e-9a55-2a1f0f4f9a11"),
}
"""No longer than what the simulators say."""

_DONE_WITHOUT_ID = {
    "smsgo": (
        b'{"result":{"statuscode":"0","statusstr":"OK","point":1}}',
        b'{"result":{"msgid":"","statuscode":"0","statusstr":"OK","point":1}}',
        b'{"result":{"msgid":0,"statuscode":"0","statusstr":"OK","point":1}}',
        b"statuscode=0\r\nstatusstr=OK\r\npoint=1\r\n",
    ),
    "twsms": (
        b'{"code":"00000","text":"Success"}',
        b'{"code":"00000","text":"Success","msgid":null}',
        b'{"code":"00000","text":"Success","msgid":""}',
        b'{"code":"00000","text":"Success","msgid":0}',
    ),
    "smsget": (
        b'{"stats":true,"error_code":"000","error_msg":""}',
        b'{"stats":true,"error_code":"000","error_msg":"|1|99"}',
        b'{"stats":true,"error_code":"000"}',
        b'{"stats":true,"error_code":"000","error_msg":null}',
    ),
    "every8d": tuple(
        envelope("sendSMS", result) for result in ("99.0,1,1.0,0,", "99.0,1,1.0,0", "99.0,1,1.0", "1,1,1,0,none")
    ),
}

_REFUSED_IN_BIG5 = {
    "smsgo": '{"result":{"msgid":-5,"statuscode":"-5","statusstr":"B Number違反規則","point":0}}'.encode("big5"),
    "twsms": '{"code":"00100","text":"手機號碼格式錯誤"}'.encode("big5"),
    "smsget": '{"stats":false,"error_code":"004","error_msg":"訊息長度過長"}'.encode("big5"),
    "every8d": envelope("sendSMS", "-27,無效門號").decode().encode("big5"),
}


@fault("F15", "200 with a page of HTML, taken or not", Where.ANSWER, cases=POLICIES)
def test_a_page_is_no_answer(run: Run) -> None:
    def draw(random: Random, provider: str, taken: bool) -> Fault:
        return Says(random.choice(_PAGES), carried_out=taken)

    doubt_every_call(run, _victims(run), draw)


@fault("F16", "200 with nothing, taken or not", Where.ANSWER, cases=POLICIES)
def test_nothing_is_no_answer(run: Run) -> None:
    def draw(random: Random, provider: str, taken: bool) -> Fault:
        return Says(random.choice((b"", b" ", b"\r\n\r\n", b"\xef\xbb\xbf")), carried_out=taken)

    doubt_every_call(run, _victims(run), draw)


@fault("F17", "200, cut at any byte, taken or not", Where.ANSWER, cases=POLICIES)
def test_a_part_of_an_answer_is_none(run: Run) -> None:
    def draw(random: Random, provider: str, taken: bool) -> Fault:
        at = random.randrange(1, len(_DONE[provider]) - 1)
        if taken:
            return Cut(at, on_the_wire=random.random() < 0.5)
        return Says(_DONE[provider][:at], content_type=_type_of(provider))

    doubt_every_call(run, _victims(run), draw)


@fault("F18", "a byte order mark, another charset than was said", Where.ANSWER)
def test_an_answer_is_what_it_is_and_not_what_it_is_said_to_be(run: Run) -> None:
    """UTF-16 is what nobody can expect us to read; a mark or a wrong content type hides nothing."""
    with run.world(providers=some(run.seed, OVER_HTTP, 1)) as world:
        (provider,) = world.providers
        refusal = Says(_REFUSED_IN_BIG5[provider], content_type=_type_of(provider))
        strike(world, refusal, provider, times=5)
        disguises = [_with_mark] * 5 + [_as_octets] * 5 + [_in_utf_16] * 5
        dice(world).shuffle(disguises)
        _disguise(world.providers[provider], disguises)
        alone(world, provider)
        until_over(world)

        found = statuses(of_provider(world)[provider])
        # Only smsgo's pages are known to speak Big5. A refusal that is read by nobody is doubtful, never a yes.
        refused = 5 if provider == "smsgo" else 0
        provable = 5 if provider in REPORTED_AT_OWN_URL else 0
        run.equal("calls", calls(world, provider), MANY)
        run.equal("accepts", accepts(world, provider), 15)
        run.equal("delivered", found[Status.DELIVERED], 10 + provable)
        run.equal("rejected", found[Status.REJECTED], refused)
        run.equal("doubtful", found[Status.DOUBTFUL], 10 - refused - provable)


@fault("F20", "success without an id", Where.ANSWER, cases=POLICIES)
def test_a_success_without_an_id_is_none(run: Run) -> None:
    def draw(random: Random, provider: str, taken: bool) -> Fault:
        return Says(random.choice(_DONE_WITHOUT_ID[provider]), content_type=_type_of(provider), carried_out=taken)

    doubt_every_call(run, _victims(run), draw, taken=1)


@fault("F21", "EVERY8D: four fields or five, with and without blanks and decimals", Where.ANSWER)
def test_an_answer_of_every_form_that_was_seen_is_an_acceptance(run: Run) -> None:
    """ "CREDIT,SENDED,COST,UNSEND,BATCH_ID" by the list of section 1.2, without UNSEND by its sample."""

    def in_another_form(answer: HttpAnswer) -> HttpAnswer:
        return replace(answer, body=re.sub(rb"(?<=Result>)[0-9][^<]*", written, answer.body))

    def written(found: re.Match[bytes]) -> bytes:
        credit, sended, cost, unsend, batch = found[0].decode().split(",")
        decimals = random.choice(("", ".0", ".00"))
        fields = [credit.split(".")[0] + decimals, sended, cost.split(".")[0] + decimals, unsend, batch]
        if random.random() < 0.5:
            del fields[3]
        return random.choice((",", ", ")).join(fields).encode()

    with run.world(providers=["every8d"]) as world:
        random = dice(world)
        _disguise(world.providers["every8d"], [in_another_form] * MANY)
        alone(world, "every8d")
        until_over(world)

        run.equal("calls", calls(world, "every8d"), MANY)
        run.equal("accepts", accepts(world, "every8d"), MANY)
        run.equal("delivered", statuses(world.messages())[Status.DELIVERED], MANY)


def _victims(run: Run) -> tuple[str, ...]:
    return some(run.seed, OVER_HTTP, 2 if run.case == HOLD else 1)


def _type_of(provider: str) -> str:
    return MEDIA_TYPES["1.1"] if provider == "every8d" else HTML


Change = Callable[[HttpAnswer], HttpAnswer]


def _disguise(simulator: Simulator, changes: Iterable[Change]) -> None:
    """The answers to its next calls that send go out changed, one change each."""
    assert isinstance(simulator, HttpSimulator)
    answer, rest = simulator.answer, iter(changes)

    def changed(call: HttpCall) -> HttpAnswer:
        said = answer(call)
        return next(rest)(said) if simulator.operation(call).startswith("send") else said

    setattr(simulator, "answer", changed)  # noqa: B010  mypy knows that nobody else should


def _with_mark(answer: HttpAnswer) -> HttpAnswer:
    return replace(answer, body=b"\xef\xbb\xbf" + answer.body, content_type="text/html; charset=big5")


def _as_octets(answer: HttpAnswer) -> HttpAnswer:
    return replace(answer, content_type="application/octet-stream")


def _in_utf_16(answer: HttpAnswer) -> HttpAnswer:
    return replace(answer, body=answer.body.decode().encode("utf-16"))
