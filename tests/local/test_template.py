"""What is read out of a template: values resolved for this machine, and nothing that starts a function overlooked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from local.gateway import TEMPLATES
from local.stack import MailSource, Stack, read_stack
from local.template import CannotRead, Place, Template

PLACE = Place(aws_url="http://127.0.0.1:4566", api_url="http://127.0.0.1:8025")


def _template(folder: Path, text: str, **parameters: str) -> Template:
    path = folder / "template.yaml"
    path.write_text(text)
    return Template(path, PLACE, parameters)


def _values(folder: Path, values: str, **parameters: str) -> Any:
    """Resolves `values`, written as the properties of a resource."""
    indented = "\n".join(f"      {line}" for line in values.splitlines())
    text = f"""
Parameters:
  Colour: {{Type: String, Default: red, AllowedValues: [red, blue]}}
  Sizes: {{Type: CommaDelimitedList, Default: "1, 2"}}
Conditions:
  IsRed: !Equals [!Ref Colour, red]
  IsBlue: !Not [!Condition IsRed]
  Never: !And [!Condition IsRed, !Condition IsBlue]
  Always: !Or [!Condition IsRed, !Condition IsBlue]
Mappings:
  Words: {{red: {{zh: 紅}}}}
Resources:
  Queue: {{Type: "AWS::SQS::Queue"}}
  Topic: {{Type: "AWS::SNS::Topic"}}
  Table: {{Type: "AWS::DynamoDB::Table", Properties: {{TableName: !Sub "${{AWS::StackName}}-items"}}}}
  Api: {{Type: "AWS::Serverless::HttpApi"}}
  Bucket: {{Type: "AWS::S3::Bucket"}}
  Looked:
    Type: Test
    Properties:
{indented}
"""
    return _template(folder, text, **parameters).resources("Test")["Looked"]


@pytest.mark.parametrize(
    ("written", "resolved"),
    [
        ("!Ref Colour", "red"),
        ("!Ref Sizes", ["1", "2"]),
        ("!Ref Queue", "http://127.0.0.1:4566/000000000000/smsgate-local-Queue"),
        ("!GetAtt Queue.Arn", "arn:aws:sqs:us-east-1:000000000000:smsgate-local-Queue"),
        ("!GetAtt [Queue, QueueName]", "smsgate-local-Queue"),
        ("!Ref Topic", "arn:aws:sns:us-east-1:000000000000:smsgate-local-Topic"),
        ("!Ref Table", "smsgate-local-items"),
        ("!Ref Bucket", "smsgate-local-bucket"),
        ("!GetAtt Table.StreamArn", "arn:aws:dynamodb:us-east-1:000000000000:table/smsgate-local-items/stream/local"),
        ("!Sub '${AWS::Region} ${Colour} ${Table.Arn} ${!Literal}'",
         "us-east-1 red arn:aws:dynamodb:us-east-1:000000000000:table/smsgate-local-items ${Literal}"),
        ("!Sub ['${Own}/${Colour}', {Own: !Ref Table}]", "smsgate-local-items/red"),
        ("!Sub 'https://${Api}.execute-api.${AWS::Region}.${AWS::URLSuffix}/x'", "http://127.0.0.1:8025/x"),
        ("!GetAtt Api.ApiEndpoint", "http://127.0.0.1:8025"),
        ("!Join ['-', [a, !Ref Colour]]", "a-red"),
        ("!Select [1, !Split [',', 'a,b,c']]", "b"),
        ("!If [IsRed, yes it is, no]", "yes it is"),
        ("!If [IsBlue, 1, 2]", 2),
        ("!If [Never, 1, 2]", 2),
        ("!If [Always, 1, 2]", 1),
        ("!FindInMap [Words, !Ref Colour, zh]", "紅"),
        ("[1, !Ref AWS::NoValue, {a: !Ref AWS::NoValue, b: 2}]", [1, {"b": 2}]),
    ],
)  # fmt: skip
def test_an_intrinsic_function_is_resolved_for_this_machine(tmp_path: Path, written: str, resolved: object) -> None:
    assert _values(tmp_path, f"Value: {written}") == {"Value": resolved}


def test_a_given_parameter_decides_conditions(tmp_path: Path) -> None:
    assert _values(tmp_path, "Value: !If [IsBlue, 1, 2]", Colour="blue") == {"Value": 1}


@pytest.mark.parametrize("written", ["!ImportValue other", "!Ref Nothing", "!GetAtt Queue.Colour"])
def test_what_is_not_understood_is_refused_by_name(tmp_path: Path, written: str) -> None:
    with pytest.raises(CannotRead):
        _values(tmp_path, f"Value: {written}")


@pytest.mark.parametrize("given", [{"Color": "red"}, {"Colour": "green"}])
def test_an_unknown_parameter_and_a_value_that_is_not_allowed_are_refused(
    tmp_path: Path, given: dict[str, str]
) -> None:
    with pytest.raises(CannotRead):
        _values(tmp_path, "Value: 1", **given)


STACK = """
Globals:
  Function:
    Handler: app.handler
    Layers: [!Ref First]
    Environment: {Variables: {SHARED: 1, BOTH: shared}}
Conditions:
  Never: !Equals [1, 2]
Resources:
  First: {Type: "AWS::Serverless::LayerVersion", Properties: {ContentUri: layers/first}}
  Second: {Type: "AWS::Serverless::LayerVersion", Properties: {ContentUri: layers/second}}
  Queue: {Type: "AWS::SQS::Queue"}
  Absent: {Type: "AWS::Serverless::Function", Condition: Never, Properties: {CodeUri: absent}}
  Present:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: functions/present
      Layers: [!Ref Second]
      Environment: {Variables: {OWN: true, BOTH: own}}
      Events:
        It: %s
"""


def _stack(folder: Path, event: str) -> Stack:
    return read_stack(_template(folder, STACK % event))


def test_globals_are_merged_as_sam_merges_them(tmp_path: Path) -> None:
    (tmp_path / "layers" / "second" / "python").mkdir(parents=True)

    stack = _stack(tmp_path, "{Type: SQS, Properties: {Queue: !GetAtt Queue.Arn}}")

    assert set(stack.functions) == {"Present"}
    function = stack.functions["Present"]
    assert (function.handler, function.timeout, function.memory) == ("app.handler", 3, 128)
    assert function.folder == tmp_path / "functions" / "present"
    assert function.layers == (tmp_path / "layers" / "first", tmp_path / "layers" / "second" / "python")
    variables = {name: function.environment[name] for name in ("SHARED", "BOTH", "OWN")}
    assert variables == {"SHARED": "1", "BOTH": "own", "OWN": "true"}


def test_an_event_that_nothing_here_starts_is_said(tmp_path: Path) -> None:
    stack = _stack(tmp_path, "{Type: S3, Properties: {}}")

    assert stack.not_wired == ["Present.It (S3)"]


RULE = """\
  Mails: {Type: AWS::S3::Bucket}
  Rule:
    Type: AWS::SES::ReceiptRule
    Properties:
      RuleSetName: rules
      Rule: {Enabled: %s, Recipients: [us@sms.example], Actions: %s}
"""
STORED = "{S3Action: {BucketName: !Ref Mails, ObjectKeyPrefix: mails/}}"
TOLD = "{LambdaAction: {FunctionArn: !GetAtt Present.Arn}}"


def _with_rule(folder: Path, enabled: str, *actions: str) -> Stack:
    template = STACK % "{Type: SQS, Properties: {Queue: !GetAtt Queue.Arn}}"
    return read_stack(_template(folder, template + RULE % (enabled, f"[{', '.join(actions)}]")))


def test_a_receipt_rule_that_stores_and_tells_brings_mail_to_its_function(tmp_path: Path) -> None:
    stack = _with_rule(tmp_path, "true", STORED, TOLD)

    assert stack.mails == [MailSource("Present", "smsgate-local-mails", "mails/", ("us@sms.example",))]
    assert stack.not_wired == []


def test_a_disabled_receipt_rule_brings_nothing(tmp_path: Path) -> None:
    assert _with_rule(tmp_path, "false", STORED, TOLD).mails == []


@pytest.mark.parametrize("actions", [(TOLD,), (STORED,), (TOLD, STORED), ("{StopAction: {Scope: RuleSet}}",)])
def test_any_other_receipt_rule_is_said_not_to_be_understood(tmp_path: Path, actions: tuple[str, ...]) -> None:
    stack = _with_rule(tmp_path, "true", *actions)

    assert stack.not_wired == ["Rule (AWS::SES::ReceiptRule)"]
    assert stack.mails == []


def test_a_disabled_event_starts_nothing(tmp_path: Path) -> None:
    stack = _stack(tmp_path, "{Type: Schedule, Properties: {Schedule: rate(1 minute), Enabled: false}}")

    assert (stack.schedules, stack.not_wired) == ([], [])


@pytest.mark.parametrize(
    "event",
    [
        "{Type: Schedule, Properties: {Schedule: 'cron(0 12 * * ? *)'}}",
        "{Type: SQS, Properties: {Queue: !GetAtt Queue.Arn, FilterCriteria: {Filters: []}}}",
    ],
)
def test_an_event_whose_rules_are_not_known_here_is_refused_rather_than_half_followed(
    tmp_path: Path, event: str
) -> None:
    with pytest.raises(CannotRead):
        _stack(tmp_path, event)


def test_every_function_of_the_gateways_own_template_can_be_run_and_is_started_by_something() -> None:
    everything = {"EnabledProviders": "twsms,meteorsis", "MailAddress": "us@sms.example"}
    stack = read_stack(Template(TEMPLATES["source"], PLACE, everything))

    for function in stack.functions.values():
        assert (function.folder / "app.py").is_file(), function.logical_id
        assert all(layer.is_dir() for layer in function.layers), function.logical_id
    started = {source.function for source in stack.queues} | {source.function for source in stack.streams}
    started |= {source.function for source in stack.schedules} | {route.function for route in stack.routes}
    started |= {source.function for source in stack.mails}
    said = {source.partition(".")[0] for source in stack.not_wired}
    assert set(stack.functions) == started | said
