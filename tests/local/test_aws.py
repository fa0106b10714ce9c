"""What the runner and the gateway need of the embedded AWS, each tried against the running one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from local.aws import EmbeddedAws
from tests.local.sample_stack import is_alive, wait_until

ROOT = Path(__file__).resolve().parents[2]

RACER = """
import random, sys, time
from concurrent.futures import ThreadPoolExecutor
import boto3
from botocore.exceptions import ClientError

table, me, url = sys.argv[1:]
client = boto3.client("dynamodb", endpoint_url=url, region_name="us-east-1",
                      aws_access_key_id="local", aws_secret_access_key="local")

def owner(number):
    try:
        client.put_item(
            TableName=table, Item={"pk": {"S": str(number)}, "owner": {"S": me}},
            ConditionExpression="attribute_not_exists(pk)", ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )
        return me
    except ClientError as error:
        return error.response["Item"]["owner"]["S"]

print("ready", flush=True)
time.sleep(max(0, float(sys.stdin.readline()) - time.time()))
numbers = random.sample(range(200), 200)  # each in an order of its own, so that nobody is behind all the way
with ThreadPoolExecutor(4) as pool:
    for number, name in zip(numbers, pool.map(owner, numbers)):
        print(number, name)
"""


def test_of_two_processes_racing_for_a_conditional_write_one_wins_and_the_other_is_told_who(
    aws: EmbeddedAws, key: str
) -> None:
    _make_table(aws, key)
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, key, name, aws.url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for name in ("first", "second")
    ]
    for racer in racers:
        assert racer.stdout
        assert racer.stdout.readline() == "ready\n"

    start = f"{time.time() + 0.3}\n"
    with ThreadPoolExecutor() as pool:
        owners_as_told = [
            dict(line.split() for line in said.splitlines())
            for said, _ in pool.map(lambda racer: racer.communicate(start, timeout=60), racers)
        ]

    items = aws.dynamodb.scan(TableName=key, ConsistentRead=True)["Items"]
    owners = {item["pk"]["S"]: item["owner"]["S"] for item in items}
    assert len(owners) == 200
    assert owners_as_told == [owners, owners]
    assert set(owners.values()) == {"first", "second"}, "there was no race at all"


def test_a_service_that_is_told_to_fail_does_nothing_until_it_is_mended_and_the_others_go_on(
    aws: EmbeddedAws, key: str
) -> None:
    _make_table(aws, key)
    queue = aws.sqs.create_queue(QueueName=key)["QueueUrl"]

    aws.fail("dynamodb")
    wait_until(lambda: not _puts(aws, key, "before"))
    tried = _puts(aws, key, "meanwhile")
    sent = aws.sqs.send_message(QueueUrl=queue, MessageBody="hello")
    streams = aws.streams.list_streams(TableName=key)["Streams"]
    aws.mend("dynamodb")
    wait_until(lambda: _puts(aws, key, "after"))

    assert not tried
    assert sent["MessageId"]
    assert len(streams) == 1
    found = {item["pk"]["S"] for item in aws.dynamodb.scan(TableName=key, ConsistentRead=True)["Items"]}
    assert found - {"before"} == {"after"}


def test_a_stream_tells_each_change_in_order_with_both_images(aws: EmbeddedAws, key: str) -> None:
    _make_table(aws, key)
    for value in ("old", "new"):
        aws.dynamodb.put_item(TableName=key, Item={"pk": {"S": "a"}, "value": {"S": value}})
    aws.dynamodb.delete_item(TableName=key, Key={"pk": {"S": "a"}})

    records = _stream_of(aws, key)

    assert [record["eventName"] for record in records] == ["INSERT", "MODIFY", "REMOVE"]
    assert records[1]["dynamodb"]["OldImage"]["value"] == {"S": "old"}
    assert records[1]["dynamodb"]["NewImage"]["value"] == {"S": "new"}
    numbers = [record["dynamodb"]["SequenceNumber"] for record in records]
    assert numbers == sorted(numbers)


def test_a_message_is_hidden_counted_and_at_last_moved_to_the_dead_letter_queue(aws: EmbeddedAws, key: str) -> None:
    dead = aws.sqs.create_queue(QueueName=f"{key}-dead")["QueueUrl"]
    policy = {"deadLetterTargetArn": f"arn:aws:sqs:us-east-1:000000000000:{key}-dead", "maxReceiveCount": 2}
    attributes = {"VisibilityTimeout": "1", "RedrivePolicy": json.dumps(policy)}
    queue = aws.sqs.create_queue(QueueName=key, Attributes=attributes)["QueueUrl"]  # type: ignore[arg-type]
    aws.sqs.send_message(
        QueueUrl=queue, MessageBody="hello", MessageAttributes={"kind": {"DataType": "String", "StringValue": "wake"}}
    )

    receives = [
        aws.sqs.receive_message(
            QueueUrl=queue,
            WaitTimeSeconds=2,
            MessageAttributeNames=["All"],
            MessageSystemAttributeNames=["ApproximateReceiveCount"],
        ).get("Messages", [])
        for _ in range(3)
    ]

    assert [[message["Attributes"]["ApproximateReceiveCount"] for message in got] for got in receives] == [
        ["1"],
        ["2"],
        [],
    ]
    assert receives[0][0]["MessageAttributes"]["kind"]["StringValue"] == "wake"
    [dead_letter] = aws.sqs.receive_message(QueueUrl=dead, WaitTimeSeconds=2)["Messages"]
    assert dead_letter["Body"] == "hello"


@pytest.mark.parametrize("raw", ["true", "false"])
def test_a_topic_delivers_to_a_queue_raw_or_in_an_envelope(aws: EmbeddedAws, key: str, raw: str) -> None:
    queue = aws.sqs.create_queue(QueueName=key)["QueueUrl"]
    topic = aws.sns.create_topic(Name=key)["TopicArn"]
    arn = f"arn:aws:sqs:us-east-1:000000000000:{key}"
    aws.sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": raw})

    aws.sns.publish(TopicArn=topic, Message="hello")

    [message] = aws.sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=5)["Messages"]
    text = message["Body"] if raw == "true" else json.loads(message["Body"])["Message"]
    assert text == "hello"


def test_a_rule_brings_events_of_the_bus_to_a_queue(aws: EmbeddedAws, key: str) -> None:
    queue = aws.sqs.create_queue(QueueName=key)["QueueUrl"]
    aws.events.create_event_bus(Name=key)
    aws.events.put_rule(Name=key, EventBusName=key, EventPattern='{"source": ["smsgate"]}')
    target = f"arn:aws:sqs:us-east-1:000000000000:{key}"
    aws.events.put_targets(Rule=key, EventBusName=key, Targets=[{"Id": "queue", "Arn": target}])

    aws.events.put_events(
        Entries=[{"Source": "smsgate", "DetailType": "Hello", "Detail": '{"a": 1}', "EventBusName": key}]
    )

    [message] = aws.sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=5)["Messages"]
    event = json.loads(message["Body"])
    assert (event["source"], event["detail-type"], event["detail"]) == ("smsgate", "Hello", {"a": 1})


def test_a_rotated_secret_has_a_new_version(aws: EmbeddedAws, key: str) -> None:
    aws.secrets.create_secret(Name=f"{key}/account", SecretString="old")
    before = aws.secrets.get_secret_value(SecretId=f"{key}/account")

    aws.secrets.put_secret_value(SecretId=f"{key}/account", SecretString="new")

    after = aws.secrets.get_secret_value(SecretId=f"{key}/account")
    assert (before["SecretString"], after["SecretString"]) == ("old", "new")
    assert before["VersionId"] != after["VersionId"]


def test_an_absent_parameter_is_reported_as_not_found_and_a_stored_one_is_read(aws: EmbeddedAws, key: str) -> None:
    with pytest.raises(aws.ssm.exceptions.ParameterNotFound):
        aws.ssm.get_parameter(Name=f"/{key}/routing")

    aws.ssm.put_parameter(Name=f"/{key}/routing", Value="{}", Type="String")

    assert aws.ssm.get_parameter(Name=f"/{key}/routing")["Parameter"]["Value"] == "{}"


def test_an_earlier_version_of_a_parameter_can_still_be_read(aws: EmbeddedAws, key: str) -> None:
    for value in ("first", "second"):
        aws.ssm.put_parameter(Name=f"/{key}/routing", Value=value, Type="String", Overwrite=True)

    newest = aws.ssm.get_parameter(Name=f"/{key}/routing")["Parameter"]
    before = aws.ssm.get_parameter(Name=f"/{key}/routing:{newest['Version'] - 1}")["Parameter"]

    assert (newest["Value"], before["Value"]) == ("second", "first")


def test_a_bucket_keeps_what_was_put_into_it(aws: EmbeddedAws, key: str) -> None:
    aws.s3.create_bucket(Bucket=key)

    aws.s3.put_object(Bucket=key, Key="mail/1", Body=b"raw\x00bytes")

    assert aws.s3.get_object(Bucket=key, Key="mail/1")["Body"].read() == b"raw\x00bytes"


def test_it_ends_with_its_parent_even_when_that_is_killed(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from local.aws import EmbeddedAws; "
        "aws = EmbeddedAws(Path(sys.argv[1])); aws.wait_until_ready(); print(aws.pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "aws")], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout
    pid = int(parent.stdout.readline())
    assert is_alive(pid)

    os.kill(parent.pid, signal.SIGKILL)
    parent.communicate()

    wait_until(lambda: not is_alive(pid), seconds=5)


def _make_table(aws: EmbeddedAws, name: str) -> None:
    aws.dynamodb.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    )


def _puts(aws: EmbeddedAws, table: str, name: str) -> bool:
    try:
        aws.dynamodb.put_item(TableName=table, Item={"pk": {"S": name}})
    except aws.dynamodb.exceptions.InternalServerError:
        return False
    return True


def _stream_of(aws: EmbeddedAws, table: str) -> list[dict[str, Any]]:
    arn = aws.dynamodb.describe_table(TableName=table)["Table"]["LatestStreamArn"]
    [shard] = aws.streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]
    iterator = aws.streams.get_shard_iterator(
        StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
    )["ShardIterator"]
    return list(aws.streams.get_records(ShardIterator=iterator)["Records"])
