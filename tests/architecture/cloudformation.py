"""A translated template read as AWS would: its resources by type, and its intrinsic functions worked out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

Resource = dict[str, Any]

ACCOUNT = "111122223333"
REGION = "ap-northeast-1"
STACK = "gateway"
PSEUDO = {
    "AWS::AccountId": ACCOUNT,
    "AWS::Partition": "aws",
    "AWS::Region": REGION,
    "AWS::StackName": STACK,
    "AWS::URLSuffix": "amazonaws.com",
    "AWS::NoValue": None,
}


class Stack:
    """The template with its parameters chosen, as the stack `gateway` of one account."""

    def __init__(self, template: Mapping[str, Any], parameters: Mapping[str, str] | None = None) -> None:
        self.template = template
        self.resources: dict[str, Resource] = template["Resources"]
        defaults = {name: str(p.get("Default", "")) for name, p in template.get("Parameters", {}).items()}
        self.parameters = defaults | dict(parameters or {})

    def of_type(self, kind: str) -> Iterator[tuple[str, Resource]]:
        for name, resource in sorted(self.resources.items()):
            if resource["Type"] == kind and self._exists(resource):
                yield name, self.resolve(resource.get("Properties", {}))

    def properties(self, name: str) -> Resource:
        resolved: Resource = self.resolve(self.resources[name].get("Properties", {}))
        return resolved

    def resolve(self, value: Any) -> Any:
        if isinstance(value, dict) and len(value) == 1:
            ((function, argument),) = value.items()
            match function:
                case "Ref":
                    return self._ref(argument)
                case "Fn::GetAtt":
                    name, attribute = argument if isinstance(argument, list) else argument.split(".", 1)
                    return self.attribute(name, attribute)
                case "Fn::Sub":
                    return self._substitute(argument)
                case "Fn::If":
                    condition, then, otherwise = argument
                    return self.resolve(then if self.condition(condition) else otherwise)
                case "Fn::Join":
                    separator, parts = argument
                    return separator.join(self.resolve(parts))
                case "Fn::Split":
                    separator, text = argument
                    return self.resolve(text).split(separator)
                case "Fn::Select":
                    index, choices = argument
                    return self.resolve(choices)[int(index)]
        if isinstance(value, dict):
            resolved = {key: self.resolve(inner) for key, inner in value.items()}
            return {key: inner for key, inner in resolved.items() if inner is not None}
        if isinstance(value, list):
            return [inner for inner in map(self.resolve, value) if inner is not None]
        return value

    def condition(self, name: str) -> bool:
        return self._holds(self.template["Conditions"][name])

    def attribute(self, name: str, attribute: str) -> str:
        """ARNs as AWS forms them; whatever else a resource tells, by its name."""
        if attribute in {"Arn", "StreamArn"}:
            return self.arn(name) + ("/stream/2026-01-01T00:00:00.000" if attribute == "StreamArn" else "")
        return f"{name}.{attribute}"

    def arn(self, name: str) -> str:
        kind = self.resources[name]["Type"]
        place = f"{REGION}:{ACCOUNT}"
        properties = self.resources[name].get("Properties", {})
        match kind:
            case "AWS::SQS::Queue":
                return f"arn:aws:sqs:{place}:{self.resolve(properties.get('QueueName', name))}"
            case "AWS::SNS::Topic":
                return f"arn:aws:sns:{place}:{name}"
            case "AWS::DynamoDB::Table":
                return f"arn:aws:dynamodb:{place}:table/{name}"
            case "AWS::Events::EventBus":
                return f"arn:aws:events:{place}:event-bus/{self.resolve(properties['Name'])}"
            case "AWS::Events::Rule":
                return f"arn:aws:events:{place}:rule/{name}"
            case "AWS::Logs::LogGroup":
                return f"arn:aws:logs:{place}:log-group:{self.resolve(properties['LogGroupName'])}:*"
            case "AWS::S3::Bucket":
                return f"arn:aws:s3:::{name}"
            case "AWS::Lambda::Function":
                return f"arn:aws:lambda:{place}:function:{name}"
            case "AWS::CloudWatch::Alarm":
                return f"arn:aws:cloudwatch:{place}:alarm:{name}"
            case "AWS::IAM::Role":
                return f"arn:aws:iam::{ACCOUNT}:role/{name}"
        raise LookupError(f"no ARN is known for {name}, a {kind}")

    def name_of(self, arn: str) -> str:
        """The logical id of the resource that this ARN, or this stream's ARN, belongs to."""
        for name, resource in self.resources.items():
            if resource["Type"] in _WITH_ARN and (arn == self.arn(name) or arn.startswith(f"{self.arn(name)}/stream/")):
                return name
        raise LookupError(f"nothing in the template has the ARN {arn}")

    def _exists(self, resource: Resource) -> bool:
        return "Condition" not in resource or self.condition(resource["Condition"])

    def _ref(self, name: str) -> Any:
        if name in PSEUDO:
            return PSEUDO[name]
        if name in self.parameters:
            return self.parameters[name]
        if self.resources[name]["Type"] == "AWS::SNS::Topic":
            return self.arn(name)
        return name

    def _substitute(self, argument: Any) -> str:
        text, given = (argument, {}) if isinstance(argument, str) else argument

        def value(match: re.Match[str]) -> str:
            name = match[1]
            if name in given:
                return str(self.resolve(given[name]))
            if "." in name:
                return self.attribute(*name.split(".", 1))
            return str(self._ref(name))

        return re.sub(r"\$\{!([^}]*)\}", r"${\1}", re.sub(r"\$\{([^!}]+)\}", value, text))

    def _holds(self, expression: Any) -> bool:
        ((function, argument),) = expression.items()
        match function:
            case "Fn::Equals":
                left, right = map(self.resolve, argument)
                return str(left) == str(right)
            case "Fn::Not":
                return not self._holds(argument[0])
            case "Fn::And":
                return all(map(self._holds, argument))
            case "Fn::Or":
                return any(map(self._holds, argument))
            case "Condition":
                return self.condition(argument)
        raise LookupError(f"conditions know no {function}")


_WITH_ARN = {
    "AWS::DynamoDB::Table",
    "AWS::Events::EventBus",
    "AWS::Events::Rule",
    "AWS::IAM::Role",
    "AWS::Lambda::Function",
    "AWS::Logs::LogGroup",
    "AWS::SNS::Topic",
    "AWS::SQS::Queue",
}
