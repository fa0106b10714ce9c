"""Documented errors mean what the documents say, and what is wrong with our account is mended, not lost."""

from __future__ import annotations

from decimal import Decimal
from typing import cast

from local.simulators.every8d import TEXTS, Every8d, _connection
from local.simulators.meteorsis import Meteorsis
from local.simulators.smsget import SmsGet
from local.simulators.smsgo import SmsGo
from local.simulators.twsms import TwSms
from smsgate.messages import Message
from smsgate.reasons import Code
from smsgate.status import Status
from tests.faults.documented_codes import AT_LOGIN, CODES, Means
from tests.faults.suite import Run, Where, fault
from tests.faults.traffic import (
    EVERYBODY,
    MANY,
    accepts,
    alone,
    calls,
    calls_by_worker,
    dice,
    one,
    some,
    statuses,
    strike,
    together,
    until_over,
)
from tests.world.faults import Unavailable
from tests.world.world import World

MINUTE = 60.0


@fault("F19", "every documented error code of all five", Where.ANSWER)
def test_each_code_means_what_the_vendors_document_says(run: Run) -> None:
    with run.world() as world:
        codes = {provider: list(meanings) for provider, meanings in CODES.items()}
        for listed in codes.values():
            dice(world).shuffle(listed)
        wrong: list[str] = []
        for provider, listed in codes.items():
            for number, code in enumerate(listed):
                said = _say(world, provider, code, number)
                meant = CODES[provider][code]
                if said != (meant.means, meant.reason, code):
                    wrong.append(f"{provider} {code}: {said}")
        until_over(world)

        later = [
            (provider, number)
            for provider, listed in codes.items()
            for number, code in enumerate(listed)
            if CODES[provider][code].means in (Means.NOT_NOW, Means.AGAIN)
        ]
        run.at_least("codes", run.messages, 70)
        assert wrong == []
        run.equal("of which mean something else", len(wrong), 0)
        run.equal("accepts of what waited", world.accepts().total(), len(later))


def _say(world: World, provider: str, code: str, number: int) -> tuple[Means | None, Code | None, str | None]:
    """What a message comes to whose call is answered with this code. What it has broken is mended afterwards."""
    _script(world, provider, code)
    order = one(world, provider, number)
    world.run_until(lambda: _attempted(world, order), limit=5 * MINUTE)
    (message,) = world.messages(order)
    attempt = message.attempts[0]
    reason = attempt.reason
    said = _means(world, provider, message), reason.code if reason else None, reason.provider_code if reason else None
    if said[0] is Means.NOT_NOW:
        world.put_secret(f"providers/{provider}", rotation=number)
        world.functions.forget()
        world.call("POST", f"/providers/{provider}/resume")
    if said[0] in (Means.NOT_NOW, Means.AGAIN):
        world.run_until(lambda: world.messages(order)[0].status is Status.DELIVERED, limit=20 * MINUTE, step=5)
    return said


def _attempted(world: World, order: str) -> bool:
    messages = world.messages(order)
    reason = messages[0].attempts[0].reason if messages and messages[0].attempts else None
    return reason is not None and reason.provider_code is not None


def _means(world: World, provider: str, message: Message) -> Means | None:
    state = world.ledger.provider_state(provider, "suspension")
    suspended = state is not None and state["active"]
    match message.attempts[0].outcome, message.status:
        case "refused", Status.REJECTED:
            return Means.NO
        case "refused" | "not_sent", _ if suspended:
            return Means.NOT_NOW
        case "not_sent", _:
            return Means.AGAIN
        case "maybe_sent", Status.DOUBTFUL:
            return Means.NOBODY_KNOWS
    return None


def _script(world: World, provider: str, code: str) -> None:
    if provider == "meteorsis":
        world.script(provider, Meteorsis.says(code), operation="reply")
        return
    if code in AT_LOGIN:
        text = _connection(code) if code != "-300" else f"{code},{TEXTS[code]}"
        cast(Every8d, world.providers["every8d"])._sessions.clear()
        world.faults.inject(Every8d.says(text, "getConnection"), service="wire", operation="every8d.getConnection")
        return
    fault_of = {"smsgo": SmsGo.says, "twsms": TwSms.says, "smsget": SmsGet.says}
    said = fault_of[provider](code) if provider in fault_of else Every8d.says(f"{code},{TEXTS.get(code, 'XXX')}")
    strike(world, said, provider, times=2 if code == "-301" else 1)


@fault("F22", "EVERY8D takes 60 of 100 and says so without saying which", Where.ANSWER)
def test_who_was_left_out_of_a_call_is_found_out_and_refused(run: Run) -> None:
    with run.world(providers=["every8d"]) as world:
        _spend_behind_our_back(world, "every8d", Decimal(60))
        together(world, "every8d", 100)
        until_over(world)

        found = world.messages()
        refused = [message for message in found if message.status is Status.REJECTED]
        run.equal("calls", calls(world, "every8d"), 1)
        run.equal("accepts", accepts(world, "every8d"), 60)
        run.equal("delivered", statuses(found)[Status.DELIVERED], 60)
        run.equal(
            "rejected for want of credit",
            sum(each.reason is not None and each.reason.code is Code.CREDIT_EXHAUSTED for each in refused),
            40,
        )


@fault("F23", "the credit runs out in the middle of a batch, and is bought after ten minutes", Where.ANSWER)
def test_messages_wait_for_credit(run: Run) -> None:
    with run.world(providers=some(run.seed, EVERYBODY, 1)) as world:
        (provider,) = world.providers
        _spend_behind_our_back(world, provider, Decimal(8))
        alone(world, provider)
        world.run(10 * MINUTE)
        during, waiting = accepts(world, provider), statuses(world.messages())[Status.ACCEPTED]
        _set_credit(world, provider, Decimal(1_000))
        until_over(world)

        run.equal("accepts during", during, 8)
        run.equal("waiting", waiting, MANY - 8)
        run.equal("accepts after", accepts(world, provider), MANY)
        run.equal("delivered", statuses(world.messages())[Status.DELIVERED], MANY)
        run.equal("suspended", _told(world, "Provider Suspended"), 1)
        run.equal("resumed", _told(world, "Provider Resumed"), 1)


@fault("F26", "our address is refused for ten minutes", Where.ANSWER)
def test_messages_wait_until_our_address_is_allowed(run: Run) -> None:
    """smsgo's -2 says "帳號/密碼錯誤/IP錯誤" and not which, so an operator has to say when it is mended."""
    with run.world(providers=some(run.seed, ("smsgo", "twsms", "smsget"), 1)) as world:
        (provider,) = world.providers
        simulator = world.providers[provider]
        if isinstance(simulator, SmsGo):
            strike(world, SmsGo.says("-2"), provider, seconds=10 * MINUTE)
        elif isinstance(simulator, TwSms | SmsGet):
            simulator.address_allowed = False
        alone(world, provider)
        world.run(10 * MINUTE)
        during, tried = accepts(world, provider), calls_by_worker(world, provider)
        if isinstance(simulator, SmsGo):
            world.call("POST", f"/providers/{provider}/resume")
        elif isinstance(simulator, TwSms | SmsGet):
            simulator.address_allowed = True
        until_over(world)

        run.equal("accepts during", during, 0)
        run.at_most("calls of one worker", max(tried.values()), 1)
        run.equal("accepts after", accepts(world, provider), MANY)
        run.equal("delivered", statuses(world.messages())[Status.DELIVERED], MANY)
        run.equal("suspended", _told(world, "Provider Suspended"), 1)
        run.equal("dead letters", len(world.dead_letters), 0)


@fault("F35", "TwSMS cannot reach our address for reports (00170)", Where.CALLBACK)
def test_messages_are_sent_though_nobody_reaches_us(run: Run) -> None:
    """Section 3, drurl: "系統會確認帶入的網址是否可正常連線 ... http code 必須為 200", unless it is told not to."""
    with run.world(providers=["twsms"]) as world:
        world.faults.inject(Unavailable(), service="callback", times=None, seconds=10 * MINUTE)
        alone(world, "twsms")
        world.run(1 * MINUTE)
        during = accepts(world, "twsms")
        until_over(world)
        before = sum(1 for _ in world.table.items())
        probed = [
            world.network.answer_gateway(method, taken.fields["drurl"], b"", {})[0]
            for _, taken in world.taken()
            for method in ("GET", "HEAD")
        ]

        run.equal("accepts while nobody reaches us", during, MANY)
        run.equal("delivered", statuses(world.messages())[Status.DELIVERED], MANY)
        run.equal("probes answered with 200", probed.count(200), 2 * MANY)
        run.equal("rows that a probe left", sum(1 for _ in world.table.items()) - before, 0)


def _spend_behind_our_back(world: World, provider: str, left: Decimal) -> None:
    """The account has less than was measured: otherwise no more would be tried than it can pay."""
    world.tick("credits")
    world.run(5)
    _set_credit(world, provider, left)


def _set_credit(world: World, provider: str, credit: Decimal) -> None:
    setattr(world.providers[provider], "credit", credit if provider == "every8d" else int(credit))  # noqa: B010


def _told(world: World, detail_type: str) -> int:
    return sum(event.detail_type == detail_type for event in world.events)
