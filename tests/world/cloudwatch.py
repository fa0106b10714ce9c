"""CloudWatch, as far as alarms and dashboards need it: metrics by their dimensions, statistics, searches, alarms.

Metrics are put with the time at which they happened, or read from the log lines that hold them in the embedded metric
format. Alarms are evaluated once a minute, as "Configuring how CloudWatch alarms treat missing data" describes it.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Any, NamedTuple

EXTRA_PERIODS = 2
"""Points looked at beyond the evaluation periods, where some are missing: five for three in the tables of AWS."""

_MOST_METRICS, _MOST_VALUES, _MOST_DIMENSIONS = 100, 100, 30  # of one directive, AWS, "Embedded metric format"
_MINUTE = 60.0


class Metric(NamedTuple):
    namespace: str
    name: str
    dimensions: frozenset[tuple[str, str]]

    def __str__(self) -> str:
        dimensions = ", ".join(f"{name}={value}" for name, value in sorted(self.dimensions))
        return f"{self.namespace} {self.name} ({dimensions})"


class State(StrEnum):
    OK = "OK"
    ALARM = "ALARM"
    INSUFFICIENT_DATA = "INSUFFICIENT_DATA"


class CloudWatch:
    def __init__(self) -> None:
        self._points: dict[Metric, list[tuple[float, float]]] = defaultdict(list)

    def put(self, at: float, namespace: str, name: str, value: float, **dimensions: str) -> None:
        insort(self._points[Metric(namespace, name, frozenset(dimensions.items()))], (at, float(value)))

    def read(self, at: float, line: str) -> None:
        """A line of a log; counts where it is one of the embedded metric format. Raises where AWS would drop it."""
        if '"_aws"' not in line:
            return
        told = json.loads(line)
        for directive in told["_aws"]["CloudWatchMetrics"]:
            if len(directive["Metrics"]) > _MOST_METRICS:
                raise ValueError("more metrics than one directive may hold")
            for names in directive["Dimensions"]:
                if len(names) > _MOST_DIMENSIONS:
                    raise ValueError("more dimensions than a metric may have")
                dimensions = {name: told[name] for name in names}
                for metric in directive["Metrics"]:
                    for value in _values(told[metric["Name"]]):
                        self.put(at, directive["Namespace"], metric["Name"], value, **dimensions)

    @property
    def metrics(self) -> frozenset[Metric]:
        """Everything that was put at least once."""
        return frozenset(self._points)

    def statistic(self, metric: Metric, statistic: str, begin: float, end: float) -> float | None:
        """Of what was put from `begin` on and before `end`; None where that is nothing."""
        points = self._points.get(metric, [])
        values = [value for _, value in points[bisect_left(points, (begin,)) : bisect_left(points, (end,))]]
        return _STATISTICS[statistic](values) if values else None


def _values(told: Any) -> Sequence[float]:
    values: Sequence[float] = told if isinstance(told, list) else [told]
    if len(values) > _MOST_VALUES or any(isinstance(each, str) for each in values):
        raise ValueError("not the values of a metric")
    return values


_STATISTICS: Mapping[str, Callable[[Sequence[float]], float]] = {
    "Sum": sum,
    "Minimum": min,
    "Maximum": max,
    "Average": lambda values: sum(values) / len(values),
    "SampleCount": len,
}


# ── Alarms ───────────────────────────────────────────────────────────────────────────────────────────────────────────

_COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
    "GreaterThanThreshold": lambda value, threshold: value > threshold,
    "GreaterThanOrEqualToThreshold": lambda value, threshold: value >= threshold,
    "LessThanThreshold": lambda value, threshold: value < threshold,
    "LessThanOrEqualToThreshold": lambda value, threshold: value <= threshold,
}


@dataclass(frozen=True, slots=True)
class Alarm:
    """An alarm of a template, its values resolved."""

    name: str
    metric: Metric
    statistic: str
    period: float
    periods: int
    to_alarm: int
    threshold: float
    comparison: str
    missing: str

    @classmethod
    def of(cls, name: str, properties: Mapping[str, Any]) -> Alarm:
        dimensions = frozenset((each["Name"], str(each["Value"])) for each in properties["Dimensions"])
        return cls(
            name,
            Metric(properties["Namespace"], properties["MetricName"], dimensions),
            properties["Statistic"],
            float(properties["Period"]),
            int(properties["EvaluationPeriods"]),
            int(properties.get("DatapointsToAlarm", properties["EvaluationPeriods"])),
            float(properties["Threshold"]),
            properties["ComparisonOperator"],
            properties["TreatMissingData"],
        )

    @property
    def periods_looked_at(self) -> int:
        return self.periods + EXTRA_PERIODS

    def history(self, cloudwatch: CloudWatch, until: float) -> list[State]:
        """Its state after every minute, from the end of its first period; of all of them, where none may be missing."""
        state, states = State.INSUFFICIENT_DATA, []
        begins = self.period * (self.periods_looked_at if self.missing == "breaching" else 1)
        first = int(-(-begins // _MINUTE))
        for minute in range(first, int(until // _MINUTE) + 1):
            state = self.state_after(self.points(cloudwatch, minute * _MINUTE), state)
            states.append(state)
        return states

    def points(self, cloudwatch: CloudWatch, now: float) -> list[bool | None]:
        """Breaching or not, the oldest first; None where a point is missing."""
        edges = [now - self.period * back for back in range(self.periods_looked_at, -1, -1)]
        values = [cloudwatch.statistic(self.metric, self.statistic, *edge) for edge in pairwise(edges)]
        breaches = _COMPARISONS[self.comparison]
        return [None if value is None else breaches(value, self.threshold) for value in values]

    def state_after(self, points: Sequence[bool | None], before: State) -> State:
        """Of points that are there the newest count; missing ones are filled in only as far as points are wanting."""
        there = [point for point in points if point is not None][-self.periods :]
        filled = self.periods - len(there)
        breaching = sum(there) + (filled if self.missing == "breaching" else 0)
        if filled and self.missing in ("missing", "ignore"):
            if not there:
                return before if self.missing == "ignore" else State.INSUFFICIENT_DATA
            if all(there):  # AWS, "Avoiding premature transitions to alarm state"
                return before if self.missing == "ignore" else State.ALARM
        return State.ALARM if breaching >= self.to_alarm else State.OK


def alarms_of(described: Mapping[str, Mapping[str, Any]]) -> dict[str, Alarm]:
    return {name: Alarm.of(name, properties) for name, properties in described.items()}


def changes(states: Iterable[State]) -> list[State]:
    """What somebody is told: each state once, until there is another."""
    told: list[State] = []
    for state in states:
        if not told or told[-1] is not state:
            told.append(state)
    return told


# ── Dashboards ───────────────────────────────────────────────────────────────────────────────────────────────────────

_SEARCH = re.compile(
    r"SEARCH\('\{(?P<schema>[^}]*)\} (?P<terms>[^']*)', '(?P<statistic>[\w.]+)'(?:, (?P<period>\d+))?\)"
)
_TERM = re.compile(r'(\w+)="([^"]*)"')


@dataclass(frozen=True, slots=True)
class Search:
    """A search expression of exact terms: the metrics of a schema and a name, whatever the other dimensions say."""

    namespace: str
    dimensions: frozenset[str]
    name: str
    given: frozenset[tuple[str, str]]
    statistic: str

    @classmethod
    def of(cls, expression: str) -> Search:
        match = _SEARCH.fullmatch(expression)
        if match is None or _TERM.sub("", match["terms"]).strip():
            raise ValueError(f"not a search of exact terms: {expression}")
        namespace, *dimensions = match["schema"].split(",")
        terms = dict(_TERM.findall(match["terms"]))
        name = terms.pop("MetricName")
        if not terms.keys() < set(dimensions):
            raise ValueError(f"a search for dimensions that are not in its schema: {expression}")
        return cls(namespace, frozenset(dimensions), name, frozenset(terms.items()), match["statistic"])

    def finds(self, metric: Metric) -> bool:
        names = {name for name, _ in metric.dimensions}
        return (
            (metric.namespace, metric.name) == (self.namespace, self.name)
            and names == self.dimensions
            and self.given <= metric.dimensions
        )


def wanted(widget: Mapping[str, Any]) -> Iterator[Metric | Search]:
    """What a metric widget shows, line by line: "Dashboard body structure and syntax", metrics array format."""
    before: list[str] = []
    for row in widget["properties"].get("metrics", []):
        *given, last = row if isinstance(row[-1], dict) else [*row, {}]
        if not given:
            yield Search.of(last["expression"])
            continue
        spelled = [before[place] if part == "." else part for place, part in enumerate(given)]
        before = spelled
        namespace, name, *dimensions = spelled
        yield Metric(namespace, name, frozenset(zip(dimensions[::2], dimensions[1::2], strict=True)))
