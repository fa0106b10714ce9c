"""Delivery reports by callback: checked by the token in the path, stored raw, understood, acknowledged.

Whoever is told the exact bytes of an acknowledgement never calls again, so they are sent only when what came lies in
the ledger and has been applied; where the store fails the provider is answered 503 and keeps what it had to say.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from smsgate import telemetry
from smsgate.callback_urls import is_genuine
from smsgate.evidence import Evidence
from smsgate.ledger import Ledger
from smsgate.providers.base import Provider, ReadsReceipts
from smsgate.secrets import Secrets
from smsgate.wire import Acknowledgement, Callback

LARGEST = 64 * 1024


class Stranger(Exception):
    """Not a path we gave out: whoever calls learns nothing, and nothing is stored."""


class TooLarge(Exception):
    """More than any provider documents, before anything is read."""


class Receipts:
    def __init__(
        self,
        *,
        ledger: Ledger,
        evidence: Evidence,
        secrets: Secrets,
        find: Callable[[str], type[Provider] | None],
        clock: Callable[[], datetime],
    ) -> None:
        self._ledger = ledger
        self._evidence = evidence
        self._secrets = secrets
        self._find = find
        self._clock = clock
        self._log = telemetry.logger()

    def handle(self, provider_key: str, token: str, callback: Callback) -> Acknowledgement:
        if not is_genuine(self._secrets.callbacks().tokens, "receipts", provider_key, token, callback.path):
            telemetry.count("CallbackRefused")
            raise Stranger
        provider = self._find(provider_key)
        if provider is None or not issubclass(provider, ReadsReceipts):
            telemetry.count("CallbackRefused")
            raise Stranger
        if len(callback.body) + len(callback.query) > LARGEST:
            raise TooLarge
        if not callback.query and not callback.body:
            return provider.acknowledge(callback)  # A probe: is anybody there?
        key = self._ledger.keep_callback(provider_key, callback, self._clock())
        problem = self._understand(provider, provider_key, callback, key)
        if problem:
            self._ledger.mark_callback(key, problem)
        return provider.acknowledge(callback)

    def _understand(self, provider: type[ReadsReceipts], provider_key: str, callback: Callback, key: str) -> str | None:
        """Apply what can be understood; gives what could not be."""
        try:
            reports = provider.read_receipts(callback)
        except Exception as error:
            # Whatever it is, calling again with the same bytes would not mend it: they are kept, and can be read later.
            telemetry.count("CallbackUnreadable", provider=provider_key)
            self._log.error("callback not understood", extra={"callback": key, "error": type(error).__name__})
            return f"unreadable: {type(error).__name__}"
        unmatched = 0
        for report in reports:
            telemetry.count("ReceiptReceived", provider=provider_key)
            if report.status is None:
                telemetry.count("UnlistedCode", provider=provider_key)
            if not self._evidence.receive(provider_key, report, key):
                unmatched += 1
        if unmatched:
            telemetry.count("ReceiptUnmatched", provider=provider_key, value=unmatched)
            return f"unmatched: {unmatched} of {len(reports)}"
        return None
