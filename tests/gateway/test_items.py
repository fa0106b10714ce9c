"""A message comes out of the table as it went in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from hypothesis import assume, given
from hypothesis import strategies as st

from smsgate import lifecycle
from smsgate.attributes import from_wire, to_wire
from smsgate.items import message_from_plain, message_to_plain, stamp, time_of
from smsgate.messages import Attempt, Claim, Form, Kind, Lane, Message, Moment, OnDoubt, Report, TooLong
from smsgate.reasons import Code, Reason
from smsgate.status import Status
from tests.gateway.examples import MINUTE, NOON, UNTIL, WATCH, message

TIMES = st.integers(0, 4_000_000_000_000_000).map(
    lambda us: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)
)
WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
POINTS = st.decimals(0, 10_000, places=2)
REASONS = st.builds(Reason, st.sampled_from(Code), st.none() | WORDS, st.none() | WORDS)
DATA = st.dictionaries(WORDS, WORDS, max_size=3).map(lambda found: tuple(sorted(found.items())))
MOMENTS = st.builds(
    Moment,
    TIMES,
    st.sampled_from(Kind),
    st.none() | st.sampled_from(Status),
    st.none() | st.sampled_from(Status),
    st.booleans(),
    st.none() | REASONS,
    DATA,
)
ATTEMPTS = st.builds(Attempt, WORDS, TIMES, WORDS, st.none() | REASONS, st.none() | WORDS)
MESSAGES = st.builds(
    Message,
    message_id=st.integers(0, 9999).map(lambda n: f"abcdefghijklmnopqrstuvwx-{n}"),
    request_id=WORDS,
    to=WORDS,
    text=st.none() | WORDS,
    accepted_at=TIMES,
    digest=WORDS,
    lane=st.sampled_from(Lane),
    name=st.none() | WORDS,
    providers=st.lists(WORDS, max_size=3).map(tuple),
    send_at=st.none() | TIMES,
    valid_for=st.none() | st.integers(1, 604800),
    sender=st.none() | WORDS,
    reply_days=st.none() | st.integers(1, 30),
    form=st.sampled_from(Form),
    url=st.none() | WORDS,
    too_long=st.sampled_from(TooLong),
    on_doubt=st.sampled_from(OnDoubt),
    label=st.none() | WORDS,
    context=DATA,
    private=st.booleans(),
    status=st.sampled_from(Status),
    reason=st.none() | REASONS,
    provider=st.none() | WORDS,
    provider_ref=st.none() | WORDS,
    parts=st.none() | st.integers(1, 12),
    points=st.none() | POINTS,
    updated_at=st.none() | TIMES,
    next_attempt_at=st.none() | TIMES,
    due_at=st.none() | TIMES,
    reported_at=st.none() | WORDS,
    checks=st.integers(0, 50),
    claim=st.none() | st.builds(Claim, WORDS, TIMES),
    attempts=st.lists(ATTEMPTS, max_size=3).map(tuple),
    timeline=st.lists(MOMENTS, max_size=4).map(tuple),
    version=st.integers(0, 99),
)


@given(MESSAGES)
def test_a_message_comes_out_as_it_went_in(message: Message) -> None:
    assume(message.status is not Status.DOUBTFUL or message.due_at is None)  # nobody looks at what is doubtful

    assert message_from_plain(from_wire(to_wire(message_to_plain(message, timedelta(days=90))))) == message


@given(TIMES, TIMES)
def test_times_as_text_sort_as_they_follow_one_another(one: datetime, other: datetime) -> None:
    assert time_of(stamp(one)) == one
    assert (stamp(one) < stamp(other)) == (one < other)


def test_an_item_outlives_its_retention_from_the_time_it_is_to_be_sent() -> None:
    sent_at = datetime(2026, 11, 20, tzinfo=UTC)
    message = Message(
        message_id="abcdefghijklmnopqrstuvwx-1",
        request_id="r",
        to="+886912345678",
        text="hi",
        accepted_at=sent_at - timedelta(days=30),
        send_at=sent_at,
        digest="d",
        points=Decimal(1),
    )

    plain = message_to_plain(message, timedelta(days=90))

    assert plain["expires"] == int((sent_at + timedelta(days=90)).timestamp())


def test_what_is_doubtful_is_listed_apart_since_when_it_is_and_is_due_to_nobody() -> None:
    doubtful = lifecycle.lapse(lifecycle.claim(message(), "plainline", NOON, UNTIL), UNTIL)
    told = Report(None, None, "ODD", provider_ref="ref1")
    noted = lifecycle.report(doubtful, told, UNTIL + MINUTE, WATCH)

    for each in (doubtful, noted):
        plain = message_to_plain(each, timedelta(days=90))
        assert (plain["due_shard"], plain["due_at"]) == ("doubt", stamp(UNTIL))
        assert message_from_plain(from_wire(to_wire(plain))).due_at is None


def test_what_is_settled_is_listed_no_more() -> None:
    doubtful = lifecycle.lapse(lifecycle.claim(message(), "plainline", NOON, UNTIL), UNTIL)
    delivered = lifecycle.report(doubtful, Report(Status.DELIVERED, None, "OK"), UNTIL + MINUTE, WATCH)

    assert delivered.status is Status.DELIVERED
    assert "due_shard" not in message_to_plain(delivered, timedelta(days=90))
