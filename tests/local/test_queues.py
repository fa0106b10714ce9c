"""SQS event sources, with the real runtime client and a real queue."""

from __future__ import annotations

import json
import time
from typing import Any

from tests.local.sample_stack import Sample, is_alive, wait_until

FUNCTION = "QueueFunction"


def _order(key: str, do: str) -> dict[str, Any]:
    return {"key": key, "do": do}


def _times(gateway: Sample, key: str) -> list[int]:
    return [entry["times"] for entry in gateway.seen_of(FUNCTION, key)]


def test_only_the_failed_record_of_a_batch_comes_again(gateway: Sample, key: str) -> None:
    gateway.send("JobsQueue", _order(f"{key}-good", "nothing"), _order(f"{key}-bad", "fail once"))

    wait_until(lambda: _times(gateway, f"{key}-bad") == [1, 2])

    assert gateway.seen_of(FUNCTION, f"{key}-bad")[0]["of"] == 2
    assert _times(gateway, f"{key}-good") == [1]
    wait_until(lambda: gateway.waiting_in("JobsQueue") == 0)


def test_an_error_of_the_function_leaves_the_whole_batch_to_come_again(gateway: Sample, key: str) -> None:
    gateway.send("JobsQueue", _order(f"{key}-good", "nothing"), _order(f"{key}-bad", "raise once"))

    wait_until(lambda: _times(gateway, f"{key}-bad") == [1, 2])

    wait_until(lambda: _times(gateway, f"{key}-good") == [1, 2])
    wait_until(lambda: gateway.waiting_in("JobsQueue") == 0)


def test_blaming_a_record_that_was_not_in_the_batch_leaves_the_whole_batch(gateway: Sample, key: str) -> None:
    gateway.send("JobsQueue", _order(f"{key}-good", "nothing"), _order(f"{key}-bad", "blame a stranger once"))

    wait_until(lambda: _times(gateway, f"{key}-good") == [1, 2])

    wait_until(lambda: gateway.waiting_in("JobsQueue") == 0)


def test_what_always_fails_ends_in_the_dead_letter_queue_after_its_receives(gateway: Sample, key: str) -> None:
    gateway.send("JobsQueue", _order(key, "fail always"))

    wait_until(lambda: gateway.waiting_in("DeadQueue") == 1)

    assert _times(gateway, key) == [1, 2]
    [dead] = gateway.aws.sqs.receive_message(QueueUrl=gateway.queue_url("DeadQueue"))["Messages"]
    assert json.loads(dead["Body"])["key"] == key
    gateway.aws.sqs.delete_message(QueueUrl=gateway.queue_url("DeadQueue"), ReceiptHandle=dead["ReceiptHandle"])


def test_a_record_whose_worker_was_killed_comes_again_to_another_process(gateway: Sample, key: str) -> None:
    gateway.send("JobsQueue", _order(key, "hang once"))
    wait_until(lambda: gateway.seen_of(FUNCTION, key))

    killed = gateway.lambdas.kill(FUNCTION)

    assert killed == 1
    wait_until(lambda: _times(gateway, key) == [1, 2])
    first, second = gateway.seen_of(FUNCTION, key)
    assert first["pid"] != second["pid"]
    assert "signal: killed" in gateway.lambdas.log(FUNCTION)


def test_a_record_that_takes_longer_than_the_timeout_comes_again_to_another_process(gateway: Sample, key: str) -> None:
    gateway.send("JobsQueue", _order(key, "hang once"))

    wait_until(lambda: _times(gateway, key) == [1, 2])

    first, second = gateway.seen_of(FUNCTION, key)
    assert first["pid"] != second["pid"]
    wait_until(lambda: "Task timed out after 2.00 seconds" in gateway.lambdas.log(FUNCTION))
    wait_until(lambda: not is_alive(first["pid"]))


def test_never_more_batches_at_once_than_the_mapping_allows_and_not_fewer(gateway: Sample, key: str) -> None:
    gateway.send("SlowQueue", *(_order(f"{key}-{n}", "work for a moment") for n in range(6)))

    done = wait_until(lambda: _done(gateway, key, 6))

    at_once = [sum(other["began"] <= entry["began"] < other["ended"] for other in done) for entry in done]
    assert max(at_once) == 2


def test_a_record_that_is_delayed_comes_when_its_time_is_over_and_those_beside_it_at_once(
    gateway: Sample, key: str
) -> None:
    entries: Any = [
        {"Id": "later", "MessageBody": json.dumps(_order(f"{key}-later", "nothing")), "DelaySeconds": 2},
        {"Id": "now", "MessageBody": json.dumps(_order(f"{key}-now", "nothing"))},
    ]
    queued = time.monotonic()

    gateway.aws.sqs.send_message_batch(QueueUrl=gateway.queue_url("JobsQueue"), Entries=entries)

    wait_until(lambda: _times(gateway, f"{key}-now"))
    assert _times(gateway, f"{key}-later") == []
    wait_until(lambda: _times(gateway, f"{key}-later"))
    assert time.monotonic() - queued >= 2


def test_a_record_looks_as_lambda_shows_it(gateway: Sample, key: str) -> None:
    gateway.aws.sqs.send_message(
        QueueUrl=gateway.queue_url("JobsQueue"),
        MessageBody=json.dumps(_order(key, "nothing")),
        MessageAttributes={
            "smsgate": {"DataType": "String", "StringValue": "wake"},
            "raw": {"DataType": "Binary", "BinaryValue": b"\x00\x01"},
        },
    )

    [entry] = wait_until(lambda: gateway.seen_of(FUNCTION, key))

    record = entry["record"]
    assert set(record) == {
        "messageId", "receiptHandle", "body", "attributes", "messageAttributes", "md5OfBody", "md5OfMessageAttributes",
        "eventSource", "eventSourceARN", "awsRegion",
    }  # fmt: skip
    assert record["attributes"]["ApproximateReceiveCount"] == "1"
    assert {"SentTimestamp", "SenderId", "ApproximateFirstReceiveTimestamp"} <= set(record["attributes"])
    assert record["messageAttributes"] == {
        "smsgate": {"stringValue": "wake", "stringListValues": [], "binaryListValues": [], "dataType": "String"},
        "raw": {"binaryValue": "AAE=", "stringListValues": [], "binaryListValues": [], "dataType": "Binary"},
    }
    assert (record["eventSource"], record["awsRegion"]) == ("aws:sqs", "us-east-1")
    assert record["eventSourceARN"] == gateway.arn("JobsQueue")


def test_what_is_published_to_the_topic_reaches_the_function_as_it_was_written(gateway: Sample, key: str) -> None:
    body = json.dumps(_order(key, "nothing"))

    gateway.aws.sns.publish(TopicArn=gateway.arn("JobsTopic"), Message=body)

    [entry] = wait_until(lambda: gateway.seen_of(FUNCTION, key))
    assert entry["record"]["body"] == body


def _done(gateway: Sample, key: str, number: int) -> list[dict[str, Any]]:
    done = [entry for entry in gateway.seen(FUNCTION) if entry.get("done", "").startswith(key)]
    return done if len(done) == number else []
