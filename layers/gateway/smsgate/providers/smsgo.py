"""smsgo (簡訊購): one GET for up to fifty numbers, an answer as JSON, XML or plain lines, receipts to a URL per call.

Sections and notes are those of the vendor's "簡訊購 API 技術文件 6.0" (2017/3/24).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import NoReturn, TypeVar

from smsgate import text
from smsgate.clock import SECOND, due
from smsgate.messages import Dispatch, Form, Message, Reply, Report
from smsgate.numbers import calling_code, from_dialled, is_taiwan, taiwan_national
from smsgate.outcomes import Accepted, MaybeSent, NotSent, Outcome, Refused
from smsgate.providers.base import (
    UNREADABLE,
    Ask,
    Cancels,
    CannotSay,
    Capabilities,
    Measure,
    Provider,
    Queries,
    ReadsReceipts,
    ReadsReplies,
    Refusal,
    TellsCredit,
    ask,
    refuse,
    secret_text,
    submit,
    takes,
)
from smsgate.reasons import ABOUT_US, Code, Reason, quoted
from smsgate.status import Status
from smsgate.urls import address, base_url
from smsgate.wire import Acknowledgement, Callback, HttpExchange, HttpRequest, HttpResponse, Pairs

DONE = "0"
TOO_FAST = "-21"

# Table 1, "錯誤代碼 (statuscode)", in the vendor's order and words; below it what the real server says besides.
CODES: Mapping[str, Code] = {
    "-1": Code.UNKNOWN,  # CGI string error or Unknow
    "-2": Code.BAD_CREDENTIALS,  # 授權錯誤(帳號/密碼錯誤/IP錯誤)
    "-3": Code.PROVIDER_ERROR,  # Priority錯誤(User設定太高的優先權); we set none
    "-4": Code.PROVIDER_ERROR,  # A Number違反規則; the sender's number is the account's
    "-5": Code.INVALID_NUMBER,  # B Number違反規則
    "-6": Code.ACCOUNT_DISABLED,  # Closed User
    "-7": Code.UNSUPPORTED_FEATURE,  # Invalid Encoding
    "-8": Code.CREDIT_EXHAUSTED,  # 點數不夠
    "-9": Code.INVALID_NUMBER,  # Invalid msisdn amount
    "-10": Code.PROVIDER_ERROR,  # Send Fail
    "-11": Code.PROVIDER_ERROR,  # the database
    "-15": Code.IP_NOT_ALLOWED,
    "-16": Code.ACCOUNT_DISABLED,  # the API is not enabled
    "-18": Code.COUNTRY_NOT_ENABLED,  # the area is not served
    "-19": Code.BLOCKED_BY_RECIPIENT,  # the number is blocked
    TOO_FAST: Code.RATE_LIMITED,
    "-23": Code.CONTENT_REFUSED,  # the sender's signature is missing
}

_NOBODY_KNOWS = frozenset({"-1", "-10"})  # "or Unknow", "Send Fail": no documented no

# They are about one number, and there is one answer for all numbers of a call.
_ABOUT_A_NUMBER = frozenset({"-5", "-9", "-19"})

# Table 2, in the vendor's order, by both of its names: "Final Message States為Phase II中statusstr的值".
STATUSES: Mapping[str, tuple[Status, Code | None]] = {
    name: meaning
    for names, meaning in {
        ("DELIVRD", "DELIVERED"): (Status.DELIVERED, None),
        ("EXPIRED",): (Status.EXPIRED, Code.EXPIRED),
        ("DELETED",): (Status.CANCELED, Code.CANCELED),
        ("UNDELIV", "UNDELIVERABLE"): (Status.UNDELIVERED, Code.UNREACHABLE),
        ("ABSENT",): (Status.UNDELIVERED, Code.INVALID_NUMBER),  # Phone Number is not exists.
        ("SPAM",): (Status.UNDELIVERED, Code.CONTENT_REFUSED),  # Message Content is spam.
        ("BLOCK",): (Status.UNDELIVERED, Code.BLOCKED_BY_RECIPIENT),  # User reject
        ("ACCEPTD", "ACCEPTED"): (Status.SENT, None),
        ("UNKNOWN",): (Status.UNDELIVERED, Code.UNKNOWN),  # Message is in invalid state
        ("REJECTD", "REJECTED"): (Status.UNDELIVERED, Code.PROVIDER_ERROR),
        ("SYNTAXE", "SYNTAXERROR"): (Status.UNDELIVERED, Code.PROVIDER_ERROR),
    }.items()
    for name in names
}
_NOTHING_YET = frozenset({"", "OK"})

# Section 1, smbody: "中英文長度為 70 個字元，純英文為 160 個字元"; a part of a long one holds what networks leave it.
_ENGLISH = (160, 153)
_CHINESE = (70, 67)
_LONGEST = 330  # "若 encoding 為 LBIG5/LASCII/LUCS2 ，則大小為 330 個中英文文字"
_PUSH_BYTES = 88  # note 3: "smbody 與 wapurl 兩者相加最多 88 Bytes，其中中文字因編碼方式一個字算成 3 Bytes"
_LONGEST_REPLY_URL = 300  # note 4: "replyurl 之長度限制請勿超過 300"
# Note 4: "目前點數計算方式為每 10 則簡訊多扣一點"; so a tenth of a point each.
_POINTS_FOR_REPLIES = Decimal("0.1")

_SEND_PAGE = "sendsms.aspx"

_CODE = re.compile(r"-?[0-9]{1,5}")
_REFERENCE = re.compile(r"[0-9A-Za-z][0-9A-Za-z-]{0,39}")
_ECHOED = re.compile(r"[0-9A-Za-z-]{1,40}")
_POINTS = re.compile(r"[0-9]{1,12}(\.[0-9]{1,4})?")
_WHOLE_POINTS = re.compile(r"[0-9]{1,12}")


class SmsGo(Provider, Queries, Cancels, TellsCredit, ReadsReceipts, ReadsReplies):
    key = "smsgo"
    name = "smsgo"
    capabilities = Capabilities(
        transport="http",
        recipients_per_call=50,  # section 1, dstaddr: "不可超過 50 筆"
        countries=None,
        longest="330 characters; two-way, as popup and abroad 70, or 160 in English",
        forms=frozenset(Form),
        schedule=True,
        two_way=True,
        receipts="message",
    )
    unfit = "what no popup of smsgo can show"
    asks_per_call = 50

    def __init__(self, account: Mapping[str, object]) -> None:
        self._credentials: Pairs = (
            ("username", secret_text(account, "username")),
            ("password", secret_text(account, "password")),
        )
        self._base_url = base_url(account, "https://ssl.smsgo.com.tw/sms_gw/")
        self._backup_url = _backup_url(account)

    # What a message costs, and whether it can be sent here

    @classmethod
    def measure(cls, message: Message) -> Measure:
        """Points are those of a message at home: what one abroad costs, the document does not say."""
        content = _content(message)
        if message.form is Form.PUSH:
            parts = max(1, -(-_push_bytes(message) // _PUSH_BYTES))
            return Measure(parts=parts, points=Decimal(parts), encoding="PUSH")
        alphabet = _alphabet(content)
        offending: tuple[str, ...] = ()
        if message.form is Form.POPUP and alphabet == "UCS2":
            alphabet, offending = "BIG5", _beyond_big5(content)  # note 2: "Encoding PBIG5/PASCII 為 POPUP 簡訊"
        parts = _parts(content, alphabet)
        points = Decimal(parts) + (_POINTS_FOR_REPLIES if message.reply_days is not None else 0)
        form = "P" if message.form is Form.POPUP else "L" if parts > 1 else ""
        return Measure(parts=parts, points=points, encoding=form + alphabet, offending=offending)

    @classmethod
    def _refusal(cls, message: Message, now: datetime) -> Refusal | None:
        return cls._on_land_in_taiwan(message) or (None if message.form is Form.TEXT else cls._form_refusal(message))

    @classmethod
    def _form_refusal(cls, message: Message) -> Refusal | None:
        if not is_taiwan(message.to):
            return refuse(
                Code.UNSUPPORTED_FEATURE, f"smsgo sends {message.form} messages to Taiwan only: leave `form` out"
            )
        if message.reply_days is not None:
            # Section 1, replyurl: "當 encoding 設為 BIG5/ASCII/UCS2 才可以使用這個 tag".
            return refuse(
                Code.UNSUPPORTED_FEATURE, f"smsgo takes no replies to {message.form} messages: leave `replies` out"
            )
        if message.form is Form.PUSH and not message.url:
            return refuse(Code.INVALID_REQUEST, "`url` is missing: a push message leads somewhere")
        if message.form is Form.PUSH and _push_bytes(message) > _PUSH_BYTES:
            # Note 3 again: "如果超過 88Bytes 的話，系統會自動轉為長簡訊" - it would be no push message any more.
            return refuse(
                Code.TOO_LONG,
                f"`text` and `url` take {_push_bytes(message)} bytes together, and a push message holds {_PUSH_BYTES}:"
                " shorten them",
            )
        return None

    @classmethod
    def _text_refusal(cls, message: Message, measure: Measure) -> Refusal | None:
        if measure.parts == 1:
            return None
        # Whatever is longer than one message travels only as a long one (LBIG5, LASCII, LUCS2). Of all others note 1
        # says "目前都只支援單則簡訊，超過字數部份會自動截斷", and nobody's text is cut here.
        too_long = takes(measure)
        if message.form is Form.POPUP:
            return refuse(Code.TOO_LONG, f"{too_long}, and a popup of smsgo holds one: shorten it to one")
        if message.reply_days is not None:
            return refuse(
                Code.TOO_LONG, f"{too_long}, and smsgo takes replies only to messages of one: shorten it to one"
            )
        if not is_taiwan(message.to):
            # Note 5: "國際簡訊目前 encoding 參數只能使用 BIG5/ASCII/UCS2".
            return refuse(Code.TOO_LONG, f"{too_long}, and smsgo sends long messages to Taiwan only: shorten it to one")
        if text.units(_content(message)) > _LONGEST:
            return refuse(Code.TOO_LONG, f"`text` is longer than {_LONGEST} characters, smsgo's longest: shorten it")
        return None

    @classmethod
    def group(cls, message: Message) -> Hashable:
        """Same text, same way of sending, same price; alone what must be alone.

        A scheduled message is taken back by its msgid, which all numbers of a call share: one that shared it with
        others could not be canceled without them.
        """
        if message.send_at is not None or _was_refused_in_company(message):
            return message.message_id
        options = (message.form, message.url, message.reply_days, cls.measure(message).encoding)
        return calling_code(message.to), _content(message), *options

    # Sending

    def send(self, dispatch: Dispatch, exchange: HttpExchange) -> tuple[Outcome, ...]:
        messages = dispatch.messages
        if messages[0].reply_days is not None and not 0 < len(dispatch.reply_url or "") <= _LONGEST_REPLY_URL:
            why = f"replies need a public_url of ours, and smsgo takes at most {_LONGEST_REPLY_URL} characters"
            return (Refused(Reason(Code.UNSUPPORTED_FEATURE, provider_text=why)),) * len(messages)
        fields = _send_fields(dispatch)
        outcome = submit(exchange, self._request(_SEND_PAGE, fields), _read_sent)
        if self._backup_url is not None and _never_left(outcome):
            # "若訊息顯示發送異常時，可再轉發備援網址": here only what certainly did not go out.
            request = HttpRequest("GET", self._backup_url + _SEND_PAGE, (*self._credentials, *fields))
            outcome = submit(exchange, request, _read_sent)
        return _for_each(outcome, len(messages))

    def _request(self, page: str, fields: Pairs) -> HttpRequest:
        # Section 1: "利用 HTTP 協定中 Get Method 發送簡訊"; no other method is documented.
        return HttpRequest("GET", self._base_url + page, (*self._credentials, *fields))

    # Asking

    def query(self, asks: Sequence[Ask], now: datetime, exchange: HttpExchange) -> list[Report]:
        if not asks:
            return []
        which = (
            ("msgid", ",".join(asked.provider_ref for asked in asks)),
            ("dstaddr", ",".join(_dstaddr(asked.to) for asked in asks)),
        )
        if len(asks) == 1:
            request = self._request("query.asp", (*which, ("rtype", "JSON")))
        else:
            # As plain lines, of which the shape is known; of this page's JSON it is not.
            request = self._request("queryBulk.asp", which)
        return ask(exchange, request, partial(_read_statuses, asks=asks))

    def cancel(self, asked: Ask, exchange: HttpExchange) -> Decimal | Refusal | None:
        request = self._request("sendsms_cancel.asp", (("msgid", asked.provider_ref), ("rtype", "JSON")))
        return ask(exchange, request, _read_canceled)

    def credit(self, exchange: HttpExchange) -> Decimal:
        return ask(exchange, self._request("query_point.asp", (("rtype", "JSON"),)), _read_credit)

    # Receipts and replies

    @classmethod
    def read_receipts(cls, callback: Callback) -> list[Report]:
        """Section 2: "response字串?msgid=MsgId&statuscode=StatusCode&statusstr=StatusStr"; its samples add dstaddr."""
        if callback.is_probe:
            return []
        fields = _callback_fields(callback)
        reference, number = _reference(_word(fields, "msgid")), _word(fields, "dstaddr")
        if reference is None:
            raise LookupError("msgid")
        to = from_dialled(number) if number else None
        if number and to is None:
            raise ValueError("dstaddr is no number")  # Whose report it is must not be guessed.
        row = {name: _word(fields, name) for name in ("statuscode", "statusstr")}
        return [_report(row, provider_ref=reference, to=to, message_id=callback.path.strip("/") or None)]

    @classmethod
    def acknowledge(cls, callback: Callback) -> Acknowledgement:
        """Section 2: "magicid=tccrd_sms_gateway_rpack\\nmsgid=MsgId\\n", else it is told again, three times."""
        try:
            msgid = _word(_callback_fields(callback), "msgid")
        except UNREADABLE:
            msgid = ""
        echoed = msgid if _ECHOED.fullmatch(msgid) else ""
        return Acknowledgement(f"magicid=tccrd_sms_gateway_rpack\nmsgid={echoed}\n")

    @classmethod
    def read_replies(cls, callback: Callback) -> list[Reply]:
        """Section 1, 回覆簡訊: msgid, srcaddr, dstaddr, smbody, encoding, timestamp."""
        if callback.is_probe:
            return []
        fields = _callback_fields(callback)
        sender, said = _word(fields, "srcaddr"), fields["smbody"]
        if not sender:
            raise LookupError("srcaddr")
        identity = (fields.get(name, b"") for name in ("msgid", "srcaddr", "dstaddr", "timestamp", "smbody"))
        return [
            Reply(
                provider=cls.key,
                key=hashlib.sha256(b"\n".join(identity)).hexdigest()[:40],
                sender=from_dialled(sender)
                or sender,  # What is no telephone number to us is kept as it stands, not lost.
                text=_typed(said, _word(fields, "encoding").upper()),
                provider_time=_word(fields, "timestamp") or None,
                provider_ref=_reference(_word(fields, "msgid")),
            )
        ]

    @classmethod
    def acknowledge_reply(cls, callback: Callback) -> Acknowledgement:
        return cls.acknowledge(callback)


# Into the vendor's query


def _backup_url(account: Mapping[str, object]) -> str | None:
    """None unless the secret names one. The document prints the address of the page; its folder does as well."""
    if not account.get("backup_url"):
        return None
    return address(account, "backup_url", "").removesuffix(_SEND_PAGE).rstrip("/") + "/"


def _dstaddr(number: str) -> str:
    """ "國內號碼 09 開頭，十碼的數字； 國際號碼請在開頭多個%2b": a plus, percent-encoded like everything."""
    return taiwan_national(number) if is_taiwan(number) else number


def _content(message: Message) -> str:
    return text.normalized(message.text or "")


def _alphabet(content: str) -> str:
    """How the handset reads it: "提供...手機接收訊息後該用何種編碼讀取". Note 5: "發大陸簡體字應使用 UCS2 發送"."""
    if content.isascii() and text.septets(content) is not None:  # of ASCII, handsets' own alphabet lacks the backtick
        return "ASCII"
    return "BIG5" if _is_big5(content) else "UCS2"


def _is_big5(content: str) -> bool:
    """In Big5, and at the same place in both of its tables, the standard's and Windows'."""
    try:
        return content.encode("big5") == content.encode("cp950")
    except UnicodeEncodeError:
        return False


def _beyond_big5(content: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(char for char in content if not _is_big5(char)))


def _parts(content: str, alphabet: str) -> int:
    if alphabet == "ASCII":
        # Septets, not characters: of the handsets' alphabet [ ] { } \ ^ ~ | take two, and 160 of it are one message.
        return text.parts(text.septets(content) or 0, *_ENGLISH)
    return text.parts(text.units(content), *_CHINESE)


def _push_bytes(message: Message) -> int:
    return len((_content(message) + (message.url or "")).encode("utf-8", "surrogatepass"))


def _send_fields(dispatch: Dispatch) -> Pairs:
    """Section 1, in the order of its table (which misprints smbody); what has no value is left out."""
    message = dispatch.messages[0]
    two_way = message.reply_days is not None
    due_at = due(message.send_at, dispatch.now, SECOND)
    fields = (
        ("dstaddr", ",".join(_dstaddr(each.to) for each in dispatch.messages)),
        ("encoding", SmsGo.measure(message).encoding),
        ("smbody", _content(message)),
        ("dlvtime", due_at.strftime("%Y/%m/%d %H:%M:%S") if due_at else ""),
        ("wapurl", (message.url or "") if message.form is Form.PUSH else ""),
        ("replyurl", (dispatch.reply_url or "") if two_way else ""),
        ("replydays", str(message.reply_days) if two_way else ""),
        ("response", dispatch.receipt_url or ""),
        ("rtype", "JSON"),
    )
    return tuple((name, value) for name, value in fields if value)


def _was_refused_in_company(message: Message) -> bool:
    return any(
        attempt.provider == SmsGo.key and attempt.reason and attempt.reason.provider_code in _ABOUT_A_NUMBER
        for attempt in message.attempts
    )


# Out of the vendor's answers: JSON is asked for, XML and plain lines are read as well

Value = TypeVar("Value")
Row = Mapping[str, str]
"""What an answer says of one thing, by the vendor's names in lower case: `statusCode` and `statuscode` are the same."""

_TRAILING_COMMA = re.compile(r'("(?:[^"\\]|\\.)*")|,(?=\s*[\]}])')
_COLUMNS = ("statuscode", "statusstr", "dstaddr", "msgid")


def _rows(response: HttpResponse) -> list[Row]:
    """Whatever the content type says: JSON comes as text/html."""
    written = _characters(response.body).lstrip()
    if written.startswith(("{", "[")):
        return _json_rows(written)
    if written.startswith("<"):
        return _xml_rows(written)
    return _line_rows(written)


def _characters(body: bytes) -> str:
    """The .aspx page speaks UTF-8; what an .asp page says in Chinese may be Big5. What matters is ASCII in both."""
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError:
        return body.decode("cp950", "replace")


def _json_rows(written: str) -> list[Row]:
    """`{"result":{…}}` or `{"results":{"result":[{…},]}}`, with the trailing comma that the document prints as well."""
    found = json.loads(
        _TRAILING_COMMA.sub(r"\1", written),
        object_pairs_hook=_lower_names,
        parse_float=Decimal,
        parse_constant=_refuse_constant,
    )
    enveloped = False
    while isinstance(found, dict) and found.keys() & {"result", "results"}:
        (found,) = (found[name] for name in ("result", "results") if name in found)
        enveloped = True
    if enveloped and not found:
        return []
    entries = found if isinstance(found, list) else [found]
    if not entries or not all(isinstance(entry, dict) for entry in entries):
        raise TypeError("neither an object nor a list of objects")
    return [{name: _scalar(value) for name, value in entry.items()} for entry in entries]


def _lower_names(pairs: Iterable[tuple[str, object]]) -> dict[str, object]:
    return _each_once((name.lower(), value) for name, value in pairs)


def _each_once(pairs: Iterable[tuple[str, Value]]) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for name, value in pairs:
        if found.setdefault(name, value) != value:
            raise ValueError("two values of one name")
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _scalar(value: object) -> str:
    """A string in some answers and a number in others; empty where it is neither."""
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        return ""
    return text.whole(str(value)).strip()


def _xml_rows(written: str) -> list[Row]:
    """The shape is documented nowhere: whatever has children or attributes of the known names is a row."""
    from smsgate.strict_xml import parse

    root = parse(written)
    rows: list[Row] = []
    for element in root.iter():
        leaves = [(child.tag, child.text or "") for child in element if not len(child)]
        row = _each_once(
            (name.rpartition("}")[2].lower(), value.strip()) for name, value in (*leaves, *element.items())
        )
        if "statuscode" in row:
            rows.append(row)
    if not rows and root.tag.lower() not in ("result", "results"):
        raise LookupError("statuscode")
    return rows


def _status_rows(response: HttpResponse) -> list[Row]:
    """As plain text, lines of `statuscode|statusstr|dstaddr|msgid`; query.asp leaves the last column out."""
    lines = _characters(response.body).split("\n")
    columns = [[column.strip() for column in line.split("|")] for line in lines if line.strip()]
    if columns and all(len(line) > 1 and _CODE.fullmatch(line[0]) for line in columns):
        return [dict(zip(_COLUMNS, line, strict=False)) for line in columns]
    return _rows(response)


def _line_rows(written: str) -> list[Row]:
    """`key=value` lines."""
    lines = [line.strip() for line in re.split(r"[\r\n]+|&(?=\w+=)", written) if line.strip()]
    if not lines or not all("=" in line for line in lines):
        raise ValueError("no key=value lines")
    pairs = [(name.strip().lower(), value.strip()) for name, _, value in (line.partition("=") for line in lines)]
    if pairs[-1][0] == "msgid" and not written.endswith("\n"):
        pairs.pop()  # It may have been cut, and would be another message's.
    return [_each_once(pairs)]


def _code(row: Row) -> str:
    code = row["statuscode"]
    if not _CODE.fullmatch(code):
        raise ValueError("statuscode is no number")
    return code


def _reason(row: Row) -> Reason:
    said = row.get("statusstr", "")
    code = _code(row)
    return Reason(CODES.get(code, Code.UNKNOWN), provider_code=code, provider_text=quoted(said) if said else None)


def _reference(found: str) -> str | None:
    """A msgid to ask by. Zero is what programs make of nothing; an error repeats its negative code."""
    return found if _REFERENCE.fullmatch(found) and any(char in "123456789" for char in found) else None


def _read_sent(response: HttpResponse) -> Outcome:
    """One answer, whatever the number of recipients: `{"result":{"msgid":…,"statuscode":"0","statusstr":"OK",…}}`."""
    (row,) = _rows(response)
    code, reference = _code(row), _reference(row.get("msgid", ""))
    if code == DONE:
        if reference is None:
            return MaybeSent(Reason(Code.NO_REPLY, provider_code=code, provider_text="success without a msgid"))
        points = row.get("point", "")
        return Accepted(reference, points=Decimal(points) if _POINTS.fullmatch(points) else None)
    reason = _reason(row)
    if code in _NOBODY_KNOWS or reference is not None or not code.startswith("-"):
        # A refusal has no msgid but its own code. With one, something was taken, and nobody can say what.
        return MaybeSent(reason)
    return NotSent(reason) if code == TOO_FAST else Refused(reason)


def _never_left(outcome: Outcome) -> bool:
    return isinstance(outcome, NotSent) and outcome.reason.code is Code.PROVIDER_UNREACHABLE


def _for_each(outcome: Outcome, count: int) -> tuple[Outcome, ...]:
    """The answer to a call, as it concerns each of its numbers."""
    if count == 1:
        return (outcome,)
    if isinstance(outcome, Accepted) and outcome.points is not None:
        # The same text to the same country: everyone's share is the same, and a tenth of a point the smallest there is.
        share = outcome.points / count
        outcome = replace(outcome, points=share if share * 10 == int(share * 10) else None)
    if isinstance(outcome, Refused) and outcome.reason.provider_code in _ABOUT_A_NUMBER:
        # Nobody of this call was sent anything, and most of its numbers may be right: next time each goes alone.
        words = "a number of the call was refused: each is called alone next"
        outcome = NotSent(Reason(Code.PROVIDER_ERROR, outcome.reason.provider_code, words))
    return (outcome,) * count


def _read_statuses(response: HttpResponse, asks: Sequence[Ask]) -> list[Report]:
    found: dict[tuple[str, str], Report] = {}
    for row in _status_rows(response):
        code, said = _code(row), row.get("statusstr", "")
        listed = said.upper() in STATUSES
        number = row.get("dstaddr") or row.get("cellphone") or ""
        if not listed and code != DONE and (not number or CODES.get(code) in ABOUT_US):
            raise CannotSay(_reason(row))  # The question was refused; that is no news of a message.
        if code == DONE and said.upper() in _NOTHING_YET:
            continue
        asked = _asked(row, number, asks)
        if asked is not None and (listed or number):
            report = _report(row, provider_ref=asked.provider_ref, to=asked.to)
            found[asked.provider_ref, asked.to] = report
    return list(found.values())


def _asked(row: Row, number: str, asks: Sequence[Ask]) -> Ask | None:
    """Whom a row is about; None where it is about nobody who was asked for, or does not say."""
    to, reference = from_dialled(number) if number else None, row.get("msgid", "")
    if number and to is None:
        return None
    fitting = [asked for asked in asks if to in (None, asked.to) and (not reference or reference == asked.provider_ref)]
    return fitting[0] if len(fitting) == 1 else None


def _read_canceled(response: HttpResponse) -> Refusal | None:
    """The answer is documented nowhere. How many points come back is not said; the next measured credit shows it."""
    (row,) = _status_rows(response)
    code = _code(row)
    if code == DONE:
        return None
    reason = _reason(row)
    if reason.code in ABOUT_US or code == TOO_FAST or not code.startswith("-"):
        raise CannotSay(reason)
    said = replace(reason, code=Code.SCHEDULE_INVALID)
    return Refusal(said, "smsgo did not cancel it: it was sent already, or no scheduled message has this msgid")


def _read_credit(response: HttpResponse) -> Decimal:
    """`{"results":{"result":[{"statuscode": "0","point": "6220"}]}}`; as plain text a bare number."""
    bare = _characters(response.body).strip()
    if _WHOLE_POINTS.fullmatch(bare):
        return Decimal(bare)
    (row,) = [{"statuscode": bare}] if _CODE.fullmatch(bare) else _rows(response)
    if row.get("statuscode", DONE) != DONE:
        raise CannotSay(_reason(row))
    points = row["point"]
    if not _POINTS.fullmatch(points):
        raise ValueError("point is no number")
    return Decimal(points)


def _report(row: Row, *, provider_ref: str, to: str | None, message_id: str | None = None) -> Report:
    said, number = row.get("statusstr", ""), row.get("statuscode", "")
    if not said and not number:
        raise LookupError("statusstr")
    status, code = STATUSES.get(said.upper(), (None, Code.UNKNOWN))
    if status is Status.DELIVERED and number.strip("0"):
        status, code = None, Code.UNKNOWN  # Delivered and in error: it cannot be both, so it says neither.
    provider_code = quoted(said or number)
    return Report(
        status=status,
        reason=Reason(code, provider_code=provider_code) if code else None,
        provider_code=provider_code,
        provider_ref=provider_ref,
        to=to,
        message_id=message_id,
        unwanted=said.upper() == "BLOCK",  # "User reject"
    )


# Out of the vendor's callbacks

_CALLBACK_NAMES = frozenset(
    {"msgid", "statuscode", "statusstr", "dstaddr", "srcaddr", "smbody", "encoding", "timestamp"}
)


def _callback_fields(callback: Callback) -> dict[str, bytes]:
    """By name, in bytes: a reply may be percent-encoded in Big5 or UCS2, and any decoding here would destroy it."""
    pairs = ((name.lower(), value.encode("latin-1")) for name, value in callback.pairs("latin-1"))
    return _each_once((name, value) for name, value in pairs if name in _CALLBACK_NAMES)


def _word(fields: Mapping[str, bytes], name: str) -> str:
    return fields.get(name, b"").decode("utf-8", "replace").strip()


def _typed(said: bytes, encoding: str) -> str:
    """What was typed on the phone: percent-encoded in the encoding it names, or in UTF-8 whatever it names."""
    utf8, big5 = _decoded(said, "utf-8"), _decoded(said, "cp950") or _decoded(said, "big5hkscs")
    ucs2 = _decoded(said, "utf-16" if said.startswith(_BYTE_ORDER_MARKS) else "utf-16-be")
    readings = [utf8 if utf8 is not None and _is_credible(utf8) else None, big5, utf8]
    if encoding.endswith("UCS2"):
        # UCS2 of Chinese is often good UTF-8 as well, of nonsense; the other way round it is hardly ever Chinese.
        readings = [ucs2 if ucs2 is not None and _is_familiar(ucs2) else None, readings[0], ucs2, utf8, big5]
    likeliest = next((reading for reading in readings if reading is not None), None)
    return said.decode("utf-8", "replace") if likeliest is None else likeliest


_BYTE_ORDER_MARKS = (b"\xfe\xff", b"\xff\xfe")


def _decoded(said: bytes, encoding: str) -> str | None:
    try:
        return said.decode(encoding)
    except UnicodeDecodeError:
        return None


def _is_credible(read: str) -> bool:
    """Chinese is three bytes a character in UTF-8. Two of Big5 may look like one of its others, Latin or Greek."""
    return all(char in "\t\n\r" or " " <= char < "\x7f" or char >= "\u0800" for char in read)


def _is_familiar(read: str) -> bool:
    """Nothing but what is typed hereabouts: the characters of Big5 and of mainland China's GBK, and emoji."""
    return all(
        char in "\t\n\r" or (char >= " " and (_has(char, "gbk") or _has(char, "cp950") or char > "\uffff"))
        for char in read
    )


def _has(char: str, encoding: str) -> bool:
    try:
        return bool(char.encode(encoding))
    except UnicodeEncodeError:
        return False
