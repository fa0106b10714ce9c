"""Answers by mail: only what the vendor is proved to have written, and only for messages that wait for it.

The raw mail is in the bucket before anybody is told, and stays there. So what does not count is counted, logged by its
name in the bucket, and left alone; only what cannot be looked at now is raised, and comes again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from smsgate import lifecycle, mime, telemetry
from smsgate.daybook import Daybook
from smsgate.evidence import Evidence
from smsgate.ledger import Ledger
from smsgate.lifecycle import Watch
from smsgate.messages import Message
from smsgate.outcomes import Accepted, NotSent
from smsgate.providers.base import MailAnswer, Provider, ReadsMail
from smsgate.reasons import SUSPENDING, Code
from smsgate.secrets import KEPT_FOR, Secrets
from smsgate.suspension import Suspensions
from smsgate.wire import InboundMail

FOLDER = "mails/"
"""Where in the bucket the receipt rule puts them, under the id that SES gave them."""

_VERDICTS = ("spf", "dkim", "dmarc", "spam", "virus")
_PASS, _FAIL = "PASS", "FAIL"
_UNANSWERED = frozenset({"calling", "maybe_sent"})


@dataclass(frozen=True, slots=True)
class Notice:
    """SES took a mail in: its id, who handed it over, and what SES found out about it."""

    mail_id: str
    envelope_sender: str = field(repr=False)
    verdicts: Mapping[str, str]

    @property
    def key(self) -> str:
        return FOLDER + self.mail_id


def notices_of(event: Mapping[str, Any]) -> list[Notice]:
    """What the Lambda action of an SES receipt rule hands over."""
    return [_notice(record["ses"]["mail"], record["ses"]["receipt"]) for record in event["Records"]]


def _notice(mail: Mapping[str, Any], receipt: Mapping[str, Any]) -> Notice:
    verdicts = {name: str((receipt.get(f"{name}Verdict") or {}).get("status", "")) for name in _VERDICTS}
    return Notice(str(mail["messageId"]), str(mail.get("source") or ""), verdicts)


@dataclass(frozen=True, slots=True)
class _Author:
    provider: type[Provider]
    reader: type[ReadsMail]


@dataclass(frozen=True, slots=True)
class _Awaited:
    message: Message
    answer: MailAnswer

    @property
    def asked_at(self) -> datetime:
        return self.message.attempts[self.answer.attempt - 1].at

    @property
    def is_news(self) -> bool:
        return self.message.attempts[self.answer.attempt - 1].outcome in _UNANSWERED


class _LeftAlone(Exception):
    """A mail that counts for nothing, and why."""

    def __init__(self, metric: str, problem: str) -> None:
        super().__init__(problem)
        self.metric = metric


class Mailbox:
    def __init__(
        self,
        *,
        ledger: Ledger,
        evidence: Evidence,
        suspensions: Suspensions,
        secrets: Secrets,
        daybook: Daybook,
        offers: Mapping[str, type[Provider]],
        fetch: Callable[[str], bytes],
        watch: Watch,
        clock: Callable[[], datetime],
    ) -> None:
        """`fetch` gives the raw mail of a key in the bucket, or so much of it that it is seen to be too large."""
        self._ledger = ledger
        self._evidence = evidence
        self._suspensions = suspensions
        self._secrets = secrets
        self._daybook = daybook
        self._offers = offers
        self._fetch = fetch
        self._watch = watch
        self._clock = clock
        self._log = telemetry.logger()

    def handle(self, notice: Notice) -> None:
        try:
            _check_verdicts(notice)  # Before a byte is read of what somebody else may have written.
            author, answers = self._understand(notice, self._fetch(notice.key))
            awaited = self._awaited(author, answers)
        except _LeftAlone as why:
            self._leave(notice, why.metric, str(why))
            return
        if len(awaited) < len(answers):
            self._leave(notice, "MailUnmatched", f"{len(answers) - len(awaited)} of {len(answers)} answers")
        for each in awaited:
            self._settle(author, each)
        accepted = [each for each in awaited if isinstance(each.answer.outcome, Accepted)]
        if accepted:
            self._suspensions.answered(author.provider.key, accepted[0].asked_at)
            self._daybook.accepted(author.provider.key, [each.message for each in accepted if each.is_news])

    # Whose mail it is, and what it says

    def _understand(self, notice: Notice, raw: bytes) -> tuple[_Author, list[MailAnswer]]:
        try:
            mail = mime.read(raw)
        except Exception as error:
            raise _LeftAlone("MailUnreadable", f"not a mail of that kind, {type(error).__name__}") from None
        author = self._author(notice, mail.sender_domain)
        try:
            return author, author.reader.read_mail(InboundMail(mail.subject, mail.text))
        except Exception as error:
            raise _LeftAlone("MailUnreadable", f"no answer in it, {type(error).__name__}") from None

    def _author(self, notice: Notice, domain: str) -> _Author:
        for offered in self._offers.values():
            if issubclass(offered, ReadsMail) and offered.mail_domain == domain:
                _check_alignment(notice, domain)
                return _Author(offered, offered)
        raise _LeftAlone("MailRefused", "from another domain")

    # Who waits for it

    def _awaited(self, author: _Author, answers: Sequence[MailAnswer]) -> list[_Awaited]:
        """The answers that a message waits for. A reference that is another message's spoils the whole mail."""
        key = author.provider.key
        awaited = []
        for answer in answers:
            outcome = answer.outcome
            if isinstance(outcome, Accepted) and self._ledger.holders(key, outcome.provider_ref) - {answer.message_id}:
                raise _LeftAlone("MailRefused", "a reference that another message has")
            message = self._ledger.get(answer.message_id)
            if message is not None and _waits(message, key, answer):
                awaited.append(_Awaited(message, answer))
        return awaited

    # What becomes of them

    def _settle(self, author: _Author, each: _Awaited) -> None:
        key, attempt, outcome, now = author.provider.key, each.answer.attempt, each.answer.outcome, self._clock()
        telemetry.count(f"Mail{type(outcome).__name__}", provider=key)
        if isinstance(outcome, Accepted):
            accepted = outcome
            # The reference first: should the rest be lost, a report still finds the message.
            linked = self._evidence.link(each.message, author.provider, accepted.provider_ref)
            self._ledger.change_from(linked, lambda m: lifecycle.settle(m, attempt, accepted, now, self._watch))
            return
        refused = outcome
        again = now if isinstance(refused, NotSent) else self._after(key, each, now)
        if again is None:
            self._ledger.change_from(each.message, lambda m: lifecycle.settle(m, attempt, refused, now, self._watch))
        else:
            self._ledger.change_from(each.message, lambda m: lifecycle.release(m, attempt, refused, now, again))

    def _after(self, key: str, each: _Awaited, now: datetime) -> datetime | None:
        """When a refused message may be sent again: after a refusal about us. None where it was about the message."""
        outcome = each.answer.outcome
        if isinstance(outcome, Accepted) or outcome.reason.code not in SUSPENDING:
            return None
        newest = self._secrets.newest(key)
        of_a_secret = outcome.reason.code in (Code.BAD_CREDENTIALS, Code.ACCOUNT_DISABLED)
        if of_a_secret and newest.since > each.asked_at:
            return now  # The secret was changed since: once more with the new one.
        if of_a_secret and newest.before is not None and newest.since + KEPT_FOR > each.asked_at:
            # Whoever asked may have kept the one before: to forbid the new one for that would stop everything for good.
            self._suspensions.suspend(key, outcome.reason, newest.before)
            return now
        return self._suspensions.suspend(key, outcome.reason, newest.version).until

    def _leave(self, notice: Notice, metric: str, problem: str) -> None:
        telemetry.count(metric)
        self._log.warning("mail left alone", extra={"mail": notice.key, "metric": metric, "problem": problem})


def _check_verdicts(notice: Notice) -> None:
    """What SES found out: no spam, no virus, and authenticated by DMARC, or by both that DMARC rests on."""
    verdict = notice.verdicts
    if verdict["spam"] != _PASS or verdict["virus"] != _PASS:
        raise _LeftAlone("MailRefused", "not free of spam and viruses")
    if verdict["dmarc"] == _PASS:
        return
    if verdict["dmarc"] == _FAIL or verdict["spf"] != _PASS or verdict["dkim"] != _PASS:
        raise _LeftAlone("MailRefused", "not authenticated")


def _check_alignment(notice: Notice, domain: str) -> None:
    """SPF and DKIM alone say that somebody is who he says, not that he is the one in the From line; DMARC says that.

    Where the domain asks for no DMARC, the sender that SPF has proved must be of that very domain.
    """
    user, _, proved = notice.envelope_sender.rpartition("@")
    if notice.verdicts["dmarc"] != _PASS and (not user or proved.lower() != domain):
        raise _LeftAlone("MailRefused", "authenticated for another domain")


def _waits(message: Message, key: str, answer: MailAnswer) -> bool:
    """Is this attempt of the message without an answer, or has it this very one, perhaps not written to its end?"""
    if not 1 <= answer.attempt <= len(message.attempts):
        return False
    attempt = message.attempts[answer.attempt - 1]
    if attempt.provider != key:
        return False
    if attempt.outcome in _UNANSWERED:
        return True
    outcome = answer.outcome
    return isinstance(outcome, Accepted) and (attempt.outcome, attempt.provider_ref) == (
        "accepted",
        outcome.provider_ref,
    )
