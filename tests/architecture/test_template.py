"""The template, as CloudFormation will see it, against the public contract and the rules that no linter knows."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from cfnlint import api as cfnlint

from smsgate import settings
from smsgate.mailbox import FOLDER
from tests.architecture import audit
from tests.architecture.cloudformation import ACCOUNT, STACK, Stack
from tests.architecture.handlers import load_handler
from tools.translation import REGION, ROOT, read, translate

FUNCTIONS = (
    "SenderFunction",
    "ReceiptsFunction",
    "RepliesFunction",
    "MailboxFunction",
    "ReconcilerFunction",
    "CreditsFunction",
    "ApiFunction",
    "PublisherFunction",
)
CONTRACT = {
    "SendTopic": "AWS::SNS::Topic",
    "SendQueue": "AWS::SQS::Queue",
    "BulkQueue": "AWS::SQS::Queue",
    "SendDeadLetterQueue": "AWS::SQS::Queue",
    "MessagesTable": "AWS::DynamoDB::Table",
    "EventBus": "AWS::Events::EventBus",
    "AlertTopic": "AWS::SNS::Topic",
    "HttpApi": "AWS::Serverless::HttpApi",
    "MailBucket": "AWS::S3::Bucket",
    **dict.fromkeys(FUNCTIONS, "AWS::Serverless::Function"),
}
PARAMETERS = {
    "SecretPrefix": "",
    "LowCredit": "{}",
    "CheckSchedule": "60,300,1800,7200,28800,86400",
    "WatchHours": 72,
    "RetentionDays": 90,
    "AlertEmail": "",
    "FixedEgressIp": "false",
    "MailAddress": "",
    "ProviderDeadline": 10,
    "BulkConcurrency": 5,
    "AllowedCountries": "TW,HK",
    "MaxParts": 10,
    "DailyPoints": 0,
    "Architecture": "arm64",
    "LogLevel": "INFO",
}
ROUTES = {
    "POST /messages",
    "GET /messages",
    "GET /messages/{message_id}",
    "POST /messages/{message_id}/cancel",
    "POST /messages/{message_id}/resolve",
    "GET /requests/{id}",
    "POST /requests/{id}/cancel",
    "GET /providers",
    "POST /providers/{provider}/suspend",
    "POST /providers/{provider}/resume",
    "POST /callbacks/replay",
    "GET /replies",
    "GET /suppressions/{number}",
    "PUT /suppressions/{number}",
    "DELETE /suppressions/{number}",
    "x-amazon-apigateway-any-method /receipts/{provider}/{token}",
    "x-amazon-apigateway-any-method /receipts/{provider}/{token}/{proxy+}",
    "x-amazon-apigateway-any-method /replies/{provider}/{token}",
    "x-amazon-apigateway-any-method /replies/{provider}/{token}/{proxy+}",
}
OF_THE_RUNTIME = {"LOG_LEVEL", "METRICS_NAMESPACE", "SERVICE_NAME"}
WRITTEN = read()
TRANSLATED = translate(WRITTEN)
BY_MAIL = {"EnabledProviders": "twsms, meteorsis", "MailAddress": "gateway@sms.example"}


@pytest.fixture
def stack() -> Stack:
    return Stack(copy.deepcopy(TRANSLATED), BY_MAIL)


@pytest.mark.parametrize(("name", "kind"), CONTRACT.items())
def test_what_the_contract_names_is_there_by_that_name(name: str, kind: str) -> None:
    resources = WRITTEN["Resources"]

    assert resources[name]["Type"] == kind


def test_the_parameters_are_the_contracts_with_its_defaults() -> None:
    defaults = {name: parameter["Default"] for name, parameter in WRITTEN["Parameters"].items()}

    assert defaults.pop("EnabledProviders")
    assert defaults == PARAMETERS


def test_every_parameter_is_described_labelled_and_in_one_group() -> None:
    interface = WRITTEN["Metadata"]["AWS::CloudFormation::Interface"]

    grouped = [name for group in interface["ParameterGroups"] for name in group["Parameters"]]

    assert sorted(grouped) == sorted(WRITTEN["Parameters"])
    assert set(interface["ParameterLabels"]) == set(WRITTEN["Parameters"])
    assert all(parameter["Description"] for parameter in WRITTEN["Parameters"].values())


def test_every_parameter_of_free_text_says_what_it_may_hold() -> None:
    free = {name for name, parameter in WRITTEN["Parameters"].items() if parameter["Type"] == "String"}

    checked = {name for name in free if WRITTEN["Parameters"][name].keys() & {"AllowedPattern", "AllowedValues"}}

    assert checked == free


def test_the_outputs_tell_every_queue_topic_table_bus_and_address() -> None:
    told = {str(output["Value"]) for output in WRITTEN["Outputs"].values()}

    kinds = {"AWS::SQS::Queue", "AWS::SNS::Topic", "AWS::DynamoDB::Table", "AWS::Events::EventBus"}
    named = {name for name, resource in WRITTEN["Resources"].items() if resource["Type"] in kinds}

    assert {str({"Ref": name}) for name in named} <= told
    assert {"ApiUrl", "EgressIpAddress"} <= WRITTEN["Outputs"].keys()
    assert WRITTEN["Outputs"]["EgressIpAddress"]["Condition"] == "HasFixedEgressIp"


def test_the_http_api_has_the_contracts_routes(stack: Stack) -> None:
    paths = stack.resources["HttpApi"]["Properties"]["Body"]["paths"]

    routes = {f"{m.upper() if len(m) < 7 else m} {path}" for path, methods in paths.items() for m in methods}

    assert routes == ROUTES


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_functions_folder_shares_its_name(name: str) -> None:
    code = WRITTEN["Resources"][name]["Properties"]["CodeUri"]

    assert code == f"functions/{audit.folder_of(name)}/"
    assert callable(load_handler(ROOT / code / "app.py").handler)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_finds_every_variable_it_reads_and_is_given_no_other(
    name: str, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = stack.properties(name)["Environment"]["Variables"]
    environment = Remembering({key: str(value) for key, value in given.items()})
    monkeypatch.setattr(settings, "os", SimpleNamespace(environ=environment))
    module = load_handler(ROOT / "functions" / audit.folder_of(name) / "app.py")

    for part in vars(module).copy().values():
        if hasattr(part, "cache_info"):  # what a handler is put together from, once
            part.cache_clear()
            part()

    assert given.keys() - environment.read - OF_THE_RUNTIME == set()


class Remembering(dict[str, str]):
    """An environment that knows which of its variables were read."""

    def __init__(self, variables: dict[str, str]) -> None:
        super().__init__(variables)
        self.read: set[str] = set()

    def get(self, key: str, default: Any = None) -> Any:
        self.read.add(key)
        return super().get(key, default)


def test_the_translated_template_passes_the_linter() -> None:
    assert lint(TRANSLATED) == []


def test_the_linter_sees_in_the_translation_what_it_overlooks_in_sams_own_form() -> None:
    template = copy.deepcopy(TRANSLATED)
    put("SenderFunctionUrgent/Properties/BatchSize", 20_000)(template["Resources"])
    put("SenderFunction/Properties/Runtime", "python2.7")(template["Resources"])
    put("ReconcilerFunctionEveryMinute/Properties/ScheduleExpression", "rate(1 minutes)")(template["Resources"])

    found = lint(template)

    assert len(found) >= 3, found


def lint(template: dict[str, Any]) -> list[str]:
    return [str(match) for match in cfnlint.lint(json.dumps(template), regions=[REGION])]


@pytest.mark.parametrize("rule", audit.RULES, ids=lambda rule: rule.__name__)
def test_the_template_keeps_the_rules(rule: Callable[[Stack], Iterator[str]], stack: Stack) -> None:
    assert list(rule(stack)) == []


def test_the_template_keeps_the_rules_with_every_option_chosen() -> None:
    chosen = {
        "FixedEgressIp": "true",
        "AlertEmail": "a@example.org",
        "SecretPrefix": "sms/live",
        "Architecture": "x86_64",
        **BY_MAIL,
    }

    breaches = audit.audit(Stack(translate(WRITTEN, chosen), chosen))

    assert breaches == []


@pytest.mark.parametrize(
    ("parameters", "there"),
    [
        ({}, []),
        ({"EnabledProviders": "twsms,smsgo", "MailAddress": "gateway@sms.example"}, []),
        ({"EnabledProviders": "meteorsis"}, ["MailBucket", "MailboxFunction", "MailboxRole"]),
        (BY_MAIL, ["MailBucket", "MailRule", "MailRuleSet", "MailboxFunction", "MailboxRole"]),
    ],
)
def test_what_takes_mail_in_is_there_only_where_answers_come_by_mail(
    parameters: dict[str, str], there: list[str]
) -> None:
    stack = Stack(TRANSLATED, parameters)

    found = [
        name
        for kind in ("S3::Bucket", "SES::ReceiptRule", "SES::ReceiptRuleSet", "Lambda::Function", "IAM::Role")
        for name, _ in stack.of_type(f"AWS::{kind}")
        if name.startswith("Mail")
    ]

    assert sorted(found) == there


def test_ses_hands_over_what_it_took_in_for_our_address_scanned_and_stored(stack: Stack) -> None:
    ((_, rule),) = stack.of_type("AWS::SES::ReceiptRule")

    stored, told = rule["Rule"]["Actions"]
    assert rule["Rule"]["Recipients"] == ["gateway@sms.example"]
    assert (rule["Rule"]["Enabled"], rule["Rule"]["ScanEnabled"]) == (True, True)
    assert stored["S3Action"] == {"BucketName": "MailBucket", "ObjectKeyPrefix": FOLDER}
    assert told["LambdaAction"] == {"FunctionArn": stack.arn("MailboxFunction"), "InvocationType": "Event"}


def test_only_that_rule_may_write_to_the_bucket_and_start_the_function(stack: Stack) -> None:
    ((_, rule),) = stack.of_type("AWS::SES::ReceiptRule")
    arn = f"arn:aws:ses:{REGION}:{ACCOUNT}:receipt-rule-set/{STACK}:receipt-rule/{rule['Rule']['Name']}"
    ((_, policy),) = stack.of_type("AWS::S3::BucketPolicy")
    allowed = [each for each in policy["PolicyDocument"]["Statement"] if each["Effect"] == "Allow"]
    started = [
        permission
        for _, permission in stack.of_type("AWS::Lambda::Permission")
        if permission["FunctionName"] == stack.arn("MailboxFunction")
    ]

    assert [(each["Principal"], each["Condition"]["StringEquals"]) for each in allowed] == [
        ({"Service": "ses.amazonaws.com"}, {"aws:SourceAccount": ACCOUNT, "aws:SourceArn": arn})
    ]
    assert [(each["Principal"], each["SourceAccount"], each["SourceArn"]) for each in started] == [
        ("ses.amazonaws.com", ACCOUNT, arn)
    ]


def test_a_function_in_the_network_is_made_only_after_its_role_may_enter_it() -> None:
    fixed = Stack(translate(WRITTEN, {"FixedEgressIp": "true"}), {"FixedEgressIp": "true"})
    roles = {function["Role"] for _, function in fixed.of_type("AWS::Lambda::Function") if "VpcConfig" in function}

    entering = {name for name, role in fixed.of_type("AWS::IAM::Role") if role.get("ManagedPolicyArns")}

    assert {fixed.arn(name) for name in entering} == roles


Break = Callable[[dict[str, Any]], None]


def put(path: str, value: Any) -> Break:
    """Sets one property, given as Resource/Property/…, in a copy of the template."""

    def broken(resources: dict[str, Any]) -> None:
        place, last = _find(resources, path)
        place[last] = value

    return broken


def drop(path: str) -> Break:
    def broken(resources: dict[str, Any]) -> None:
        place, last = _find(resources, path)
        del place[last]

    return broken


def _find(resources: dict[str, Any], path: str) -> tuple[Any, Any]:
    """Where a path ends: the dictionary or list, and the key or index in it. `~1` stands for a slash in a key."""
    place: Any = resources
    *parents, last = (step.replace("~1", "/") for step in path.split("/"))
    for step in parents:
        place = place[int(step) if isinstance(place, list) else step]
    return place, int(last) if isinstance(place, list) else last


_PATHS = "HttpApi/Properties/Body/paths"
_SENDER_STATEMENTS = "SenderRole/Properties/Policies/0/PolicyDocument/Statement"

BREACHES: list[tuple[str, Break, str]] = [
    ("visibility", put("SendQueue/Properties/VisibilityTimeout", 359), "VisibilityTimeout below 360"),
    ("visibility and window", put("BulkQueue/Properties/VisibilityTimeout", 364), "VisibilityTimeout below 365"),
    ("visibility unsaid", drop("SendQueue/Properties/VisibilityTimeout"), "VisibilityTimeout below 360"),
    ("longer function", put("SenderFunction/Properties/Timeout", 61), "VisibilityTimeout below 366"),
    ("item failures", drop("SenderFunctionUrgent/Properties/FunctionResponseTypes"), "whole batch back"),
    ("concurrency", drop("SenderFunctionBulk/Properties/ScalingConfig"), "no MaximumConcurrency"),
    ("filter", put("SenderFunctionBulk/Properties/FilterCriteria", {"Filters": []}), "deletes what it does not match"),
    ("reserved", put("SenderFunction/Properties/ReservedConcurrentExecutions", 5), "reserved concurrency"),
    ("no redrive", drop("BulkQueue/Properties/RedrivePolicy"), "a source without a dead-letter queue"),
    ("receives", put("SendQueue/Properties/RedrivePolicy/maxReceiveCount", 4), "maxReceiveCount below 5"),
    ("dead retention", put("SendDeadLetterQueue/Properties/MessageRetentionPeriod", 345600), "not kept for 14 days"),
    ("source retention", put("SendQueue/Properties/MessageRetentionPeriod", 1209600), "do not outlive it"),
    ("redrive allowed", drop("SendDeadLetterQueue/Properties/RedriveAllowPolicy"), "which queues may use it"),
    (
        "redrive from another",
        put("SendDeadLetterQueue/Properties/RedriveAllowPolicy/sourceQueueArns", []),
        "does not take its dead letters",
    ),
    ("dead letters unseen", drop("DeadLettersAlarm"), "SendDeadLetterQueue: no alarm on dead letters"),
    ("queue without TLS", drop("BulkQueuePolicy"), "BulkQueue: takes what comes without TLS"),
    ("topic without TLS", drop("SendTopicPolicy"), "SendTopic: takes what comes without TLS"),
    (
        "TLS for some",
        put("BulkQueuePolicy/Properties/PolicyDocument/Statement/0/Principal", {"AWS": "1"}),
        "BulkQueue: takes what comes without TLS",
    ),
    (
        "any topic",
        put("SendQueuePolicy/Properties/PolicyDocument/Statement/0/Condition", {}),
        "SendQueue does not let the topic write by its ARN",
    ),
    (
        "open queue",
        put("SendQueuePolicy/Properties/PolicyDocument/Statement/0/Condition", {}),
        "in from anywhere",
    ),
    (
        "open to everybody",
        put("SendQueuePolicy/Properties/PolicyDocument/Statement/0/Principal", "*"),
        "lets everybody in",
    ),
    ("undeliverable", drop("SendTopicToSendQueue/Properties/RedrivePolicy"), "what cannot be delivered is lost"),
    ("table deleted", drop("MessagesTable/DeletionPolicy"), "DeletionPolicy is not Retain"),
    ("table replaced", put("MessagesTable/UpdateReplacePolicy", "Delete"), "UpdateReplacePolicy is not Retain"),
    ("no recovery", drop("MessagesTable/Properties/PointInTimeRecoverySpecification"), "point-in-time recovery"),
    ("table key", drop("MessagesTable/Properties/SSESpecification"), "not encrypted under a key"),
    ("table by hand", drop("MessagesTable/Properties/DeletionProtectionEnabled"), "deleted by hand"),
    ("table idle", put("MessagesTable/Properties/BillingMode", "PROVISIONED"), "costs money when idle"),
    ("table for ever", drop("MessagesTable/Properties/TimeToLiveSpecification"), "keeps everything for ever"),
    ("queue plain", drop("BulkQueue/Properties/SqsManagedSseEnabled"), "not encrypted in a way"),
    ("latest", put("PublisherFunctionLedger/Properties/StartingPosition", "LATEST"), "begin with the oldest"),
    ("stream items", drop("PublisherFunctionLedger/Properties/FunctionResponseTypes"), "published again"),
    ("bisect", drop("PublisherFunctionLedger/Properties/BisectBatchOnFunctionError"), "holds up its whole batch"),
    ("retries", drop("PublisherFunctionLedger/Properties/MaximumRetryAttempts"), "blocks its shard"),
    ("age", put("PublisherFunctionLedger/Properties/MaximumRecordAgeInSeconds", 86400), "leave the stream before"),
    ("given up", drop("PublisherFunctionLedger/Properties/DestinationConfig"), "given up is lost"),
    ("schedule", drop("ReconcilerFunctionEveryMinute/Properties/Targets/0/DeadLetterConfig"), "is not noticed"),
    ("schedule errors", drop("CreditsErrorsAlarm"), "CreditsFunction: no alarm on errors"),
    ("schedule stalls", drop("ReconcilerStalledAlarm"), "ReconcilerFunction: no alarm when its schedule stalls"),
    (
        "stall overlooked",
        put("ReconcilerStalledAlarm/Properties/TreatMissingData", "missing"),
        "ReconcilerFunction: no alarm when its schedule stalls",
    ),
    ("handler", put("ApiFunction/Properties/Handler", "app.lambda_handler"), "handler is not app.handler"),
    ("runtime", put("ApiFunction/Properties/Runtime", "python3.12"), "not on python3.13"),
    ("architecture", put("ApiFunction/Properties/Architectures", ["x86_64"]), "does not follow the parameter"),
    (
        "shared role",
        put("ApiFunction/Properties/Role", {"Fn::GetAtt": ["SenderRole", "Arn"]}),
        "shares its role with",
    ),
    (
        "service name",
        put("ApiFunction/Properties/Environment/Variables/SERVICE_NAME", "sender"),
        "by another name",
    ),
    ("layer", put("ReceiptsFunction/Properties/Layers", []), "without GatewayLayer"),
    ("logs for ever", drop("SenderLogGroup/Properties/RetentionInDays"), "SenderLogGroup: kept for ever"),
    ("logs elsewhere", drop("SenderFunction/Properties/LoggingConfig/LogGroup"), "not in the template"),
    (
        "shared logs",
        put("ApiFunction/Properties/LoggingConfig/LogGroup", {"Ref": "SenderLogGroup"}),
        "shares its log group",
    ),
    ("log text", put("ApiFunction/Properties/LoggingConfig/LogFormat", "Text"), "logs are not JSON"),
    ("any address", drop("SenderFunction/Properties/VpcConfig"), "calls providers from any address"),
    (
        "network for nothing",
        put("ReceiptsFunction/Properties/VpcConfig", {"SubnetIds": ["a"]}),
        "needs no network of its own",
    ),
    ("paid for", drop("NatGateway/Condition"), "NatGateway: there, and paid for"),
    ("any action", put(f"{_SENDER_STATEMENTS}/1/Action", "dynamodb:*"), "SenderRole: may dynamodb:*"),
    ("any resource", put(f"{_SENDER_STATEMENTS}/1/Resource", "*"), "on everything"),
    (
        "any table",
        put(f"{_SENDER_STATEMENTS}/1/Resource", "arn:aws:dynamodb:*:*:table/*"),
        "on arn:aws:dynamodb:*:*:table/*",
    ),
    (
        "every secret",
        put(f"{_SENDER_STATEMENTS}/2/Resource", "arn:aws:secretsmanager:a:1:secret:p/*"),
        "on arn:aws:secretsmanager:a:1:secret:p/*",
    ),
    ("managed policy", put("SenderRole/Properties/ManagedPolicyArns", ["x"]), "a policy of AWS's own grants more"),
    (
        "any principal",
        put("SenderRole/Properties/AssumeRolePolicyDocument/Statement/0/Principal", {"AWS": "1"}),
        "may be taken by",
    ),
    ("open route", put(f"{_PATHS}/~1messages/post/security", []), "post /messages is open to everybody"),
    (
        "closed callback",
        put(f"{_PATHS}/~1receipts~1{{provider}}~1{{token}}/x-amazon-apigateway-any-method/security", [{"AWS_IAM": []}]),
        "no provider can call",
    ),
    (
        "path in the access log",
        put("HttpApiApiGatewayDefaultStage/Properties/AccessLogSettings/Format", "$context.path $context.status"),
        "the access log tells path",
    ),
    ("no access log", drop("HttpApiApiGatewayDefaultStage/Properties/AccessLogSettings"), "no access log"),
    ("not throttled", drop("HttpApiApiGatewayDefaultStage/Properties/DefaultRouteSettings"), "not throttled"),
    ("mails for ever", drop("MailBucket/Properties/LifecycleConfiguration"), "MailBucket: keeps everything for ever"),
    ("mails deleted", drop("MailBucket/DeletionPolicy"), "MailBucket: DeletionPolicy is not Retain"),
    ("mails plain", drop("MailBucket/Properties/BucketEncryption"), "does not say how it is encrypted"),
    (
        "mails public",
        put("MailBucket/Properties/PublicAccessBlockConfiguration/BlockPublicPolicy", False),
        "could be opened to everybody",
    ),
    ("mails unlocked", drop("MailBucket/Properties/PublicAccessBlockConfiguration"), "could be opened to everybody"),
    ("mails without TLS", drop("MailBucketPolicy"), "MailBucket: takes what comes without TLS"),
    (
        "mails from anywhere",
        drop("MailBucketPolicy/Properties/PolicyDocument/Statement/0/Condition"),
        "MailBucketPolicy: lets {'Service': 'ses.amazonaws.com'} in from anywhere",
    ),
    ("silent alarm", drop("SendQueueAgeAlarm/Properties/AlarmActions"), "SendQueueAgeAlarm: nobody is told"),
    ("fixed name", put("MessagesTable/Properties/TableName", "messages"), "would be there twice"),
]


@pytest.mark.parametrize(("breaking", "breach"), [case[1:] for case in BREACHES], ids=[case[0] for case in BREACHES])
def test_the_audit_names_a_planted_breach(breaking: Break, breach: str) -> None:
    template = copy.deepcopy(TRANSLATED)
    breaking(template["Resources"])

    found = audit.audit(Stack(template, BY_MAIL))

    assert any(breach in line for line in found), found


def test_every_rule_has_a_planted_breach() -> None:
    shown: set[str] = set()
    for _, breaking, breach in BREACHES:
        template = copy.deepcopy(TRANSLATED)
        breaking(template["Resources"])
        for rule in audit.RULES:
            if any(breach in line for line in rule(Stack(template, BY_MAIL))):
                shown.add(rule.__name__)

    assert shown == {rule.__name__ for rule in audit.RULES}
