"""Providers left alone for a while, for every worker at once: who is suspended, why, and when one may try again.

A suspended provider is tried again with one message of one worker: whoever moves `retry_at` on, once it has come,
has the trial. What that message comes to decides for all. A secret that was refused is not tried again, ever: some
vendors lock the account. Another secret is tried at once.

Failures in a row and reports that do not come are counted in the ledger; a success writes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from smsgate.items import reason_from_plain, stamp, time_of
from smsgate.ledger import Contended, Ledger
from smsgate.policy import SlowReceipts
from smsgate.reasons import Code, Reason
from smsgate.routing import Obstacle

ASPECT = "suspension"

FAILURES = frozenset({Code.PROVIDER_UNREACHABLE, Code.NO_REPLY, Code.PROVIDER_ERROR})
"""What a provider in trouble brings. That our own turn did not come (`rate_limited`) says nothing of it."""

IN_A_ROW = 5
"""Failures after which a provider is suspended. One in a hundred calls fails with a healthy vendor: five in a row then
happen once in ten thousand million calls. A dead one costs five messages, and one more per worker that knew it well."""

_ROW_ENDS = timedelta(minutes=10)
"""Failures further apart are no row: a message that is tried again alone (after 30 s, 1, 2, 5 minutes) still makes one
of its own."""

_PAUSE = timedelta(minutes=5)
"""After a refusal that somebody has to mend."""

_SHORTEST, _LONGEST = timedelta(minutes=1), timedelta(minutes=5)
"""After failures: twice as long each time, for most troubles of a network are over in a minute or last for hours."""

_SLOW_SHORTEST, _SLOW_LONGEST = timedelta(minutes=15), timedelta(hours=1)
"""After reports that did not come: taking a message proves nothing, so all go there again, and it is judged anew."""

_TRIAL = timedelta(minutes=1)
"""What a trial may take: three calls of the longest deadline. Should its worker die, the next is due then."""

_RELAPSE = timedelta(hours=1)
"""Suspended again for the same this soon after it was resumed, it is the same trouble still."""

_WINDOW = timedelta(minutes=10)
"""In which messages without a report are held against those that were sent."""

_KEPT = timedelta(days=8)
"""Counts of a window: longer than the longest wait for a report that the routing document allows."""

_SETTLED = timedelta(seconds=10)
"""A notice that moves the next try on by less is not written: thirty calls in flight bring thirty of them at once."""

_NEEDS_NEW_SECRET = frozenset({Code.BAD_CREDENTIALS, Code.ACCOUNT_DISABLED})
_REFUSED_KEPT = 10
_TRIES = 10


def trouble(code: Code) -> str:
    """Which trouble it is that a reason tells of. The failures of one bad hour look different from call to call."""
    return "failures" if code in FAILURES else code.value


@dataclass(frozen=True, slots=True)
class Suspension:
    """The last one, over (`active` is false) or not."""

    reason: Reason
    since: datetime  # when it began, or ended
    retry_at: datetime
    secret_version: str  # with which it was noticed, or ended
    tried_version: str  # with which it was tried last
    active: bool
    version: int = 0  # of the state in the ledger
    refused_versions: tuple[str, ...] = ()  # secrets that are never tried again
    pause: timedelta = _PAUSE
    relapses: int = 0  # how often the same trouble came back
    held: bool = False  # by an operator: ends when an operator says so

    @property
    def soft(self) -> bool:
        """It takes messages, only nobody hears what becomes of them."""
        return self.reason.code is Code.NO_REPORT

    def is_due(self, secret_version: str, now: datetime) -> bool:
        """Is it time to try whether it is mended?"""
        if self.held or secret_version in self.refused_versions:
            return False
        untried = secret_version not in (self.secret_version, self.tried_version) and not self.soft
        return untried or now >= self.retry_at


Step = Callable[[Suspension | None], Suspension | None]
"""What becomes of a suspension; None where nothing does."""


class Suspensions:
    """`slow`: what the operator's document says of reports that do not come; asked only when messages are counted."""

    def __init__(
        self,
        ledger: Ledger,
        clock: Callable[[], datetime],
        slow: Callable[[], SlowReceipts | None] = lambda: None,
    ) -> None:
        self._ledger = ledger
        self._clock = clock
        self._slow = slow
        self._trying: set[str] = set()
        self._working: set[str] = set()  # took a message from this worker since its last failure here

    def read(self, provider: str) -> Suspension | None:
        plain = self._ledger.provider_state(provider, ASPECT)
        if plain is None:
            return None
        return Suspension(
            reason=reason_from_plain(plain["reason"]) or Reason(Code.UNKNOWN),
            since=time_of(plain["since"]),
            retry_at=time_of(plain["retry_at"]),
            secret_version=plain["secret_version"],
            tried_version=plain["tried_version"],
            active=bool(plain["active"]),
            version=int(plain["version"]),
            refused_versions=tuple(plain["refused_versions"]),
            pause=timedelta(seconds=int(plain["pause"])),
            relapses=int(plain["relapses"]),
            held=bool(plain["held"]),
        )

    # Before a call

    def obstacle(self, provider: str, secret_version: str) -> Obstacle | None:
        """Is the provider to be left alone? `trial`: one message may go there, whoever takes the trial. Only reads."""
        known = self.read(provider)
        if known is None:
            return None
        now = self._clock()
        if secret_version in known.refused_versions:
            reason = known.reason if known.active else Reason(Code.BAD_CREDENTIALS, provider_text="a refused secret")
            return Obstacle(reason, max(known.retry_at, now + _PAUSE))
        if not known.active:
            return None
        if known.held:
            return Obstacle(known.reason, now + _PAUSE)
        if known.is_due(secret_version, now):
            return Obstacle(known.reason, now + _TRIAL, trial=True, soft=known.soft)
        return Obstacle(known.reason, known.retry_at, soft=known.soft)

    def take_trial(self, provider: str, secret_version: str) -> bool:
        """For the one worker whose message goes there now; for all others the obstacle stands."""
        known = self.read(provider)
        now = self._clock()
        if known is None or not (known.active or secret_version in known.refused_versions):
            return True  # It was resumed since.
        if not known.is_due(secret_version, now):
            return False
        if known.soft:
            return self._write(provider, _resumed(known, now))
        # A password that has been refused is not tried more often than need be, even where the trial's worker died.
        turn = _PAUSE if known.refused_versions else _TRIAL
        if not self._write(provider, replace(known, tried_version=secret_version, retry_at=now + turn)):
            return False
        self._trying.add(provider)
        return True

    def forbids_questions(self, provider: str, secret_version: str) -> bool:
        """Would asking now try credentials that were refused?"""
        known = self.read(provider)
        return known is not None and secret_version in known.refused_versions

    # After a call

    def suspend(self, provider: str, reason: Reason, secret_version: str) -> Obstacle:
        """Once per change, whoever notices first; later notices only move the next try on."""
        self._trying.discard(provider)
        now = self._clock()

        def step(known: Suspension | None) -> Suspension | None:
            return _suspended(known, reason, secret_version, now)

        written = self._change(provider, step) or self.read(provider)
        return Obstacle(reason, max(written.retry_at if written else now, now + _TRIAL))

    def failed(self, provider: str, reason: Reason, secret_version: str) -> Obstacle | None:
        """A call that did not get through, or brought no answer that can be read; gives what stands in the way now."""
        if reason.code not in FAILURES:
            return None
        now = self._clock()
        anew = provider in self._working
        self._working.discard(provider)
        known = self.read(provider)
        if known is not None and known.active and not known.soft:
            return self._failed_again(provider, known, now)
        if self._ledger.count_failure(provider, now, None if anew else now - _ROW_ENDS) < IN_A_ROW:
            return None
        return self.suspend(provider, reason, secret_version)

    def worked(self, provider: str) -> None:
        """It took a message: whatever was wrong is mended. Reads nothing unless this worker had the trial."""
        self._working.add(provider)
        if provider in self._trying:
            self._trying.discard(provider)
            self._mended(provider, lambda _: True)

    def reached(self, provider: str) -> None:
        """It was given a message and will say later what it does with it: failures end, no other trouble does."""
        self._working.add(provider)
        if provider in self._trying:
            self._trying.discard(provider)
            self._mended(provider, lambda known: known.reason.code in FAILURES)

    def answered(self, provider: str, asked_at: datetime) -> None:
        """It took a message that it was given at this time, and says so later: mended, unless suspended after that."""
        self._mended(provider, lambda known: asked_at > known.since)

    def credit_seen(self, provider: str, credit: Decimal) -> None:
        """The account has credit: where the lack of it is what is wrong, a message may try at once."""
        now = self._clock()

        def step(known: Suspension | None) -> Suspension | None:
            if known is None or not known.active or known.reason.code is not Code.CREDIT_EXHAUSTED:
                return None
            return replace(known, retry_at=now) if credit > 0 and known.retry_at > now else None

        self._change(provider, step)

    # Reports that do not come

    def patience(self) -> timedelta | None:
        """How long a report may take; None where the operator's document says nothing of it."""
        slow = self._slow()
        return slow.after if slow else None

    def sent(self, provider: str, count: int, at: datetime) -> None:
        """So many messages were taken by a provider that reports what becomes of them."""
        if self._slow() is not None:
            self._ledger.count_reports(provider, _window(at), sent=count, late=0, until=at + _KEPT)

    def late(self, provider: str, count: int, at: datetime) -> None:
        """Of what it was given at this time, so many have had no report for too long; each message is told once."""
        slow = self._slow()
        if slow is None:
            return
        sent, late = self._ledger.count_reports(provider, _window(at), sent=0, late=count, until=at + _KEPT)
        if late < slow.least or late < slow.share * sent:
            return
        now = self._clock()
        said = f"{late} of {max(sent, late)} messages have no report after {int(slow.after.total_seconds())} seconds"

        def step(known: Suspension | None) -> Suspension | None:
            if known is not None and (known.active or known.since > at):
                return None  # What it took before it was resumed says nothing of what it is like now.
            return _suspended(known, Reason(Code.NO_REPORT, provider_text=said), "", now)

        self._change(provider, step)

    # Operators

    def by_operator(self, provider: str, why: str) -> None:
        """Left alone until an operator resumes it; what is learnt of it meanwhile does not end that."""
        now = self._clock()
        reason = Reason(Code.NO_ROUTE, provider_text=f"suspended by the operator: {why}")

        def step(known: Suspension | None) -> Suspension | None:
            if known is None:
                return Suspension(reason, now, now, "", "", True, held=True)
            if known.held and known.reason == reason:
                return None
            since = known.since if known.active else now
            return replace(known, reason=reason, since=since, active=True, held=True, relapses=0)

        self._change(provider, step)

    def resume(self, provider: str) -> None:
        """The operator says that it is mended. With a secret that was refused, one message tries that first."""
        now = self._clock()

        def step(known: Suspension | None) -> Suspension | None:
            if known is None or not (known.active or known.refused_versions):
                return None
            refused = known.secret_version in known.refused_versions
            freed = replace(known, refused_versions=(), held=False, relapses=0)
            if not known.active:
                return freed
            if not refused:
                return _resumed(freed, now)
            reason = Reason(Code.BAD_CREDENTIALS) if known.held else known.reason
            return replace(freed, reason=reason, retry_at=now)

        if self._change(provider, step):
            self._ledger.forget_failures(provider)

    # The state

    def _failed_again(self, provider: str, known: Suspension, now: datetime) -> Obstacle:
        """The trial came to nothing: the next is due later. Calls that were under way before say nothing new."""
        if provider in self._trying:
            self._trying.discard(provider)

            def step(current: Suspension | None) -> Suspension | None:
                if current is None or not current.active or current.held:
                    return None
                pause = _pause(current.reason, current.pause)
                return replace(current, pause=pause, retry_at=now + pause)

            known = self._change(provider, step) or known
        return Obstacle(known.reason, max(known.retry_at, now + _TRIAL))

    def _mended(self, provider: str, proves: Callable[[Suspension], bool]) -> None:
        now = self._clock()

        def step(known: Suspension | None) -> Suspension | None:
            if known is None or not known.active or known.held or known.soft or not proves(known):
                return None
            return _resumed(known, now)

        if self._change(provider, step):
            self._ledger.forget_failures(provider)

    def _change(self, provider: str, step: Step) -> Suspension | None:
        """What was written, if anything: the step is taken again where another worker was faster."""
        for _ in range(_TRIES):
            next_ = step(self.read(provider))
            if next_ is None:
                return None
            if self._write(provider, next_):
                return next_
        raise Contended(provider)

    def _write(self, provider: str, next_: Suspension) -> bool:
        state = {
            "reason": {name: value for name, value in next_.reason.as_json().items() if value is not None},
            "since": stamp(next_.since),
            "retry_at": stamp(next_.retry_at),
            "secret_version": next_.secret_version,
            "tried_version": next_.tried_version,
            "refused_versions": list(next_.refused_versions),
            "pause": int(next_.pause.total_seconds()),
            "relapses": next_.relapses,
            "held": next_.held,
            "active": next_.active,
            "at": stamp(self._clock()),
        }
        return self._ledger.set_provider_state(provider, ASPECT, state, next_.version)


def _suspended(known: Suspension | None, reason: Reason, secret_version: str, now: datetime) -> Suspension | None:
    """What becomes of a suspension where this is noticed; None where it is known well enough."""
    refused = known.refused_versions if known else ()
    if reason.code in _NEEDS_NEW_SECRET and secret_version not in refused:
        refused = (*refused, secret_version)[-_REFUSED_KEPT:]
    if known is None:
        pause = _pause(reason)
        return Suspension(
            reason, now, now + pause, secret_version, secret_version, True, refused_versions=refused, pause=pause
        )
    if known.held:
        # The operator's word stands. What must not be tried again once it ends is remembered.
        held = replace(known, secret_version=secret_version, refused_versions=refused)
        return held if refused != known.refused_versions else None
    begun = replace(
        known,
        reason=reason,
        since=now,
        secret_version=secret_version,
        tried_version=secret_version,
        refused_versions=refused,
        active=True,
        pause=_pause(reason),
        relapses=0,
    )
    same = trouble(reason.code) == trouble(known.reason.code)
    if same and known.active:
        begun = replace(begun, since=known.since, pause=known.pause, relapses=known.relapses)
        if begun == replace(known, reason=reason) and now + begun.pause - known.retry_at < _SETTLED:
            return None
    elif same and now - known.since < _RELAPSE:
        begun = replace(begun, pause=_pause(reason, known.pause), relapses=known.relapses + 1)
    return replace(begun, retry_at=now + begun.pause)


def _resumed(known: Suspension, now: datetime) -> Suspension:
    return replace(known, since=now, secret_version=known.tried_version, active=False, held=False)


def _pause(reason: Reason, before: timedelta | None = None) -> timedelta:
    """Until the next try; `before` is the pause that was not long enough."""
    if reason.code is Code.NO_REPORT:
        return min(before * 2, _SLOW_LONGEST) if before else _SLOW_SHORTEST
    if reason.code in FAILURES:
        return min(before * 2, _LONGEST) if before else _SHORTEST
    return _PAUSE


def _window(at: datetime) -> str:
    """The time at which the window of a moment begins."""
    seconds = int(_WINDOW.total_seconds())
    return stamp(datetime.fromtimestamp(int(at.timestamp()) // seconds * seconds, UTC))
