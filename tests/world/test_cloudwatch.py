"""Alarms and searches work here as AWS describes them; a world's metrics come from whoever it was that counted."""

from __future__ import annotations

import json

import pytest

from tests.world.cloudwatch import Alarm, CloudWatch, Metric, Search, State, changes, wanted
from tests.world.faults import Kill
from tests.world.world import World

ERRORS = Metric("smsgate", "Errors", frozenset({("service", "gateway-sender")}))

# "Configuring how CloudWatch alarms treat missing data": the points, what missing ones count for, and what comes of it.
THREE_OF_THREE = [
    ("0 - X - X", "OK OK OK OK"),
    ("0 - - - -", "OK OK OK OK"),
    ("- - - - -", "INSUFFICIENT_DATA before ALARM OK"),
    ("0 X X - X", "ALARM ALARM ALARM ALARM"),
    ("- - X - -", "ALARM before ALARM OK"),
]
TWO_OF_THREE = [
    ("0 - X - X", "ALARM ALARM ALARM ALARM"),
    ("0 0 X 0 X", "ALARM ALARM ALARM ALARM"),
    ("0 - X - -", "OK OK ALARM OK"),
    ("- - - - 0", "OK OK ALARM OK"),
    ("- - - X -", "ALARM before ALARM OK"),
]
TREATMENTS = ("missing", "ignore", "breaching", "notBreaching")
ROWS = [
    (to_alarm, points, treatment, state)
    for to_alarm, rows in ((3, THREE_OF_THREE), (2, TWO_OF_THREE))
    for points, states in rows
    for treatment, state in zip(TREATMENTS, states.split(), strict=True)
]


def alarm(*, to_alarm: int = 1, periods: int = 1, missing: str = "notBreaching", period: float = 60) -> Alarm:
    return Alarm("Some", ERRORS, "Sum", period, periods, to_alarm, 0, "GreaterThanThreshold", missing)


def counted(*at: float) -> CloudWatch:
    cloudwatch = CloudWatch()
    for moment in at:
        cloudwatch.put(moment, "smsgate", "Errors", 1, service="gateway-sender")
    return cloudwatch


class TestAlarms:
    @pytest.mark.parametrize("before", [State.OK, State.ALARM])
    @pytest.mark.parametrize(("to_alarm", "points", "treatment", "state"), ROWS)
    def test_points_that_are_missing_count_as_aws_has_it(
        self, to_alarm: int, points: str, treatment: str, state: str, before: State
    ) -> None:
        some = alarm(to_alarm=to_alarm, periods=3, missing=treatment)

        after = some.state_after([{"0": False, "X": True, "-": None}[each] for each in points.split()], before)

        assert after == (before if state == "before" else State(state))

    def test_one_count_is_an_alarm_for_as_long_as_its_period_is_looked_at(self) -> None:
        states = alarm().history(counted(130), 600)

        assert changes(states) == [State.OK, State.ALARM, State.OK]
        assert states.index(State.ALARM) == 2  # after the third minute

    def test_one_of_many_periods_is_enough_where_the_alarm_says_so_and_no_alarm_where_it_does_not(self) -> None:
        some, all_of_them = alarm(to_alarm=1, periods=5), alarm(to_alarm=5, periods=5)

        assert State.ALARM in some.history(counted(400), 1200)
        assert State.ALARM not in all_of_them.history(counted(400), 1200)

    def test_what_is_of_another_dimension_is_another_metric(self) -> None:
        cloudwatch = CloudWatch()
        cloudwatch.put(30, "smsgate", "Errors", 1, service="other-sender")
        cloudwatch.put(30, "smsgate", "Errors", 1, service="gateway-sender", provider="plainline")

        assert State.ALARM not in alarm().history(cloudwatch, 300)

    def test_a_template_says_how_many_points_make_an_alarm_or_all_do(self) -> None:
        described = {
            "Namespace": "AWS/SQS",
            "MetricName": "ApproximateAgeOfOldestMessage",
            "Dimensions": [{"Name": "QueueName", "Value": "q"}],
            "Statistic": "Maximum",
            "Period": 60,
            "EvaluationPeriods": 4,
            "Threshold": 120,
            "ComparisonOperator": "GreaterThanThreshold",
            "TreatMissingData": "notBreaching",
        }

        all_of_them, one = Alarm.of("A", described), Alarm.of("A", described | {"DatapointsToAlarm": 1})

        assert (all_of_them.to_alarm, one.to_alarm) == (4, 1)
        assert one.metric == Metric("AWS/SQS", "ApproximateAgeOfOldestMessage", frozenset({("QueueName", "q")}))


class TestEmbeddedMetrics:
    def test_every_value_of_a_line_is_a_value_of_its_metric_under_each_set_of_dimensions(self) -> None:
        directive = {
            "Namespace": "smsgate",
            "Dimensions": [["service"], ["service", "provider"]],
            "Metrics": [{"Name": "SubmitTime", "Unit": "Seconds"}],
        }
        line = {"_aws": {"CloudWatchMetrics": [directive]}, "service": "s", "provider": "p", "SubmitTime": [1, 2.5]}
        cloudwatch = CloudWatch()

        cloudwatch.read(10, json.dumps(line))
        cloudwatch.read(10, json.dumps({"message": "no metrics here"}))

        assert len(cloudwatch.metrics) == 2
        assert all(cloudwatch.statistic(metric, "Sum", 0, 60) == 3.5 for metric in cloudwatch.metrics)
        assert all(cloudwatch.statistic(metric, "Sum", 10.1, 60) is None for metric in cloudwatch.metrics)

    @pytest.mark.parametrize(
        ("metrics", "value"),
        [
            ([{"Name": f"M{n}"} for n in range(101)], 1),
            ([{"Name": "M0"}], [1.0] * 101),
            ([{"Name": "M0"}], "1"),
        ],
        ids=["too many metrics", "too many values", "no number"],
    )
    def test_a_line_that_aws_would_drop_is_a_mistake(self, metrics: list[dict[str, str]], value: object) -> None:
        directive = {"Namespace": "smsgate", "Dimensions": [["service"]], "Metrics": metrics}
        line = {"_aws": {"CloudWatchMetrics": [directive]}, "service": "s"} | dict.fromkeys(
            (metric["Name"] for metric in metrics), value
        )

        with pytest.raises(ValueError, match=r"more metrics|not the values"):
            CloudWatch().read(0, json.dumps(line))


class TestSearches:
    SEARCH = """SEARCH('{smsgate,provider,service} MetricName="MessageSent" service="gateway-publisher"', 'Sum', 300)"""

    @pytest.mark.parametrize(
        ("name", "dimensions", "found"),
        [
            ("MessageSent", {"service": "gateway-publisher", "provider": "plainline"}, True),
            ("MessageSent", {"service": "gateway-publisher", "provider": "castello"}, True),
            ("MessageSent", {"service": "my-gateway-publisher", "provider": "plainline"}, False),
            ("MessageSent", {"service": "gateway-publisher"}, False),
            ("MessageSentTwice", {"service": "gateway-publisher", "provider": "plainline"}, False),
        ],
    )
    def test_a_search_finds_what_has_its_name_and_its_dimensions(
        self, name: str, dimensions: dict[str, str], found: bool
    ) -> None:
        assert Search.of(self.SEARCH).finds(Metric("smsgate", name, frozenset(dimensions.items()))) is found

    @pytest.mark.parametrize(
        "expression",
        [
            "SEARCH('{smsgate,service} MetricName=MessageSent', 'Sum', 300)",
            """SEARCH('{smsgate,service} MetricName="A" OR MetricName="B"', 'Sum', 300)""",
            """SEARCH('{smsgate,service} MetricName="A" queue="b"', 'Sum', 300)""",
            "m1 + m2",
        ],
    )
    def test_what_might_find_more_than_it_names_is_not_understood(self, expression: str) -> None:
        with pytest.raises(ValueError, match="search"):
            Search.of(expression)

    def test_a_widget_may_repeat_what_stood_above(self) -> None:
        rows = [
            ["AWS/SQS", "Age", "QueueName", "a", {"label": "urgent"}],
            [".", ".", ".", "b"],
            [{"expression": self.SEARCH}],
        ]

        first, second, third = wanted({"properties": {"metrics": rows}})

        assert first == Metric("AWS/SQS", "Age", frozenset({("QueueName", "a")}))
        assert second == Metric("AWS/SQS", "Age", frozenset({("QueueName", "b")}))
        assert isinstance(third, Search)


class TestAWorldsMetrics:
    def test_a_metric_is_of_the_function_that_counted_it(self) -> None:
        with World(1, providers=["twsms"]) as world:
            world.publish(to="+886912345678", text="hello")
            world.run(70)

            mine = {
                (dict(metric.dimensions).get("service"), metric.name)
                for metric in world.cloudwatch.metrics
                if metric.namespace == "smsgate"
            }
            assert mine >= {
                ("world-sender", "DispatchAccepted"),
                ("world-publisher", "MessageDelivered"),
                ("world-receipts", "ReceiptReceived"),
                ("world-reconciler", "ReconcilerRan"),
            }
            assert ("world-publisher", "DispatchAccepted") not in mine

    def test_who_is_killed_has_counted_nothing(self) -> None:
        with World(2, providers=["smsget"]) as world:
            world.providers["smsget"].receipts = ()
            world.faults.inject(Kill(), service="wire", operation="smsget.send", moment="after")
            world.publish(to="+886912345678", text="hello")
            world.run(30)

            errors = Metric("AWS/Lambda", "Errors", frozenset({("FunctionName", "world-SenderFunction")}))
            assert world.cloudwatch.statistic(errors, "Sum", 0, 30) == 1
            assert "DispatchMaybeSent" not in world.metrics()
