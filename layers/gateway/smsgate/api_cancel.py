"""Messages taken back: what no provider has yet, and what its provider confirms that it will not send."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from smsgate import lifecycle, telemetry
from smsgate.accounts import Accounts
from smsgate.answers import Answer, Json, no_message, not_found, number_json, problem
from smsgate.ledger import Ledger
from smsgate.messages import Message
from smsgate.providers.base import Ask, Cancels, CannotSay, Refusal
from smsgate.reasons import SUSPENDING
from smsgate.requests import split_message_id
from smsgate.secrets import SecretUnreadable
from smsgate.status import Status
from smsgate.suspension import Suspensions

WORKERS = 16

_TOO_LATE = {
    Status.SENDING: "it is being sent this moment",
    Status.SENT: "its provider has sent it already",
    Status.DOUBTFUL: "it is not known whether its provider has it",
}


@dataclass(frozen=True, slots=True)
class _Canceled:
    message: Message
    points: Decimal | None


@dataclass(frozen=True, slots=True)
class _NotCanceled:
    message: Message
    why: str


@dataclass(frozen=True, slots=True)
class _TakenBack:
    points: Decimal | None


class Cancellations:
    def __init__(
        self,
        *,
        ledger: Ledger,
        accounts: Accounts,
        suspensions: Suspensions,
        clock: Callable[[], datetime],
        pool: Callable[[int], Executor] = ThreadPoolExecutor,
    ) -> None:
        self._ledger = ledger
        self._accounts = accounts
        self._suspensions = suspensions
        self._clock = clock
        self._pool = pool
        self._log = telemetry.logger()

    def message(self, message_id: str) -> Answer:
        message = self._ledger.get(message_id)
        if message is None:
            return no_message()
        return _cancel_answer([self._cancel(message)])

    def request(self, request_id: str) -> Answer:
        messages = sorted(self._ledger.of_request(request_id), key=_place)
        if not messages:
            return not_found("request", "no message of a request of this id is known")
        # One alone first: a password that is refused is then not tried by all workers at once.
        first = self._cancel(messages[0])
        with self._pool(WORKERS) as pool:
            return _cancel_answer([first, *pool.map(self._cancel, messages[1:])])

    def _cancel(self, message: Message) -> _Canceled | _NotCanceled:
        """Only what no provider has, or what its provider confirms, is canceled."""
        now = self._clock()
        points: Decimal | None = None
        if message.status is Status.CANCELED:
            return _Canceled(message, None)
        if message.status is Status.SCHEDULED:
            taken_back = self._take_back(message)
            if isinstance(taken_back, str):
                return _NotCanceled(message, taken_back)
            points = taken_back.points
        elif message.status is not Status.ACCEPTED:
            return _NotCanceled(message, _TOO_LATE.get(message.status, f"it is {message.status.value} already"))
        changed = self._ledger.change_from(message, lambda m: lifecycle.cancel(m, now, points))
        if changed.status is not Status.CANCELED:
            return _NotCanceled(changed, _TOO_LATE.get(changed.status, f"it is {changed.status.value} already"))
        return _Canceled(changed, points)

    def _take_back(self, message: Message) -> _TakenBack | str:
        """Ask the provider; gives the words of its refusal where it did not."""
        key = message.provider or ""
        try:
            account = self._accounts.open(key)
        except SecretUnreadable as error:
            self._log.error("provider secret unreadable", extra={"provider": key, "problem": str(error)})
            return f"{key} cannot be asked now: its secret is missing or not valid"
        if self._suspensions.forbids_questions(key, account.version):
            return f"{key} cannot be asked now: it refused our credentials; store new ones and try again"
        if not isinstance(account.provider, Cancels) or message.provider_ref is None:
            return f"{key} cannot cancel what it has taken"
        ask = Ask(message.provider_ref, message.to, submitted_at=message.attempts[-1].at)
        try:
            answer = account.provider.cancel(ask, account.line)
        except CannotSay as silence:
            if silence.reason.code in SUSPENDING:
                self._suspensions.suspend(key, silence.reason, account.version)
            return f"{key} did not say whether it is canceled ({silence.reason.code.value}); try again"
        return answer.problem if isinstance(answer, Refusal) else _TakenBack(answer)


def _place(message: Message) -> int:
    return split_message_id(message.message_id)[1]


def _cancel_answer(results: Iterable[_Canceled | _NotCanceled]) -> Answer:
    canceled = [each for each in results if isinstance(each, _Canceled)]
    others = [each for each in results if isinstance(each, _NotCanceled)]
    points = [each.points for each in canceled if each.points is not None]
    body: Json = {
        "canceled": [{"message_id": each.message.message_id, "points": number_json(each.points)} for each in canceled],
        "not_canceled": [
            {"message_id": each.message.message_id, "status": each.message.status.value, "reason": each.why}
            for each in others
        ],
        "points_returned": number_json(sum(points, Decimal(0))) if points else None,
    }
    if canceled:
        return Answer(200, body)
    why = others[0].why if len({each.why for each in others}) == 1 else "none of its messages can be canceled any more"
    return problem(409, "Too late to cancel", why, **body)
