"""Every error code of the five vendors' documents, and those seen besides: what it means for the message it is said of.

A second reading of the documents, beside the tables of the provider modules.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from smsgate.reasons import Code


class Means(StrEnum):
    NO = "rejected"  # of this message, for good
    NOT_NOW = "waits"  # something is wrong with our account: the message is sent once that is mended
    AGAIN = "sent again"  # nothing was taken, and the vendor wants it once more
    NOBODY_KNOWS = "doubtful"


class Meaning(NamedTuple):
    means: Means
    reason: Code


def _each(means: Means, **reasons: tuple[str, ...]) -> dict[str, Meaning]:
    return {code: Meaning(means, Code(reason)) for reason, codes in reasons.items() for code in codes}


CODES: Mapping[str, Mapping[str, Meaning]] = {
    "smsgo": {
        # Section 1, table 1, "statuscode"; from -11 on seen at the real server.
        **_each(
            Means.NO,
            provider_error=("-3", "-4", "-11"),
            invalid_number=("-5", "-9"),
            unsupported_feature=("-7",),
            country_not_enabled=("-18",),
            blocked_by_recipient=("-19",),
            content_refused=("-23",),
            unknown=("-12", "-13", "-14", "-17", "-20", "-22", "-24", "-25", "-30"),
        ),
        **_each(
            Means.NOT_NOW,
            bad_credentials=("-2",),
            account_disabled=("-6", "-16"),
            credit_exhausted=("-8",),
            ip_not_allowed=("-15",),
        ),
        **_each(Means.AGAIN, rate_limited=("-21",)),
        **_each(Means.NOBODY_KNOWS, unknown=("-1",), provider_error=("-10",)),
    },
    "twsms": {
        # Section 6, "code / text 說明".
        **_each(
            Means.NO,
            country_not_enabled=("00031",),
            schedule_invalid=("00050", "00150"),
            invalid_request=("00060",),
            invalid_number=("00100",),
            empty_text=("00110",),
            too_long=("00120", "00130"),
            provider_error=("00140", "00170", "00300", "00400", "00420", "00430"),
            unsupported_character=("00180",),
        ),
        **_each(
            Means.NOT_NOW,
            bad_credentials=("00010", "00011", "00012"),
            credit_exhausted=("00020",),
            ip_not_allowed=("00030",),
            account_disabled=("00040", "00041"),
        ),
        **_each(Means.AGAIN, provider_error=("99998",)),
        # The first three say something of a message that is there.
        **_each(Means.NOBODY_KNOWS, unknown=("00001", "00310", "00410"), provider_error=("99999",)),
    },
    "smsget": {
        # Sections 一, 三 and 五, "error_code".
        **_each(
            Means.NO,
            invalid_request=("001", "008"),
            schedule_invalid=("002", "003"),
            too_long=("004",),
            invalid_number=("007",),
            unsupported_feature=("010",),
        ),
        **_each(Means.NOT_NOW, bad_credentials=("005",), ip_not_allowed=("006",), credit_exhausted=("009",)),
    },
    "every8d": {
        # Section 1; -24, -27, -41, -300 and -306 seen at the real server.
        **_each(Means.NO, empty_text=("-24",), invalid_number=("-27", "-41", "-306")),
        **_each(Means.NOT_NOW, bad_credentials=("-100", "-101", "-300"), account_disabled=("-999",)),
        **_each(Means.AGAIN, provider_error=("-301",)),
        **_each(Means.NOBODY_KNOWS, provider_error=("-99",)),
    },
    "meteorsis": {
        # Section 7.1, "API 錯誤碼".
        **_each(
            Means.NO,
            provider_error=("1", "20", "250", "255", "259"),
            schedule_invalid=("5", "256"),
            too_long=("6",),
            unsupported_feature=("8", "25", "257"),
            invalid_number=("17", "253"),
            content_refused=("18", "254"),
            country_not_enabled=("22",),
        ),
        **_each(Means.NOT_NOW, bad_credentials=("2", "251", "252"), account_disabled=("3",), credit_exhausted=("16",)),
    },
}

AT_LOGIN = frozenset({"-100", "-101", "-300", "-999"})
"""Of EVERY8D's, those that getConnection answers (section 1.1)."""
