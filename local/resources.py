"""Creates in the embedded AWS what a template names: tables, queues, topics, subscriptions, buses and buckets."""

from __future__ import annotations

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from local.aws import EmbeddedAws
from local.template import Template

_TABLE_PROPERTIES = (
    "AttributeDefinitions",
    "BillingMode",
    "GlobalSecondaryIndexes",
    "KeySchema",
    "LocalSecondaryIndexes",
)
_QUEUE_ATTRIBUTES = (
    "ContentBasedDeduplication",
    "DelaySeconds",
    "FifoQueue",
    "MaximumMessageSize",
    "MessageRetentionPeriod",
    "ReceiveMessageWaitTimeSeconds",
    "VisibilityTimeout",
)
_REDRIVE_ATTRIBUTES = ("RedrivePolicy", "RedriveAllowPolicy")


def create_resources(template: Template, aws: EmbeddedAws, visibility_timeout: int | None = None) -> None:
    """With `visibility_timeout`, every queue that has one of its own gets this one: redelivery without the wait."""
    with ThreadPoolExecutor(4) as pool:
        for made in [
            pool.submit(_create_tables, template, aws),
            pool.submit(_create_queues_and_topics, template, aws, visibility_timeout),
            pool.submit(_create_buses, template, aws),
            pool.submit(_create_buckets, template, aws),
        ]:
            made.result()


def _create_tables(template: Template, aws: EmbeddedAws) -> None:
    for logical_id, properties in template.resources("AWS::DynamoDB::Table").items():
        name = template.name_of(logical_id)
        arguments = {key: properties[key] for key in _TABLE_PROPERTIES if key in properties}
        if stream := properties.get("StreamSpecification"):
            arguments["StreamSpecification"] = {"StreamEnabled": True, **stream}
        if throughput := properties.get("ProvisionedThroughput"):
            arguments["ProvisionedThroughput"] = throughput
        aws.dynamodb.create_table(TableName=name, **arguments)
        if ttl := properties.get("TimeToLiveSpecification"):
            aws.dynamodb.update_time_to_live(TableName=name, TimeToLiveSpecification=ttl)


def _create_queues_and_topics(template: Template, aws: EmbeddedAws, visibility_timeout: int | None) -> None:
    queues = template.resources("AWS::SQS::Queue")
    for logical_id, properties in queues.items():
        attributes = {name: _text(properties[name]) for name in _QUEUE_ATTRIBUTES if name in properties}
        if visibility_timeout is not None and "VisibilityTimeout" in attributes:
            attributes["VisibilityTimeout"] = str(visibility_timeout)
        aws.sqs.create_queue(QueueName=template.name_of(logical_id), Attributes=attributes)  # type: ignore[arg-type]
    for logical_id, properties in queues.items():  # once every queue that another one names exists
        policies = {name: json.dumps(properties[name]) for name in _REDRIVE_ATTRIBUTES if name in properties}
        if policies:
            aws.sqs.set_queue_attributes(QueueUrl=template.ref(logical_id), Attributes=policies)  # type: ignore[arg-type]
    for logical_id in template.resources("AWS::SNS::Topic"):
        aws.sns.create_topic(Name=template.name_of(logical_id))
    for properties in template.resources("AWS::SNS::Subscription").values():
        if properties["Protocol"] == "sqs":
            aws.sns.subscribe(
                TopicArn=properties["TopicArn"],
                Protocol="sqs",
                Endpoint=properties["Endpoint"],
                Attributes=_subscription_attributes(properties),
            )


def _subscription_attributes(properties: Mapping[str, Any]) -> dict[str, str]:
    attributes = {"RawMessageDelivery": _text(properties.get("RawMessageDelivery", False))}
    for name in ("FilterPolicy", "RedrivePolicy"):
        if name in properties:
            attributes[name] = json.dumps(properties[name])
    return attributes


def _create_buses(template: Template, aws: EmbeddedAws) -> None:
    for logical_id in template.resources("AWS::Events::EventBus"):
        aws.events.create_event_bus(Name=template.name_of(logical_id))


def _create_buckets(template: Template, aws: EmbeddedAws) -> None:
    for logical_id in template.resources("AWS::S3::Bucket"):
        aws.s3.create_bucket(Bucket=template.name_of(logical_id))


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
