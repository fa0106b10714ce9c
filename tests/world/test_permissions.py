"""What the functions really do in a busy hour is allowed by their roles: every call is asked of the policies."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

import pytest

from local.simulators.base import Closes, Says
from smsgate.callback_urls import receipt_url
from smsgate.secrets import Callbacks
from smsgate.status import Status
from tests.architecture.cloudformation import STACK, Stack
from tests.architecture.iam import may
from tests.architecture.test_iam import BY_MAIL, RESOURCES
from tests.world.faults import Fault, Step, Twice
from tests.world.world import API, TOKEN, World
from tools.translation import translated

PHONE = "+886912345678"
ROUTING = (
    '{"version": 1, "limits": {"per_number": [{"messages": 40, "seconds": 600}], '
    '"rates": {"smsgo": {"messages": 2, "seconds": 1}}, '
    '"slow_receipts": {"after_seconds": 60, "share": 0.9, "least": 50}}}'
)


def resource_of(step: Step) -> str:
    if step.service == "dynamodb":
        return RESOURCES[f"index {step.subject}"] if step.operation == "query" and step.subject else RESOURCES["table"]
    if step.service == "sqs":
        return RESOURCES["bulk queue" if "bulk" in step.subject.lower() else "send queue"]
    if step.service == "secretsmanager":
        return RESOURCES["callbacks secret" if step.subject.endswith("/callbacks") else "provider's secret"]
    if step.service == "s3":
        return RESOURCES["mail"]
    resources = {"ssm": "routing", "events": "bus", "sns": "alert topic", "ses": "our address"}
    return RESOURCES[resources[step.service]]


SERVICES = {"dynamodb", "sqs", "secretsmanager", "ssm", "events", "sns", "s3"}
ACTIONS = {
    ("sqs", "send_message_batch"): "sqs:SendMessage",
    ("dynamodb", "batch_get_item"): "dynamodb:BatchGetItem",
}


def action_of(step: Step) -> str:
    words = "".join(word.capitalize() for word in step.operation.split("_"))
    return ACTIONS.get((step.service, step.operation), f"{step.service}:{words}")


@pytest.fixture(scope="module")
def called() -> Iterator[set[Step]]:
    """An hour with everything in it that makes a function ask for something."""
    seen: list[Step] = []
    with World(5, parameters={"DailyPoints": "100000", "AllowedCountries": "TW,HK"}) as world:
        strikes = world.faults.at

        def noted(step: Step) -> Fault | None:
            seen.append(step)
            return strikes(step)

        world.faults.at = noted  # type: ignore[method-assign]
        world.services.put_parameter(f"/{STACK}/routing", ROUTING)
        world.faults.inject(Twice(), service="callback", times=3)
        world.providers["smsgo"].script(Closes(carried_out=True))
        for provider in world.providers:
            world.publish(to=[PHONE, "+886987654321"], text=f"by {provider}", providers=[provider])
            world.publish(to=PHONE, text=f"later by {provider}", send_at="2026-03-02T09:00:00Z", providers=[provider])
        world.publish(lane="bulk", to=[f"+88691200{n:04}" for n in range(12)], text="sale", providers=["smsgo"])
        posted = world.post(to=PHONE, text="posted", replies=True, providers=["smsgo"])
        world.send('{"to": "+886912345678", "tetx": "typo"}')
        world.run(120)
        world.providers["smsgo"].reply(PHONE, "STOP")
        world.run(60)
        for method, path, body in (
            ("GET", f"/messages?to={quote(PHONE)}", None),
            ("GET", f"/replies?from={quote(PHONE)}", None),
            ("GET", f"/requests/{posted.body['id']}", None),
            ("GET", f"/suppressions/{quote(PHONE)}", None),
            ("DELETE", f"/suppressions/{quote(PHONE)}", None),
            ("PUT", f"/suppressions/{quote('+886900000000')}", {"why": "asked by phone"}),
            ("GET", "/providers", None),
            ("POST", "/providers/smsget/suspend", {"why": "tonight"}),
            ("POST", "/providers/smsget/resume", None),
            ("POST", "/callbacks/replay", None),
            ("POST", f"/requests/{posted.body['id']}/cancel", None),
        ):
            assert world.call(method, path, body).status < 500
        for message in world.messages():
            if message.status is Status.SCHEDULED:
                world.call("POST", f"/messages/{message.message_id}/cancel")
            if message.status is Status.DOUBTFUL:
                world.call("POST", f"/messages/{message.message_id}/resolve", {"as": "resend"})
        world.providers["twsms"].script(Says(b"<html>"), Says(b"<html>"))
        callbacks = Callbacks((TOKEN,), API)
        url = receipt_url(callbacks, "smsgo", world.messages(posted.body["id"])[0].message_id)
        assert world.network.answer_gateway("GET", url + "?nonsense=1", b"", {})[0] == 200
        world.run(3600)
        yield set(seen)


def test_every_call_that_a_function_makes_is_allowed_to_it(called: set[Step]) -> None:
    stack = Stack(translated(), BY_MAIL)
    functions = {name.removesuffix("Function").lower(): name for name, _ in stack.of_type("AWS::Lambda::Function")}
    asked = {
        (functions[step.function], action_of(step), resource_of(step))
        for step in called
        if step.function in functions
        and step.service in {"dynamodb", "sqs", "secretsmanager", "ssm", "events", "sns", "s3"}
    }

    refused = sorted(each for each in asked if not may(stack, *each))

    assert refused == []
    assert {function for function, _, _ in asked} == set(functions.values())
    assert len(asked) >= 35
