"""What of a value may stand in a log line: no telephone number, no text of a message, no secret.

Numbers are found by their shape, secrets and texts by having been named here beforehand, and everything else that
varies must look like a word of a machine (an id, a code, a name) to be shown at all: unexpected prose is withheld.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping, Set
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from urllib.parse import quote, quote_plus

HIDDEN = "***"

_SHORTEST_SECRET = 4  # Shorter ones stand in every second word, and hide nothing.
_LONGEST = 2000
_DEEPEST = 5
_MOST = 50

_EDGE, _END = r"(?<![0-9A-Za-z+])", r"(?![0-9A-Za-z])"
_KEPT = (
    r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}",  # UUID: SQS, SNS, Lambda and EventBridge ids
    r"[a-z2-7]{24}-\d{1,6}",  # our message ids
    r"1-[0-9a-f]{8}-[0-9a-f]{24}",  # X-Ray trace ids
    r"(?=\d*[a-f])[0-9a-f]{32,64}",  # digests
    r"20\d\d-[01]\d-[0-3]\d(?:[T ][0-2]\d:[0-5]\d(?::[0-5]\d(?:\.\d{1,6})?)?(?:Z|[+-][01]\d:?\d\d)?)?",  # ISO 8601
)
# `%` and `_`, because a number may stand in something percent-encoded or in an identifier.
_BETWEEN_DIGITS = r"[\s().,/%_·\-\u2010-\u2015\u2212\uff0d]"
_NUMBER = re.compile(rf"{_EDGE}(?P<kept>{'|'.join(_KEPT)}){_END}|\+?\d(?:{_BETWEEN_DIGITS}{{0,3}}\d){{6,}}")
_WORD = re.compile(r"[A-Za-z0-9._:@/+*,#\[\]-]{0,128}")
_REFERENCE = re.compile(r"[A-Za-z0-9._-]{1,64}")
_TELEPHONE = re.compile(r"(?:00)?(?:886|852)\d{8,10}|0\d{8,9}")
_PROSE_OF_OURS = frozenset({"problem"})
"""Keys whose value is a sentence written in this package."""
_NEVER_SHOWN = re.compile(r"(?i)text|body|content|subject|password|secret|token|user_?name|query|payload|params")


class _Named:
    """Values that may not be shown wherever they turn up, in whatever encoding."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._forms: dict[str, None] = {}
        self._longest_first: tuple[str, ...] = ()

    def add(self, value: str) -> None:
        if len(value) < _SHORTEST_SECRET:
            return
        with self._lock:
            for form in (value, quote(value, errors="replace"), quote_plus(value, errors="replace"), repr(value)[1:-1]):
                self._forms[form] = None
            self._longest_first = ()

    def clear(self) -> None:
        with self._lock:
            self._forms.clear()
            self._longest_first = ()

    def hidden_in(self, text: str) -> str:
        if self._forms and not self._longest_first:
            with self._lock:
                self._longest_first = tuple(sorted(self._forms, key=len, reverse=True))
        for form in self._longest_first:
            if form in text:
                text = text.replace(form, HIDDEN)
        return text


_secrets = _Named()
_texts = _Named()


def conceal(value: str) -> None:
    """Never show this value again: a password, a token. Those who read secrets call it for each."""
    _secrets.add(value)


def withhold(text: str) -> None:
    """Show this text in no line of the invocation under way: what a publisher wants sent, what a phone sent."""
    _texts.add(text)


def forget_texts() -> None:
    _texts.clear()


def masked(text: str) -> str:
    """A sentence of ours or of a library's, without what was named and without telephone numbers."""
    text = _texts.hidden_in(_secrets.hidden_in(text))
    return _NUMBER.sub(_mask_number, text[:_LONGEST])


def shown(value: object, key: str = "", depth: int = 0) -> object:
    """A value as it may stand in a log line, ready for JSON."""
    if value is None or isinstance(value, bool):
        return value
    if key and _NEVER_SHOWN.search(key):
        return HIDDEN
    if isinstance(value, Enum):
        return shown(value.value, key, depth)
    if isinstance(value, int | float | Decimal):
        return _shown_number(value)
    if isinstance(value, str):
        return _shown_text(value, key)
    if isinstance(value, datetime | date | time | timedelta):
        return str(value) if isinstance(value, timedelta) else value.isoformat()
    if isinstance(value, BaseException | type):
        return (value if isinstance(value, type) else type(value)).__name__
    return _shown_collection(value, key, depth)


def _shown_collection(value: object, key: str, depth: int) -> object:
    if depth < _DEEPEST and isinstance(value, Mapping):
        return {
            str(shown(str(name))): shown(inner, str(name), depth + 1) for name, inner in list(value.items())[:_MOST]
        }
    if depth < _DEEPEST and isinstance(value, list | tuple | Set):
        return [shown(inner, key, depth + 1) for inner in list(value)[:_MOST]]
    return f"<{type(value).__name__}>"


def _shown_text(value: str, key: str) -> str:
    if key == "provider_ref" and _REFERENCE.fullmatch(value) and not _TELEPHONE.fullmatch(value):
        return _secrets.hidden_in(value)  # Mostly nothing but digits, and what settles a doubtful message by hand.
    if _WORD.fullmatch(value) or (key in _PROSE_OF_OURS and value.isascii() and value.isprintable()):
        return masked(value)
    return f"<{len(value)} characters>"


def _shown_number(value: float | Decimal) -> object:
    if isinstance(value, Decimal):
        return masked(str(value))
    # Telephone numbers become integers, too; nothing we count comes near.
    return value if abs(value) < 1_000_000 else masked(repr(value))


def _mask_number(found: re.Match[str]) -> str:
    if found["kept"]:
        return found[0]
    return HIDDEN + found[0][-3:] if found[0][-3:].isdigit() else HIDDEN
