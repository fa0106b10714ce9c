"""ApiFunction: what publishers and operators ask over HTTP, by the route they asked it on."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any
from urllib.parse import unquote

from smsgate import telemetry
from smsgate.answers import Answer, problem
from smsgate.api_wiring import ApiWiring
from smsgate.callbacks import body_of
from smstransports import open_exchange


@cache
def _parts() -> ApiWiring:
    return ApiWiring(open_exchange)


_api = cache(lambda: _parts().api)
_cancellations = cache(lambda: _parts().cancellations)
_callbacks = cache(lambda: _parts().callbacks)
_numbers = cache(lambda: _parts().numbers)
_operations = cache(lambda: _parts().operations)

_Event = Mapping[str, Any]

_ROUTES: dict[str, Callable[[_Event], Answer]] = {
    "POST /messages": lambda event: _api().post(body_of(event), _query(event, "lane")),
    "GET /messages": lambda event: _api().messages_to(_query(event, "to"), _query(event, "cursor")),
    "GET /messages/{message_id}": lambda event: _api().message(_path(event, "message_id")),
    "POST /messages/{message_id}/cancel": lambda event: _cancellations().message(_path(event, "message_id")),
    "POST /messages/{message_id}/resolve": lambda event: _operations().resolve(
        _path(event, "message_id"), body_of(event)
    ),
    "GET /requests/{id}": lambda event: _api().request(_path(event, "id")),
    "POST /requests/{id}/cancel": lambda event: _cancellations().request(_path(event, "id")),
    "POST /callbacks/replay": lambda event: _callbacks().replay(_query(event, "cursor")),
    "GET /replies": lambda event: _numbers().replies(
        _query(event, "from"), _query(event, "since"), _query(event, "cursor")
    ),
    "GET /providers": lambda _: _operations().providers(),
    "POST /providers/{provider}/suspend": lambda event: _operations().suspend(_path(event, "provider"), body_of(event)),
    "POST /providers/{provider}/resume": lambda event: _operations().resume(_path(event, "provider")),
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
