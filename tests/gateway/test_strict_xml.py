"""XML from strangers is read within bounds, or not at all; what is written is read as it was."""

from __future__ import annotations

import socket
import time
from xml.etree.ElementTree import fromstring, tostring

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from smsgate import strict_xml
from smsgate.strict_xml import Unacceptable, cdata, escaped, parse

# Every character a document may hold (XML 1.0, section 2.2).
xml_text = st.text(
    st.one_of(
        st.sampled_from("\t\n\r &<>\"'[]!-?;#x"),
        st.characters(min_codepoint=0x20, exclude_categories=["Cs"], exclude_characters="\ufffe\uffff"),
    )
)

BOMB = (
    '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY a0 "ha">'
    + "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 12))
    + "]><a>&a11;</a>"
)


@pytest.mark.parametrize(
    "document",
    [
        b"<a>text</a>",
        b"\xef\xbb\xbf<a>text</a>",
        b' \r\n\t<?xml version="1.0" encoding="utf-8"?><a>text</a>\r\n',
        b'\xef\xbb\xbf\r\n<?xml version="1.0" encoding="utf-8"?>\n<!-- by hand --><a>text</a>',
        b"<a><![CDATA[te]]>xt</a>",
        b"<a>te<!-- -->xt</a>",
        b"<a>te&#120;t</a>",
        "<a>text</a>",
        '\ufeff<?xml version="1.0" encoding="utf-8"?><a>text</a>',
        '<?xml version="1.0" encoding="big5"?><a>text</a>',  # it was decoded already
        '<?xml version="1.0" encoding="utf-16"?><a>text</a>'.encode("utf-16"),
        '<?xml version="1.0" encoding="iso-8859-1"?><a>text</a>'.encode("latin-1"),
    ],
)
def test_a_document_is_read_however_it_is_written(document: str | bytes) -> None:
    root = parse(document)

    assert (root.tag, root.text) == ("a", "text")


def test_names_are_read_with_their_namespace() -> None:
    root = parse('<s:a xmlns:s="urn:s" xmlns="urn:d" s:x="1" y="2"><b/><c xmlns=""/></s:a>')

    assert (root.tag, [child.tag for child in root]) == ("{urn:s}a", ["{urn:d}b", "c"])
    assert root.attrib == {"{urn:s}x": "1", "y": "2"}


@given(document=st.one_of(st.text(), st.binary()))
@example("<a/>")
def test_whatever_comes_is_read_or_refused(document: str | bytes) -> None:
    try:
        parse(document)
    except Unacceptable:
        return


@pytest.mark.parametrize(
    "document",
    [
        BOMB,
        BOMB.encode("utf-16"),
        "<!DOCTYPE a><a/>",
        "<!-- x --><!DOCTYPE a ><a/>",
        '<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>',
        '<!DOCTYPE a [<!ENTITY b SYSTEM "http://127.0.0.1:1/">]><a>&b;</a>',
        '<!DOCTYPE a [<!ENTITY % b SYSTEM "http://127.0.0.1:1/"> %b;]><a/>',
        '<!DOCTYPE a [<!ATTLIST a b CDATA "c">]><a/>',
    ],
)
def test_a_dtd_is_refused_before_anything_of_it_is_read(document: str | bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "socket", None)
    begun = time.monotonic()

    with pytest.raises(Unacceptable, match="DTD"):
        parse(document)

    assert time.monotonic() - begun < 0.5


def test_nesting_has_an_end() -> None:
    deep = strict_xml.DEPTH

    assert parse("<a>" * deep + "</a>" * deep).tag == "a"
    assert len(parse(f"<a>{'<b/>' * deep * 2}</a>")) == deep * 2
    for document in ("<a>" * (deep + 1) + "</a>" * (deep + 1), "<a>" * 1_000, "<a>" * 1_000_000):
        begun = time.monotonic()
        with pytest.raises(Unacceptable, match="deep"):
            parse(document)
        assert time.monotonic() - begun < 1


def test_the_number_of_elements_and_the_size_have_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strict_xml, "ELEMENTS", 10)
    monkeypatch.setattr(strict_xml, "LARGEST", 100)

    assert len(parse(f"<a>{'<b/>' * 9}</a>")) == 9
    with pytest.raises(Unacceptable, match="elements"):
        parse(f"<a>{'<b/>' * 10}</a>")
    with pytest.raises(Unacceptable, match="large"):
        parse(f"<a>{'b' * 94}</a>")


@pytest.mark.parametrize(
    "document",
    [
        "",
        " ",
        "text",
        "<a>",
        "<a></b>",
        "<a/><b/>",
        "<a/>text",
        "<a>&nbsp;</a>",
        "<a>&b;</a>",
        "<a b=c/>",
        "<a b='1' b='2'/>",
        "<s:a/>",
        "<a>\x00</a>",
        "<a>&#0;</a>",
        "<a>\ud83d</a>",
        b"<a>\xff</a>",
        '<?xml version="1.0" encoding="big5"?><a>通</a>'.encode("big5"),
        b'<?xml version="1.0" encoding="nonsense"?><a/>',
        '<?xml version="1.0" encoding="utf-8"?><a/>'.encode("utf-16"),
    ],
)
def test_what_is_not_xml_is_refused_and_not_quoted(document: str | bytes) -> None:
    with pytest.raises(Unacceptable) as raised:
        parse(document)

    assert len(str(raised.value)) < 60
    assert raised.value.__suppress_context__ or raised.value.__context__ is None


def test_text_that_comes_in_pieces_is_whole() -> None:
    text = "&lt;" * 100_000

    assert parse(f"<a>{text}</a>").text == "<" * 100_000


# Writing


@given(text=xml_text)
@example(']]></a><a b="c">&amp;<![CDATA[ \r\n\t \']]>')
def test_text_is_read_as_it_was_written_in_content_and_attribute(text: str) -> None:
    root = fromstring(f'<a b="{escaped(text)}">{escaped(text)}</a>')

    assert (root.get("b"), root.text or "") == (text, text)
    assert len(root) == 0


@given(text=xml_text.filter(lambda text: "\r" not in text))
@example("]]>")
@example("]]]]>>")
@example("]]><![CDATA[")
def test_text_is_read_as_it_was_written_in_a_cdata_section(text: str) -> None:
    root = fromstring(f"<a>{cdata(text)}</a>")

    assert (root.text or "") == text
    assert tostring(root).count(b"<") <= 2


@pytest.mark.parametrize(
    "character",
    [*(chr(code) for code in range(0x20) if chr(code) not in "\t\n\r"), "\ud800", "\ufffe", "\uffff"],
)
def test_what_no_document_can_hold_is_not_written(character: str) -> None:
    for write in (escaped, cdata):
        with pytest.raises(Unacceptable):
            write(f"a{character}b")
