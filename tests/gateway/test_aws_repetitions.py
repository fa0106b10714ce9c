"""What the client of AWS tries again, how soon, and when it no longer does."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import NoReturn

import pytest

from smsgate import aws_json
from smsgate.aws_connections import NoAnswer
from smsgate.aws_json import SERVICES, ClientError, Quota
from tests.gateway.aws_clients import (
    BAD_CRC,
    FAILED,
    GET,
    GOOD,
    HALF,
    OF_SERVICE,
    THROTTLED,
    TRANSIENT,
    Ours,
    always,
    headers_of,
    in_turn,
    refused,
)
from tests.transports.raw_server import Conversation, answer


class TestRepetitions:
    @pytest.mark.parametrize(
        "trouble",
        [
            None,
            HALF,
            BAD_CRC,
            answer(b"no JSON"),
            answer(b'["no object"]'),
            FAILED,
            refused("x", b"502 Bad Gateway"),
            refused("x", b"503 Service Unavailable"),
            refused("x", b"504 Gateway Timeout"),
            refused("RequestTimeout"),
            refused("RequestTimeoutException"),
            refused("ReplicatedWriteConflictException"),
        ],
    )
    def test_what_broke_by_chance_is_tried_again_soon(self, ours: Ours, trouble: bytes | None) -> None:
        client = ours.client("dynamodb", in_turn(trouble, trouble, GOOD))

        read = client.get_item(**GET)

        assert read["ResponseMetadata"]["RetryAttempts"] == 2
        assert len(ours.server.requests) == 3
        assert 0 <= ours.pauses[0] <= 0.05
        assert 0 <= ours.pauses[1] <= 0.1

    @pytest.mark.parametrize("code", THROTTLED)
    def test_what_was_too_much_is_tried_again_later(
        self, ours: Ours, code: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("random.random", lambda: 0.999)
        client = ours.client("events", in_turn(refused(code), refused(code), GOOD))

        client.put_events(Entries=[])

        assert ours.pauses == pytest.approx([0.999, 1.998])

    def test_what_botocore_tries_again_is_all_of_it(self) -> None:
        transient = set(TRANSIENT["_TRANSIENT_ERROR_CODES"])

        assert set(THROTTLED) == aws_json._THROTTLED
        assert transient <= aws_json._TRANSIENT | aws_json._THROTTLED
        assert set(TRANSIENT["_TRANSIENT_STATUS_CODES"]) == aws_json._TRANSIENT_STATUSES

    @pytest.mark.parametrize(
        "said",
        [
            refused("ConditionalCheckFailedException"),
            refused("ValidationException"),
            refused("AccessDeniedException"),
            refused("ResourceNotFoundException"),
            answer(b"", b"413 Payload Too Large"),
            answer(b"", b"501 Not Implemented"),
        ],
    )
    def test_what_would_be_refused_again_is_asked_once(self, ours: Ours, said: bytes) -> None:
        client = ours.client("dynamodb", always(said))

        with pytest.raises(ClientError):
            client.get_item(**GET)

        assert len(ours.server.requests) == 1
        assert ours.pauses == []

    def test_the_third_failure_is_the_last(self, ours: Ours) -> None:
        client = ours.client("dynamodb", always(FAILED))

        with pytest.raises(client.exceptions.InternalServerError) as caught:
            client.get_item(**GET)

        assert caught.value.response["ResponseMetadata"]["RetryAttempts"] == 2
        assert len(ours.server.requests) == 3

    def test_no_answer_three_times_is_no_answer(self, ours: Ours) -> None:
        client = ours.client("dynamodb", in_turn(None, None, None))

        with pytest.raises(NoAnswer):
            client.get_item(**GET)

        assert len(ours.server.requests) == 3

    def test_silence_is_tried_again_on_a_new_connection(self, ours: Ours) -> None:
        def silent_at_first(talk: Conversation) -> None:
            talk.hear()
            if talk.number < 2:
                talk.stay_silent()
            talk.say(GOOD)

        client = ours.client("dynamodb", silent_at_first, read_seconds=0.2)

        read = client.get_item(**GET)

        assert read["ResponseMetadata"]["RetryAttempts"] == 2
        assert ours.server.accepted == 3

    def test_one_that_is_to_be_tried_once_is(self, ours: Ours) -> None:
        client = ours.client("dynamodb", always(FAILED), attempts=1)

        with pytest.raises(ClientError):
            client.get_item(**GET)

        assert len(ours.server.requests) == 1

    def test_each_repetition_is_signed_anew(self, ours: Ours, monkeypatch: pytest.MonkeyPatch) -> None:
        moments = iter([datetime(2026, 11, 20, 23, 59, 59, tzinfo=UTC), datetime(2026, 11, 21, tzinfo=UTC)])
        monkeypatch.setattr(aws_json, "utc_now", lambda: next(moments))
        client = ours.client("dynamodb", in_turn(FAILED, GOOD))

        client.get_item(**GET)

        first, second = map(headers_of, ours.server.requests)
        assert (first["x-amz-date"], second["x-amz-date"]) == ("20261120T235959Z", "20261121T000000Z")
        assert "/20261121/" in second["authorization"]

    @pytest.mark.parametrize("service", sorted(set(SERVICES) - {"dynamodb"}))
    def test_only_dynamodbs_checksum_counts(self, ours: Ours, service: str) -> None:
        said = answer(b"{}", b"200 OK", b"x-amz-crc32: 5")
        method, parameters = OF_SERVICE[service]

        getattr(ours.client(service, always(said)), method)(**parameters)

        assert len(ours.server.requests) == 1

    def test_where_everything_fails_repetitions_end(self, ours: Ours) -> None:
        client = ours.client("dynamodb", always(FAILED))

        for _ in range(60):
            with pytest.raises(ClientError):
                client.get_item(**GET)

        assert len(ours.server.requests) == 60 + 100  # 500 in the quota, 5 for each repetition

    def test_where_everything_is_silent_they_end_sooner(self, ours: Ours) -> None:
        client = ours.client("dynamodb", always(GOOD))
        silent = _Silent()
        client._endpoint = silent

        for _ in range(30):
            with pytest.raises(NoAnswer):
                client.get_item(**GET)

        assert silent.asked == 30 + 50  # 10 of the 500 for each repetition

    def test_what_works_again_pays_for_repetitions_to_come(self, ours: Ours) -> None:
        said: Iterable[bytes] = [FAILED] * 160 + [GOOD] * 5 + [FAILED] * 2
        client = ours.client("dynamodb", in_turn(*said))
        for _ in range(60):
            with pytest.raises(ClientError):
                client.get_item(**GET)
        for _ in range(5):
            client.get_item(**GET)

        with pytest.raises(ClientError):
            client.get_item(**GET)

        assert len(ours.server.requests) == 160 + 5 + 2


class _Silent:
    host, path = "dynamodb.example", "/"

    def __init__(self) -> None:
        self.asked = 0

    def exchange(self, request: bytes) -> NoReturn:
        self.asked += 1
        raise NoAnswer("dynamodb.example: timed out", is_timeout=True)


class TestQuota:
    def test_a_repetition_after_a_timeout_costs_more(self) -> None:
        quota = Quota()

        assert (quota.take(after_timeout=False), quota.take(after_timeout=True)) == (5, 10)

    def test_it_is_never_more_than_full(self) -> None:
        quota = Quota()
        quota.take(after_timeout=False)

        quota.give_back(20)

        assert sum(1 for _ in range(100) if quota.take(after_timeout=True)) == 50
