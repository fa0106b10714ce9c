"""Routing documents, right and wrong, for the tests of the reader and of the published schema.

Each of the wrong ones is one thing gone wrong in a right document, with the field that must be named and words the
problem must hold.
"""

from __future__ import annotations

from typing import Any

Json = Any

PROVIDERS = ("castello", "oneway", "plainline")

EVERYTHING: dict[str, Json] = {
    "version": 1,
    "classes": [
        {"name": "otp", "lanes": ["urgent"], "labels": ["otp", "login-*"], "transactional": True},
        {"name": "campaign", "lanes": ["bulk"]},
    ],
    "rules": [
        {
            "name": "hong-kong",
            "when": {
                "countries": ["HK"],
                "prefixes": ["+8529"],
                "classes": ["otp"],
                "labels": ["login-*"],
                "lanes": ["urgent"],
                "between": {"from": "22:00", "to": "08:00", "offset": "+08:00"},
            },
            "use": [
                {"provider": "castello", "priority": 1, "weight": 3},
                {"provider": "plainline", "priority": 1},
                {"provider": "oneway", "priority": 2},
            ],
            "choose": "weighted",
            "failover": False,
        },
        {
            "name": "週年慶 cheapest",
            "when": {"classes": ["campaign"]},
            "use": [{"provider": "castello", "price": 0.85}, {"provider": "plainline", "price": 1}],
            "choose": "cheapest",
        },
        {"name": "the rest", "use": [{"provider": "plainline"}]},
    ],
    "limits": {
        "countries": "monitor",
        "parts": "enforce",
        "points": "monitor",
        "per_number": [{"messages": 5, "seconds": 600}, {"messages": 3, "seconds": 600, "mode": "monitor"}],
        "rates": {"castello": {"messages": 20, "seconds": 1}},
        "slow_receipts": {"after_seconds": 300, "share": 0.5, "least": 20},
    },
}


def with_class(**fields: Json) -> dict[str, Json]:
    return {"version": 1, "classes": [{"name": "otp", **fields}]}


def with_rule(**fields: Json) -> dict[str, Json]:
    return {"version": 1, "rules": [{"name": "one", "use": [{"provider": "plainline"}], **fields}]}


def with_when(**fields: Json) -> dict[str, Json]:
    return with_rule(when=fields)


def with_use(*uses: Json, **fields: Json) -> dict[str, Json]:
    return with_rule(use=list(uses), **fields)


def with_between(**fields: Json) -> dict[str, Json]:
    return with_when(between={"from": "22:00", "to": "08:00", "offset": "+08:00", **fields})


def with_limits(**fields: Json) -> dict[str, Json]:
    return {"version": 1, "limits": fields}


def with_rules(*whens: Json) -> dict[str, Json]:
    rules = [
        {"name": f"rule {place}", "use": [{"provider": "plainline"}], **({"when": when} if when else {})}
        for place, when in enumerate(whens)
    ]
    return {"version": 1, "classes": [{"name": "otp", "labels": ["otp"]}, {"name": "ad"}], "rules": rules}


def without(field: str, whole: dict[str, Json]) -> dict[str, Json]:
    return {name: value for name, value in whole.items() if name != field}


VALID: dict[str, dict[str, Json]] = {
    "the least": {"version": 1},
    "everything": EVERYTHING,
    "nothing in it": {"version": 1, "classes": [], "rules": [], "limits": {}},
    "a class of everything": with_class(),
    "a name of forty characters": with_class(name="n" * 40),
    "a name in Chinese": with_class(name="驗證碼"),
    "a label that is all stars": with_class(labels=["***"]),
    "a label of one hundred": with_class(labels=["l" * 100]),
    "numbers of no country": with_when(countries=["001"]),
    "the shortest and the longest prefix": with_when(prefixes=["+1", "+123456789012345"]),
    "a working day": with_between(**{"from": "09:00", "to": "17:30"}),
    "west of Greenwich": with_between(offset="-05:30"),
    "until midnight": with_between(to="00:00"),
    "the edges of priority and weight": with_use(
        {"provider": "plainline", "priority": 100, "weight": 1000},
        {"provider": "castello", "priority": 1, "weight": 1},
        choose="weighted",
    ),
    "the edges of price": with_use(
        {"provider": "plainline", "price": 0.0001}, {"provider": "castello", "price": 1_000_000}, choose="cheapest"
    ),
    "all of the messages without a report": with_limits(
        slow_receipts={"after_seconds": 604_800, "share": 1, "least": 1}
    ),
    "a rate of one": with_limits(rates={"oneway": {"messages": 1, "seconds": 1}}),
    "five limits per number": with_limits(
        per_number=[{"messages": place, "seconds": place * 60} for place in range(1, 6)]
    ),
    "rules from narrow to wide": with_rules(
        {"countries": ["HK"], "classes": ["otp"]}, {"countries": ["HK"]}, {"countries": ["TW", "HK"]}, None
    ),
    "rules that overlap": with_rules(
        {"countries": ["HK", "MO"]}, {"countries": ["MO", "TW"]}, {"prefixes": ["+8529"]}, {"prefixes": ["+852"]}
    ),
    "labels that overlap": with_rules({"labels": ["a*c"]}, {"labels": ["a*", "b"]}, {"labels": ["*"]}),
    "the same by day and by night": with_rules(
        {"between": {"from": "08:00", "to": "22:00", "offset": "+08:00"}},
        {"between": {"from": "22:00", "to": "08:00", "offset": "+08:00"}},
    ),
}

Case = tuple[Json, str, str]

IN_FORM: dict[str, Case] = {
    "no version": ({}, "version", "is missing"),
    "version null": ({"version": None}, "version", "must be 1"),
    "version as text": ({"version": "1"}, "version", "must be 1"),
    "version true": ({"version": True}, "version", "must be 1"),
    "version of the future": ({"version": 2}, "version", "must be 1"),
    "unknown field": ({"version": 1, "rule": []}, "rule", "unknown field `rule`; did you mean `rules`"),
    "unknown and far from any": ({"version": 1, "xyz": 1}, "xyz", "the fields are version, classes, rules, limits"),
    "classes null": ({"version": 1, "classes": None}, "classes", "is null; leave the field out or give a list"),
    "classes an object": ({"version": 1, "classes": {}}, "classes", "is an object; give a list"),
    "a class that is a word": ({"version": 1, "classes": ["otp"]}, "classes[0]", "is a string; give an object"),
    "a class without a name": ({"version": 1, "classes": [{}]}, "classes[0].name", "is missing"),
    "class name empty": (with_class(name=""), "classes[0].name", "must be 1 to 40 characters"),
    "class name null": (with_class(name=None), "classes[0].name", "is null; give a string"),
    "class name too long": (with_class(name="n" * 41), "classes[0].name", "must be 1 to 40 characters"),
    "class name with a space before": (with_class(name=" otp"), "classes[0].name", "without a space"),
    "class name of two lines": (with_class(name="a\nb"), "classes[0].name", "can be printed"),
    "unknown in a class": (with_class(label=["otp"]), "classes[0].label", "did you mean `labels`"),
    "countries in a class": (with_class(countries=["TW"]), "classes[0].countries", "unknown field `countries`"),
    "transactional as text": (with_class(transactional="yes"), "classes[0].transactional", "give true or false"),
    "transactional null": (with_class(transactional=None), "classes[0].transactional", "leave the field out"),
    "lanes a word": (with_class(lanes="urgent"), "classes[0].lanes", "is a string; give a list of lanes"),
    "lanes empty": (with_class(lanes=[]), "classes[0].lanes", "is an empty list; leave it out"),
    "a lane there is not": (with_class(lanes=["fast"]), "classes[0].lanes[0]", "choose among urgent, bulk"),
    "a lane twice": (with_class(lanes=["bulk", "bulk"]), "classes[0].lanes[1]", "is there already"),
    "a lane that is a number": (with_class(lanes=[1]), "classes[0].lanes[0]", "is a number; choose among"),
    "labels empty": (with_class(labels=[]), "classes[0].labels", "is an empty list"),
    "a label of nothing": (with_class(labels=[""]), "classes[0].labels[0]", "must be 1 to 100"),
    "a label that is too long": (with_class(labels=["l" * 101]), "classes[0].labels[0]", "must be 1 to 100"),
    "a label of two lines": (with_class(labels=["a\nb"]), "classes[0].labels[0]", "no label can"),
    "a label with a control character": (with_class(labels=["a\x00"]), "classes[0].labels[0]", "no label can"),
    "a label that is null": (with_class(labels=[None]), "classes[0].labels[0]", "is null; give a string"),
    "a label twice": (with_class(labels=["a", "b", "a"]), "classes[0].labels[2]", "is there already"),
    "a rule without a name": ({"version": 1, "rules": [{"use": [{"provider": "oneway"}]}]}, "rules[0].name", "missing"),
    "a rule without use": ({"version": 1, "rules": [{"name": "one"}]}, "rules[0].use", "is missing"),
    "a rule that is a list": ({"version": 1, "rules": [[]]}, "rules[0]", "is a list; give an object"),
    "unknown in a rule": (with_rule(chose="listed"), "rules[0].chose", "did you mean `choose`"),
    "when null": (with_rule(when=None), "rules[0].when", "is null"),
    "when empty": (with_rule(when={}), "rules[0].when", "is empty; leave it out"),
    "when a list": (with_rule(when=[]), "rules[0].when", "is a list; give an object"),
    "unknown in when": (with_when(country=["TW"]), "rules[0].when.country", "did you mean `countries`"),
    "countries a word": (with_when(countries="TW"), "rules[0].when.countries", "give a list of countries"),
    "countries empty": (with_when(countries=[]), "rules[0].when.countries", "is an empty list"),
    "a country in small letters": (with_when(countries=["tw"]), "rules[0].when.countries[0]", "did you mean `TW`"),
    "a country of three letters": (with_when(countries=["HKG"]), "rules[0].when.countries[0]", "ISO 3166-1"),
    "a country twice": (with_when(countries=["TW", "TW"]), "rules[0].when.countries[1]", "is there already"),
    "a country that is a number": (with_when(countries=[886]), "rules[0].when.countries[0]", "two letters"),
    "a calling code for a country": (with_when(countries=["+886"]), "rules[0].when.countries[0]", "ISO 3166-1"),
    "a prefix without plus": (with_when(prefixes=["8529"]), "rules[0].when.prefixes[0]", "like \\+8529"),
    "a prefix of Taiwan's own": (with_when(prefixes=["0912"]), "rules[0].when.prefixes[0]", "country code"),
    "a prefix with a space": (with_when(prefixes=["+852 9"]), "rules[0].when.prefixes[0]", "must be \\+"),
    "a prefix of sixteen digits": (with_when(prefixes=["+1" + "0" * 15]), "rules[0].when.prefixes[0]", "must be \\+"),
    "a prefix of nothing": (with_when(prefixes=["+"]), "rules[0].when.prefixes[0]", "must be \\+"),
    "a prefix in other digits": (with_when(prefixes=["+８５２"]), "rules[0].when.prefixes[0]", "must be \\+"),
    "a prefix that is a number": (with_when(prefixes=[852]), "rules[0].when.prefixes[0]", "is a number; give a string"),
    "between a list": (with_when(between=["22:00", "08:00"]), "rules[0].when.between", "is a list; give an object"),
    "between null": (with_when(between=None), "rules[0].when.between", "is null"),
    "from missing": (
        with_when(between={"to": "08:00", "offset": "+08:00"}),
        "rules[0].when.between.from",
        "is missing",
    ),
    "offset missing": (
        with_when(between={"from": "22:00", "to": "08:00"}),
        "rules[0].when.between.offset",
        "is missing",
    ),
    "unknown in between": (with_between(zone="Asia/Taipei"), "rules[0].when.between.zone", "unknown field"),
    "the hour 24": (with_between(to="24:00"), "rules[0].when.between.to", "00:00 to 23:59"),
    "the minute 60": (with_between(to="08:60"), "rules[0].when.between.to", "00:00 to 23:59"),
    "a time of one digit": (with_between(to="8:00"), "rules[0].when.between.to", "like 08:30"),
    "a time with seconds": (with_between(to="08:00:00"), "rules[0].when.between.to", "like 08:30"),
    "a time that is a number": (with_between(to=800), "rules[0].when.between.to", "like 08:30"),
    "an offset by letter": (with_between(offset="Z"), "rules[0].when.between.offset", "like \\+08:00"),
    "an offset by name": (with_between(offset="Asia/Taipei"), "rules[0].when.between.offset", "like \\+08:00"),
    "an offset off the globe": (with_between(offset="+15:00"), "rules[0].when.between.offset", "like \\+08:00"),
    "an offset that is a number": (with_between(offset=8), "rules[0].when.between.offset", "like \\+08:00"),
    "use empty": (with_rule(use=[]), "rules[0].use", "is an empty list; give at least one"),
    "use a word": (with_rule(use="plainline"), "rules[0].use", "is a string; give a list"),
    "use of words": (with_use("plainline"), "rules[0].use[0]", "is a string; give an object with the field `provider`"),
    "a use without provider": (with_use({}), "rules[0].use[0].provider", "is missing"),
    "a provider that is null": (with_use({"provider": None}), "rules[0].use[0].provider", "give a provider key"),
    "unknown in use": (with_use({"provider": "oneway", "prio": 1}), "rules[0].use[0].prio", "unknown field `prio`"),
    "priority 0": (with_use({"provider": "oneway", "priority": 0}), "rules[0].use[0].priority", "give 1 to 100"),
    "priority 101": (with_use({"provider": "oneway", "priority": 101}), "rules[0].use[0].priority", "give 1 to 100"),
    "priority true": (with_use({"provider": "oneway", "priority": True}), "rules[0].use[0].priority", "whole number"),
    "priority between": (with_use({"provider": "oneway", "priority": 1.5}), "rules[0].use[0].priority", "whole number"),
    "weight 0": (
        with_use({"provider": "oneway", "weight": 0}, choose="weighted"),
        "rules[0].use[0].weight",
        "give 1 to 1000",
    ),
    "weight 1001": (
        with_use({"provider": "oneway", "weight": 1001}, choose="weighted"),
        "rules[0].use[0].weight",
        "give 1 to 1000",
    ),
    "price 0": (
        with_use({"provider": "oneway", "price": 0}, choose="cheapest"),
        "rules[0].use[0].price",
        "give 0.0001 to 1000000",
    ),
    "price below 0": (
        with_use({"provider": "oneway", "price": -1}, choose="cheapest"),
        "rules[0].use[0].price",
        "out of range",
    ),
    "price as text": (
        with_use({"provider": "oneway", "price": "1"}, choose="cheapest"),
        "rules[0].use[0].price",
        "what one point costs",
    ),
    "price beyond a million": (
        with_use({"provider": "oneway", "price": 1_000_001}, choose="cheapest"),
        "rules[0].use[0].price",
        "out of range",
    ),
    "price true": (
        with_use({"provider": "oneway", "price": True}, choose="cheapest"),
        "rules[0].use[0].price",
        "is true",
    ),
    "choose another way": (with_rule(choose="random"), "rules[0].choose", "choose among listed, weighted, cheapest"),
    "choose null": (with_rule(choose=None), "rules[0].choose", "is null"),
    "failover as a number": (with_rule(failover=1), "rules[0].failover", "give true or false"),
    "limits a list": ({"version": 1, "limits": []}, "limits", "is a list; give an object"),
    "limits null": ({"version": 1, "limits": None}, "limits", "leave the field out"),
    "unknown in limits": (with_limits(per_numbers=[]), "limits.per_numbers", "did you mean `per_number`"),
    "a mode there is not": (with_limits(countries="off"), "limits.countries", "choose among enforce, monitor"),
    "a mode that is false": (with_limits(parts=False), "limits.parts", "is false; choose among"),
    "points a number": (with_limits(points=100), "limits.points", "is a number; choose among"),
    "per_number an object": (with_limits(per_number={}), "limits.per_number", "is an object; give a list"),
    "per_number empty": (with_limits(per_number=[]), "limits.per_number", "is an empty list"),
    "per_number a number": (with_limits(per_number=[5]), "limits.per_number[0]", "`messages` and `seconds`"),
    "six limits per number": (
        with_limits(per_number=[{"messages": 1, "seconds": place} for place in range(1, 7)]),
        "limits.per_number",
        "has 6 limits; 5 are the most",
    ),
    "per_number without seconds": (
        with_limits(per_number=[{"messages": 5}]),
        "limits.per_number[0].seconds",
        "missing",
    ),
    "per_number in minutes": (
        with_limits(per_number=[{"messages": 5, "seconds": 1, "minutes": 10}]),
        "limits.per_number[0].minutes",
        "the fields are messages, seconds, mode",
    ),
    "no messages per number": (
        with_limits(per_number=[{"messages": 0, "seconds": 60}]),
        "limits.per_number[0].messages",
        "give 1 to",
    ),
    "per number in more than a week": (
        with_limits(per_number=[{"messages": 1, "seconds": 604_801}]),
        "limits.per_number[0].seconds",
        "give 1 to 604800",
    ),
    "a mode of a limit per number": (
        with_limits(per_number=[{"messages": 1, "seconds": 60, "mode": "warn"}]),
        "limits.per_number[0].mode",
        "choose among enforce, monitor",
    ),
    "rates a list": (with_limits(rates=[]), "limits.rates", "is a list; give an object"),
    "a rate that is a number": (with_limits(rates={"castello": 20}), "limits.rates.castello", "is a number"),
    "a rate without messages": (
        with_limits(rates={"castello": {"seconds": 1}}),
        "limits.rates.castello.messages",
        "mis",
    ),
    "a rate of none": (
        with_limits(rates={"castello": {"messages": 0, "seconds": 1}}),
        "limits.rates.castello.messages",
        "give 1 to",
    ),
    "a rate with a mode": (
        with_limits(rates={"castello": {"messages": 1, "seconds": 1, "mode": "monitor"}}),
        "limits.rates.castello.mode",
        "the fields are messages, seconds",
    ),
    "slow_receipts true": (with_limits(slow_receipts=True), "limits.slow_receipts", "is true; give an object"),
    "slow_receipts null": (with_limits(slow_receipts=None), "limits.slow_receipts", "is null"),
    "a share of nothing": (
        with_limits(slow_receipts={"after_seconds": 60, "share": 0, "least": 1}),
        "limits.slow_receipts.share",
        "above 0 and up to 1",
    ),
    "a share in percent": (
        with_limits(slow_receipts={"after_seconds": 60, "share": 50, "least": 1}),
        "limits.slow_receipts.share",
        "like 0.5 for one half",
    ),
    "a share as text": (
        with_limits(slow_receipts={"after_seconds": 60, "share": "half", "least": 1}),
        "limits.slow_receipts.share",
        "is a string",
    ),
    "slow_receipts without least": (
        with_limits(slow_receipts={"after_seconds": 60, "share": 0.5}),
        "limits.slow_receipts.least",
        "is missing",
    ),
    "slow_receipts after": (
        with_limits(slow_receipts={"after": 1, "after_seconds": 60, "share": 0.5, "least": 1}),
        "limits.slow_receipts.after",
        "the fields are after_seconds, share, least",
    ),
}
"""Wrong in a way that the schema sees as well."""

BEYOND_A_SCHEMA: dict[str, Case] = {
    "a prefix with a line after it": (with_when(prefixes=["+852\n"]), "rules[0].when.prefixes[0]", "must be \\+"),
    "version as a float": ({"version": 1.0}, "version", "must be 1"),
    "a class name twice": (
        {"version": 1, "classes": [{"name": "a", "lanes": ["bulk"]}, {"name": "a", "labels": ["x"]}]},
        "classes[1].name",
        "is the name of an earlier one",
    ),
    "a rule name twice": (
        {
            "version": 1,
            "rules": [
                {"name": "a", "when": {"lanes": ["bulk"]}, "use": [{"provider": "oneway"}]},
                {"name": "a", "use": [{"provider": "oneway"}]},
            ],
        },
        "rules[1].name",
        "is the name of an earlier one",
    ),
    "a name with half a character": (with_class(name="a\ud800"), "classes[0].name", "can be printed"),
    "a label with half a character": (with_class(labels=["a\ud800"]), "classes[0].labels[0]", "no label can"),
    "a country there is not": (with_when(countries=["UK"]), "rules[0].when.countries[0]", "write it like TW, HK or GB"),
    "a class there is not": (with_when(classes=["otp"]), "rules[0].when.classes[0]", "add it to `classes`"),
    "a class mistyped": (
        {**with_class(), **with_when(classes=["opt"])},
        "rules[0].when.classes[0]",
        "did you mean `otp`",
    ),
    "a time twice": (with_between(to="22:00"), "rules[0].when.between.to", "is the same as `from`"),
    "a provider there is not": (
        with_use({"provider": "nowhere"}),
        "rules[0].use[0].provider",
        "is not a provider of this gateway; choose among castello, oneway, plainline",
    ),
    "a provider mistyped": (
        with_use({"provider": "plain-line"}),
        "rules[0].use[0].provider",
        "did you mean `plainline`",
    ),
    "a provider twice": (
        with_use({"provider": "oneway"}, {"provider": "oneway", "priority": 2}),
        "rules[0].use[1].provider",
        "names oneway a second time",
    ),
    "a weight that does not count": (
        with_use({"provider": "oneway", "weight": 3}),
        "rules[0].use[0].weight",
        "counts only where `choose` is weighted",
    ),
    "a price that does not count": (
        with_use({"provider": "oneway", "price": 3}, choose="weighted"),
        "rules[0].use[0].price",
        "counts only where `choose` is cheapest",
    ),
    "the same limit per number twice": (
        with_limits(per_number=[{"messages": 5, "seconds": 60}, {"messages": 3, "seconds": 60, "mode": "enforce"}]),
        "limits.per_number[1].seconds",
        "keep the lower",
    ),
    "a rate of nobody": (
        with_limits(rates={"castelo": {"messages": 1, "seconds": 1}}),
        "limits.rates.castelo",
        "did you mean `castello`",
    ),
    "priority as a float": (with_use({"provider": "oneway", "priority": 2.0}), "rules[0].use[0].priority", "whole"),
    "a class after one of everything": (
        {"version": 1, "classes": [{"name": "all"}, {"name": "otp", "labels": ["otp"]}]},
        "classes[1]",
        r"is never reached: classes\[0\] takes every message",
    ),
    "a rule after one of everything": (
        with_rules(None, {"countries": ["HK"]}),
        "rules[1]",
        r"is never reached: rules\[0\]",
    ),
    "the same rule again": (with_rules({"lanes": ["bulk"]}, {"lanes": ["bulk"]}), "rules[1]", "is never reached"),
    "a narrower country": (with_rules({"countries": ["HK", "TW"]}, {"countries": ["TW"]}), "rules[1]", "never reached"),
    "a longer prefix": (with_rules({"prefixes": ["+852"]}, {"prefixes": ["+8529", "+8526"]}), "rules[1]", "never"),
    "a longer label": (
        with_rules({"labels": ["login*"]}, {"labels": ["login-*", "login"]}),
        "rules[1]",
        "never reached",
    ),
    "a narrower class": (with_rules({"classes": ["otp", "ad"]}, {"classes": ["ad"]}), "rules[1]", "never reached"),
    "one condition more": (
        with_rules({"lanes": ["bulk"]}, {"lanes": ["bulk"], "countries": ["TW"]}),
        "rules[1]",
        "never reached",
    ),
    "the same hours": (
        with_rules(
            {"between": {"from": "08:00", "to": "22:00", "offset": "+08:00"}},
            {"between": {"from": "08:00", "to": "22:00", "offset": "+08:00"}, "lanes": ["bulk"]},
        ),
        "rules[1]",
        "never reached",
    ),
}

INVALID = IN_FORM | BEYOND_A_SCHEMA
