"""Answers by mail: forged ones change nothing, true ones settle the message that waits, however often they come."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

import boto3
import pytest
from moto import mock_aws

from smsgate import aws, lifecycle, mailbox
from smsgate.ledger import Ledger
from smsgate.mailbox import Mailbox, Notice, notices_of
from smsgate.messages import Kind, Message, OnDoubt
from smsgate.outcomes import Accepted, MaybeSent, NotSent, Refused
from smsgate.providers.base import MailAnswer, Provider, ReadsMail
from smsgate.reasons import Code, Reason
from smsgate.secrets import Newest, Secrets
from smsgate.status import Status
from smsgate.wire import Callback, InboundMail
from tests.architecture.handlers import load_handler
from tests.gateway.conftest import TABLE, create_table
from tests.gateway.examples import NOON, WATCH, message
from tests.gateway.house import Counts, House, fails
from tests.gateway.plainline import Plainline

EVENTS = Path(__file__).parents[2] / "events"
HANDLER = Path(__file__).parents[2] / "functions" / "mailbox" / "app.py"


class Postline(Plainline, ReadsMail):
    """Answers by mail, a line for each message: `id attempt OK ref` or `id attempt ERR code`."""

    key = "postline"
    mail_domain = "postline.example"

    @classmethod
    def read_mail(cls, mail: InboundMail) -> list[MailAnswer]:
        answers = []
        for line in mail.text.splitlines():
            message_id, attempt, verdict, said = line.split()
            outcomes: dict[str, Accepted | Refused | NotSent] = {
                "OK": Accepted(said),
                "ERR": Refused(Reason(Code.INVALID_NUMBER, said)),
                "CREDIT": Refused(Reason(Code.CREDIT_EXHAUSTED, said)),
                "PASSWORD": Refused(Reason(Code.BAD_CREDENTIALS, said)),
                "COUNTRY": Refused(Reason(Code.COUNTRY_NOT_ENABLED, said)),
                "AGAIN": NotSent(Reason(Code.INVALID_NUMBER, said)),
            }
            answers.append(MailAnswer(message_id, int(attempt), outcomes[verdict]))
        if not answers:
            raise ValueError("no answer")
        return answers


OFFERS: dict[str, type[Provider]] = {"plainline": Plainline, "postline": Postline}
PASSED = {"spf": "PASS", "dkim": "PASS", "dmarc": "PASS", "spam": "PASS", "virus": "PASS"}
NOTICE = Notice("mail-1", "bounces@postline.example", PASSED)
WAITING = MaybeSent(Reason(Code.NO_REPLY, provider_text="no answer by mail so far"), timedelta(minutes=15))


def raw(text: str, *, sender: str = "Postline <sms@postline.example>", subject: str = "result") -> bytes:
    return f"From: {sender}\r\nTo: us@sms.example\r\nSubject: {subject}\r\n\r\n{text}\r\n".encode()


@dataclass
class Vault:
    """Knows versions of secrets, and no secret."""

    version: str = "v1"
    since: datetime = NOON - timedelta(days=30)
    before: str | None = None

    def newest(self, provider: str) -> Newest:
        assert provider == "postline"
        return Newest(self.version, self.since, self.before)


@dataclass
class Post:
    """The mailbox, its bucket, and messages that wait."""

    house: House
    mails: dict[str, bytes] = field(default_factory=dict)
    vault: Vault = field(default_factory=Vault)

    @property
    def ledger(self) -> Ledger:
        return self.house.ledger

    def mailbox(self) -> Mailbox:
        return Mailbox(
            ledger=self.ledger,
            evidence=self.house.evidence,
            suspensions=self.house.suspensions,
            secrets=cast(Secrets, self.vault),
            daybook=self.house.daybook,
            offers=OFFERS,
            fetch=self.mails.__getitem__,
            watch=WATCH,
            clock=self.house.clock,
        )

    def arrives(self, text: str, notice: Notice = NOTICE, **mail: str) -> None:
        self.mails[notice.key] = raw(text, **mail)
        self.mailbox().handle(notice)

    def handed_over(self, place: int = 1, **fields: Any) -> Message:
        """A message whose mail was taken over a minute ago."""
        wanted = message(message_id=f"abcdefghijklmnopqrstuvwx-{place}", to=f"+88691234567{place}", **fields)
        claimed = self.claimed(wanted, "postline")
        waiting = lifecycle.settle(claimed, len(claimed.attempts), WAITING, self.house.now, WATCH)
        saved = self.ledger.save(waiting).message
        self.house.later(minutes=1)
        return saved

    def claimed(self, wanted: Message, provider: str) -> Message:
        return lifecycle.claim(wanted, provider, self.house.now, self.house.now + timedelta(seconds=30))

    def now(self, known: Message) -> Message:
        found = self.ledger.get(known.message_id)
        assert found is not None
        return found


@pytest.fixture
def post(ledger: Ledger) -> Post:
    return Post(House(ledger, offers=dict(OFFERS)))


def everything(post: Post) -> list[dict[str, Any]]:
    client = post.ledger._client
    return sorted(client.scan(TableName=TABLE)["Items"], key=str)


# What is true settles what waits


def test_a_message_that_was_handed_over_is_being_sent_until_its_answer_comes(post: Post) -> None:
    known = post.handed_over()

    assert known.status is Status.SENDING
    assert known.due_at == NOON + timedelta(minutes=15)


def test_an_acceptance_makes_it_sent_under_the_vendors_reference(post: Post, counts: Counts) -> None:
    known = post.handed_over()

    post.arrives(f"{known.message_id} 1 OK 10001")

    sent = post.now(known)
    assert (sent.status, sent.provider_ref) == (Status.SENT, "10001")
    assert (sent.attempts[0].outcome, sent.attempts[0].provider_ref) == ("accepted", "10001")
    assert sent.claim is None
    assert counts["MailAccepted"] == 1


def test_a_scheduled_one_is_scheduled(post: Post) -> None:
    known = post.handed_over(send_at=NOON + timedelta(hours=3))

    post.arrives(f"{known.message_id} 1 OK 10001")

    assert post.now(known).status is Status.SCHEDULED


def test_a_refusal_rejects_it(post: Post) -> None:
    known = post.handed_over()

    post.arrives(f"{known.message_id} 1 ERR 17")

    rejected = post.now(known)
    assert rejected.status is Status.REJECTED
    assert rejected.reason == Reason(Code.INVALID_NUMBER, "17")


def test_each_of_many_is_settled_by_its_own_line(post: Post) -> None:
    one, two, three = (post.handed_over(place) for place in (1, 2, 3))

    post.arrives(f"{one.message_id} 1 OK 10001\r\n{two.message_id} 1 ERR 17\r\n{three.message_id} 1 OK 10003")

    assert [post.now(known).status for known in (one, two, three)] == [Status.SENT, Status.REJECTED, Status.SENT]
    assert post.now(three).provider_ref == "10003"


def test_after_a_quarter_of_an_hour_without_an_answer_it_is_doubtful_and_says_why(post: Post) -> None:
    known = post.handed_over()

    post.house.later(minutes=15)
    post.house.reconcile()

    doubtful = post.now(known)
    assert doubtful.status is Status.DOUBTFUL
    assert doubtful.reason == WAITING.reason


@pytest.mark.parametrize(("answer", "status"), [("OK 10001", Status.SENT), ("ERR 17", Status.REJECTED)])
def test_a_late_answer_settles_a_doubt(post: Post, answer: str, status: Status) -> None:
    known = post.handed_over()
    post.house.later(minutes=15)
    post.house.reconcile()

    post.arrives(f"{known.message_id} 1 {answer}")

    settled = post.now(known)
    assert settled.status is status
    assert [moment.revised for moment in settled.timeline if moment.kind is Kind.STATUS][-1]


def test_a_line_that_was_lost_after_the_final_dot_is_settled_as_well(post: Post) -> None:
    claimed = post.claimed(message(), "postline")
    lost = lifecycle.settle(claimed, 1, MaybeSent(Reason(Code.NO_REPLY)), NOON, WATCH)
    known = post.ledger.save(lost).message
    assert known.status is Status.DOUBTFUL

    post.arrives(f"{known.message_id} 1 OK 10001")

    assert post.now(known).status is Status.SENT


def test_an_answer_faster_than_our_own_notes_of_the_call_stays(post: Post) -> None:
    for place, (answer, status) in enumerate([("OK 10001", Status.SENT), ("ERR 17", Status.REJECTED)], 1):
        wanted = message(message_id=f"abcdefghijklmnopqrstuvwx-{place}")
        known = post.ledger.save(post.claimed(wanted, "postline")).message

        post.arrives(f"{known.message_id} 1 {answer}")
        noted = post.ledger.change_from(known, lambda m: lifecycle.settle(m, 1, WAITING, NOON, WATCH))

        assert noted.status is status
        assert noted.attempts[0].outcome == ("accepted" if status is Status.SENT else "refused")


def test_a_receipt_faster_than_the_answer_is_applied_with_it(post: Post) -> None:
    known = post.handed_over()
    query = f"status=there&ref=10001&to=%2B{known.to[1:]}"
    key = post.ledger.keep_callback("postline", "receipts", Callback("GET", "", query), NOON)
    (report,) = Postline.read_receipts(Callback("GET", "", query))
    assert not post.house.evidence.receive("postline", report, key)

    post.arrives(f"{known.message_id} 1 OK 10001")

    assert post.now(known).status is Status.DELIVERED


def test_a_receipt_after_the_answer_finds_its_message(post: Post) -> None:
    known = post.handed_over()
    post.arrives(f"{known.message_id} 1 OK 10001")
    callback = Callback("GET", "", f"status=there&ref=10001&to=%2B{known.to[1:]}")
    (report,) = Postline.read_receipts(callback)

    assert post.house.evidence.receive(
        "postline", report, post.ledger.keep_callback("postline", "receipts", callback, NOON)
    )

    assert post.now(known).status is Status.DELIVERED


def test_the_text_of_a_private_message_goes_with_its_acceptance(post: Post) -> None:
    known = post.handed_over(private=True)
    assert post.now(known).text is not None

    post.arrives(f"{known.message_id} 1 OK 10001")

    assert post.now(known).text is None


# The same answer again


@pytest.mark.parametrize("answer", ["OK 10001", "ERR 17", "CREDIT 16", "AGAIN 17"])
def test_the_same_answer_any_number_of_times_is_one(post: Post, answer: str) -> None:
    known = post.handed_over()
    post.arrives(f"{known.message_id} 1 {answer}")
    first = post.now(known)

    for again in range(3):
        post.house.later(minutes=1)
        post.arrives(f"{known.message_id} 1 {answer}", replace(NOTICE, mail_id=f"again-{again}"))

    assert post.now(known) == first


def test_what_was_taken_is_in_the_account_of_the_day_it_was_handed_over_once(post: Post) -> None:
    taken, refused = post.handed_over(1), post.handed_over(2)
    day = (NOON + timedelta(hours=8)).date()
    post.house.later(hours=13)

    for _ in range(2):
        post.arrives(f"{taken.message_id} 1 OK ref1\n{refused.message_id} 1 ERR 3")

    account = post.house.daybook.account("postline", day) or {}
    assert (account["messages"], account["stated"], account["differing"]) == (1, 0, 0)


def test_an_answer_that_was_not_written_to_its_end_is_when_it_comes_again(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = post.handed_over(1), post.handed_over(2)
    text = f"{one.message_id} 1 OK 10001\r\n{two.message_id} 1 OK 10002"
    save = post.ledger.save
    monkeypatch.setattr(post.ledger, "save", fails)
    with pytest.raises(Exception, match="InternalServerError"):
        post.arrives(text)
    monkeypatch.setattr(post.ledger, "save", save)

    post.arrives(text)

    assert [post.now(known).status for known in (one, two)] == [Status.SENT, Status.SENT]
    assert post.ledger.referenced("postline", "10001", one.to) == one.message_id


def test_a_second_answer_that_says_otherwise_changes_nothing(post: Post) -> None:
    known = post.handed_over()
    post.arrives(f"{known.message_id} 1 OK 10001")
    first = post.now(known)

    for answer in ("OK 10002", "ERR 17", "CREDIT 16"):
        post.arrives(f"{known.message_id} 1 {answer}")

    assert post.now(known) == first


# An answer to each attempt


def test_sent_again_in_doubt_each_attempt_has_its_own_answer(post: Post) -> None:
    known = post.handed_over(on_doubt=OnDoubt.RESEND)
    post.house.later(minutes=15)
    post.house.reconcile()
    again = post.now(known)
    assert again.status is Status.ACCEPTED
    claimed = post.claimed(again, "postline")
    second = post.ledger.save(lifecycle.settle(claimed, 2, WAITING, post.house.now, WATCH)).message

    post.arrives(f"{known.message_id} 1 ERR 17")
    assert post.now(known).status is Status.SENDING

    post.arrives(f"{known.message_id} 2 OK 10002")
    settled = post.now(known)
    assert settled.status is Status.SENT
    assert [attempt.outcome for attempt in settled.attempts] == ["refused", "accepted"]
    assert len(second.attempts) == 2


def test_both_attempts_may_have_been_taken_and_both_references_are_its_own(post: Post) -> None:
    known = post.handed_over(on_doubt=OnDoubt.RESEND)
    post.house.later(minutes=15)
    post.house.reconcile()
    claimed = post.claimed(post.now(known), "postline")
    post.ledger.save(lifecycle.settle(claimed, 2, WAITING, post.house.now, WATCH))

    post.arrives(f"{known.message_id} 2 OK 10002")
    post.arrives(f"{known.message_id} 1 OK 10001")

    assert post.now(known).status is Status.SENT
    assert {post.ledger.referenced("postline", ref, known.to) for ref in ("10001", "10002")} == {known.message_id}


# Refusals about us


def test_without_credit_the_message_waits_and_the_provider_is_suspended(post: Post) -> None:
    known = post.handed_over()

    post.arrives(f"{known.message_id} 1 CREDIT 16")

    waiting, suspension = post.now(known), post.house.suspensions.read("postline")
    assert (waiting.status, waiting.reason) == (Status.ACCEPTED, Reason(Code.CREDIT_EXHAUSTED, "16"))
    assert suspension is not None
    assert (suspension.active, suspension.reason.code) == (True, Code.CREDIT_EXHAUSTED)
    assert waiting.next_attempt_at == suspension.retry_at
    assert post.house.suspensions.obstacle("postline", "v1") is not None


def test_once_a_later_message_is_taken_the_provider_is_back(post: Post) -> None:
    first, second = post.handed_over(1), post.handed_over(2)
    post.arrives(f"{first.message_id} 1 CREDIT 16")

    # Handed over before the credit was gone: that this one was taken proves nothing.
    post.arrives(f"{second.message_id} 1 OK 10002")
    suspension = post.house.suspensions.read("postline")
    assert suspension is not None
    assert suspension.active

    post.house.later(minutes=5)
    third = post.handed_over(3)
    post.arrives(f"{third.message_id} 1 OK 10003")
    suspension = post.house.suspensions.read("postline")
    assert suspension is not None
    assert not suspension.active
    assert post.house.suspensions.obstacle("postline", "v1") is None


def test_a_refused_password_waits_for_another_secret(post: Post) -> None:
    known = post.handed_over()

    post.arrives(f"{known.message_id} 1 PASSWORD 2")

    assert post.now(known).status is Status.ACCEPTED
    post.house.later(hours=24)
    refused, changed = (post.house.suspensions.obstacle("postline", version) for version in ("v1", "v2"))
    assert refused is not None
    assert not refused.trial
    assert changed is not None
    assert changed.trial


def test_a_password_that_was_changed_since_is_no_refused_one(post: Post) -> None:
    known = post.handed_over()
    post.vault = Vault("v2", since=NOON + timedelta(seconds=30))

    post.arrives(f"{known.message_id} 1 PASSWORD 2")

    assert post.house.suspensions.read("postline") is None
    assert post.now(known).next_attempt_at == post.house.now


@pytest.mark.parametrize(
    ("changed", "refused"),
    [(timedelta(seconds=10), "v1"), (timedelta(minutes=4), "v1"), (timedelta(minutes=6), "v2")],
)
def test_a_password_that_a_worker_may_still_have_kept_is_the_refused_one(
    post: Post, changed: timedelta, refused: str
) -> None:
    known = post.handed_over()
    post.vault = Vault("v2", since=NOON - changed, before="v1")

    post.arrives(f"{known.message_id} 1 PASSWORD 2")

    forbidden = [version for version in ("v1", "v2") if post.house.suspensions.forbids_questions("postline", version)]
    assert forbidden == [refused]


def test_a_first_password_is_the_refused_one_however_new_it_is(post: Post) -> None:
    known = post.handed_over()
    post.vault = Vault("v1", since=NOON - timedelta(seconds=10))

    post.arrives(f"{known.message_id} 1 PASSWORD 2")

    assert post.house.suspensions.forbids_questions("postline", "v1")


def test_a_country_that_is_blocked_is_the_messages_own_end(post: Post) -> None:
    known = post.handed_over()

    post.arrives(f"{known.message_id} 1 COUNTRY 22")

    assert post.now(known).status is Status.REJECTED
    assert post.house.suspensions.read("postline") is None


def test_what_is_to_be_sent_again_is_woken_at_once(post: Post) -> None:
    known = post.handed_over()

    post.arrives(f"{known.message_id} 1 AGAIN 17")
    post.house.reconcile()

    assert post.now(known).status is Status.ACCEPTED
    assert post.house.queues.urgent == [known.message_id]


# Forged

DMARC_GRAY = {**PASSED, "dmarc": "GRAY"}

FORGED: Mapping[str, tuple[dict[str, str], dict[str, str], str]] = {
    # verdicts, what is different in the mail, who handed it over
    "DMARC failed": ({**PASSED, "dmarc": "FAIL"}, {}, ""),
    "DMARC failed, handed over by the vendor": ({**PASSED, "dmarc": "FAIL"}, {}, "sms@postline.example"),
    "no DMARC, no SPF": ({**DMARC_GRAY, "spf": "FAIL"}, {}, "sms@postline.example"),
    "no DMARC, no DKIM": ({**DMARC_GRAY, "dkim": "GRAY"}, {}, "sms@postline.example"),
    "no DMARC, another's SPF and DKIM": (DMARC_GRAY, {}, "thief@evil.example"),
    "no DMARC, a subdomain's SPF": (DMARC_GRAY, {}, "sms@mail.postline.example"),
    "no DMARC, a bounce's empty sender": (DMARC_GRAY, {}, ""),
    "no DMARC, a sender that is no address": (DMARC_GRAY, {}, "postline.example"),
    "no DMARC, a sender of no name": (DMARC_GRAY, {}, "@postline.example"),
    "no DMARC, a longer domain's SPF": (DMARC_GRAY, {}, "sms@postline.example.evil.example"),
    "no verdicts": (dict.fromkeys(PASSED, ""), {}, "sms@postline.example"),
    "verdicts not made": (dict.fromkeys(PASSED, "PROCESSING_FAILED"), {}, "sms@postline.example"),
    "verdicts disabled": (dict.fromkeys(PASSED, "DISABLED"), {}, "sms@postline.example"),
    "spam": ({**PASSED, "spam": "FAIL"}, {}, ""),
    "spam unknown": ({**PASSED, "spam": "GRAY"}, {}, ""),
    "virus": ({**PASSED, "virus": "FAIL"}, {}, ""),
    "virus unknown": ({**PASSED, "virus": "PROCESSING_FAILED"}, {}, ""),
    "another domain": (PASSED, {"sender": "sms@evil.example"}, ""),
    "a subdomain": (PASSED, {"sender": "sms@mail.postline.example"}, ""),
    "a longer domain": (PASSED, {"sender": "sms@postline.example.evil.example"}, ""),
    "the domain in the name": (PASSED, {"sender": '"sms@postline.example" <thief@evil.example>'}, ""),
    "two senders": (PASSED, {"sender": "sms@postline.example, thief@evil.example"}, ""),
    "two From lines": (PASSED, {"sender": "sms@postline.example\r\nFrom: thief@evil.example"}, ""),
    "letters that look alike": (PASSED, {"sender": "sms@pоstline.example"}, ""),
}


@pytest.mark.parametrize(("verdicts", "mail", "envelope_sender"), FORGED.values(), ids=FORGED)
@pytest.mark.parametrize("answer", ["OK 66666", "ERR 17", "CREDIT 16"])
def test_a_forged_answer_changes_nothing(
    post: Post,
    counts: Counts,
    verdicts: dict[str, str],
    mail: dict[str, str],
    envelope_sender: str,
    answer: str,
) -> None:
    known = post.handed_over()
    before = everything(post)

    post.arrives(f"{known.message_id} 1 {answer}", Notice("mail-2", envelope_sender, verdicts), **mail)

    assert everything(post) == before
    assert counts["MailRefused"] + counts["MailUnreadable"] == 1


@pytest.mark.parametrize(
    ("verdicts", "envelope_sender"),
    [
        (PASSED, "anything@mailer.example"),
        ({**PASSED, "spf": "FAIL", "dkim": "FAIL"}, ""),  # DMARC has judged them already
        (DMARC_GRAY, "bounces@postline.example"),
        (DMARC_GRAY, "bounces@POSTLINE.example"),
        ({**PASSED, "dmarc": ""}, "bounces@postline.example"),
        ({**PASSED, "dmarc": "PROCESSING_FAILED"}, "bounces@postline.example"),
    ],
)
def test_an_authenticated_answer_counts(post: Post, verdicts: dict[str, str], envelope_sender: str) -> None:
    known = post.handed_over()

    post.arrives(f"{known.message_id} 1 OK 10001", Notice("mail-2", envelope_sender, verdicts))

    assert post.now(known).status is Status.SENT


def test_a_mail_that_is_not_authenticated_is_not_even_read(post: Post) -> None:
    def never(key: str) -> bytes:
        raise AssertionError(key)

    box = post.mailbox()
    box._fetch = never

    box.handle(replace(NOTICE, verdicts={**PASSED, "dmarc": "FAIL"}))


# Of nobody's business


def test_an_answer_to_a_message_there_is_not_is_counted_and_left(post: Post, counts: Counts) -> None:
    post.handed_over()
    before = everything(post)

    post.arrives("zbcdefghijklmnopqrstuvwx-1 1 OK 66666")
    post.arrives("../../etc/passwd 1 OK 66666")

    assert everything(post) == before
    assert counts["MailUnmatched"] == 2


@pytest.mark.parametrize("attempt", [0, 2, 99])
def test_an_answer_to_an_attempt_there_was_not_is_left(post: Post, attempt: int) -> None:
    known = post.handed_over()
    before = everything(post)

    post.arrives(f"{known.message_id} {attempt} OK 66666")

    assert everything(post) == before


def test_an_answer_for_another_providers_message_is_left(post: Post) -> None:
    known = post.ledger.save(post.claimed(message(), "plainline")).message
    before = everything(post)

    post.arrives(f"{known.message_id} 1 OK 66666")

    assert everything(post) == before


@pytest.mark.parametrize("status", ["rejected", "delivered", "parked"])
def test_an_answer_for_a_message_that_does_not_wait_is_left(post: Post, status: str) -> None:
    known = post.handed_over()
    answer = {"rejected": "ERR 17", "delivered": "OK 10001", "parked": "CREDIT 16"}[status]
    post.arrives(f"{known.message_id} 1 {answer}")
    before = everything(post)

    post.arrives(f"{known.message_id} 1 OK 66666")

    assert everything(post) == before


def test_a_reference_that_another_message_has_spoils_the_whole_mail(post: Post, counts: Counts) -> None:
    one, two, three = (post.handed_over(place) for place in (1, 2, 3))
    post.arrives(f"{one.message_id} 1 OK 10001")
    before = everything(post)

    post.arrives(f"{two.message_id} 1 OK 10002\r\n{three.message_id} 1 OK 10001")

    assert everything(post) == before
    assert counts["MailRefused"] == 1


def test_of_many_those_that_wait_are_settled_and_the_others_counted(post: Post, counts: Counts) -> None:
    known = post.handed_over()

    post.arrives(f"{known.message_id} 1 OK 10001\r\nabcdefghijklmnopqrstuvwx-9 1 OK 10009")

    assert post.now(known).status is Status.SENT
    assert counts["MailUnmatched"] == 1


@pytest.mark.parametrize(
    "mail",
    [
        raw("hello"),
        raw(""),
        raw("abcdefghijklmnopqrstuvwx-1 one OK 1"),
        raw("abcdefghijklmnopqrstuvwx-1 1 WHAT 1"),
        b"",
        b"\x00\xff\xfe" * 100,
        raw("a" * 300_000),
        raw("x").replace(b"\r\n\r\n", b"\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"),
        b"From: sms@postline.example\r\n" + b"Content-Type: multipart/mixed; boundary=b\r\n" * 1000,
    ],
)
def test_what_cannot_be_read_is_counted_and_left(post: Post, counts: Counts, mail: bytes) -> None:
    post.handed_over()
    before = everything(post)
    post.mails[NOTICE.key] = mail

    post.mailbox().handle(NOTICE)

    assert everything(post) == before
    assert counts["MailUnreadable"] == 1


def test_what_cannot_be_looked_at_now_is_raised_and_comes_again(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    known = post.handed_over()
    text = f"{known.message_id} 1 OK 10001"

    with pytest.raises(KeyError):
        post.mailbox().handle(replace(NOTICE, mail_id="not-there-yet"))
    for broken in ("get", "holders", "link", "save"):
        with monkeypatch.context() as patched:
            patched.setattr(post.ledger, broken, fails)
            with pytest.raises(Exception, match="InternalServerError"):
                post.arrives(text)
        assert post.now(known) == known

    post.arrives(text)
    assert post.now(known).status is Status.SENT


def test_nothing_of_a_mail_is_logged(post: Post, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    known = post.handed_over()

    for text in ("canary", f"{known.message_id} 1 OK canary", f"{known.message_id} 1 ERR canary"):
        for notice in (
            NOTICE,
            replace(NOTICE, verdicts={**PASSED, "dmarc": "FAIL"}, envelope_sender="canary@a.example"),
        ):
            post.arrives(text, notice, subject="canary", sender="canary <canary@postline.example>")

    assert caplog.records
    assert "canary" not in " ".join(str(vars(record)) for record in caplog.records)


# The function


def sample() -> dict[str, Any]:
    (path,) = EVENTS.glob("mailbox*.json")
    event: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return event


def test_a_notice_is_what_ses_hands_over() -> None:
    (notice,) = notices_of(sample())

    assert notice.key == f"{mailbox.FOLDER}{notice.mail_id}"
    assert notice.verdicts == PASSED
    assert notice.envelope_sender
    assert notice.envelope_sender not in repr(notice)


@pytest.mark.parametrize("missing", ["spfVerdict", "dkimVerdict", "dmarcVerdict", "spamVerdict", "virusVerdict"])
def test_a_verdict_that_is_not_there_is_none(missing: str) -> None:
    absent = sample()
    del absent["Records"][0]["ses"]["receipt"][missing]
    null, empty = sample(), sample()
    null["Records"][0]["ses"]["receipt"][missing] = None
    empty["Records"][0]["ses"]["receipt"][missing] = {}

    for event in (absent, null, empty):
        (notice,) = notices_of(event)

        assert notice.verdicts[missing.removesuffix("Verdict")] == ""


def test_the_handler_reads_the_mail_from_the_bucket(monkeypatch: pytest.MonkeyPatch, counts: Counts) -> None:
    for name, value in {
        "MESSAGES_TABLE": TABLE,
        "MAIL_BUCKET": "mails",
        "SECRET_PREFIX": "gateway",
        "ENABLED_PROVIDERS": "postline",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("smsgate.wiring.find", OFFERS.__getitem__)
    with mock_aws():
        monkeypatch.setattr(aws, "_client", boto3.client)
        dynamodb = boto3.client("dynamodb")
        create_table(dynamodb)
        ledger = Ledger(dynamodb, TABLE, timedelta(days=90))
        post = Post(House(ledger, now=NOON))
        known = post.handed_over()
        s3 = boto3.client("s3")
        s3.create_bucket(Bucket="mails")
        event = sample()
        (notice,) = notices_of(event)
        s3.put_object(Bucket="mails", Key=notice.key, Body=raw(f"{known.message_id} 1 OK 10001"))

        load_handler(HANDLER).handler(event, None)

        assert post.now(known).status is Status.SENT


def test_the_version_of_a_secret_is_known_without_reading_it() -> None:
    with mock_aws():
        client = boto3.client("secretsmanager", region_name="us-east-1")
        made = client.create_secret(Name="gateway/providers/postline", SecretString="{}")
        secrets = Secrets(client, "gateway", lambda: NOON)
        first = secrets.newest("postline")

        newer = client.put_secret_value(SecretId="gateway/providers/postline", SecretString='{"a": 1}')
        second = secrets.newest("postline")

    assert (first.version, second.version) == (made["VersionId"], newer["VersionId"])
    assert second.since >= first.since
    assert second.since.tzinfo is not None
