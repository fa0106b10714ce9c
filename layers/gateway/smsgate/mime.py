"""A raw mail, read for the little that matters here: whom it says it is from, its subject, its words.

Strict where somebody could be deceived (one sender, one subject), lenient in how the words are packed.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.errors import HeaderParseError
from email.header import decode_header
from email.message import Message

LARGEST = 256 * 1024

_MOST_NESTED = 20
"""Boundaries in a mail: the parser looks for all open ones in every line, so many would keep it busy for minutes."""

_CHARSETS = frozenset(
    {"us-ascii", "utf-8", "utf-16", "utf-16le", "utf-16be", "big5", "big5-hkscs", "gb2312", "gbk", "gb18030"}
    | {"iso-8859-1", "iso-8859-15", "windows-1252"}
)

# One address, bare or behind a display name that cannot be taken for another one.
_FROM = re.compile(r"""(?:(?:[^<>@",:;()\\]|"[^<>@"\\]*")*<)?([A-Za-z0-9.!#$%&'*+/=?^_{|}~-]+@([A-Za-z0-9.-]+))>?""")
_FOLD = re.compile(r"\r?\n[ \t]+")
_TAG = re.compile(r"<(/?)([A-Za-z]*)[^<>]*>")
_NOT_SHOWN = frozenset({"head", "script", "style", "title"})


@dataclass(frozen=True, slots=True)
class Mail:
    sender_domain: str
    subject: str
    text: str = field(repr=False)


def read(raw: bytes) -> Mail:
    """Raises ValueError where a mail is not of the kind that could count, and whatever the parser raises."""
    if len(raw) > LARGEST:
        raise ValueError("a mail larger than any answer")
    if raw.lower().count(b"boundary") > _MOST_NESTED:
        raise ValueError("a mail nested deeper than any answer")
    # The old policy leaves headers as they stand; the new one parses them, and stumbles over hostile ones.
    message = message_from_bytes(raw, policy=policy.compat32)
    sender = _FROM.fullmatch(_the_only(message, "From"))
    if sender is None or sender[0].count("<") != sender[0].count(">"):
        raise ValueError("not from one address")
    parts = list(_parts(message))
    plain = "\n".join(_text(part) for part in parts if part.get_content_type() == "text/plain")
    marked_up = "\n".join(_text(part) for part in parts if part.get_content_type() == "text/html")
    return Mail(
        sender_domain=sender[2].lower(),
        subject=_decoded(_the_only(message, "Subject")),
        text=plain if plain.strip() else _unmarked(marked_up),
    )


def _the_only(message: Message, name: str) -> str:
    values = message.get_all(name, [])
    if len(values) != 1:
        raise ValueError(f"not one {name}")
    return _FOLD.sub(" ", str(values[0])).strip()


def _parts(message: Message) -> Iterator[Message]:
    """What a reader is shown: no attachments, and no mail inside the mail, which somebody else has written."""
    if message.get_content_maintype() == "multipart":
        inner = message.get_payload()
        for part in inner if isinstance(inner, list) else []:
            if isinstance(part, Message):
                yield from _parts(part)
    elif message.get_content_type() in ("text/plain", "text/html") and not message.get_filename():
        yield message


def _text(part: Message) -> str:
    payload = part.get_payload(decode=True)
    charset = str(part.get_content_charset("us-ascii"))
    # Any other charset's ASCII is still ASCII, and no more is needed.
    return (
        payload.decode(charset if charset in _CHARSETS else "latin-1", "replace") if isinstance(payload, bytes) else ""
    )


def _decoded(subject: str) -> str:
    try:
        pieces = decode_header(subject)
    except HeaderParseError as error:
        raise ValueError("a subject that is encoded wrongly") from error
    return "".join(
        piece if isinstance(piece, str) else piece.decode(charset if charset in _CHARSETS else "latin-1", "replace")
        for piece, charset in pieces
    )


def _unmarked(marked_up: str) -> str:
    """Every tag ends a line, so that what a page shows at the beginning of one stands at the beginning of one here.

    In one pass: an expression for whole elements takes minutes where they are opened and never closed.
    """
    shown: list[str] = []
    hidden = ""
    end = 0
    for tag in _TAG.finditer(marked_up):
        closes, name = bool(tag[1]), tag[2].lower()
        if not hidden:
            shown.append(marked_up[end : tag.start()])
            hidden = name if name in _NOT_SHOWN and not closes else ""
        elif closes and name == hidden:
            hidden = ""
        end = tag.end()
    if not hidden:
        shown.append(marked_up[end:])
    return html.unescape("\n".join(shown))
