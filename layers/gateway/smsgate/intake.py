"""Callbacks of providers, taken in: checked by the token in the path, stored raw before anybody understands them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, Literal, TypeVar

from smsgate import telemetry
from smsgate.callback_urls import is_genuine
from smsgate.ledger import Ledger
from smsgate.providers.base import Provider
from smsgate.secrets import Secrets
from smsgate.wire import Callback

LARGEST = 64 * 1024

Ability = TypeVar("Ability")


class Stranger(Exception):
    """Not a path we gave out: whoever calls learns nothing, and nothing is stored."""


class TooLarge(Exception):
    """More than any provider documents, before anything is read."""


@dataclass(frozen=True, slots=True)
class Taken(Generic[Ability]):
    reader: type[Ability]
    key: str | None  # of the stored callback; None for a probe, which carries nothing


class Intake:
    def __init__(
        self,
        *,
        ledger: Ledger,
        secrets: Secrets,
        find: Callable[[str], type[Provider] | None],
        clock: Callable[[], datetime],
    ) -> None:
        self._ledger = ledger
        self._secrets = secrets
        self._find = find
        self._clock = clock
        self._log = telemetry.logger()

    def take(
        self,
        kind: Literal["receipts", "replies"],
        provider_key: str,
        token: str,
        callback: Callback,
        ability: type[Ability],
    ) -> Taken[Ability]:
        """Store what came on a path of ours for a provider that calls there. Raises Stranger or TooLarge."""
        provider = self._find(provider_key)
        genuine = is_genuine(self._secrets.callbacks().tokens, kind, provider_key, token, callback.path)
        if not genuine or provider is None or not issubclass(provider, ability):
            telemetry.count("CallbackRefused")
            raise Stranger
        if len(callback.body) + len(callback.query) > LARGEST:
            telemetry.count("CallbackTooLarge", provider=provider_key)
            raise TooLarge
        if not callback.query and not callback.body:
            return Taken(provider, None)
        return Taken(provider, self._ledger.keep_callback(provider_key, kind, callback, self._clock()))

    def begun(self, key: str) -> None:
        """What takes long is listed meanwhile: should this worker be lost over it, a replay does the rest."""
        self._ledger.mark_callback(key, "not applied to the end", self._clock())

    def done(self, key: str) -> None:
        self._ledger.callback_understood(key)

    def not_understood(self, provider_key: str, key: str, error: Exception) -> None:
        """Calling again with the same bytes would not mend it: they are kept, and can be read later."""
        self._alarm(provider_key, key, error=type(error).__name__)
        self._ledger.mark_callback(key, f"unreadable: {type(error).__name__}", self._clock())

    def unmatched(self, provider_key: str, key: str, count: int, of: int, of_nobody: int) -> None:
        """`of_nobody` name neither a number nor a message: those were not understood, and no waiting helps them."""
        telemetry.count("ReceiptUnmatched", provider=provider_key, value=count)
        if of_nobody:
            self._alarm(provider_key, key, of_nobody=of_nobody, of=of)
        self._ledger.mark_callback(key, f"unmatched: {count} of {of}", self._clock())

    def _alarm(self, provider_key: str, key: str, **known: object) -> None:
        telemetry.count("CallbackUnreadable")  # The alarm can name no provider; the line does.
        self._log.error("callback not understood", extra={"provider": provider_key, "callback": key, **known})
