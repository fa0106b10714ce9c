"""Mail that comes in: a receipt rule's work as SES does it, stored raw in the bucket, then the function is told."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from email import message_from_bytes
from email.utils import parseaddr
from uuid import uuid4

from local.aws import EmbeddedAws
from local.lambdas import Lambdas, PoolStopped
from local.stack import MailSource

_TRIES = 3
"""AWS, "Asynchronous invocation": Lambda runs a function that failed two more times."""


class Mails:
    def __init__(self, sources: Sequence[MailSource], aws: EmbeddedAws, lambdas: Lambdas) -> None:
        self._sources = sources
        self._aws = aws
        self._lambdas = lambdas

    def arrive(self, raw: bytes, **verdicts: str) -> None:
        """A mail of somebody SES can authenticate, unless a verdict says otherwise: `dmarc="FAIL"`."""
        mail = message_from_bytes(raw)
        recipient = parseaddr(str(mail["To"]))[1]
        sender = parseaddr(str(mail["From"]))[1]
        for source in self._sources:
            if source.recipients and recipient not in source.recipients:
                continue
            mail_id = uuid4().hex
            self._aws.s3.put_object(Bucket=source.bucket, Key=f"{source.prefix}{mail_id}", Body=raw)
            event = self._event(source, mail_id, sender, recipient, verdicts)
            try:
                for _ in range(_TRIES):
                    if not self._lambdas.invoke(source.function, event).failed:
                        break
            except PoolStopped:
                return

    def _event(
        self, source: MailSource, mail_id: str, sender: str, recipient: str, verdicts: dict[str, str]
    ) -> dict[str, object]:
        """AWS, "Contents of notifications for Amazon SES email receiving", the Lambda action's; headers left out."""
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
        found = dict.fromkeys(("spam", "virus", "spf", "dkim", "dmarc"), "PASS") | verdicts
        mail = {
            "timestamp": now,
            "source": sender,
            "messageId": mail_id,
            "destination": [recipient],
            "headersTruncated": True,
            "headers": [],
            "commonHeaders": {},
        }
        receipt = {
            "timestamp": now,
            "processingTimeMillis": 500,
            "recipients": [recipient],
            **{f"{name}Verdict": {"status": status} for name, status in found.items()},
            "action": {
                "type": "Lambda",
                "functionArn": self._lambdas.arn(source.function),
                "invocationType": "Event",
            },
        }
        return {
            "Records": [{"eventSource": "aws:ses", "eventVersion": "1.0", "ses": {"mail": mail, "receipt": receipt}}]
        }
