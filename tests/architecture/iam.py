"""Just enough of IAM to say whether a function of this template may do something: no boundaries, no other accounts."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tests.architecture.cloudformation import Stack

Statement = Mapping[str, Any]


def may(
    stack: Stack,
    function: str,
    action: str,
    resource: str,
    *,
    from_its_code: bool = True,
    context: Mapping[str, str] | None = None,
) -> bool:
    """Allowed somewhere and denied nowhere. `from_its_code`: not Lambda itself in the function's name.

    `context`: what else the request says of itself.
    """
    statements = list(_statements(stack, function))
    known = {**({"lambda:SourceFunctionArn": stack.arn(function)} if from_its_code else {}), **(context or {})}

    def applies(statement: Statement, effect: str) -> bool:
        return (
            statement["Effect"] == effect
            and any(_matches(pattern, action.lower()) for pattern in _lowered(statement["Action"]))
            and any(_matches(pattern, resource) for pattern in _listed(statement["Resource"]))
            and _conditions_hold(statement.get("Condition", {}), known)
        )

    allowed = any(applies(statement, "Allow") for statement in statements)
    denied = any(applies(statement, "Deny") for statement in statements)
    return allowed and not denied


def _statements(stack: Stack, function: str) -> Iterator[Statement]:
    role = stack.name_of(stack.properties(function)["Role"])
    properties = stack.properties(role)
    for policy in properties.get("Policies", []):
        yield from policy["PolicyDocument"]["Statement"]
    for policy in properties.get("ManagedPolicyArns", []):
        if policy not in stack.resources:
            raise NotImplementedError("what a policy of AWS's own allows is not known here")
        yield from stack.properties(policy)["PolicyDocument"]["Statement"]
    if list(stack.of_type("AWS::IAM::Policy")):
        raise NotImplementedError("policies beside the roles are not read here")


def _conditions_hold(conditions: Mapping[str, Mapping[str, str]], context: Mapping[str, str]) -> bool:
    for comparison, wanted in conditions.items():
        if comparison not in _COMPARISONS:
            raise NotImplementedError(comparison)
        agree = _COMPARISONS[comparison]
        if not all(key in context and agree(value, context[key]) for key, value in wanted.items()):
            return False
    return True


def _matches(pattern: str, value: str) -> bool:
    return bool(re.fullmatch(re.escape(pattern).replace(r"\*", ".*").replace(r"\?", "."), value, re.DOTALL))


_COMPARISONS: Mapping[str, Callable[[str, str], bool]] = {"ArnLike": _matches, "StringEquals": operator.eq}


def _lowered(actions: Any) -> list[str]:
    return [action.lower() for action in _listed(actions)]


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else value
