"""Between API Gateway's events and the callbacks of providers, byte for byte."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any

from smsgate import telemetry
from smsgate.intake import Stranger, TooLarge
from smsgate.text import whole
from smsgate.wire import Acknowledgement, Callback


def callback_of(event: Mapping[str, Any]) -> tuple[str, str, Callback]:
    """Provider key, token, and the callback itself, from an event of payload format 2.0.

    The query is taken raw: decoding it here would destroy what is percent-encoded in another charset than UTF-8.
    Nothing of it is half a surrogate pair: no bytes of a call mean one, and what holds one could not be stored.
    """
    path = event.get("pathParameters") or {}
    callback = Callback(
        method=event["requestContext"]["http"]["method"],
        path=whole(path.get("proxy", "")),
        query=whole(event.get("rawQueryString", "")),
        body=body_of(event),
        content_type=whole((event.get("headers") or {}).get("content-type", "")),
    )
    return path.get("provider", ""), path.get("token", ""), callback


def respond(event: Mapping[str, Any], handle: Callable[[str, str, Callback], Acknowledgement]) -> dict[str, Any]:
    """Hand the callback over, and say to the provider what came of it."""
    provider, token, callback = callback_of(event)
    try:
        acknowledgement = handle(provider, token, callback)
    except Stranger:
        return response(404)
    except TooLarge:
        return response(413)
    except Exception as error:
        # What came is not safely stored: the provider keeps it and calls again.
        telemetry.logger().error("callback not stored", extra={"provider": provider, "error": type(error).__name__})
        telemetry.count("CallbackNotStored", provider=provider)
        return response(503)
    return response(200, acknowledgement)


def response(status: int, acknowledgement: Acknowledgement | None = None) -> dict[str, Any]:
    known = acknowledgement or Acknowledgement()
    return {
        "statusCode": status,
        "headers": {"content-type": known.content_type, "x-content-type-options": "nosniff"},
        "body": known.body,
    }


def body_of(event: Mapping[str, Any]) -> bytes:
    body = event.get("body") or ""
    if not event.get("isBase64Encoded"):
        return str(body).encode("utf-8", "surrogatepass")
    try:
        return base64.b64decode(body)
    except ValueError:  # no base64 after all
        return str(body).encode("utf-8", "surrogatepass")
