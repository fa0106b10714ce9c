"""The addresses we give to providers, and the check of those they call.

An account's URL carries the account's token. A message's URL carries a token that is good for that message alone: a
MAC of provider and message id under the account's token. So whoever reads one message's URL can neither call for
another message nor learn the account's token, and both rotate together, the previous token staying good as long as it
is listed.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable

from smsgate.secrets import Callbacks

_MANY = "~"


def receipt_url(callbacks: Callbacks, provider: str, message_id: str) -> str:
    return _message_url(callbacks, "receipts", provider, message_id)


def reply_url(callbacks: Callbacks, provider: str, message_id: str) -> str:
    return _message_url(callbacks, "replies", provider, message_id)


def first_of_many(message_id: str) -> str:
    """How the URL of a call that carries several messages names the first of them."""
    return f"{message_id}{_MANY}"


def named(path: str) -> tuple[str, bool]:
    """The message id that a URL of ours names, and whether it stands for all of its call."""
    return path.removesuffix(_MANY), path.endswith(_MANY)


def is_genuine(tokens: Iterable[str], kind: str, provider: str, token: str, rest: str) -> bool:
    """Was this path given out by us? Every comparison is made, each in constant time."""
    given = token.encode("utf-8", "surrogatepass")
    message_id = rest.strip("/")
    genuine = False
    for known in tokens:
        genuine |= hmac.compare_digest(given, known.encode())
        if message_id:
            genuine |= hmac.compare_digest(given, _message_token(known, kind, provider, message_id).encode())
    return genuine


def _message_url(callbacks: Callbacks, kind: str, provider: str, message_id: str) -> str:
    token = _message_token(callbacks.tokens[0], kind, provider, message_id)
    return f"{callbacks.public_url}/{kind}/{provider}/{token}/{message_id}"


def _message_token(token: str, kind: str, provider: str, message_id: str) -> str:
    mac = hmac.new(
        token.encode(), f"{kind}/{provider}/{message_id}".encode("utf-8", "surrogatepass"), hashlib.sha256
    ).digest()
    return base64.urlsafe_b64encode(mac[:24]).decode()
