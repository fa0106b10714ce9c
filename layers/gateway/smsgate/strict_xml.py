"""XML that others wrote, read without trusting it: no DTD, so no entities and nothing to fetch, and bounds on its size.

One reader for all of it, the envelope on the wire and the documents that vendors put into strings inside.
"""

from __future__ import annotations

import re
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

DEPTH = 32
ELEMENTS = 100_000
LARGEST = 8 * 1024 * 1024

_TEXT_AT_ONCE = 64 * 1024


class Unacceptable(ValueError):
    """Not XML, or XML of a kind that nobody has reason to send us."""


def parse(document: str | bytes) -> Element:
    """The root element, names in Clark notation (`{namespace}name`). Raises Unacceptable, which quotes nothing."""
    if len(document) > LARGEST:
        raise Unacceptable("too large")
    try:
        return _Reader().read(document)
    except Unacceptable:
        raise
    except expat.ExpatError as error:
        raise Unacceptable(expat.ErrorString(error.code)) from None
    except (ValueError, LookupError):  # half a surrogate pair; an encoding that is unknown or has no fixed width
        raise Unacceptable("no text") from None


class _Reader:
    def __init__(self) -> None:
        self._tree = TreeBuilder()
        self._depth = 0
        self._elements = 0

    def read(self, document: str | bytes) -> Element:
        # Some servers put a byte order mark or a line break before the declaration, where XML allows none.
        if isinstance(document, str):
            document = document.lstrip("\ufeff \t\r\n")
        else:
            document = document.removeprefix(b"\xef\xbb\xbf").lstrip(b" \t\r\n")
        # Not kept in self: it knows our methods, and such a ring would wait for the garbage collector.
        parser = expat.ParserCreate(namespace_separator="}")
        parser.buffer_text = True
        parser.buffer_size = _TEXT_AT_ONCE
        parser.StartDoctypeDeclHandler = self._doctype
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._tree.data
        parser.Parse(document, True)
        return self._tree.close()

    def _doctype(self, *_: object) -> None:
        raise Unacceptable("it has a DTD")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        self._elements += 1
        if self._depth > DEPTH:
            raise Unacceptable("nested too deep")
        if self._elements > ELEMENTS:
            raise Unacceptable("too many elements")
        self._tree.start(_clark(name), {_clark(key): value for key, value in attributes.items()} if attributes else {})

    def _end(self, name: str) -> None:
        self._depth -= 1
        self._tree.end(_clark(name))


def _clark(name: str) -> str:
    return f"{{{name}" if "}" in name else name


# Writing

# XML 1.0, section 2.2: what is no Char cannot be in a document, not even as a character reference.
_NO_CHAR = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def escaped(text: str) -> str:
    """Text as the content of an element, or of an attribute between double quotes. Raises Unacceptable.

    A carriage return would be read as a line feed, and in attributes every line break as a space: these three go as
    character references, so that what is read is what was written.
    """
    if _NO_CHAR.search(text):
        raise Unacceptable("a character XML cannot hold")
    if text.isalnum():
        return text
    for char, reference in _REFERENCES:
        text = text.replace(char, reference)
    return text


def cdata(text: str) -> str:
    """Text as a CDATA section; an end mark within it is spread over two. Raises Unacceptable."""
    if _NO_CHAR.search(text):
        raise Unacceptable("a character XML cannot hold")
    return f"<![CDATA[{text.replace(']]>', ']]]]><![CDATA[>')}]]>"


_REFERENCES = (
    ("&", "&amp;"),
    ("<", "&lt;"),
    (">", "&gt;"),
    ('"', "&quot;"),
    ("\t", "&#9;"),
    ("\n", "&#10;"),
    ("\r", "&#13;"),
)
