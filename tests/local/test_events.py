"""The embedded AWS's event buses, as the one reader hears of them."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local.aws import EmbeddedAws
from local.events import Events
from tests.local.sample_stack import wait_until


@pytest.fixture(scope="module")
def bus() -> str:
    return "messages"


@pytest.fixture(scope="module")
def own_aws(tmp_path_factory: pytest.TempPathFactory, bus: str) -> Iterator[EmbeddedAws]:
    """Of these tests alone: events have one reader."""
    aws = EmbeddedAws(tmp_path_factory.mktemp("aws") / "scratch")
    aws.wait_until_ready()
    aws.events.create_event_bus(Name=bus)
    yield aws
    aws.stop()


def _entry(bus: str, number: int, source: str = "smsgate") -> Any:
    return {"Source": source, "DetailType": "Counted", "Detail": json.dumps({"n": number}), "EventBusName": bus}


def _numbers(events: list[bytes]) -> list[int]:
    return [json.loads(event)["detail"]["n"] for event in events]


def _here(aws: EmbeddedAws) -> int:
    """Behind the last event so far."""
    place, events = aws.await_events(0, 0.01, 0)
    while events:
        place, events = aws.await_events(place, 0.01, 0)
    return place


def test_an_event_is_told_as_a_rule_hands_it_on(own_aws: EmbeddedAws, bus: str) -> None:
    queue = own_aws.sqs.create_queue(QueueName="rule")["QueueUrl"]
    own_aws.events.put_rule(Name="rule", EventBusName=bus, EventPattern='{"source": ["smsgate"]}')
    target = {"Id": "queue", "Arn": "arn:aws:sqs:us-east-1:000000000000:rule"}
    own_aws.events.put_targets(Rule="rule", EventBusName=bus, Targets=[target])  # type: ignore[list-item]
    place = _here(own_aws)
    entry = _entry(bus, 1) | {"Resources": ["arn:aws:a"]}

    own_aws.events.put_events(Entries=[entry])

    _, [told] = own_aws.await_events(place, 10, 0)
    [message] = own_aws.sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=5)["Messages"]
    ours, theirs = json.loads(told), json.loads(message["Body"])
    assert ours.pop("time")[:16] == theirs.pop("time")[:16]
    assert ours == theirs


def test_events_are_told_in_order_and_what_was_refused_is_not(own_aws: EmbeddedAws, bus: str) -> None:
    place = _here(own_aws)

    answer = own_aws.events.put_events(Entries=[_entry(bus, 1), _entry(bus, 2, source="aws.pretended"), _entry(bus, 3)])
    own_aws.events.put_events(Entries=[_entry(bus, 4)])

    assert answer["FailedEntryCount"] == 1
    assert _numbers(own_aws.await_events(place, 10, 0)[1]) == [1, 3, 4]


@pytest.mark.parametrize("detail", ["no JSON", '{"n": '])
def test_what_eventbridge_would_refuse_is_not_told_and_keeps_nothing_else_back(
    own_aws: EmbeddedAws, bus: str, detail: str
) -> None:
    place = _here(own_aws)
    bad = _entry(bus, 1) | {"Detail": detail}

    own_aws.events.put_events(Entries=[bad, _entry(bus, 2)])

    assert _numbers(own_aws.await_events(place, 5, 0.1)[1]) == [2]


def test_of_a_failing_service_nothing_is_told(own_aws: EmbeddedAws, bus: str) -> None:
    place = _here(own_aws)

    own_aws.fail("events")
    wait_until(lambda: not _puts(own_aws, _entry(bus, 1)))
    tried = _puts(own_aws, _entry(bus, 2))
    own_aws.mend("events")
    wait_until(lambda: _puts(own_aws, _entry(bus, 3)))

    told = _numbers(own_aws.await_events(place, 10, 0)[1])
    assert not tried
    assert (told[-1], 2 in told) == (3, False)


def _puts(aws: EmbeddedAws, entry: Any) -> bool:
    try:
        aws.events.put_events(Entries=[entry])
    except aws.events.exceptions.ClientError:
        return False
    return True


def test_an_answer_that_was_lost_is_given_again(own_aws: EmbeddedAws, bus: str) -> None:
    place = _here(own_aws)
    own_aws.events.put_events(Entries=[_entry(bus, 1)])

    first = own_aws.await_events(place, 10, 0)
    again = own_aws.await_events(place, 10, 0)
    after = own_aws.await_events(first[0], 0.05, 0)

    assert first == again
    assert after == (first[0], [])


def test_whoever_waits_is_told_when_something_happens(own_aws: EmbeddedAws, bus: str) -> None:
    place = _here(own_aws)
    threading.Timer(0.3, _puts, [own_aws, _entry(bus, 1)]).start()

    began = time.monotonic()
    _, events = own_aws.await_events(place, 10, 0)
    took = time.monotonic() - began

    assert _numbers(events) == [1]
    assert 0.25 < took < 5


def test_listeners_hear_each_further_event_once_and_in_order(tmp_path: Path, bus: str) -> None:
    aws = EmbeddedAws(tmp_path / "aws")
    heard: list[int] = []
    try:
        aws.wait_until_ready()
        events = Events(aws)
        events.listen(lambda event: heard.append(event["detail"]["n"]))
        events.start()
        for number in range(0, 600, 10):
            aws.events.put_events(Entries=[_entry("default", n) for n in range(number, number + 10)])
        events.wait_for(lambda event: event["detail"]["n"] == 599)
        wait_until(lambda: len(heard) == 600)
        events.ask_to_stop()
    finally:
        aws.stop()
    events.join()

    assert heard == list(range(600))
    assert [event["detail"]["n"] for event in events.all()] == heard
