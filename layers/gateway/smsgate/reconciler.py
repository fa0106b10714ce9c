"""What nobody called about: parked messages, lost workers, reports that never came, replies that must be fetched.

Run by a schedule. Due work is found through a sparse index, the longest overdue first; each piece is taken by a write
that only one run can win, so two runs at once ask once, and a run that is killed leaves the rest due for the next.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from itertools import islice

from smsgate import lifecycle, telemetry
from smsgate.accounts import Account, Accounts
from smsgate.conversation import Conversation
from smsgate.evidence import Evidence
from smsgate.heard_replies import HeardReplies
from smsgate.items import Plain
from smsgate.ledger import Ledger, Page, Saved, message_id_of
from smsgate.lifecycle import Watch
from smsgate.messages import Message, Reply, Report
from smsgate.overdue import Overdue
from smsgate.providers.base import Ask, CannotSay, PollsReplies, Provider, Queries
from smsgate.reasons import SUSPENDING
from smsgate.secrets import SecretUnreadable
from smsgate.shelves import Shelf, Shelves
from smsgate.status import Status
from smsgate.suspension import Suspensions
from smsgate.wakeups import WakeUps, planned

WORKERS = 16
_PAGE = 200
_TO_TRY_WITH = 10
"""So many of those that wait are asked whether a provider may be tried with them; one of a shelf is enough."""

_SENDERS_AT_ONCE = 4 * WORKERS
_REMEMBERED = 100_000
"""Replies that a worker knows to be stored, and so need not ask the ledger for with every poll of the day."""


@dataclass(frozen=True, slots=True)
class _Question:
    message: Message
    ask: Ask


class Reconciler:
    def __init__(
        self,
        *,
        ledger: Ledger,
        accounts: Accounts,
        suspensions: Suspensions,
        evidence: Evidence,
        conversation: Conversation,
        offers: Mapping[str, type[Provider]],
        wake_ups: WakeUps,
        shelves: Shelves,
        watch: Watch,
        deadline: timedelta,
        clock: Callable[[], datetime],
        pool: Callable[[int], Executor] = ThreadPoolExecutor,
    ) -> None:
        self._ledger = ledger
        self._accounts = accounts
        self._suspensions = suspensions
        self._evidence = evidence
        self._conversation = conversation
        self._offers = offers
        self._watch = watch
        self._deadline = deadline
        self._clock = clock
        self._pool = pool
        self._wake_ups = wake_ups
        self._shelves = shelves
        self._heard = HeardReplies(ledger)
        self._stored: set[tuple[str, str]] = set()
        self._log = telemetry.logger()

    def handle(self, time_left: Callable[[], timedelta]) -> None:
        overdue = Overdue(self._ledger, self._suspensions, self._offers, self._clock())
        with self._pool(WORKERS) as pool:
            self._poll_replies(pool, time_left)
            for shelf, ids in self._due(time_left):
                look = partial(self._look, overdue, shelf)
                # To try a provider with, one after the other until one is woken.
                found = islice(filter(None, map(look, ids)), 1) if shelf.one_only else filter(None, pool.map(look, ids))
                looked_at = list(found)
                self._wake_ups.send(message for message in looked_at if message.status is Status.ACCEPTED)
                taken = [message for message in looked_at if message.status is not Status.ACCEPTED]
                self._ask_all(pool, taken, time_left)
                overdue.tell(taken, pool.map)
        telemetry.gauge("DoubtfulOpen", self._ledger.doubtful())
        self._gauge_providers()
        telemetry.count("ReconcilerRan")

    def _gauge_providers(self) -> None:
        """For each provider, and over all of them for the alarms, which can name none."""
        known = {key: self._suspensions.read(key) for key in self._offers}
        suspended = {key: each is not None and each.active for key, each in known.items()}
        for key, is_suspended in suspended.items():
            telemetry.gauge("ProviderSuspended", is_suspended, provider=key)
        telemetry.gauge("ProvidersSuspended", sum(suspended.values()))
        telemetry.gauge("SecretsUnreadable", sum(map(self._lacks_secret, self._offers)))

    def _lacks_secret(self, key: str) -> bool:
        """Then nothing goes there, and as nothing is tried, nothing fails."""
        try:
            self._accounts.open(key)
        except SecretUnreadable as error:
            self._log.error("provider secret unreadable", extra={"provider": key, "problem": str(error)})
            return True
        return False

    # Due work

    def _due(self, time_left: Callable[[], timedelta]) -> Iterator[tuple[Shelf, list[str]]]:
        """Page by page, from one shelf after the other: a long one keeps none from being looked at."""
        now = self._clock()
        left: deque[tuple[Shelf, Plain | None]] = deque((shelf, None) for shelf in self._shelves.all())
        while left and time_left() > self._deadline * 2:
            shelf, cursor = left.popleft()
            page = self._page(shelf, now, cursor)
            if page.items:
                yield shelf, [message_id_of(key) for key in page.items]
            if page.cursor is not None and not shelf.one_only:
                left.append((shelf, page.cursor))

    def _page(self, shelf: Shelf, now: datetime, cursor: Plain | None) -> Page:
        if not shelf.is_free:
            return self._ledger.due(shelf.shard, now, _PAGE, cursor)
        return self._ledger.waiting(shelf.shard, _TO_TRY_WITH if shelf.one_only else _PAGE, cursor)

    def _look(self, overdue: Overdue, shelf: Shelf, message_id: str) -> Message | None:
        """Take what is due of one message; gives it where it must be woken or asked about, by this run alone."""
        try:
            return self._take(overdue, shelf, message_id)
        except Exception as error:
            self._log.error("due message not taken", extra={"message_id": message_id, "error": type(error).__name__})
            telemetry.count("DueNotTaken")
            return None

    def _take(self, overdue: Overdue, shelf: Shelf, message_id: str) -> Message | None:
        message = self._ledger.get(message_id)
        now = self._clock()
        if message is not None and shelf.frees(message, now):
            message = lifecycle.hasten(message, now)
        if message is None or message.due_at is None or message.due_at > now:
            return None  # The index was behind.
        taken = self._next(overdue, message, now)
        if taken is message:
            return None
        result = self._ledger.save(taken)
        if not isinstance(result, Saved):
            return None
        has_ended = result.message.status.is_final and result.message.status is not message.status
        return None if has_ended else result.message

    def _next(self, overdue: Overdue, message: Message, now: datetime) -> Message:
        if message.status is Status.SENDING:
            return planned(lifecycle.lapse(message, now), now)
        if message.status is Status.ACCEPTED:
            for end in (lifecycle.expire(message, now), lifecycle.give_up(message, now, self._watch)):
                if end is not message:
                    return end
            return planned(message, now)
        if message.status.is_final:
            return lifecycle.listened(message, now, self._watch) if self._can_ask(message) else lifecycle.rest(message)
        ended = lifecycle.unconfirm(message, now, self._watch)
        if ended is not message:
            return self._evidence.listen(ended)
        if self._can_ask(message):
            return overdue.note(lifecycle.checked(message, now, self._watch), now)
        return overdue.note(lifecycle.watched(message, self._watch), now)

    # Status checks

    def _can_ask(self, message: Message) -> bool:
        provider = self._offers.get(message.provider or "")
        return provider is not None and issubclass(provider, Queries) and message.provider_ref is not None

    def _ask_all(self, pool: Executor, messages: Sequence[Message], time_left: Callable[[], timedelta]) -> None:
        questions: dict[str, list[_Question]] = defaultdict(list)
        for message in messages:
            if self._can_ask(message):
                ref = message.provider_ref or ""
                ask = Ask(ref, message.to, submitted_at=message.send_at or message.attempts[-1].at)
                questions[message.provider or ""].append(_Question(message, ask))
        for key, asked in questions.items():
            account = self._usable(key)
            if account is None or not isinstance(account.provider, Queries):
                continue
            size = account.provider.asks_per_call
            asked.sort(key=lambda question: question.ask.provider_ref)  # What one call carried is asked about in one.
            batches = [asked[start : start + size] for start in range(0, len(asked), size)]
            ask_batch = partial(self._ask, key, account, account.provider, time_left)
            # One alone first: a password that is refused is then not tried by all workers at once.
            ask_batch(batches[0])
            list(pool.map(ask_batch, batches[1:]))

    def _ask(
        self,
        key: str,
        account: Account,
        provider: Queries,
        time_left: Callable[[], timedelta],
        questions: Sequence[_Question],
    ) -> None:
        if time_left() < self._deadline:
            self._put_back(questions)
            return
        with self._contained(key, account):
            if self._suspensions.forbids_questions(key, account.version):
                return
            asks = [question.ask for question in questions]
            reports, replies = provider.reports_and_replies(asks, self._clock(), account.line)
            self._apply(key, questions, reports)
            for reply in replies:
                self._receive(reply)

    def _put_back(self, questions: Sequence[_Question]) -> None:
        """For the next run: without an answer they would wait for their next check, a day perhaps."""
        telemetry.count("QuestionsPutBack", value=len(questions))
        for question in questions:
            message_id = question.message.message_id
            try:
                self._ledger.change_from(question.message, partial(lifecycle.not_asked, now=self._clock()))
            except Exception as error:
                extra = {"message_id": message_id, "error": type(error).__name__}
                self._log.error("question not put back", extra=extra)

    def _apply(self, key: str, questions: Sequence[_Question], reports: Iterable[Report]) -> None:
        asked = {(question.ask.provider_ref, question.ask.to): question.message for question in questions}
        for report in reports:
            message = asked.get((report.provider_ref or "", report.to or ""))
            if message is None:
                telemetry.count("ReceiptUnmatched", provider=key)
                continue
            telemetry.count("ReportFetched", provider=key)
            self._evidence.apply(message, report)

    # Replies

    def _poll_replies(self, pool: Executor, time_left: Callable[[], timedelta]) -> None:
        """For at most half of the run, however many there are: the other half is for what is due."""
        ends_at = time_left() / 2

        def is_over() -> bool:
            return time_left() < max(ends_at, self._deadline * 2)

        for key, offered in self._offers.items():
            if not issubclass(offered, PollsReplies):
                continue
            account = self._usable(key)
            if account is None or not isinstance(account.provider, PollsReplies):
                continue
            began, all_heard = self._clock(), True
            with self._contained(key, account):
                for day in self._heard.days(key, began):
                    all_heard &= self._poll(pool, key, account, account.provider, day, is_over)
                if all_heard:
                    self._heard.all_until(key, began)
                    continue
            telemetry.count("RepliesNotFetched")  # The alarm can name no provider; the line does.

    def _poll(
        self, pool: Executor, key: str, account: Account, provider: PollsReplies, day: date, is_over: Callable[[], bool]
    ) -> bool:
        """A day's replies; False where some may be missing. What one day brings keeps nobody from the next."""
        if is_over() or self._suspensions.forbids_questions(key, account.version):
            return False
        all_told = False
        said_by: dict[str, list[Reply]] = defaultdict(list)
        with self._contained(key, account):
            for reply in provider.replies_of(day, account.line):
                if (reply.provider, reply.key) not in self._stored:
                    said_by[reply.sender].append(reply)
            all_told = True
        senders = list(said_by.values())
        for start in range(0, len(senders), _SENDERS_AT_ONCE):
            if is_over():
                return False
            # Who said several things said them in this order: a stop and a start must not change places.
            all_told &= all(list(pool.map(self._receive_all, senders[start : start + _SENDERS_AT_ONCE])))
        return all_told

    def _receive_all(self, replies: Iterable[Reply]) -> bool:
        stored = [self._receive(reply) for reply in replies]
        return all(stored)

    def _receive(self, reply: Reply) -> bool:
        """True where it is stored now, by this run or before."""
        try:
            self._conversation.receive(reply)
        except Exception as error:
            # It is there to be fetched again by the next run; those behind it must not wait for it.
            self._log.error("reply not stored", extra={"provider": reply.provider, "error": type(error).__name__})
            telemetry.count("ReplyNotStored", provider=reply.provider)
            return False
        if len(self._stored) >= _REMEMBERED:
            self._stored.clear()
        self._stored.add((reply.provider, reply.key))
        return True

    # Providers

    def _usable(self, key: str) -> Account | None:
        """The account, if nobody refused its credentials: questions must not lock it."""
        try:
            account = self._accounts.open(key)
            return None if self._suspensions.forbids_questions(key, account.version) else account
        except SecretUnreadable as error:
            self._log.error("provider secret unreadable", extra={"provider": key, "problem": str(error)})
            telemetry.count("SecretUnreadable", provider=key)
        except Exception as error:
            self._log.error("provider state not read", extra={"provider": key, "error": type(error).__name__})
            telemetry.count("ProviderStateNotRead", provider=key)
        return None

    @contextmanager
    def _contained(self, key: str, account: Account) -> Iterator[None]:
        """What goes wrong with one provider's answer must not keep this run from anything else that is due."""
        try:
            try:
                yield
            except CannotSay as silence:
                self._log.warning("provider cannot say", extra={"provider": key, "reason": silence.reason.code.value})
                telemetry.count("ProviderCannotSay", provider=key)
                if silence.reason.code in SUSPENDING:
                    self._suspensions.suspend(key, silence.reason, account.version)
        except Exception as error:
            self._log.error("provider not asked to the end", extra={"provider": key, "error": type(error).__name__})
            telemetry.count("QuestionFailed", provider=key)
