"""MailboxFunction: a mail that SES has put into the bucket in, what it says of messages into the ledger."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from smsgate import aws, telemetry
from smsgate.mailbox import Mailbox, notices_of
from smsgate.mime import LARGEST
from smsgate.wiring import Wiring


@cache
def _mailbox() -> Mailbox:
    parts = Wiring()
    bucket = parts.settings.mail_bucket
    return Mailbox(
        ledger=parts.ledger,
        evidence=parts.evidence,
        suspensions=parts.suspensions,
        secrets=parts.secrets,
        daybook=parts.daybook,
        offers=parts.offers,
        fetch=lambda key: aws.s3().get_object(Bucket=bucket, Key=key)["Body"].read(LARGEST + 1),
        watch=parts.watch,
        clock=parts.clock,
    )


@telemetry.flushed
def handler(event: Mapping[str, Any], _context: Any) -> None:
    for notice in notices_of(event):
        _mailbox().handle(notice)
