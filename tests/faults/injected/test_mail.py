"""Meteorsis is called by mail and answers by mail: each of the two may be refused, lost, late, or come twice."""

from __future__ import annotations

from itertools import cycle, islice

from local.simulators.base import Closes, Late, Says
from local.simulators.meteorsis import Meteorsis, Twice
from smsgate.status import Status
from tests.faults.suite import Run, Where, fault
from tests.faults.traffic import MANY, accepts, alone, dice, events, repeats, statuses, strike, until_over
from tests.world import faults
from tests.world.world import World

MINUTE = 60.0
BY_SMTP, BY_SES = "by SMTP", "by SES"


@fault("F32", "mail: the connection is lost after the final dot", Where.WIRE, cases=(BY_SMTP, BY_SES))
def test_a_mail_whose_acknowledgement_was_lost_is_settled_by_its_answer(run: Run) -> None:
    with run.world(providers=["meteorsis"], by_smtp=run.case == BY_SMTP) as world:
        if run.case == BY_SMTP:
            world.script("meteorsis", *[Closes()] * MANY, operation="send")
        else:
            strike(world, faults.Lost(tried_again=False), "meteorsis")
        world.script("meteorsis", *[Late(5 * MINUTE)] * MANY, operation="reply")
        alone(world, "meteorsis")
        world.run_until(lambda: statuses(world.messages())[Status.DOUBTFUL] == MANY, limit=3 * 3600, step=30)
        until_over(world)
        world.run(10 * MINUTE)

        run.equal("mails", _mails(world), MANY)
        run.equal("accepts", accepts(world, "meteorsis"), MANY)
        run.equal("doubtful", events(world, Status.DOUBTFUL), MANY)
        run.equal("delivered", statuses(world.messages())[Status.DELIVERED], MANY)


@fault("F33", "mail: 4xx, 5xx and greylisting", Where.WIRE)
def test_a_mail_that_was_not_taken_over_goes_again(run: Run) -> None:
    """RFC 5321: until the final dot is answered with 250, nobody has the mail; a 4xx or 5xx to it says so."""
    with run.world(providers=["meteorsis"], by_smtp=True) as world:
        said = [
            ("mail", b"421 4.3.2 shutting down"),
            ("mail", b"550 5.7.1 not from here"),
            ("rcpt", b"450 4.2.0 greylisted, try again in five minutes"),
            ("rcpt", b"550 5.1.1 no such mailbox"),
            ("send", b"451 4.3.0 local error"),
            ("send", b"452 4.3.1 disk full"),
            ("send", b"554 5.6.0 refused"),
        ]
        dice(world).shuffle(said)
        for operation, line in islice(cycle(said), MANY):
            world.script("meteorsis", Says(line), operation=operation)
        alone(world, "meteorsis")
        until_over(world)

        run.equal("accepts", accepts(world, "meteorsis"), MANY)
        run.equal("doubtful", events(world, Status.DOUBTFUL), 0)
        run.equal("delivered", statuses(world.messages())[Status.DELIVERED], MANY)
        run.at_least("not taken over", _not_taken_over(world), MANY)


MISSING, RESENT, LATE, TWICE = "missing", "missing, to be sent again", "late", "twice"


@fault("F34", "the answer by mail is missing, late, or comes twice", Where.MAIL, cases=(MISSING, RESENT, LATE, TWICE))
def test_the_answer_by_mail_settles_a_message_once_or_leaves_it_doubtful(run: Run) -> None:
    with run.world(providers=["meteorsis"]) as world:
        if run.case == TWICE:
            world.script("meteorsis", *[Twice()] * MANY, operation="reply")
            world.faults.inject(faults.Twice(), service="mail", times=None)
        else:
            lost = Late(40 * MINUTE) if run.case == LATE else Closes()
            world.script("meteorsis", *[lost] * MANY, operation="reply")
        alone(world, "meteorsis", on_doubt="resend" if run.case == RESENT else "hold")
        until_over(world)
        world.run(60 * MINUTE)

        found = statuses(world.messages())
        again = MANY if run.case == RESENT else 0
        run.equal("mails", _mails(world), MANY + again)
        run.equal("repeats", repeats(world), again)
        run.equal("doubtful", events(world, Status.DOUBTFUL), MANY if run.case in (MISSING, LATE) else 0)
        run.equal("doubtful in the end", found[Status.DOUBTFUL], MANY if run.case == MISSING else 0)
        run.equal("delivered", found[Status.DELIVERED], 0 if run.case == MISSING else MANY)
        run.equal("told as delivered", events(world, Status.DELIVERED), 0 if run.case == MISSING else MANY)


def _mails(world: World) -> int:
    meteorsis = world.providers["meteorsis"]
    assert isinstance(meteorsis, Meteorsis)
    return len(meteorsis.mails)


def _not_taken_over(world: World) -> int:
    return sum(attempt.outcome == "not_sent" for message in world.messages() for attempt in message.attempts)
