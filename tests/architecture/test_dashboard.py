"""Every alarm is fired by its fault and by nothing on a good day; the dashboard shows what was seen to be counted."""

from __future__ import annotations

import json
from itertools import combinations
from typing import Any

import pytest

from local.template import Place, Template
from smsgate.providers import PROVIDERS
from smsgate.providers.base import TellsCredit
from tests.architecture.incidents import ALL, INCIDENTS, eventful, healthy, idle, seen
from tests.world.cloudwatch import Alarm, Metric, Search, State, alarms_of, changes, wanted
from tools.translation import ROOT

STACKS = {
    "one provider": "twsms",
    "two providers": "smsgo,smsget",
    "another order": "every8d, twsms",
    "by mail alone": "meteorsis",
    "all": ",".join(ALL),
}


def template(enabled: str = STACKS["all"], stack: str = "world") -> Template:
    place = Place(aws_url="https://aws.example", api_url="https://sms.example.org", stack=stack)
    return Template(ROOT / "template.yaml", place, {"EnabledProviders": enabled})


ALARMS = alarms_of(template().resources("AWS::CloudWatch::Alarm"))


def widgets(described: Template) -> list[dict[str, Any]]:
    (dashboard,) = described.resources("AWS::CloudWatch::Dashboard").values()
    found: list[dict[str, Any]] = json.loads(dashboard["DashboardBody"])["widgets"]
    return found


def shown(described: Template) -> list[tuple[str, Metric | Search]]:
    return [(widget["properties"]["title"], line) for widget in widgets(described) for line in wanted(widget)]


def counted() -> frozenset[Metric]:
    """Every metric that was put in any of the worlds."""
    worlds = (healthy(), idle(), eventful(), *map(seen, INCIDENTS))
    return frozenset().union(*(world.cloudwatch.metrics for world in worlds))


class TestAlarms:
    def test_every_alarm_has_a_fault_that_fires_it(self) -> None:
        assert set(INCIDENTS) == set(ALARMS)

    @pytest.mark.parametrize("alarm", ALARMS)
    def test_an_alarm_is_fired_by_its_fault(self, alarm: str) -> None:
        assert State.ALARM in seen(alarm).states(alarm)

    @pytest.mark.parametrize("alarm", ALARMS)
    def test_an_alarm_is_quiet_while_all_is_well(self, alarm: str) -> None:
        states = healthy().states(alarm)

        assert State.ALARM not in states
        assert states[-1] is State.OK

    @pytest.mark.parametrize("alarm", ALARMS)
    def test_an_alarm_is_quiet_while_nothing_is_sent(self, alarm: str) -> None:
        states = idle().states(alarm)

        assert State.ALARM not in states
        assert states[-1] is State.OK

    @pytest.mark.parametrize("alarm", ALARMS)
    def test_an_alarm_does_not_come_and_go_with_its_fault(self, alarm: str) -> None:
        assert changes(seen(alarm).states(alarm)).count(State.ALARM) == 1

    @pytest.mark.parametrize("alarm", ALARMS.values(), ids=ALARMS)
    def test_an_alarm_watches_a_metric_that_was_seen(self, alarm: Alarm) -> None:
        assert alarm.metric in counted()


class TestDashboard:
    @pytest.mark.parametrize("enabled", STACKS.values(), ids=STACKS)
    def test_every_line_of_every_widget_names_a_metric_that_was_seen(self, enabled: str) -> None:
        metrics = counted()

        missing = [
            (title, line)
            for title, line in shown(template(enabled))
            if not (any(map(line.finds, metrics)) if isinstance(line, Search) else line in metrics)
        ]

        assert missing == []

    @pytest.mark.parametrize("enabled", STACKS.values(), ids=STACKS)
    def test_every_alarm_of_the_stack_is_on_it_and_no_other(self, enabled: str) -> None:
        described = template(enabled)

        listed = [arn for widget in widgets(described) for arn in widget["properties"].get("alarms", [])]

        assert sorted(listed) == sorted(map(described.arn_of, described.resources("AWS::CloudWatch::Alarm")))

    @pytest.mark.parametrize(
        ("title", "providers"),
        [
            ("Sent", set(PROVIDERS)),
            ("Delivered", set(PROVIDERS)),
            ("Suspended providers", set(PROVIDERS)),
            ("Submit latency, seconds", set(PROVIDERS)),
            ("Time to delivery, seconds", set(PROVIDERS)),
            ("Credit, points", {key for key, provider in PROVIDERS.items() if issubclass(provider, TellsCredit)}),
        ],
    )
    def test_every_provider_that_has_a_line_is_found_by_its_search(self, title: str, providers: set[str]) -> None:
        searches = [line for shown_in, line in shown(template()) if shown_in == title and isinstance(line, Search)]

        found = {dict(metric.dimensions)["provider"] for metric in counted() for line in searches if line.finds(metric)}

        assert found == providers

    def test_latencies_are_shown_as_percentiles(self) -> None:
        statistics = {
            title: [
                line.statistic for shown_in, line in shown(template()) if shown_in == title and isinstance(line, Search)
            ]
            for title in ("Submit latency, seconds", "Time to delivery, seconds")
        }

        assert list(statistics.values()) == [["p50", "p95", "p99"]] * 2

    def test_two_stacks_in_one_account_have_no_metric_and_no_name_in_common(self) -> None:
        first, second = template(stack="gateway"), template(stack="my-gateway")

        in_common = {str(line) for _, line in shown(first)} & {str(line) for _, line in shown(second)}
        names = [each.resources("AWS::CloudWatch::Dashboard")["Dashboard"]["DashboardName"] for each in (first, second)]

        assert in_common == set()
        assert names == ["gateway-us-east-1", "my-gateway-us-east-1"]

    def test_it_names_no_provider(self) -> None:
        text = json.dumps(widgets(template(STACKS["one provider"])))

        assert [key for key in PROVIDERS if key in text] == []

    def test_no_widget_lies_on_another_or_beyond_the_edge(self) -> None:
        places = [(each["x"], each["y"], each["width"], each["height"]) for each in widgets(template())]

        overlapping = [
            (one, other)
            for one, other in combinations(places, 2)
            if one[0] < other[0] + other[2]
            and other[0] < one[0] + one[2]
            and one[1] < other[1] + other[3]
            and other[1] < one[1] + one[3]
        ]

        assert overlapping == []
        assert all(x + width <= 24 for x, _, width, _ in places)
