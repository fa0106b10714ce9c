"""What ApiFunction is put together from, each part made when it is first asked something."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING
from uuid import uuid4

from smsgate.api import Api
from smsgate.api_callbacks import Callbacks
from smsgate.api_cancel import Cancellations
from smsgate.api_numbers import Numbers
from smsgate.api_operations import Operations
from smsgate.providers import PROVIDERS
from smsgate.receipts import Receipts
from smsgate.replay import Replay
from smsgate.replies import Replies
from smsgate.wiring import Wiring

if TYPE_CHECKING:
    from smsgate.wire import Exchange


class ApiWiring(Wiring):
    def __init__(self, open_exchange: Callable[[timedelta], Exchange]) -> None:
        self._open_exchange = open_exchange

    @cached_property
    def api(self) -> Api:
        return Api(
            ledger=self.ledger,
            wake_ups=self.wake_ups,
            known_providers=tuple(PROVIDERS),
            new_id=lambda: str(uuid4()),
            clock=self.clock,
            pool=self.pool,
        )

    @cached_property
    def cancellations(self) -> Cancellations:
        return Cancellations(
            ledger=self.ledger,
            accounts=self.accounts(lambda: self._open_exchange(self.settings.provider_deadline)),
            suspensions=self.suspensions,
            clock=self.clock,
            pool=self.pool,
        )

    @cached_property
    def callbacks(self) -> Callbacks:
        receipts = Receipts(intake=self.intake, evidence=self.evidence, conversation=self.conversation, pool=self.pool)
        replies = Replies(intake=self.intake, conversation=self.conversation)
        return Callbacks(
            Replay(ledger=self.ledger, receipts=receipts, replies=replies, find=PROVIDERS.get, clock=self.clock)
        )

    @cached_property
    def numbers(self) -> Numbers:
        return Numbers(self.ledger, self.suppressions)

    @cached_property
    def operations(self) -> Operations:
        return Operations(
            ledger=self.ledger,
            suspensions=self.suspensions,
            wake_ups=self.wake_ups,
            offers=self.offers,
            watch=self.watch,
            clock=self.clock,
        )
