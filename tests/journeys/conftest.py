"""The built artefact, running: its handlers under Lambda's runtime client, wired by template.yaml, among simulators."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import quote

import pytest

from local.gateway import ROOT, Gateway
from local.simulators import SIMULATORS
from local.simulators.base import Simulator
from local.simulators.twsms import TwSms
from tools import artefact

DEADLINE = 2
"""Seconds for one provider call here, so that what waits for its end is not waited for long."""

PHONE = "+886912345678"


@dataclass(frozen=True)
class HttpAnswer:
    status: int
    body: Any
    content_type: str


class House:
    """The gateway as its publishers, its operators and its providers see it."""

    def __init__(self, gateway: Gateway, simulators: dict[str, Simulator]) -> None:
        self.gateway = gateway
        self.simulators = simulators
        self.twsms = cast(TwSms, simulators["twsms"])

    # As a publisher

    def publish(self, queue: str = "SendQueue", **request: Any) -> str:
        """To a lane, for one provider unless it says which; gives the request's id."""
        request.setdefault("providers", ["twsms"])
        request.setdefault("id", f"journey-{uuid.uuid4()}")
        self.gateway.aws.sqs.send_message(QueueUrl=self.gateway.queue_url(queue), MessageBody=json.dumps(request))
        return str(request["id"])

    def http(self, method: str, path: str, body: object = None) -> HttpAnswer:
        data = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(self.gateway.api_url + path, data=data, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                status, raw, content_type = answer.status, answer.read(), answer.headers.get("content-type", "")
        except urllib.error.HTTPError as error:
            status, raw, content_type = error.code, error.read(), error.headers.get("content-type", "")
        return HttpAnswer(status, json.loads(raw) if "json" in content_type else raw, content_type)

    # As a consumer of events

    def wait_for(self, request_id: str, status: str, seconds: float = 30) -> dict[str, Any]:
        """The event that says so."""

        def wanted(event: dict[str, Any]) -> bool:
            detail = event["detail"]
            return (detail.get("request_id"), detail.get("status")) == (request_id, status)

        detail: dict[str, Any] = self.gateway.events.wait_for(wanted, seconds)["detail"]
        return detail

    def told(self) -> list[tuple[str, dict[str, Any]]]:
        """Kind and detail of every event, as who keys on `event_id` sees them: the bus may repeat itself."""
        told = {event["detail"]["event_id"]: event for event in self.gateway.events.all()}
        return [(event["detail-type"], event["detail"]) for event in told.values()]

    def statuses(self, request_id: str) -> list[str]:
        details = [detail for _, detail in self.told() if detail.get("request_id") == request_id]
        return [detail["status"] for detail in details if "status" in detail]

    # As an operator

    def messages(self, request_id: str) -> list[dict[str, Any]]:
        answer = self.http("GET", f"/requests/{quote(request_id, safe='')}")
        return list(answer.body["messages"]) if answer.status == 200 else []

    def message(self, request_id: str) -> dict[str, Any]:
        (message,) = self.messages(request_id)
        return message

    def until(self, condition: Callable[[], object], seconds: float = 20) -> None:
        give_up = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < give_up, "it did not happen in time"
            time.sleep(0.1)

    def accepted(self, request_text: str) -> int:
        """How often the provider took this text: the truth."""
        return sum(submission.text == request_text for submission in self.twsms.accepted)


@pytest.fixture(scope="session")
def house() -> Iterator[House]:
    artefact.build_for_tests(ROOT / ".venv-sam" / "bin" / "sam", ROOT / ".aws-sam" / "test")
    first: dict[str, Simulator] = {"twsms": TwSms()}
    simulators = first | {key: kind() for key, kind in SIMULATORS.items() if key not in first}
    parameters = {
        "ProviderDeadline": str(DEADLINE),
        "CheckSchedule": "1,1,2",
        "LowCredit": json.dumps({"twsms": 1000}),
        "LogLevel": "DEBUG",
        "AllowedCountries": "TW,HK,JP",
    }
    # Schedules run when a journey says so, and what a worker left comes back within seconds.
    with Gateway("built", providers=simulators, parameters=parameters, speed=0.001, visibility_timeout=4) as gateway:
        yield House(gateway, simulators)


@pytest.fixture(autouse=True)
def provider_in_order(house: House) -> None:
    """Each journey finds the provider as it is on a good day."""
    house.twsms.credit = 1_000_000
    house.twsms.password = "twsms-password"
    house.twsms.address_allowed = True
