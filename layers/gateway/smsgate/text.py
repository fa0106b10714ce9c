"""Texts: how long they are in the units networks count in, which characters they hold, and which no text may hold."""

from __future__ import annotations

import re
from collections.abc import Iterable

# 3GPP TS 23.038, section 6.2.1: the default alphabet (without ESC), and its extension table, at two septets each.
GSM_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
GSM_EXTENSION = frozenset("\f^{}\\[~]|€")


def units(text: str) -> int:
    """UTF-16 code units, which Unicode short messages are counted in: a character beyond U+FFFF is two."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def is_ascii(text: str) -> bool:
    return text.isascii()


def septets(text: str) -> int | None:
    """The length in the GSM default alphabet, or None where that alphabet cannot hold the text."""
    if beyond_gsm(text):
        return None
    return len(text) + sum(char in GSM_EXTENSION for char in text)


def beyond_gsm(text: str) -> tuple[str, ...]:
    """The characters that keep the text out of the GSM default alphabet, each once."""
    return _each_once(char for char in text if char not in GSM_BASIC and char not in GSM_EXTENSION)


def parts(length: int, single: int, joined: int) -> int:
    """Short messages for `length` units, where one holds `single` and each of several holds `joined`."""
    return 1 if length <= single else -(-length // joined)


def normalized(text: str) -> str:
    """One line break, one character."""
    return text.replace("\r\n", "\n")


def whole(text: str) -> str:
    r"""Without halves of surrogate pairs, which JSON can hold (`\ud83d`) and no store or event can."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


# Controls, halves of a surrogate pair, Unicode's line and paragraph separators, and the code points that are for ever
# no characters. XML 1.0 (section 2.2) cannot carry most of them, a line of a mail is ended by others, and no handset
# shows any. Only the line feed has a meaning in a short message.
_FORBIDDEN = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029\ufdd0-\ufdef"
    + "".join(chr(plane | last) for plane in range(0, 0x110000, 0x10000) for last in (0xFFFE, 0xFFFF))
    + "]"
)


def forbidden(text: str) -> tuple[str, ...]:
    """The characters no message may hold, each once and by its name: `U+0000`."""
    return _each_once(f"U+{ord(char):04X}" for char in _FORBIDDEN.findall(text))


# Unicode's emoji-data: what is shown as a picture unless told otherwise (Emoji_Presentation below U+10000,
# Extended_Pictographic above). Symbols that are text unless told otherwise (© ™ ☎ ♥ ★ →) are emoji only with the
# selector U+FE0F or a skin tone behind them: Big5 has many of them, and texts have always used them.
_SHOWN = (
    "\u231a\u231b\u23e9-\u23ec\u23f0\u23f3\u25fd\u25fe\u2614\u2615\u2648-\u2653\u267f\u2693\u26a1\u26aa\u26ab\u26bd"
    "\u26be\u26c4\u26c5\u26ce\u26d4\u26ea\u26f2\u26f3\u26f5\u26fa\u26fd\u2705\u270a\u270b\u2728\u274c\u274e"
    "\u2753-\u2755\u2757\u2795-\u2797\u27b0\u27bf\u2b1b\u2b1c\u2b50\u2b55"
    "\U0001f000-\U0001f0ff\U0001f10d-\U0001f10f\U0001f12f\U0001f16c-\U0001f171\U0001f17e\U0001f17f\U0001f18e"
    "\U0001f191-\U0001f19a\U0001f1ad-\U0001f1e5\U0001f201-\U0001f20f\U0001f21a\U0001f22f\U0001f232-\U0001f23a"
    "\U0001f23c-\U0001f23f\U0001f249-\U0001f53d\U0001f546-\U0001f64f\U0001f680-\U0001f6ff\U0001f774-\U0001f77f"
    "\U0001f7d5-\U0001f7ff\U0001f80c-\U0001f80f\U0001f848-\U0001f84f\U0001f85a-\U0001f85f\U0001f888-\U0001f88f"
    "\U0001f8ae-\U0001f8ff\U0001f90c-\U0001f93a\U0001f93c-\U0001f945\U0001f947-\U0001faff\U0001fc00-\U0001fffd"
)
_TONE = "\U0001f3fb-\U0001f3ff"
_SYMBOL = "#*0-9\u00a9\u00ae\u203c-\u3299"
_PICTURE = f"(?:[{_SHOWN}][\ufe0e\ufe0f]?|[{_SYMBOL}](?:\ufe0f|(?=[{_TONE}])))[{_TONE}]?[\U000e0020-\U000e007f]*"
_EMOJI = re.compile(
    "[\U0001f1e6-\U0001f1ff]{1,2}"  # flags: two regional indicators
    "|[#*0-9]\ufe0f?\u20e3"  # keycaps
    f"|{_PICTURE}(?:\u200d(?:{_PICTURE}|[\u2190-\u2bff]\ufe0f?))*"  # one picture, or several joined into one
)


def emoji(text: str) -> tuple[str, ...]:
    """The emoji in a text, each once, a joined sequence as one."""
    return () if text.isascii() else _each_once(_EMOJI.findall(text))


def _each_once(found: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(found))
