"""What may happen to a message: each step, and what no sequence of steps may ever do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsgate import lifecycle
from smsgate.messages import Kind, Message, OnDoubt, Report
from smsgate.outcomes import Accepted, MaybeSent, NotSent, Outcome, Refused
from smsgate.reasons import Code, Reason
from smsgate.status import Status
from tests.gateway.examples import MINUTE, NOON, SECOND, UNTIL, WATCH, message

NO_REPLY = MaybeSent(Reason(Code.NO_REPLY))
UNREACHABLE = NotSent(Reason(Code.PROVIDER_UNREACHABLE))
NO_SUCH_NUMBER = Refused(Reason(Code.INVALID_NUMBER, "00100", "手機號碼格式錯誤"))
TAKEN = Accepted("222160591")


def statuses(of: Message) -> list[tuple[Status | None, Status | None]]:
    return [(moment.previous, moment.status) for moment in of.timeline if moment.kind is Kind.STATUS]


def claimed(**fields: object) -> Message:
    return lifecycle.claim(message(**fields), "plainline", NOON, UNTIL, 1, Decimal(1))


def sent(**fields: object) -> Message:
    return lifecycle.settle(claimed(**fields), 1, TAKEN, NOON + SECOND, WATCH)


def told(status: Status | None, time: str | None = "20261120120005", **fields: object) -> Report:
    return Report(status, None, "CODE", time, **{"provider_ref": "222160591", **fields})  # type: ignore[arg-type]


def delivered(of: Message, time: str = "20261120120005") -> Message:
    return lifecycle.report(of, told(Status.DELIVERED, time), NOON + MINUTE, WATCH)


class TestClaiming:
    def test_a_new_message_is_accepted_and_sending_in_one_step(self) -> None:
        sending = claimed()

        assert statuses(sending) == [(None, Status.ACCEPTED), (Status.ACCEPTED, Status.SENDING)]
        assert sending.claim is not None
        assert sending.claim.until == UNTIL
        assert sending.due_at == UNTIL
        assert [attempt.outcome for attempt in sending.attempts] == ["calling"]

    @pytest.mark.parametrize("taken", [claimed(), sent(), delivered(sent())])
    def test_what_somebody_has_claimed_or_sent_cannot_be_claimed(self, taken: Message) -> None:
        assert lifecycle.claim(taken, "castello", NOON, UNTIL) is taken

    def test_the_route_is_in_the_timeline_with_who_was_passed_over_and_why(self) -> None:
        sending = lifecycle.claim(message(), "plainline", NOON, UNTIL, 1, Decimal(1), (("castello", "suspended"),))

        (route,) = [moment for moment in sending.timeline if moment.kind is Kind.ROUTE]
        assert dict(route.data) == {"provider": "plainline", "castello": "suspended"}


class TestSettling:
    def test_accepted_is_sent_with_its_reference_and_a_first_check(self) -> None:
        message = sent()

        assert message.status is Status.SENT
        assert message.provider_ref == "222160591"
        assert message.claim is None
        assert message.due_at == NOON + SECOND + MINUTE

    def test_accepted_for_later_is_scheduled_and_first_asked_about_after_its_time(self) -> None:
        message = sent(send_at=NOON + timedelta(hours=2))

        assert message.status is Status.SCHEDULED
        assert message.due_at == NOON + timedelta(hours=2) + MINUTE

    def test_refused_is_rejected_with_the_providers_code(self) -> None:
        message = lifecycle.settle(claimed(), 1, NO_SUCH_NUMBER, NOON, WATCH)

        assert message.status is Status.REJECTED
        assert message.reason == NO_SUCH_NUMBER.reason
        assert message.due_at is None

    def test_maybe_sent_is_doubtful_and_final(self) -> None:
        message = lifecycle.settle(claimed(), 1, NO_REPLY, NOON, WATCH)

        assert message.status is Status.DOUBTFUL
        assert message.status.is_final
        assert message.due_at is None

    def test_maybe_sent_waits_to_be_sent_again_where_the_publisher_prefers_that_and_not_for_ever(self) -> None:
        message = claimed(on_doubt=OnDoubt.RESEND)
        outcomes = []
        for attempt in range(1, 5):
            message = lifecycle.settle(message, attempt, NO_REPLY, NOON, WATCH)
            outcomes.append(message.status)
            message = lifecycle.claim(message, "plainline", NOON, UNTIL)

        assert outcomes == [Status.ACCEPTED] * lifecycle.RESENDS + [Status.DOUBTFUL] * 2

    def test_a_private_text_is_gone_once_submitted(self) -> None:
        assert sent(private=True).text is None
        assert sent().text == message().text

    def test_a_private_text_is_gone_once_refused(self) -> None:
        assert lifecycle.settle(claimed(private=True), 1, NO_SUCH_NUMBER, NOON, WATCH).text is None

    def test_not_sent_waits_with_its_reason_and_the_time_of_the_next_try(self) -> None:
        message = lifecycle.release(claimed(), 1, UNREACHABLE, NOON, NOON + MINUTE)

        assert message.status is Status.ACCEPTED
        assert message.reason == UNREACHABLE.reason
        assert message.next_attempt_at == message.due_at == NOON + MINUTE
        assert message.claim is None

    def test_failing_over_is_a_new_attempt_without_a_change_of_status(self) -> None:
        message = lifecycle.call_next(claimed(), 1, UNREACHABLE, "castello", NOON, UNTIL, 1, Decimal(1))

        assert message.status is Status.SENDING
        assert message.provider == "castello"
        assert [(a.provider, a.outcome) for a in message.attempts] == [
            ("plainline", "not_sent"),
            ("castello", "calling"),
        ]
        assert len(statuses(message)) == 2

    def test_an_outcome_of_an_attempt_that_was_followed_by_another_moves_nothing(self) -> None:
        second = lifecycle.call_next(claimed(), 1, UNREACHABLE, "castello", NOON, UNTIL, 1, Decimal(1))

        for outcome in (NO_REPLY, NO_SUCH_NUMBER):
            assert lifecycle.settle(second, 1, outcome, NOON, WATCH).status is Status.SENDING
        assert lifecycle.release(second, 1, UNREACHABLE, NOON, UNTIL).status is Status.SENDING


class TestLostWorkers:
    def test_a_claim_that_ran_out_is_doubtful(self) -> None:
        message = lifecycle.lapse(claimed(), UNTIL)

        assert message.status is Status.DOUBTFUL
        assert message.attempts[-1].outcome == "maybe_sent"

    def test_a_claim_that_holds_is_left_alone(self) -> None:
        sending = claimed()

        assert lifecycle.lapse(sending, UNTIL - SECOND) is sending

    def test_the_outcome_of_a_worker_that_was_only_slow_is_evidence(self) -> None:
        lapsed = lifecycle.lapse(claimed(), UNTIL)

        revised = lifecycle.settle(lapsed, 1, TAKEN, UNTIL + SECOND, WATCH)

        assert revised.status is Status.SENT
        assert revised.timeline[-1].revised
        assert lifecycle.settle(lapsed, 1, NO_SUCH_NUMBER, UNTIL, WATCH).status is Status.REJECTED

    def test_a_report_settles_the_doubt(self) -> None:
        message = delivered(lifecycle.lapse(claimed(), UNTIL))

        assert message.status is Status.DELIVERED
        assert message.provider_ref == "222160591"
        assert message.timeline[-1].revised


class TestReports:
    def test_a_report_ends_a_message_and_its_watch(self) -> None:
        message = delivered(sent())

        assert message.status is Status.DELIVERED
        assert message.due_at is None

    def test_a_report_before_the_answer_of_the_send_is_kept_and_the_answer_does_not_undo_it(self) -> None:
        early = delivered(claimed())

        settled = lifecycle.settle(early, 1, replace(TAKEN, points=Decimal(2)), NOON + MINUTE, WATCH)

        assert settled.status is Status.DELIVERED
        assert settled.provider_ref == "222160591"
        assert settled.points == 2
        assert settled.attempts[0].outcome == "accepted"

    def test_the_same_report_again_changes_nothing(self) -> None:
        message = delivered(sent())

        assert delivered(message) is message

    def test_an_earlier_status_that_comes_later_is_kept_in_the_timeline_only(self) -> None:
        message = lifecycle.report(delivered(sent()), told(Status.SENT), NOON + MINUTE, WATCH)

        assert message.status is Status.DELIVERED
        assert message.timeline[-1].kind is Kind.REPORT
        assert dict(message.timeline[-1].data)["applied"] == "no"

    def test_of_two_contradicting_reports_the_one_with_the_later_provider_time_counts(self) -> None:
        message = delivered(sent(), "20261120120005")

        same_time = lifecycle.report(message, told(Status.UNDELIVERED, "20261120120005"), NOON, WATCH)
        later = lifecycle.report(message, told(Status.UNDELIVERED, "20261120120006"), NOON, WATCH)

        assert same_time.status is Status.DELIVERED
        assert later.status is Status.UNDELIVERED
        assert later.timeline[-1].revised

    def test_an_unlisted_code_is_kept_and_changes_nothing(self) -> None:
        message = lifecycle.report(sent(), told(None), NOON, WATCH)

        assert message.status is Status.SENT
        assert dict(message.timeline[-1].data)["status"] == "unlisted"

    @pytest.mark.parametrize("stranger", [{"provider_ref": "999"}, {"to": "+886900000000"}])
    def test_a_report_of_another_reference_or_number_moves_nothing(self, stranger: dict[str, str]) -> None:
        message = lifecycle.report(sent(), told(Status.UNDELIVERED, **stranger), NOON, WATCH)

        assert message.status is Status.SENT
        assert message.provider_ref == "222160591"

    def test_a_report_of_a_message_nobody_tried_to_send_moves_nothing(self) -> None:
        accepted = lifecycle.accept(message(), NOON)

        assert lifecycle.report(accepted, told(Status.DELIVERED), NOON, WATCH).status is Status.ACCEPTED

    def test_the_timeline_keeps_no_more_reports_than_an_item_can_hold_and_the_last_still_counts(self) -> None:
        message = sent()
        for second in range(lifecycle.REPORTS_KEPT + 20):
            message = lifecycle.report(message, told(Status.SENT, f"202611201201{second:02}"), NOON, WATCH)

        kept = [moment for moment in message.timeline if moment.kind is Kind.REPORT]
        assert len(kept) == lifecycle.REPORTS_KEPT
        assert delivered(message, "20261120130000").status is Status.DELIVERED

    def test_reports_with_times_of_any_length_fit_into_an_item_and_are_the_same_when_they_come_again(self) -> None:
        message = sent()
        for second in range(lifecycle.REPORTS_KEPT):
            message = lifecycle.report(message, told(Status.SENT, f"{second:02}" + "x" * 60_000), NOON, WATCH)

        again = lifecycle.report(message, told(Status.SENT, "00" + "x" * 60_000), NOON, WATCH)

        assert again is message
        assert len(repr(message.timeline)) < 40_000
        assert len(message.reported_at or "") <= 40


class TestWaiting:
    def test_parking_tells_until_when_and_why_once_for_the_same_reason(self) -> None:
        reason = Reason(Code.CREDIT_EXHAUSTED)
        parked = lifecycle.park(message(), reason, NOON, NOON + MINUTE)

        again = lifecycle.park(parked, reason, NOON + MINUTE, NOON + 2 * MINUTE)

        assert again.next_attempt_at == NOON + 2 * MINUTE
        assert again.reason == reason
        assert len(again.timeline) == len(parked.timeline)

    def test_a_message_that_waits_says_for_whom(self) -> None:
        parked = lifecycle.park(message(), Reason(Code.CREDIT_EXHAUSTED), NOON, NOON + MINUTE, provider="castello")
        released = lifecycle.release(claimed(), 1, UNREACHABLE, NOON, NOON + MINUTE)

        assert ("provider", "castello") in parked.timeline[-1].data
        assert ("provider", "plainline") in released.timeline[-1].data
        assert (parked.turn, released.turn) == (None, None)

    def test_valid_for_counts_from_acceptance_and_ends_what_waits(self) -> None:
        parked = lifecycle.park(message(valid_for=60), Reason(Code.CREDIT_EXHAUSTED), NOON, NOON + MINUTE)

        assert lifecycle.expire(parked, NOON + 59 * SECOND) is parked
        assert lifecycle.expire(parked, NOON + 60 * SECOND).status is Status.EXPIRED

    def test_valid_for_does_not_end_what_a_provider_has(self) -> None:
        taken = sent(valid_for=1)

        assert lifecycle.expire(taken, NOON + MINUTE) is taken

    def test_what_waits_longer_than_we_watch_is_given_up(self) -> None:
        parked = lifecycle.park(message(), Reason(Code.CREDIT_EXHAUSTED), NOON, NOON + MINUTE)

        assert lifecycle.give_up(parked, NOON + WATCH.length - SECOND, WATCH) is parked
        given_up = lifecycle.give_up(parked, NOON + WATCH.length, WATCH)
        assert given_up.status is Status.FAILED
        assert given_up.reason == Reason(Code.CREDIT_EXHAUSTED)

    def test_what_nobody_reported_is_unconfirmed_after_the_watch(self) -> None:
        taken = sent()

        assert lifecycle.unconfirm(taken, NOON + WATCH.length - SECOND, WATCH) is taken
        assert lifecycle.unconfirm(taken, NOON + WATCH.length, WATCH).status is Status.UNCONFIRMED

    def test_checks_follow_the_schedule_and_then_its_last_step(self) -> None:
        message = sent()
        gaps = []
        for _ in range(4):
            at = message.due_at
            assert at is not None
            message = lifecycle.checked(message, at, WATCH)
            assert message.due_at is not None
            gaps.append(message.due_at - at)

        assert gaps == [timedelta(minutes=5), timedelta(hours=1), timedelta(hours=1), timedelta(hours=1)]

    def test_the_last_check_is_as_near_to_the_end_of_the_watch_as_the_first_to_its_beginning(self) -> None:
        every_day = lifecycle.Watch((MINUTE, timedelta(days=1)), timedelta(hours=36))
        message = lifecycle.settle(claimed(), 1, Accepted("99"), NOON, every_day)
        asked_at: list[timedelta] = []

        while lifecycle.unconfirm(message, message.due_at or NOON, every_day) is message:
            assert message.due_at is not None
            asked_at.append(message.due_at - NOON)
            message = lifecycle.checked(message, message.due_at, every_day)

        hours = timedelta(hours=1)
        assert asked_at == [MINUTE, 24 * hours + MINUTE, 36 * hours - MINUTE]
        assert message.due_at == NOON + 36 * hours


class TestCanceling:
    @pytest.mark.parametrize(
        "open_message", [lifecycle.accept(message(), NOON), sent(send_at=NOON + timedelta(hours=1))]
    )
    def test_what_waits_or_is_scheduled_can_be_canceled(self, open_message: Message) -> None:
        assert lifecycle.cancel(open_message, NOON).status is Status.CANCELED

    @pytest.mark.parametrize("too_late", [claimed(), sent(), delivered(sent())])
    def test_nothing_else_can(self, too_late: Message) -> None:
        assert lifecycle.cancel(too_late, NOON) is too_late


def doubtful(**fields: object) -> Message:
    return lifecycle.lapse(claimed(**fields), UNTIL)


class TestAResendThatGoesNoFurther:
    """It waits to be sent again, though the first dispatch may have gone out: nothing that ends it now is certain."""

    @staticmethod
    def waiting(**fields: object) -> Message:
        return lifecycle.settle(claimed(on_doubt=OnDoubt.RESEND, **fields), 1, NO_REPLY, NOON, WATCH)

    @pytest.mark.parametrize(
        "end",
        [
            lambda m: lifecycle.cancel(m, NOON),
            lambda m: lifecycle.expire(m, NOON + 2 * MINUTE),
            lambda m: lifecycle.give_up(m, NOON + WATCH.length, WATCH),
            lambda m: lifecycle.reject(m, Reason(Code.SUPPRESSED), NOON),
            lambda m: lifecycle.settle(
                lifecycle.claim(m, "castello", NOON, UNTIL), 2, NO_SUCH_NUMBER, NOON + SECOND, WATCH
            ),
        ],
        ids=["canceled", "expired", "given up", "rejected by us", "refused by the next provider"],
    )
    def test_ends_in_doubt_and_not_in_a_no(self, end: Callable[[Message], Message]) -> None:
        ended = end(self.waiting(valid_for=60))

        assert ended.status is Status.DOUBTFUL
        assert ended.due_at is None

    def test_keeps_a_private_text_for_the_operator(self) -> None:
        assert lifecycle.cancel(self.waiting(private=True), NOON).text == message().text

    def test_is_settled_by_a_late_report_all_the_same(self) -> None:
        assert delivered(lifecycle.cancel(self.waiting(), NOON)).status is Status.DELIVERED


class TestResolving:
    def test_as_sent_keeps_the_provider_and_watches_the_message_from_now_on(self) -> None:
        message = lifecycle.resolve_as_sent(doubtful(), UNTIL, WATCH)

        assert (message.status, message.provider) == (Status.SENT, "plainline")
        assert statuses(message)[-1] == (Status.DOUBTFUL, Status.SENT)
        assert message.timeline[-1].revised
        assert message.due_at == UNTIL + WATCH.schedule[0]
        assert message.attempts[-1].outcome == "maybe_sent"

    def test_as_sent_ends_unconfirmed_where_nothing_is_heard_until_the_watch_is_over(self) -> None:
        message = lifecycle.resolve_as_sent(doubtful(), UNTIL, WATCH)

        assert lifecycle.unconfirm(message, WATCH.ends(message), WATCH).status is Status.UNCONFIRMED

    def test_as_sent_is_scheduled_where_its_time_is_still_to_come(self) -> None:
        later = NOON + timedelta(hours=4)

        message = lifecycle.resolve_as_sent(doubtful(send_at=later), UNTIL, WATCH)

        assert (message.status, message.due_at) == (Status.SCHEDULED, later + WATCH.schedule[0])

    @pytest.mark.parametrize(("private", "kept"), [(True, False), (False, True)])
    def test_as_sent_drops_a_private_text(self, private: bool, kept: bool) -> None:
        doubted = doubtful(private=private)
        assert doubted.text

        message = lifecycle.resolve_as_sent(doubted, UNTIL, WATCH)

        assert bool(message.text) is kept

    def test_by_resend_waits_to_be_sent_now_with_its_text(self) -> None:
        message = lifecycle.resolve_by_resend(doubtful(private=True), UNTIL, UNTIL + MINUTE)

        assert message.status is Status.ACCEPTED
        assert statuses(message)[-1] == (Status.DOUBTFUL, Status.ACCEPTED)
        assert (message.next_attempt_at, message.due_at) == (UNTIL, UNTIL + MINUTE)
        assert message.text
        assert lifecycle.claim(message, "castello", UNTIL, UNTIL + MINUTE).status is Status.SENDING

    def test_by_resend_lets_a_late_report_of_the_first_time_still_count(self) -> None:
        message = delivered(lifecycle.resolve_by_resend(doubtful(), UNTIL, UNTIL + MINUTE))

        assert message.status is Status.DELIVERED

    def test_says_who_settled_it(self) -> None:
        as_sent = lifecycle.resolve_as_sent(doubtful(), UNTIL, WATCH)
        by_resend = lifecycle.resolve_by_resend(doubtful(), UNTIL, UNTIL + MINUTE)

        for resolved in (as_sent, by_resend):
            (note,) = [moment for moment in resolved.timeline if moment.kind is Kind.NOTE]
            assert "by the operator" in dict(note.data)["resolved"]

    @pytest.mark.parametrize("certain", [lifecycle.accept(message(), NOON), claimed(), sent(), delivered(sent())])
    def test_is_only_for_what_is_doubtful(self, certain: Message) -> None:
        assert lifecycle.resolve_as_sent(certain, UNTIL, WATCH) is certain
        assert lifecycle.resolve_by_resend(certain, UNTIL, UNTIL) is certain


Step = Callable[[Message], Message]

REPORTS = st.builds(
    told,
    st.sampled_from([None, Status.SCHEDULED, Status.SENT, Status.DELIVERED, Status.UNDELIVERED, Status.EXPIRED]),
    st.sampled_from([None, "20261120120005", "20261120120006"]),
)
OUTCOMES: st.SearchStrategy[Outcome] = st.sampled_from([TAKEN, NO_REPLY, NO_SUCH_NUMBER])
STEPS = st.lists(
    st.one_of(
        REPORTS.map(lambda r: lambda m: lifecycle.report(m, r, NOON, WATCH)),
        OUTCOMES.map(lambda o: lambda m: lifecycle.settle(m, len(m.attempts), o, NOON, WATCH)),
        st.just(lambda m: lifecycle.claim(m, "plainline", NOON, UNTIL)),
        st.just(lambda m: lifecycle.release(m, len(m.attempts), UNREACHABLE, NOON, NOON)),
        st.just(lambda m: lifecycle.call_next(m, len(m.attempts), UNREACHABLE, "castello", NOON, UNTIL, 1, Decimal(1))),
        st.just(lambda m: lifecycle.lapse(m, UNTIL)),
        st.just(lambda m: lifecycle.cancel(m, NOON)),
        st.just(lambda m: lifecycle.resolve_as_sent(m, NOON, WATCH)),
        st.just(lambda m: lifecycle.resolve_by_resend(m, NOON, NOON)),
        st.just(lambda m: lifecycle.park(m, Reason(Code.RATE_LIMITED), NOON, NOON)),
        st.just(lambda m: lifecycle.unconfirm(m, NOON + WATCH.length, WATCH)),
        st.just(lambda m: lifecycle.expire(m, NOON + MINUTE)),
        st.just(lambda m: lifecycle.give_up(m, NOON + WATCH.length, WATCH)),
    ),
    max_size=14,
)


@given(STEPS, st.sampled_from(OnDoubt))
def test_no_sequence_of_steps_goes_back_from_a_final_status_or_sends_what_may_have_gone_out(
    steps: list[Step], on_doubt: OnDoubt
) -> None:
    now = lifecycle.accept(message(on_doubt=on_doubt), NOON)
    for step in steps:
        before, now = now, step(now)

        assert now.timeline[: len(before.timeline)] == before.timeline, "the past is never rewritten"
        if before.status.is_final and now.status is not before.status:
            evidence = before.status.is_open_to_evidence or {before.status, now.status} == {
                Status.DELIVERED,
                Status.UNDELIVERED,
            }
            assert evidence
            assert [moment.revised for moment in now.timeline if moment.kind is Kind.STATUS][-1]
        if len(now.attempts) > len(before.attempts):
            certain = [attempt.outcome in ("not_sent", "refused") for attempt in now.attempts[:-1]]
            wanted = any("resolved" in dict(moment.data) for moment in now.timeline)
            assert wanted or on_doubt is OnDoubt.RESEND or all(certain), "only what certainly did not go out goes again"
        assert (now.claim is not None) == (now.status is Status.SENDING)
        assert now.status is not Status.SENDING or now.due_at, "a lost worker is always found"
