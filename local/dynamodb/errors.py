"""What the tables refuse, in the words and classes of a boto3 client."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from botocore.exceptions import ClientError

from local.dynamodb.expressions import Refused

_Asked = ParamSpec("_Asked")
_Answer = TypeVar("_Answer")


class ConditionalCheckFailedException(ClientError):
    pass


class ResourceNotFoundException(ClientError):
    pass


class Exceptions:
    """What a client calls its errors by."""

    ClientError = ClientError
    ConditionalCheckFailedException = ConditionalCheckFailedException
    ResourceNotFoundException = ResourceNotFoundException


def refusing(operation: str) -> Callable[[Callable[_Asked, _Answer]], Callable[_Asked, _Answer]]:
    """What is refused within it is refused as DynamoDB says so."""

    def of(method: Callable[_Asked, _Answer]) -> Callable[_Asked, _Answer]:
        @wraps(method)
        def answer(*arguments: _Asked.args, **asked: _Asked.kwargs) -> _Answer:
            try:
                return method(*arguments, **asked)
            except Refused as refused:
                error: Any = error_of("ValidationException", str(refused))
                raise ClientError(error, operation) from None

        return answer

    return of


def error_of(code: str, message: str) -> dict[str, Any]:
    return {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": 400, "RequestId": "memory", "RetryAttempts": 0},
    }
