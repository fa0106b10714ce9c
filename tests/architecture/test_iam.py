"""What each function may do, and what it may not, in pairs: every function has the permissions of its own work only."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tests.architecture.cloudformation import ACCOUNT, REGION, STACK, Stack
from tests.architecture.iam import may
from tools.translation import translated

_HERE = f"{REGION}:{ACCOUNT}"
RESOURCES = {
    "send queue": f"arn:aws:sqs:{_HERE}:{STACK}-send",
    "bulk queue": f"arn:aws:sqs:{_HERE}:{STACK}-bulk",
    "dead letters": f"arn:aws:sqs:{_HERE}:SendDeadLetterQueue",
    "backstage dead letters": f"arn:aws:sqs:{_HERE}:BackstageDeadLetterQueue",
    "another stack's queue": f"arn:aws:sqs:{_HERE}:another-send",
    "table": f"arn:aws:dynamodb:{_HERE}:table/MessagesTable",
    "index due": f"arn:aws:dynamodb:{_HERE}:table/MessagesTable/index/due",
    "index recipient": f"arn:aws:dynamodb:{_HERE}:table/MessagesTable/index/recipient",
    "stream": f"arn:aws:dynamodb:{_HERE}:table/MessagesTable/stream/2026-01-01T00:00:00.000",
    "another table": f"arn:aws:dynamodb:{_HERE}:table/AnotherTable",
    "another table's stream": f"arn:aws:dynamodb:{_HERE}:table/AnotherTable/stream/2026-01-01T00:00:00.000",
    "provider's secret": f"arn:aws:secretsmanager:{_HERE}:secret:{STACK}/providers/anyone-a1B2c3",
    "callbacks secret": f"arn:aws:secretsmanager:{_HERE}:secret:{STACK}/callbacks-a1B2c3",
    "another secret of ours": f"arn:aws:secretsmanager:{_HERE}:secret:{STACK}/callbacks-archive-a1B2c3",
    "another stack's secret": f"arn:aws:secretsmanager:{_HERE}:secret:another/providers/anyone-a1B2c3",
    "routing": f"arn:aws:ssm:{_HERE}:parameter/{STACK}/routing",
    "another setting": f"arn:aws:ssm:{_HERE}:parameter/another/routing",
    "bus": f"arn:aws:events:{_HERE}:event-bus/{STACK}",
    "default bus": f"arn:aws:events:{_HERE}:event-bus/default",
    "alert topic": f"arn:aws:sns:{_HERE}:AlertTopic",
    "send topic": f"arn:aws:sns:{_HERE}:SendTopic",
    "itself": f"arn:aws:lambda:{_HERE}:function:SenderFunction",
    "its role": f"arn:aws:iam::{ACCOUNT}:role/SenderRole",
    "any key": f"arn:aws:kms:{_HERE}:key/1234",
    "any bucket": "arn:aws:s3:::anything/at-all",
    "mail": "arn:aws:s3:::MailBucket/mails/o3vrnil0e2ic28trm7df",
    "beside the mails": "arn:aws:s3:::MailBucket/else",
    "mail bucket": "arn:aws:s3:::MailBucket",
    "our address": f"arn:aws:ses:{_HERE}:identity/gateway@sms.example",
    "our domain": f"arn:aws:ses:{_HERE}:identity/sms.example",
    "another domain": f"arn:aws:ses:{_HERE}:identity/another.example",
    "any interface": f"arn:aws:ec2:{_HERE}:network-interface/eni-1",
} | {
    f"{name} logs": f"arn:aws:logs:{_HERE}:log-group:/{STACK}/{name}:log-stream:2026/01/01/x"
    for name in ("sender", "receipts", "replies", "mailbox", "reconciler", "credits", "api", "publisher")
}

ALLOWED = {
    "SenderFunction": """
        sqs:ReceiveMessage          send queue
        sqs:ReceiveMessage          bulk queue
        sqs:DeleteMessage           send queue
        sqs:DeleteMessage           bulk queue
        sqs:GetQueueAttributes      send queue
        sqs:GetQueueAttributes      bulk queue
        sqs:ChangeMessageVisibility bulk queue
        sqs:SendMessage             send queue
        sqs:SendMessage             bulk queue
        dynamodb:GetItem            table
        dynamodb:BatchGetItem       table
        dynamodb:Query              table
        dynamodb:PutItem            table
        dynamodb:UpdateItem         table
        secretsmanager:GetSecretValue provider's secret
        secretsmanager:GetSecretValue callbacks secret
        ssm:GetParameter            routing
        logs:CreateLogStream        sender logs
        logs:PutLogEvents           sender logs
    """,
    "ReceiptsFunction": """
        dynamodb:GetItem            table
        dynamodb:PutItem            table
        dynamodb:UpdateItem         table
        dynamodb:Query              index recipient
        secretsmanager:GetSecretValue callbacks secret
        logs:PutLogEvents           receipts logs
    """,
    "RepliesFunction": """
        dynamodb:GetItem            table
        dynamodb:PutItem            table
        dynamodb:UpdateItem         table
        dynamodb:Query              index recipient
        secretsmanager:GetSecretValue callbacks secret
        logs:PutLogEvents           replies logs
    """,
    "MailboxFunction": """
        s3:GetObject                mail
        dynamodb:GetItem            table
        dynamodb:Query              table
        dynamodb:PutItem            table
        dynamodb:UpdateItem         table
        secretsmanager:DescribeSecret provider's secret
        sqs:SendMessage             backstage dead letters
        logs:PutLogEvents           mailbox logs
    """,
    "ReconcilerFunction": """
        dynamodb:GetItem            table
        dynamodb:PutItem            table
        dynamodb:UpdateItem         table
        dynamodb:Query              index due
        dynamodb:Query              index recipient
        sqs:SendMessage             send queue
        sqs:SendMessage             bulk queue
        secretsmanager:GetSecretValue provider's secret
        ssm:GetParameter            routing
        logs:PutLogEvents           reconciler logs
    """,
    "CreditsFunction": """
        dynamodb:GetItem            table
        dynamodb:PutItem            table
        dynamodb:UpdateItem         table
        secretsmanager:GetSecretValue provider's secret
        logs:PutLogEvents           credits logs
    """,
    "ApiFunction": """
        dynamodb:GetItem            table
        dynamodb:BatchGetItem       table
        dynamodb:PutItem            table
        dynamodb:UpdateItem         table
        dynamodb:Query              table
        dynamodb:Query              index recipient
        dynamodb:Query              index due
        sqs:SendMessage             send queue
        sqs:SendMessage             bulk queue
        secretsmanager:GetSecretValue provider's secret
        logs:PutLogEvents           api logs
    """,
    "PublisherFunction": """
        dynamodb:GetRecords         stream
        dynamodb:GetShardIterator   stream
        dynamodb:DescribeStream     stream
        dynamodb:ListStreams        stream
        events:PutEvents            bus
        sns:Publish                 alert topic
        sqs:SendMessage             backstage dead letters
        logs:PutLogEvents           publisher logs
    """,
}

DENIED = {
    "SenderFunction": """
        sqs:SendMessage             dead letters
        sqs:SendMessage             another stack's queue
        sqs:PurgeQueue              send queue
        sqs:ReceiveMessage          dead letters
        sqs:ReceiveMessage          another stack's queue
        dynamodb:DeleteItem         table
        dynamodb:Scan               table
        dynamodb:DeleteTable        table
        dynamodb:Query              index due
        dynamodb:Query              index recipient
        dynamodb:GetRecords         stream
        dynamodb:GetItem            another table
        secretsmanager:GetSecretValue another secret of ours
        secretsmanager:GetSecretValue another stack's secret
        secretsmanager:PutSecretValue provider's secret
        ssm:GetParameter            another setting
        ssm:PutParameter            routing
        events:PutEvents            bus
        sns:Publish                 send topic
        sns:Publish                 alert topic
        logs:PutLogEvents           receipts logs
        logs:DeleteLogStream        sender logs
        logs:GetLogEvents           sender logs
        kms:Decrypt                 any key
        s3:GetObject                any bucket
        s3:GetObject                mail
        ses:SendRawEmail            our address
        lambda:UpdateFunctionCode   itself
        lambda:InvokeFunction       itself
        iam:PutRolePolicy           its role
        iam:PassRole                its role
        ec2:CreateNetworkInterface  any interface
    """,
    "ReceiptsFunction": """
        dynamodb:Query              table
        dynamodb:BatchGetItem       table
        dynamodb:Query              index due
        dynamodb:Scan               table
        dynamodb:DeleteItem         table
        dynamodb:GetItem            another table
        secretsmanager:GetSecretValue provider's secret
        secretsmanager:GetSecretValue another secret of ours
        ssm:GetParameter            routing
        sqs:SendMessage             send queue
        sqs:SendMessage             bulk queue
        sqs:ReceiveMessage          send queue
        events:PutEvents            bus
        sns:Publish                 alert topic
        logs:PutLogEvents           sender logs
    """,
    "RepliesFunction": """
        dynamodb:Query              table
        dynamodb:BatchGetItem       table
        dynamodb:Query              index due
        dynamodb:Scan               table
        dynamodb:DeleteItem         table
        dynamodb:GetItem            another table
        secretsmanager:GetSecretValue provider's secret
        secretsmanager:GetSecretValue another secret of ours
        ssm:GetParameter            routing
        sqs:SendMessage             send queue
        sqs:SendMessage             bulk queue
        sqs:ReceiveMessage          send queue
        events:PutEvents            bus
        sns:Publish                 alert topic
        logs:PutLogEvents           sender logs
    """,
    "MailboxFunction": """
        s3:GetObject                beside the mails
        s3:GetObject                any bucket
        s3:ListBucket               mail bucket
        s3:PutObject                mail
        s3:DeleteObject             mail
        dynamodb:Query              index recipient
        dynamodb:Scan               table
        dynamodb:DeleteItem         table
        secretsmanager:GetSecretValue provider's secret
        secretsmanager:DescribeSecret callbacks secret
        secretsmanager:DescribeSecret another stack's secret
        sqs:SendMessage             send queue
        sqs:SendMessage             dead letters
        ses:SendRawEmail            our address
        events:PutEvents            bus
        sns:Publish                 alert topic
        logs:PutLogEvents           sender logs
    """,
    "ReconcilerFunction": """
        dynamodb:DeleteItem         table
        dynamodb:Scan               table
        dynamodb:Scan               index due
        sqs:ReceiveMessage          send queue
        sqs:DeleteMessage           send queue
        sqs:SendMessage             dead letters
        sqs:SendMessage             another stack's queue
        secretsmanager:GetSecretValue callbacks secret
        ssm:GetParameter            another setting
        secretsmanager:GetSecretValue another stack's secret
        events:PutEvents            bus
        sns:Publish                 alert topic
        logs:PutLogEvents           sender logs
    """,
    "CreditsFunction": """
        dynamodb:Query              table
        dynamodb:Query              index due
        dynamodb:DeleteItem         table
        sqs:SendMessage             send queue
        sqs:ReceiveMessage          bulk queue
        secretsmanager:GetSecretValue callbacks secret
        sns:Publish                 alert topic
        events:PutEvents            bus
        logs:PutLogEvents           api logs
    """,
    "ApiFunction": """
        dynamodb:Scan               table
        dynamodb:DeleteItem         table
        dynamodb:GetRecords         stream
        sqs:ReceiveMessage          send queue
        sqs:DeleteMessage           bulk queue
        sqs:PurgeQueue              bulk queue
        secretsmanager:GetSecretValue callbacks secret
        secretsmanager:GetSecretValue another stack's secret
        ssm:PutParameter            routing
        events:PutEvents            bus
        sns:Publish                 send topic
        logs:PutLogEvents           publisher logs
    """,
    "PublisherFunction": """
        dynamodb:GetItem            table
        dynamodb:PutItem            table
        dynamodb:Query              table
        dynamodb:UpdateItem         table
        dynamodb:GetRecords         another table's stream
        dynamodb:ListStreams        another table's stream
        events:PutEvents            default bus
        sns:Publish                 send topic
        sqs:SendMessage             send queue
        sqs:SendMessage             dead letters
        sqs:ReceiveMessage          backstage dead letters
        secretsmanager:GetSecretValue provider's secret
        secretsmanager:GetSecretValue callbacks secret
        ssm:GetParameter            routing
        logs:PutLogEvents           sender logs
    """,
}

BY_MAIL = {"EnabledProviders": "twsms,meteorsis", "MailAddress": "gateway@sms.example"}
CALLERS_OF_PROVIDERS = ("SenderFunction", "ReconcilerFunction", "CreditsFunction", "ApiFunction")


def pairs(table: dict[str, str]) -> list[tuple[str, str, str]]:
    rows = [(function, line.split(maxsplit=1)) for function, lines in table.items() for line in lines.split("\n")]
    return [(function, row[0], row[1].strip()) for function, row in rows if row]


@pytest.fixture(scope="module")
def stack() -> Stack:
    return Stack(translated(), BY_MAIL)


@pytest.mark.parametrize(("function", "action", "resource"), pairs(ALLOWED))
def test_a_function_may_do_its_work(stack: Stack, function: str, action: str, resource: str) -> None:
    assert may(stack, function, action, RESOURCES[resource])


@pytest.mark.parametrize(("function", "action", "resource"), pairs(DENIED))
def test_a_function_may_do_nothing_else(stack: Stack, function: str, action: str, resource: str) -> None:
    assert not may(stack, function, action, RESOURCES[resource])


@pytest.mark.parametrize("function", CALLERS_OF_PROVIDERS)
def test_behind_a_fixed_address_lambda_may_make_interfaces_and_the_code_may_not(function: str) -> None:
    fixed = Stack(translated(parameters={"FixedEgressIp": "true"}), {"FixedEgressIp": "true"})
    action, interface = "ec2:CreateNetworkInterface", RESOURCES["any interface"]

    assert may(fixed, function, action, interface, from_its_code=False)
    assert not may(fixed, function, action, interface)
    assert not may(fixed, "ReceiptsFunction", action, interface, from_its_code=False)


def test_mails_go_out_from_our_own_address_only(stack: Stack) -> None:
    ours, anothers = {"ses:FromAddress": "gateway@sms.example"}, {"ses:FromAddress": "boss@sms.example"}

    for identity in ("our address", "our domain"):
        assert may(stack, "SenderFunction", "ses:SendRawEmail", RESOURCES[identity], context=ours)
        assert not may(stack, "SenderFunction", "ses:SendRawEmail", RESOURCES[identity], context=anothers)
    assert not may(stack, "SenderFunction", "ses:SendRawEmail", RESOURCES["another domain"], context=ours)
    assert not may(Stack(translated()), "SenderFunction", "ses:SendRawEmail", RESOURCES["our domain"], context=ours)


def test_secrets_follow_a_prefix_of_ones_own() -> None:
    chosen = {"SecretPrefix": "sms/live"}
    live = Stack(translated(parameters=chosen), chosen)
    secret = f"arn:aws:secretsmanager:{_HERE}:secret:sms/live/providers/anyone-a1B2c3"

    assert may(live, "SenderFunction", "secretsmanager:GetSecretValue", secret)
    assert not may(live, "SenderFunction", "secretsmanager:GetSecretValue", RESOURCES["provider's secret"])
    assert may(live, "SenderFunction", "ssm:GetParameter", f"arn:aws:ssm:{_HERE}:parameter/sms/live/routing")


WIDENED = [
    ("dynamodb:*", "MessagesTable", "dynamodb:DeleteItem", "table"),
    ("dynamodb:Delete*", "MessagesTable", "dynamodb:DeleteTable", "table"),
    ("SQS:sendmessage", "SendQueue", "sqs:SendMessage", "send queue"),
]


@pytest.mark.parametrize(("action", "owner", "asked", "resource"), WIDENED)
def test_a_permission_too_many_is_noticed(stack: Stack, action: str, owner: str, asked: str, resource: str) -> None:
    statement = {"Effect": "Allow", "Action": action, "Resource": {"Fn::GetAtt": [owner, "Arn"]}}

    wider = with_statement(stack, statement)

    assert may(wider, "SenderFunction", asked, RESOURCES[resource])


def test_a_denial_counts_more_than_a_permission(stack: Stack) -> None:
    statement = {"Effect": "Deny", "Action": "dynamodb:Put*", "Resource": "*"}

    narrower = with_statement(stack, statement)

    assert not may(narrower, "SenderFunction", "dynamodb:PutItem", RESOURCES["table"])
    assert may(narrower, "SenderFunction", "dynamodb:GetItem", RESOURCES["table"])


def test_there_are_enough_pairs_to_mean_something() -> None:
    assert len(pairs(ALLOWED)) >= 30
    assert len(pairs(DENIED)) >= 60
    assert {resource for *_, resource in pairs(ALLOWED) + pairs(DENIED)} <= RESOURCES.keys()


def with_statement(stack: Stack, statement: dict[str, Any]) -> Stack:
    template = copy.deepcopy(dict(stack.template))
    role = template["Resources"]["SenderRole"]["Properties"]
    role["Policies"][0]["PolicyDocument"]["Statement"].append(statement)
    return Stack(template)
