"""Why a message is where it is: the contract's reason codes, each with whose fault it is and whether it is for good."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum


class Fault(StrEnum):
    RECIPIENT = "recipient"
    SENDER = "sender"
    PROVIDER = "provider"
    NETWORK = "network"
    GATEWAY = "gateway"


class Code(StrEnum):
    """Contract section 3. The comment beside a code is its fault; `_PERMANENT` says what asking again cannot change."""

    INVALID_NUMBER = "invalid_number"
    UNREACHABLE = "unreachable"
    HANDSET = "handset"
    BLOCKED_BY_RECIPIENT = "blocked_by_recipient"
    SUPPRESSED = "suppressed"
    CONTENT_REFUSED = "content_refused"
    EMPTY_TEXT = "empty_text"
    TOO_LONG = "too_long"
    UNSUPPORTED_CHARACTER = "unsupported_character"
    UNSUPPORTED_FEATURE = "unsupported_feature"
    COUNTRY_NOT_ENABLED = "country_not_enabled"
    CREDIT_EXHAUSTED = "credit_exhausted"
    BAD_CREDENTIALS = "bad_credentials"
    IP_NOT_ALLOWED = "ip_not_allowed"
    ACCOUNT_DISABLED = "account_disabled"
    SCHEDULE_INVALID = "schedule_invalid"
    EXPIRED = "expired"
    CANCELED = "canceled"
    ID_REUSED = "id_reused"
    INVALID_REQUEST = "invalid_request"
    NO_ROUTE = "no_route"
    RATE_LIMITED = "rate_limited"
    PROVIDER_ERROR = "provider_error"
    PROVIDER_UNREACHABLE = "provider_unreachable"
    NO_REPLY = "no_reply"
    NO_REPORT = "no_report"
    UNKNOWN = "unknown"


_FAULTS = {
    Fault.RECIPIENT: {
        Code.INVALID_NUMBER,
        Code.UNREACHABLE,
        Code.HANDSET,
        Code.BLOCKED_BY_RECIPIENT,
        Code.SUPPRESSED,
    },
    Fault.SENDER: {
        Code.CONTENT_REFUSED,
        Code.EMPTY_TEXT,
        Code.TOO_LONG,
        Code.UNSUPPORTED_CHARACTER,
        Code.UNSUPPORTED_FEATURE,
        Code.SCHEDULE_INVALID,
        Code.EXPIRED,
        Code.CANCELED,
        Code.ID_REUSED,
        Code.INVALID_REQUEST,
    },
    # What is wrong with our account is ours to mend, whoever says so.
    Fault.GATEWAY: {
        Code.COUNTRY_NOT_ENABLED,
        Code.CREDIT_EXHAUSTED,
        Code.BAD_CREDENTIALS,
        Code.IP_NOT_ALLOWED,
        Code.ACCOUNT_DISABLED,
        Code.NO_ROUTE,
        Code.RATE_LIMITED,
    },
    Fault.NETWORK: {Code.PROVIDER_UNREACHABLE, Code.NO_REPLY},
    Fault.PROVIDER: {Code.PROVIDER_ERROR, Code.NO_REPORT, Code.UNKNOWN},
}
_FAULT_OF = {code: fault for fault, codes in _FAULTS.items() for code in codes}

_PASSING = {
    Code.UNREACHABLE,
    Code.HANDSET,
    Code.CREDIT_EXHAUSTED,
    Code.BAD_CREDENTIALS,
    Code.IP_NOT_ALLOWED,
    Code.ACCOUNT_DISABLED,
    Code.RATE_LIMITED,
    Code.PROVIDER_ERROR,
    Code.PROVIDER_UNREACHABLE,
    Code.NO_REPLY,
    Code.NO_REPORT,
    Code.UNKNOWN,
}

ABOUT_US = frozenset(
    {
        Code.CREDIT_EXHAUSTED,
        Code.BAD_CREDENTIALS,
        Code.IP_NOT_ALLOWED,
        Code.ACCOUNT_DISABLED,
        Code.COUNTRY_NOT_ENABLED,
    }
)
"""Refusals that say nothing of the message: another provider may be asked."""

SUSPENDING = ABOUT_US - {Code.COUNTRY_NOT_ENABLED}
"""Refusals every further message would meet as well: the provider is left alone until it is mended."""


@dataclass(frozen=True, slots=True)
class Reason:
    code: Code
    provider_code: str | None = None
    provider_text: str | None = None

    @property
    def fault(self) -> Fault:
        return _FAULT_OF[self.code]

    @property
    def permanent(self) -> bool:
        return self.code not in _PASSING

    def as_json(self) -> dict[str, object]:
        return {
            "code": self.code.value,
            "fault": self.fault.value,
            "permanent": self.permanent,
            "provider_code": self.provider_code,
            "provider_text": self.provider_text,
        }


_DIGITS = re.compile(r"\d{7,}")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


def quoted(text: str) -> str:
    """What a provider said, fit for an event: one line, short, and no telephone number in it."""
    line = _UNPRINTABLE.sub(" ", text).strip()[:200]
    return _DIGITS.sub(lambda run: "*" * (len(run[0]) - 3) + run[0][-3:], line)
