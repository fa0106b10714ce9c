"""Reads a CloudFormation template: its tags, parameters and conditions, with every value resolved for this machine."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

_PLACEHOLDER = re.compile(r"\$\{([^!}][^}]*)\}")
_LITERAL_PLACEHOLDER = re.compile(r"\$\{!([^}]*)\}")
_NO_VALUE = object()


class CannotRead(Exception):
    """The template says something that is not understood here, or a parameter it does not have was given."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the stack is pretended to be deployed."""

    aws_url: str
    api_url: str
    stack: str = "smsgate-local"
    region: str = "us-east-1"
    account: str = "000000000000"

    def arn(self, service: str, resource: str) -> str:
        return f"arn:aws:{service}:{self.region}:{self.account}:{resource}"


class Template:
    def __init__(self, path: Path, place: Place, parameters: Mapping[str, str] | None = None) -> None:
        self.folder = path.resolve().parent
        self.place = place
        self._document = _load(path)
        self._parameters = self._values_of_parameters(parameters or {})
        self._resources = self._document.get("Resources") or {}

    @property
    def parameters(self) -> Mapping[str, str]:
        return {name: str(value) for name, value in self._parameters.items()}

    def resources(self, kind: str) -> dict[str, dict[str, Any]]:
        """The properties of every resource of this type whose condition holds, by logical id."""
        return {
            logical_id: self.resolve(resource.get("Properties") or {})
            for logical_id, resource in self._resources.items()
            if resource["Type"] == kind and self._exists(resource)
        }

    def kinds(self) -> dict[str, str]:
        """The type of every resource whose condition holds, by logical id."""
        return {
            logical_id: resource["Type"] for logical_id, resource in self._resources.items() if self._exists(resource)
        }

    def global_properties(self, section: str) -> dict[str, Any]:
        properties = self.resolve((self._document.get("Globals") or {}).get(section) or {})
        return properties if isinstance(properties, dict) else {}

    def output(self, name: str) -> str:
        return str(self.resolve(self._document["Outputs"][name]["Value"]))

    def name_of(self, logical_id: str) -> str:
        """The physical name: as the template gives it, else like CloudFormation's, without its random end."""
        resource = self._resources[logical_id]
        given = (resource.get("Properties") or {}).get(_NAME_PROPERTIES.get(resource["Type"], ""))
        if given:
            return str(self.resolve(given))
        name = f"{self.place.stack}-{logical_id}"
        return name.lower() if resource["Type"] == "AWS::S3::Bucket" else name

    def ref(self, logical_id: str) -> str:
        """What `Ref` gives for a resource of this type."""
        kind = self._kind(logical_id)
        name = self.name_of(logical_id)
        if kind == "AWS::SQS::Queue":
            return f"{self.place.aws_url}/{self.place.account}/{name}"
        if kind in {"AWS::SNS::Topic", "AWS::Serverless::LayerVersion"}:
            return self.arn_of(logical_id)
        return name

    def arn_of(self, logical_id: str) -> str:
        kind = self._kind(logical_id)
        name = self.name_of(logical_id)
        if kind == "AWS::S3::Bucket":
            return f"arn:aws:s3:::{name}"
        if kind == "AWS::IAM::Role":
            return f"arn:aws:iam::{self.place.account}:role/{name}"
        if kind not in _ARNS:
            raise CannotRead(f"{logical_id}: the ARN of a {kind} is not known here")
        service, resource = _ARNS[kind]
        return self.place.arn(service, resource.format(name))

    def resolve(self, value: Any) -> Any:
        resolved = self._resolve(value)
        return None if resolved is _NO_VALUE else resolved

    def _resolve(self, value: Any) -> Any:
        if isinstance(value, list):
            return [kept for kept in map(self._resolve, value) if kept is not _NO_VALUE]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            ((name, argument),) = value.items()
            if name == "Ref" or name.startswith("Fn::"):
                if name not in self._functions:
                    raise CannotRead(f"{name} is not understood here")
                return self._functions[name](self, argument)
        resolved = {key: self._resolve(inner) for key, inner in value.items()}
        return {key: inner for key, inner in resolved.items() if inner is not _NO_VALUE}

    def _ref(self, name: str) -> Any:
        if name in self._parameters:
            return self._parameters[name]
        if name == "AWS::NoValue":
            return _NO_VALUE
        if name in (pseudo := self._pseudo_parameters()):
            return pseudo[name]
        return self.ref(name)

    def _get_att(self, argument: str | list[str]) -> str:
        logical_id, attribute = argument.split(".", 1) if isinstance(argument, str) else (argument[0], argument[1])
        kind = self._kind(logical_id)
        if attribute == "Arn" or (kind, attribute) == ("AWS::SNS::Topic", "TopicArn"):
            return self.arn_of(logical_id)
        if attribute in {"QueueName", "TopicName", "Name"}:
            return self.name_of(logical_id)
        if (kind, attribute) == ("AWS::SQS::Queue", "QueueUrl"):
            return self.ref(logical_id)
        if (kind, attribute) == ("AWS::DynamoDB::Table", "StreamArn"):
            # The real one ends in the time at which the stream was made. Here it only has to name its table.
            return f"{self.arn_of(logical_id)}/stream/local"
        if (kind, attribute) == ("AWS::Serverless::HttpApi", "ApiEndpoint"):
            return self.place.api_url
        raise CannotRead(f"{logical_id}.{attribute} ({kind}) is not known here")

    def _sub(self, argument: str | list[Any]) -> str:
        text, given = (argument, {}) if isinstance(argument, str) else (argument[0], argument[1])

        def value(match: re.Match[str]) -> str:
            name = match[1].strip()
            if name in given:
                return str(self._resolve(given[name]))
            return str(self._get_att(name) if "." in name else self._ref(name))

        api = self._kinds_named("AWS::Serverless::HttpApi")
        for logical_id in api:  # the address of the API, however the template spells it
            text = re.sub(rf"https://\$\{{{logical_id}\}}\.execute-api\.[^/]*", self.place.api_url, text)
        return _LITERAL_PLACEHOLDER.sub(r"${\1}", _PLACEHOLDER.sub(value, text))

    def _join(self, argument: list[Any]) -> str:
        separator, parts = argument
        return str(separator).join(str(part) for part in self._resolve(parts))

    def _split(self, argument: list[Any]) -> list[str]:
        separator, text = argument
        return str(self._resolve(text)).split(separator)

    def _select(self, argument: list[Any]) -> Any:
        index, choices = argument
        return self._resolve(choices)[int(self._resolve(index))]

    def _if(self, argument: list[Any]) -> Any:
        condition, then, otherwise = argument
        return self._resolve(then if self._condition(condition) else otherwise)

    def _find_in_map(self, argument: list[Any]) -> Any:
        table, row, column = (self._resolve(part) for part in argument)
        return self._document["Mappings"][table][row][column]

    _functions: Mapping[str, Callable[[Template, Any], Any]] = {
        "Ref": _ref,
        "Fn::GetAtt": _get_att,
        "Fn::Sub": _sub,
        "Fn::Join": _join,
        "Fn::Split": _split,
        "Fn::Select": _select,
        "Fn::If": _if,
        "Fn::FindInMap": _find_in_map,
    }

    def _condition(self, name: str) -> bool:
        return self._holds(self._document["Conditions"][name])

    def _holds(self, expression: dict[str, Any]) -> bool:
        ((operator, argument),) = expression.items()
        if operator == "Condition":
            return self._condition(argument)
        if operator == "Fn::Not":
            return not self._holds(argument[0])
        if operator == "Fn::And":
            return all(map(self._holds, argument))
        if operator == "Fn::Or":
            return any(map(self._holds, argument))
        if operator == "Fn::Equals":
            left, right = (str(self._resolve(side)) for side in argument)
            return left == right
        raise CannotRead(f"{operator} is not understood in a condition")

    def _exists(self, resource: Mapping[str, Any]) -> bool:
        return "Condition" not in resource or self._condition(resource["Condition"])

    def _kind(self, logical_id: str) -> str:
        if logical_id not in self._resources:
            raise CannotRead(f"there is neither a parameter nor a resource {logical_id}")
        return str(self._resources[logical_id]["Type"])

    def _kinds_named(self, kind: str) -> list[str]:
        return [logical_id for logical_id, resource in self._resources.items() if resource["Type"] == kind]

    def _pseudo_parameters(self) -> dict[str, str]:
        return {
            "AWS::AccountId": self.place.account,
            "AWS::Partition": "aws",
            "AWS::Region": self.place.region,
            "AWS::StackName": self.place.stack,
            "AWS::StackId": self.place.arn("cloudformation", f"stack/{self.place.stack}/local"),
            "AWS::URLSuffix": "amazonaws.com",
        }

    def _values_of_parameters(self, given: Mapping[str, str]) -> dict[str, Any]:
        declared = self._document.get("Parameters") or {}
        if unknown := sorted(set(given) - set(declared)):
            raise CannotRead(f"the template has no parameter {', '.join(unknown)}")
        values: dict[str, Any] = {}
        for name, declaration in declared.items():
            value = given.get(name, declaration.get("Default"))
            if value is None:
                raise CannotRead(f"the parameter {name} has no default and was not given")
            allowed = [str(choice) for choice in declaration.get("AllowedValues") or []]
            if allowed and str(value) not in allowed:
                raise CannotRead(f"{name} must be one of {', '.join(allowed)}, not {value}")
            is_list = declaration["Type"] == "CommaDelimitedList"
            values[name] = [part.strip() for part in str(value).split(",")] if is_list else str(value)
        return values


_NAME_PROPERTIES = {
    "AWS::CloudWatch::Dashboard": "DashboardName",
    "AWS::DynamoDB::Table": "TableName",
    "AWS::Events::EventBus": "Name",
    "AWS::Logs::LogGroup": "LogGroupName",
    "AWS::S3::Bucket": "BucketName",
    "AWS::SNS::Topic": "TopicName",
    "AWS::SQS::Queue": "QueueName",
    "AWS::Serverless::Function": "FunctionName",
}

_ARNS = {
    "AWS::CloudWatch::Alarm": ("cloudwatch", "alarm:{}"),
    "AWS::DynamoDB::Table": ("dynamodb", "table/{}"),
    "AWS::Events::EventBus": ("events", "event-bus/{}"),
    "AWS::Logs::LogGroup": ("logs", "log-group:{}:*"),
    "AWS::SNS::Topic": ("sns", "{}"),
    "AWS::SQS::Queue": ("sqs", "{}"),
    "AWS::Serverless::Function": ("lambda", "function:{}"),
    "AWS::Serverless::LayerVersion": ("lambda", "layer:{}:1"),
}


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short forms: `!Ref X` is `{"Ref": "X"}`, `!Sub X` is `{"Fn::Sub": "X"}`."""


def _short_form(loader: yaml.SafeLoader, tag: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    elif isinstance(node, yaml.MappingNode):
        value = loader.construct_mapping(node, deep=True)
    else:
        raise CannotRead(f"!{tag} has no value")
    return {tag if tag in {"Ref", "Condition"} else f"Fn::{tag}": value}


_Loader.add_multi_constructor("!", _short_form)


def _load(path: Path) -> dict[str, Any]:
    document = _parsed(path.read_text(encoding="utf-8"))
    if not isinstance(document, dict):
        raise CannotRead(f"{path.name} is not a template")
    return document


@lru_cache(maxsize=8)
def _parsed(text: str) -> Any:
    """Read only: YAML takes most of the time in which a stack is read, and tests read one with many parameters."""
    return yaml.load(text, Loader=_Loader)  # noqa: S506  # a SafeLoader with more tags
