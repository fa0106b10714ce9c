"""ApiFunction: what publishers and operators ask over HTTP, by the route they asked it on."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any
from urllib.parse import unquote
from uuid import uuid4

from smsgate import aws, telemetry
from smsgate.api import Answer, Api, problem
from smsgate.api_numbers import Numbers
from smsgate.callbacks import body_of
from smsgate.providers import PROVIDERS
from smsgate.wiring import Wiring
from smstransports import open_exchange


@cache
def _api() -> Api:
    parts = Wiring()
    return Api(
        ledger=parts.ledger,
        accounts=parts.accounts(lambda: open_exchange(parts.settings.provider_deadline)),
        suspensions=parts.suspensions,
        sqs=aws.sqs(),
        queues=parts.queues,
        known_providers=tuple(PROVIDERS),
        new_id=lambda: str(uuid4()),
        clock=parts.clock,
        pool=parts.pool,
    )


@cache
def _numbers() -> Numbers:
    parts = Wiring()
    return Numbers(parts.ledger, parts.suppressions)


_Event = Mapping[str, Any]

_ROUTES: dict[str, Callable[[_Event], Answer]] = {
    "POST /messages": lambda event: _api().post(body_of(event), _query(event, "lane")),
    "GET /messages": lambda event: _api().messages_to(_query(event, "to"), _query(event, "cursor")),
    "GET /messages/{message_id}": lambda event: _api().message(_path(event, "message_id")),
    "POST /messages/{message_id}/cancel": lambda event: _api().cancel_message(_path(event, "message_id")),
    "GET /requests/{id}": lambda event: _api().request(_path(event, "id")),
    "POST /requests/{id}/cancel": lambda event: _api().cancel_request(_path(event, "id")),
    "GET /replies": lambda event: _numbers().replies(
        _query(event, "from"), _query(event, "since"), _query(event, "cursor")
    ),
    "GET /suppressions/{number}": lambda event: _numbers().suppression(_path(event, "number")),
    "PUT /suppressions/{number}": lambda event: _numbers().suppress(_path(event, "number"), body_of(event)),
    "DELETE /suppressions/{number}": lambda event: _numbers().unsuppress(_path(event, "number")),
}


@telemetry.flushed
def handler(event: _Event, _context: Any) -> dict[str, Any]:
    try:
        answer = _ROUTES[event["routeKey"]](event)
    except Exception as error:
        telemetry.logger().exception("question not answered", extra={"error": type(error).__name__})
        answer = problem(500, "Not answered", "Something failed on our side; ask again. What was posted may be stored.")
    return {
        "statusCode": answer.status,
        "headers": {"content-type": answer.content_type, "cache-control": "no-store"},
        "body": json.dumps(answer.body, ensure_ascii=False),
    }


def _query(event: _Event, name: str) -> str | None:
    value = (event.get("queryStringParameters") or {}).get(name)
    return str(value) if value is not None else None


def _path(event: _Event, name: str) -> str:
    return unquote(str((event.get("pathParameters") or {}).get(name, "")))
