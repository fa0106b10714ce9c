"""The routing document, fetched from Parameter Store and kept for a minute; the last good one where the newest is not.

Where nothing can be known of it nobody may be called: the operator's rules might forbid that very call.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from smsgate import telemetry
from smsgate.requests import Problem
from smsgate.routing_document import DOCUMENT, InvalidRoutingDocument, RoutingDocument, read

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient
    from mypy_boto3_ssm.type_defs import ParameterTypeDef

KEPT_FOR = timedelta(minutes=1)

EARLIER = 20
"""Versions before an invalid one that a worker without a good one looks at, to find the last that was good."""

_NONE = RoutingDocument()


class RoutingUnknown(Exception):
    """Parameter Store cannot be asked, and nothing good is kept to follow in the meantime."""


class Routebook:
    def __init__(
        self, client: SSMClient, prefix: str, known_providers: Collection[str], clock: Callable[[], datetime]
    ) -> None:
        self._client = client
        self._name = f"/{prefix}/routing"
        self._known_providers = known_providers
        self._clock = clock
        self._log = telemetry.logger()
        self._followed: RoutingDocument | None = None
        self._asked_at: datetime | None = None
        self._newest: str | None = None  # as it stood, good or not
        self._newest_is_good = True

    def document(self) -> RoutingDocument:
        """The one to follow now; without anything in it where none is stored. Raises RoutingUnknown."""
        now = self._clock()
        if self._followed is None or self._asked_at is None or now - self._asked_at >= KEPT_FOR:
            self._followed = self._ask()
            self._asked_at = now
        return self._followed

    def _ask(self) -> RoutingDocument:
        try:
            parameter = self._get(self._name)
        except Exception as error:
            self._log.warning("routing document not read", exc_info=error)
            telemetry.count("RoutingDocumentNotRead")
            if self._followed is None:
                raise RoutingUnknown("Parameter Store cannot be asked") from None
            return self._followed
        if parameter is None:
            self._newest = None
            return _NONE
        return self._followed_with(parameter)

    def _followed_with(self, newest: ParameterTypeDef) -> RoutingDocument:
        """The newest where it is good, else what was followed before."""
        is_new = newest["Value"] != self._newest
        if is_new or self._followed is None:
            self._newest = newest["Value"]
            try:
                document = self._read(newest)
            except InvalidRoutingDocument as error:
                self._newest_is_good = False
                self._log.error(
                    "routing document invalid", extra={"version": newest["Version"], "problem": ascii(str(error))[1:-1]}
                )
            else:
                self._newest_is_good = True
                return document
        if not self._newest_is_good:
            telemetry.count("RoutingDocumentInvalid")
        return self._followed or self._last_good_before(newest["Version"])

    def _last_good_before(self, version: int) -> RoutingDocument:
        """Before the first there was none, and that was good."""
        for earlier in range(version - 1, max(version - 1 - EARLIER, 0), -1):
            try:
                parameter = self._get(f"{self._name}:{earlier}")
                if parameter is not None:
                    return self._read(parameter)
            except InvalidRoutingDocument:
                continue
            except Exception as error:
                self._log.warning("routing document not read", exc_info=error)
                telemetry.count("RoutingDocumentNotRead")
                break
        else:
            if version - 1 <= EARLIER:
                return _NONE
        raise RoutingUnknown("the routing document is invalid, and no good one before it is to be had")

    def _get(self, name: str) -> ParameterTypeDef | None:
        missing = self._client.exceptions
        try:
            return self._client.get_parameter(Name=name)["Parameter"]
        except (missing.ParameterNotFound, missing.ParameterVersionNotFound):
            return None

    def _read(self, parameter: ParameterTypeDef) -> RoutingDocument:
        if parameter["Type"] != "String":
            problem = f"is stored as {parameter['Type']}; store it as String, there is nothing secret in it"
            raise InvalidRoutingDocument((Problem(DOCUMENT, problem),))
        return read(parameter["Value"], self._known_providers)
