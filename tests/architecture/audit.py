"""The rules of AWS and of this house that no linter checks, each as a function that names every breach it finds."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from tests.architecture.cloudformation import Stack

FOURTEEN_DAYS = 14 * 24 * 3600

WILDCARDS_WITH_A_REASON = {
    # Which provider is called is data, not structure: the template names none.
    r"arn:aws:secretsmanager:[^:]+:[^:]+:secret:[^*?]+/providers/\*",
    # AWS ends the ARN of a secret with six characters of its own.
    r"arn:aws:secretsmanager:[^:]+:[^:]+:secret:[^*?]+/callbacks-\?{6}",
    # ListStreams has no narrower form.
    r"arn:aws:dynamodb:[^:]+:[^:]+:table/[^*?]+/stream/\*",
    # Every mail is an object of its own.
    r"arn:aws:s3:::[^*?]+/mails/\*",
    # A log group's own ARN as CloudFormation gives it: its streams.
    r"arn:aws:logs:[^:]+:[^:]+:log-group:[^*?]+:\*",
}
STARS_WITH_A_REASON = {("VpcAccess", "LambdaItself")}  # describing network interfaces has no narrower form
LOGGABLE = {"requestId", "routeKey", "status", "responseLatency", "integrationStatus", "error.messageString"}
NAMED_BY = {
    "AWS::CloudWatch::Alarm": "AlarmName",
    "AWS::CloudWatch::Dashboard": "DashboardName",
    "AWS::DynamoDB::Table": "TableName",
    "AWS::Events::EventBus": "Name",
    "AWS::Events::Rule": "Name",
    "AWS::IAM::ManagedPolicy": "ManagedPolicyName",
    "AWS::IAM::Role": "RoleName",
    "AWS::Lambda::Function": "FunctionName",
    "AWS::Logs::LogGroup": "LogGroupName",
    "AWS::SNS::Topic": "TopicName",
    "AWS::SQS::Queue": "QueueName",
}
OPEN_ROUTES = ("/receipts/", "/replies/")


def sources(stack: Stack) -> Iterator[str]:
    """Queues as event sources: nothing received twice by design, nothing deleted unread, one bad record alone."""
    for name, mapping in stack.of_type("AWS::Lambda::EventSourceMapping"):
        source = stack.name_of(mapping["EventSourceArn"])
        if stack.resources[source]["Type"] != "AWS::SQS::Queue":
            continue
        queue = stack.properties(source)
        function = stack.properties(mapping["FunctionName"])
        least = 6 * function["Timeout"] + mapping.get("MaximumBatchingWindowInSeconds", 0)
        if queue.get("VisibilityTimeout", 30) < least:
            yield f"{source}: VisibilityTimeout below {least}, six times the function's timeout and the window"
        if "ReportBatchItemFailures" not in mapping.get("FunctionResponseTypes", []):
            yield f"{name}: without ReportBatchItemFailures one bad record brings the whole batch back"
        if "MaximumConcurrency" not in mapping.get("ScalingConfig", {}):
            yield f"{name}: no MaximumConcurrency"
        if "FilterCriteria" in mapping:
            yield f"{name}: a filter deletes what it does not match"
        if "ReservedConcurrentExecutions" in function:
            yield f"{mapping['FunctionName']}: reserved concurrency makes throttled polls, which count as receives"
        if "RedrivePolicy" not in queue:
            yield f"{source}: a source without a dead-letter queue"


def dead_letters(stack: Stack) -> Iterator[str]:
    """What cannot be processed is kept for as long as AWS keeps anything, and somebody is told."""
    alarmed = {
        dimension["Value"]
        for _, alarm in stack.of_type("AWS::CloudWatch::Alarm")
        if alarm["MetricName"] == "ApproximateNumberOfMessagesVisible"
        for dimension in alarm["Dimensions"]
    }
    for name, queue in stack.of_type("AWS::SQS::Queue"):
        retention = queue.get("MessageRetentionPeriod", 345600)
        redrive = queue.get("RedrivePolicy")
        if not redrive:
            if retention != FOURTEEN_DAYS:
                yield f"{name}: dead letters are not kept for 14 days"
            if "RedriveAllowPolicy" not in queue:
                yield f"{name}: does not say which queues may use it"
            if f"{name}.QueueName" not in alarmed:
                yield f"{name}: no alarm on dead letters"
            continue
        if redrive["maxReceiveCount"] < 5:
            yield f"{name}: maxReceiveCount below 5"
        target = stack.name_of(redrive["deadLetterTargetArn"])
        allowed = stack.properties(target).get("RedriveAllowPolicy", {})
        if stack.arn(name) not in allowed.get("sourceQueueArns", []):
            yield f"{name}: {target} does not take its dead letters"
        if stack.properties(target).get("MessageRetentionPeriod", 345600) <= retention:
            yield f"{name}: its dead letters do not outlive it"


def transport_security(stack: Stack) -> Iterator[str]:
    policies = {
        "AWS::SQS::Queue": "AWS::SQS::QueuePolicy",
        "AWS::SNS::Topic": "AWS::SNS::TopicPolicy",
        "AWS::S3::Bucket": "AWS::S3::BucketPolicy",
    }
    for kind, policy_kind in policies.items():
        for name, _ in stack.of_type(kind):
            refuses = any(
                statement["Effect"] == "Deny"
                and statement["Principal"] == "*"
                and statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
                and statement["Resource"] in (stack.arn(name), [stack.arn(name), f"{stack.arn(name)}/*"])
                for _, policy in stack.of_type(policy_kind)
                if stack.resolve({"Ref": name})
                in [*policy.get("Queues", []), *policy.get("Topics", []), policy.get("Bucket")]
                for statement in policy["PolicyDocument"]["Statement"]
            )
            if not refuses:
                yield f"{name}: takes what comes without TLS"


def queue_openings(stack: Stack) -> Iterator[str]:
    """A topic that delivers may write, by its ARN; nobody else is let in by the policy of a queue, topic or bucket."""
    open_to: set[tuple[str, str]] = set()
    for kind in ("AWS::SQS::QueuePolicy", "AWS::SNS::TopicPolicy", "AWS::S3::BucketPolicy"):
        for name, policy in stack.of_type(kind):
            for statement in policy["PolicyDocument"]["Statement"]:
                if statement["Effect"] != "Allow":
                    continue
                condition = statement.get("Condition", {})
                origin = condition.get("ArnEquals", {}).get("aws:SourceArn")
                if origin is None and "aws:SourceAccount" not in condition.get("StringEquals", {}):
                    yield f"{name}: lets {statement['Principal']} in from anywhere"
                if statement["Principal"] == "*":
                    yield f"{name}: lets everybody in"
                open_to.update((statement["Resource"], arn) for arn in _listed(origin))
    for name, subscription in stack.of_type("AWS::SNS::Subscription"):
        if subscription["Protocol"] != "sqs":
            continue
        undeliverable = subscription.get("RedrivePolicy", {}).get("deadLetterTargetArn")
        if not undeliverable:
            yield f"{name}: what cannot be delivered is lost"
        for queue in filter(None, [subscription["Endpoint"], undeliverable]):
            if (queue, subscription["TopicArn"]) not in open_to:
                yield f"{name}: {stack.name_of(queue)} does not let the topic write by its ARN"


def data_at_rest(stack: Stack) -> Iterator[str]:
    for name, table in stack.of_type("AWS::DynamoDB::Table"):
        for policy in ("DeletionPolicy", "UpdateReplacePolicy"):
            if stack.resources[name].get(policy) != "Retain":
                yield f"{name}: {policy} is not Retain"
        if not table.get("PointInTimeRecoverySpecification", {}).get("PointInTimeRecoveryEnabled"):
            yield f"{name}: no point-in-time recovery"
        if not table.get("SSESpecification", {}).get("SSEEnabled"):
            yield f"{name}: not encrypted under a key whose use is on record"
        if not table.get("DeletionProtectionEnabled"):
            yield f"{name}: can be deleted by hand"
        if table.get("BillingMode") != "PAY_PER_REQUEST":
            yield f"{name}: costs money when idle"
        if not table.get("TimeToLiveSpecification", {}).get("Enabled"):
            yield f"{name}: keeps everything for ever"
    for name, queue in stack.of_type("AWS::SQS::Queue"):
        if queue.get("SqsManagedSseEnabled") is not True:
            yield f"{name}: not encrypted in a way that a topic can deliver to"


def buckets(stack: Stack) -> Iterator[str]:
    for name, bucket in stack.of_type("AWS::S3::Bucket"):
        for policy in ("DeletionPolicy", "UpdateReplacePolicy"):
            if stack.resources[name].get(policy) != "Retain":
                yield f"{name}: {policy} is not Retain"
        if "BucketEncryption" not in bucket:
            yield f"{name}: does not say how it is encrypted"
        closed = bucket.get("PublicAccessBlockConfiguration", {})
        if list(closed.values()) != [True] * 4:
            yield f"{name}: could be opened to everybody"
        if not any("ExpirationInDays" in rule for rule in bucket.get("LifecycleConfiguration", {}).get("Rules", [])):
            yield f"{name}: keeps everything for ever"


def streams(stack: Stack) -> Iterator[str]:
    for name, mapping in stack.of_type("AWS::Lambda::EventSourceMapping"):
        if "/stream/" not in mapping["EventSourceArn"]:
            continue
        if mapping.get("StartingPosition") != "TRIM_HORIZON":
            yield f"{name}: does not begin with the oldest record"
        if "ReportBatchItemFailures" not in mapping.get("FunctionResponseTypes", []):
            yield f"{name}: without ReportBatchItemFailures what was published is published again"
        if not mapping.get("BisectBatchOnFunctionError"):
            yield f"{name}: one bad record holds up its whole batch"
        if mapping.get("MaximumRetryAttempts", -1) < 0:
            yield f"{name}: one bad record blocks its shard for a day"
        if not 0 < mapping.get("MaximumRecordAgeInSeconds", -1) < 24 * 3600:
            yield f"{name}: records leave the stream before they are given up"
        if "Destination" not in mapping.get("DestinationConfig", {}).get("OnFailure", {}):
            yield f"{name}: what is given up is lost"


def schedules(stack: Stack) -> Iterator[str]:
    watched = {
        (dimension["Value"], alarm["MetricName"], alarm["TreatMissingData"])
        for _, alarm in stack.of_type("AWS::CloudWatch::Alarm")
        for dimension in alarm.get("Dimensions", [])
        if dimension["Name"] == "FunctionName"
    }
    for name, rule in stack.of_type("AWS::Events::Rule"):
        if "ScheduleExpression" not in rule:
            continue
        for target in rule["Targets"]:
            function = stack.name_of(target["Arn"])
            if "DeadLetterConfig" not in target or "RetryPolicy" not in target:
                yield f"{name}: a schedule that cannot start is not noticed"
            if (function, "Errors", "notBreaching") not in watched:
                yield f"{function}: no alarm on errors"
            if (function, "Invocations", "breaching") not in watched:
                yield f"{function}: no alarm when its schedule stalls"


def functions(stack: Stack) -> Iterator[str]:
    roles: dict[str, str] = {}
    for name, function in stack.of_type("AWS::Lambda::Function"):
        if function.get("Handler") != "app.handler":
            yield f"{name}: its handler is not app.handler"
        if function.get("Runtime") != "python3.13":
            yield f"{name}: not on python3.13"
        if function.get("Architectures") != [stack.parameters["Architecture"]]:
            yield f"{name}: does not follow the parameter Architecture"
        if roles.setdefault(function["Role"], name) != name:
            yield f"{name}: shares its role with {roles[function['Role']]}"
        service = function.get("Environment", {}).get("Variables", {}).get("SERVICE_NAME", "")
        if service.rpartition("-")[2] != folder_of(name):
            yield f"{name}: its logs and metrics go by another name"
        if not any(layer.startswith("GatewayLayer") for layer in function.get("Layers", [])):
            yield f"{name}: without GatewayLayer"


def logs(stack: Stack) -> Iterator[str]:
    groups: dict[str, str] = {}
    for name, group in stack.of_type("AWS::Logs::LogGroup"):
        if not group.get("RetentionInDays"):
            yield f"{name}: kept for ever"
    for name, function in stack.of_type("AWS::Lambda::Function"):
        logging = function.get("LoggingConfig", {})
        if "LogGroup" not in logging:
            yield f"{name}: its log group is not in the template"
        elif groups.setdefault(logging["LogGroup"], name) != name:
            yield f"{name}: shares its log group with {groups[logging['LogGroup']]}"
        if logging.get("LogFormat") != "JSON":
            yield f"{name}: its logs are not JSON"


def fixed_address(stack: Stack) -> Iterator[str]:
    """Who calls providers does it from the address they know; who does not, stays out of the network."""
    fixed = Stack(stack.template, stack.parameters | {"FixedEgressIp": "true"})
    for name, function in fixed.of_type("AWS::Lambda::Function"):
        calls = any(layer.startswith("TransportsLayer") for layer in function["Layers"])
        if calls != ("VpcConfig" in function):
            yield f"{name}: {'calls providers from any address' if calls else 'needs no network of its own'}"
    for name, resource in stack.resources.items():
        if resource["Type"].startswith("AWS::EC2::") and resource.get("Condition") != "HasFixedEgressIp":
            yield f"{name}: there, and paid for, without FixedEgressIp"


def permissions(stack: Stack) -> Iterator[str]:
    fixed = Stack(stack.template, stack.parameters | {"FixedEgressIp": "true"})
    for name, statement in _granted(fixed):
        for action in _listed(statement["Action"]):
            if "*" in action:
                yield f"{name}: may {action}"
        for resource in _listed(statement["Resource"]):
            if resource == "*":
                if (name, statement.get("Sid")) not in STARS_WITH_A_REASON:
                    yield f"{name}: may {statement['Action']} on everything"
            elif re.search(r"[*?]", resource) and not any(re.fullmatch(r, resource) for r in WILDCARDS_WITH_A_REASON):
                yield f"{name}: may {statement['Action']} on {resource}"
    for name, role in fixed.of_type("AWS::IAM::Role"):
        if set(role.get("ManagedPolicyArns", [])) - fixed.resources.keys():
            yield f"{name}: a policy of AWS's own grants more than is needed"
        for statement in role["AssumeRolePolicyDocument"]["Statement"]:
            if statement["Principal"] != {"Service": "lambda.amazonaws.com"}:
                yield f"{name}: may be taken by {statement['Principal']}"


def http_api(stack: Stack) -> Iterator[str]:
    for name, api in stack.of_type("AWS::ApiGatewayV2::Api"):
        for path, methods in api["Body"]["paths"].items():
            for method, route in methods.items():
                is_open = not any("AWS_IAM" in scheme for scheme in route.get("security", []))
                if is_open and not path.startswith(OPEN_ROUTES):
                    yield f"{name}: {method} {path} is open to everybody"
                if not is_open and path.startswith(OPEN_ROUTES):
                    yield f"{name}: no provider can call {method} {path}"
                integration = route["x-amazon-apigateway-integration"]
                if integration.get("payloadFormatVersion") != "2.0":
                    yield f"{name}: {method} {path} is not of payload format 2.0"
    for name, stage in stack.of_type("AWS::ApiGatewayV2::Stage"):
        used = set(re.findall(r"\$context\.([\w.]+)", stage.get("AccessLogSettings", {}).get("Format", "")))
        if not used:
            yield f"{name}: no access log"
        if told := used - LOGGABLE:
            yield f"{name}: the access log tells {', '.join(sorted(told))}"
        limits = stage.get("DefaultRouteSettings", {})
        if not limits.get("ThrottlingRateLimit") or not limits.get("ThrottlingBurstLimit"):
            yield f"{name}: not throttled"


def alarms(stack: Stack) -> Iterator[str]:
    for name, alarm in stack.of_type("AWS::CloudWatch::Alarm"):
        if stack.arn("AlertTopic") not in alarm.get("AlarmActions", []):
            yield f"{name}: nobody is told"
        if not alarm.get("AlarmDescription"):
            yield f"{name}: does not say what to do"


def names(stack: Stack) -> Iterator[str]:
    """Deployable twice in one account: no name but the stack's own."""
    for name, resource in stack.resources.items():
        key = NAMED_BY.get(resource["Type"], "")
        given = resource.get("Properties", {}).get(key)
        if given and "AWS::StackName" not in str(given):
            yield f"{name}: its {key} would be there twice"


RULES = (
    sources,
    dead_letters,
    transport_security,
    queue_openings,
    data_at_rest,
    buckets,
    streams,
    schedules,
    functions,
    logs,
    fixed_address,
    permissions,
    http_api,
    alarms,
    names,
)


def audit(stack: Stack) -> list[str]:
    return [breach for rule in RULES for breach in rule(stack)]


def folder_of(function: str) -> str:
    return function.removesuffix("Function").lower()


def _granted(stack: Stack) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, role in stack.of_type("AWS::IAM::Role"):
        for policy in role.get("Policies", []):
            yield from ((name, s) for s in policy["PolicyDocument"]["Statement"] if s["Effect"] == "Allow")
    for name, policy in stack.of_type("AWS::IAM::ManagedPolicy"):
        yield from ((name, s) for s in policy["PolicyDocument"]["Statement"] if s["Effect"] == "Allow")


def _listed(value: Any) -> Iterable[str]:
    if value is None:
        return []
    return [value] if isinstance(value, str) else value
