"""EVERY8D (互動資通): SOAP with a session, batches of recipients, one URL of ours for receipts and replies alike.

Sections are those of the vendor's "Web Services API Specifications-2.1" (2016/07/27). A session is kept and shared by
all workers until the end of the Taipei day, so closeConnection (section 1.3) is never called: it would end everybody's.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from decimal import Decimal
from hashlib import sha256
from typing import Literal, NoReturn, TypeVar
from xml.etree.ElementTree import Element

from smsgate import text
from smsgate.clock import SECOND, TAIPEI, due
from smsgate.messages import Dispatch, Message, Reply, Report
from smsgate.numbers import from_dialled, is_taiwan
from smsgate.outcomes import Accepted, MaybeSent, NotSent, Outcome, Refused
from smsgate.providers.base import (
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
    secret_text,
    submit,
)
from smsgate.reasons import Code, Reason, quoted
from smsgate.status import Status
from smsgate.strict_xml import Unacceptable, cdata, escaped, parse
from smsgate.urls import address
from smsgate.wire import Callback, Line, Pairs, SoapRequest, SoapResponse

Answer = TypeVar("Answer")

SESSION_LOST = "-301"  # section 1.2: "Session 資料不存在,請重新登入。"
NOBODY_KNOWS = "-99"  # section 1.2: "主機端發生不明錯誤,請與廠商窗口聯繫。"

# What an operation answers instead of a result: "負值代表發送失敗,系統無法處理該命令".
CODES: Mapping[str, Code] = {
    SESSION_LOST: Code.PROVIDER_ERROR,
    NOBODY_KNOWS: Code.PROVIDER_ERROR,
    # Section 1.1.
    "-100": Code.BAD_CREDENTIALS,  # 取得連線失敗,無此帳號
    "-101": Code.BAD_CREDENTIALS,  # 取得連線失敗,密碼錯誤
    "-999": Code.ACCOUNT_DISABLED,  # 帳號已封鎖,請洽服務窗口
    # Seen at the real server, in no list of this document.
    "-24": Code.EMPTY_TEXT,
    "-27": Code.INVALID_NUMBER,
    "-41": Code.INVALID_NUMBER,
    "-300": Code.BAD_CREDENTIALS,  # 帳號密碼不得為空值。
    "-306": Code.INVALID_NUMBER,
}

# Said of a call, though it can only be the fault of one message in it.
_ONE_MESSAGES_FAULT = frozenset({"-24", "-27", "-41", "-306"})

# Neighbours of the codes that refuse a login. Ten bad ones lock the account, so what looks like one counts as one.
_BAD_LOGIN = re.compile("-1[0-9]{2}")

# Sections 3.1 and 3.2, STATUS, in the vendor's order and words. What it never tried to send is rejected.
STATUSES: Mapping[str, tuple[Status, Code | None]] = {
    "0": (Status.SENT, None),  # 已發送
    "100": (Status.DELIVERED, None),  # 發送成功
    "101": (Status.UNDELIVERED, Code.HANDSET),  # 手機端因素未能送達
    "102": (Status.UNDELIVERED, Code.UNREACHABLE),  # 電信終端設備異常未能送達
    "103": (Status.UNDELIVERED, Code.INVALID_NUMBER),  # 無此手機號碼
    "104": (Status.UNDELIVERED, Code.UNREACHABLE),  # 電信終端設備異常未能送達
    "105": (Status.UNDELIVERED, Code.UNREACHABLE),  # 電信終端設備異常未能送達
    "106": (Status.UNDELIVERED, Code.UNREACHABLE),  # 電信終端設備異常未能送達
    "107": (Status.EXPIRED, Code.EXPIRED),  # 逾時收訊
    "300": (Status.SCHEDULED, None),  # 預約簡訊
    "301": (Status.REJECTED, Code.CREDIT_EXHAUSTED),  # 無額度(或額度不足)無法發送
    "303": (Status.CANCELED, Code.CANCELED),  # 取消簡訊
    "500": (Status.REJECTED, Code.COUNTRY_NOT_ENABLED),  # 未開通國際簡訊,無法發送國際簡訊
    "888": (Status.UNDELIVERED, Code.ACCOUNT_DISABLED),  # 測試模式簡訊: taken, and never sent to a phone
    "-3": (Status.REJECTED, Code.INVALID_NUMBER),  # 無效門號
    "-4": (Status.REJECTED, Code.SCHEDULE_INVALID),  # DT 格式錯誤或預計發送時間已過去 24 小時以上
    # Seen at the real server, in no list of this document: 700 is the 0 of multimedia, what is below zero has failed.
    "700": (Status.SENT, None),
    **dict.fromkeys(("-1", "-2", "-5", "-6", "-8", "-10"), (Status.UNDELIVERED, Code.UNKNOWN)),
}
REPLIED = "999"  # 代表此呼叫為回覆簡訊之內容

# Section 1.2, 計價補充說明: 1~70 one point, 71~134 two, 135~201 three, 202~268 four, 269~333 five.
_PRICES = (70, 134, 201, 268, 333)
_LONGEST_IN_ONE = _PRICES[-1]  # "超過 333 字仍可發送,系統將自動拆則"
_ONE_PART = _PRICES[0]
_ABROAD = 3  # "國際簡訊(非+886 開頭)則需以三倍點數計價之"

_LONGEST_NAME = 50  # section 2.2, NAME
_PAGE = 1000  # section 3.2: "每次最多回傳 1000 筆資料"
_MOST_PAGES = 100

_ERROR = re.compile(r"(-[0-9]{1,4})(?:\s*,\s*(.*))?", re.DOTALL)
_NUMBER = r"[0-9]{1,12}(?:\.[0-9]{1,2})?"
# "CREDIT,SENDED,COST,UNSEND,BATCH_ID"; the document's own sample lacks UNSEND.
_BATCH = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_SENT = re.compile(
    rf"(?P<credit>{_NUMBER}), ?(?P<sended>[0-9]{{1,9}}), ?(?P<cost>{_NUMBER}), ?(?:(?P<unsend>[0-9]{{1,9}}), ?)?"
    rf"(?P<batch>{_BATCH.pattern})"
)
_ERASED = re.compile(rf"(?P<count>[0-9]{{1,9}}), ?(?P<points>{_NUMBER})")
_SESSION = re.compile(r"[0-9A-Za-z-]{8,64}")

_TOLD = frozenset({"batchid", "rm", "rt", "status", "sm"})


class _SessionLost(Exception):
    """The vendor does not know the session any more."""


class Every8d(Provider, Queries, Cancels, TellsCredit, ReadsReceipts, ReadsReplies):
    key = "every8d"
    name = "EVERY8D"
    capabilities = Capabilities(
        transport="soap",
        recipients_per_call=100,  # the document states no limit
        countries=None,
        longest="333 characters in one message of up to 5 points; longer ones are split by the vendor",
        schedule=True,
        # No parameter makes a message two-way: a phone answers to the number it was texted from, and the answers come
        # to the account's URL and with the reports, however long ago it was.
        two_way=True,
        receipts="account",
    )
    asks_per_call = 50
    tells_replies = True
    replies_to_receipts = True
    repeats_text = True  # with STATUS 100, the real server's SM is what was sent

    def __init__(self, account: Mapping[str, object]) -> None:
        self._username = secret_text(account, "username")
        self._password = secret_text(account, "password")
        self._url = address(account, "base_url", "https://oms.every8d.com/API21/SOAP/SMS.asmx")
        self._version = _soap_version(account)

    # What a message costs, and whether it can be sent here

    @classmethod
    def measure(cls, message: Message) -> Measure:
        content = text.normalized(message.text or "")
        units = text.units(content)
        points = _points(units)
        if is_taiwan(message.to):
            return Measure(points, Decimal(points), "Unicode", text.forbidden(content))
        # "因國際行動門號不支援長簡訊,本簡訊發送平台可自動判斷國際行動門號,將長簡訊進行拆則發送".
        singles = text.parts(units, _ONE_PART, _ONE_PART)
        return Measure(singles, Decimal(points * _ABROAD), "Unicode", text.forbidden(content))

    @classmethod
    def _refusal(cls, message: Message, now: datetime) -> Refusal | None:
        return cls._on_land_in_taiwan(message)

    @classmethod
    def group(cls, message: Message) -> Hashable:
        """The texts may differ. The subject is one for all.

        Alone travels what is scheduled, because eraseBooking (section 4.2) takes back whole batches and nothing less,
        and what was in a call that was refused for the fault of one of its messages, so that the others get through.
        """
        if message.send_at is not None or any(
            attempt.provider == cls.key and attempt.reason and attempt.reason.provider_code in _ONE_MESSAGES_FAULT
            for attempt in message.attempts
        ):
            return message.message_id
        return message.label or ""

    # Sending

    def send(self, dispatch: Dispatch, exchange: Line) -> tuple[Outcome, ...]:
        """Reports name a message by batch and number alone, so a number has one message in a call."""
        first_of = {message.to: message for message in reversed(dispatch.messages)}
        carried = [message for message in dispatch.messages if first_of[message.to] is message]
        outcomes = dict(
            zip((each.message_id for each in carried), self._send(carried, dispatch, exchange), strict=True)
        )
        later = NotSent(Reason(Code.RATE_LIMITED, provider_text="its number is in this call already"))
        return tuple(outcomes.get(message.message_id, later) for message in dispatch.messages)

    def _send(self, messages: Sequence[Message], dispatch: Dispatch, exchange: Line) -> Sequence[Outcome]:
        try:
            operation, arguments = _submission(messages, dispatch.now)
        except Unacceptable as error:
            return [Refused(Reason(Code.UNSUPPORTED_CHARACTER, provider_text=str(error)))] * len(messages)

        def attempt(session: str) -> Sequence[Outcome] | MaybeSent | NotSent:
            request = self._request(operation, (("sessionKey", session), *arguments))
            return submit(exchange, request, lambda response: _read_sent(response, messages))

        try:
            outcome = self._in_session(exchange, dispatch.now, attempt)
        except CannotSay as silence:
            outcome = NotSent(silence.reason)  # Nothing but the login was called, or nothing but -301 was answered.
        return [outcome] * len(messages) if isinstance(outcome, MaybeSent | NotSent) else outcome

    def _request(self, operation: str, arguments: Pairs) -> SoapRequest:
        return SoapRequest(self._url, self._version, operation, arguments)

    # The session

    def _in_session(self, exchange: Line, now: datetime | None, call: Callable[[str], Answer]) -> Answer:
        """A session that was lost is answered by one new login, once. Raises CannotSay where there is none to be had.

        "SessionKey 有效期為單日,隔日即失效": it ends with the day in Taipei. Whoever has no clock, or logs in again in
        the day's last moments, cannot know which day's it will be: then the vendor's -301 says when it is over.
        """
        ends = _end_of_day(now) if now else datetime.max.replace(tzinfo=TAIPEI)
        for _ in range(2):
            session = exchange.session(lambda: self._login(exchange), ends)
            try:
                return call(session)
            except _SessionLost:
                exchange.session_lost(session)
            ends = max(ends, _end_of_day(now + timedelta(hours=1))) if now else ends
        raise CannotSay(Reason(Code.PROVIDER_ERROR, provider_code=SESSION_LOST, provider_text="session lost twice"))

    def _login(self, exchange: Line) -> str:
        arguments = (("userID", self._username), ("password", self._password))
        return ask(exchange, self._request("getConnection", arguments), _read_login)

    # Asking

    def query(self, asks: Sequence[Ask], now: datetime, exchange: Line) -> list[Report]:
        return self.reports_and_replies(asks, now, exchange)[0]

    def reports_and_replies(
        self, asks: Sequence[Ask], now: datetime, exchange: Line
    ) -> tuple[list[Report], list[Reply]]:
        """What became of the messages, and what their recipients answered: section 3.2 tells both at once.

        Trouble ends the asking, so that a vendor who is slow costs one deadline and not one for each batch; what was
        learnt before it counts.
        """
        batches: dict[str, set[str]] = defaultdict(set)
        for each in asks:
            batches[each.provider_ref].add(each.to)
        reports: list[Report] = []
        replies: list[Reply] = []
        for batch, recipients in batches.items():
            try:
                for entry in self._entries(batch, recipients, now, exchange):
                    reports += _reports(entry, batch)
                    replies += _replies(entry, batch)
            except CannotSay:
                if reports or replies:
                    break
                raise
        return reports, replies

    def _entries(self, batch: str, recipients: set[str], now: datetime, exchange: Line) -> Iterator[_Entry]:
        """The batch's entries of these recipients, as many pages as it takes to find them."""
        missing = set(recipients)
        for number in range(1, _MOST_PAGES + 1):
            page = self._page(batch, number, now, exchange)
            for entry in page.entries:
                if entry.to in missing:
                    missing.remove(entry.to)
                    yield entry
            if not missing or not page.entries or number * _PAGE >= page.count:
                return

    def _page(self, batch: str, number: int, now: datetime, exchange: Line) -> _Page:
        def attempt(session: str) -> _Page:
            # "分頁。可傳入空字串", from the second on its number.
            page_no = str(number) if number > 1 else ""
            arguments = (("sessionKey", session), ("batchID", batch), ("pageNo", page_no))
            return ask(exchange, self._request("getDeliveryStatus", arguments), _read_page)

        return self._in_session(exchange, now, attempt)

    def cancel(self, asked: Ask, exchange: Line) -> Decimal | Refusal | None:
        """Only what is scheduled can be erased, and what is scheduled is alone in its batch (`group`)."""

        def attempt(session: str) -> Decimal | Refusal:
            arguments = (("sessionKey", session), ("batchID", asked.provider_ref))
            return ask(exchange, self._request("eraseBooking", arguments), _read_erased)

        return self._in_session(exchange, None, attempt)

    def credit(self, exchange: Line) -> Decimal:
        def attempt(session: str) -> Decimal:
            return ask(exchange, self._request("getCredit", (("sessionKey", session),)), _read_credit)

        return self._in_session(exchange, None, attempt)

    # Receipts and replies, on one URL

    @classmethod
    def read_receipts(cls, callback: Callback) -> list[Report]:
        """Section 3.1: a GET with the parameters in its query, and many more than the document lists."""
        told = _told(callback)
        if not told or told["status"] == REPLIED:
            return []
        batch = told["batchid"]
        if not _BATCH.fullmatch(batch):
            raise ValueError("BatchID is none")
        return [_report(told["status"], batch, from_dialled(told["rm"].strip()), told.get("rt") or None)]

    @classmethod
    def read_replies(cls, callback: Callback) -> list[Reply]:
        """Section 3.1: "此時 STATUS=999 時,即為回覆簡訊". With 100 comes an SM as well: the text that was sent."""
        told = _told(callback)
        if not told or told["status"] != REPLIED:
            return []
        return [_reply(told["rm"], told["sm"], told.get("rt", ""), told.get("batchid", ""))]


# Into the vendor's arguments


def _points(units: int) -> int:
    """What a text of this length costs in Taiwan. Longer than one message it is split: full ones and a rest."""
    full, rest = divmod(units, _LONGEST_IN_ONE)
    of_rest = next(points for points, longest in enumerate(_PRICES, start=1) if rest <= longest) if rest else 0
    return max(1, full * len(_PRICES) + of_rest)


def _soap_version(account: Mapping[str, object]) -> Literal["1.1", "1.2"]:
    version = account.get("soap_version", "1.1")
    if version == "1.1" or version == "1.2":
        return version
    raise ValueError('the secret\'s soap_version must be "1.1" or "1.2"')


def _end_of_day(now: datetime) -> datetime:
    """The next midnight in Taipei."""
    return datetime.combine(now.astimezone(TAIPEI).date() + timedelta(days=1), time(), TAIPEI)


def _submission(messages: Sequence[Message], now: datetime) -> tuple[str, Pairs]:
    """One text for everybody: sendSMS (section 1.2). Else sendParamSMS (2.2), which also takes names."""
    first = messages[0]
    send_time = _send_time(first.send_at, now)
    content = text.normalized(first.text or "")
    subject = first.label or ""
    if all(text.normalized(message.text or "") == content and not message.name for message in messages):
        mobile = ",".join(message.to for message in messages)
        return "sendSMS", (("subject", subject), ("content", content), ("mobile", mobile), ("sendTime", send_time))
    content_xml = f"<REPS>{''.join(_user(message) for message in messages)}</REPS>"
    return "sendParamSMS", (("subject", subject), ("contentXML", content_xml), ("sendTime", send_time))


def _user(message: Message) -> str:
    """Section 2.2: "簡訊內容。請以 XML CDATA 格式包覆"; "請務必轉為+886933123456·避免點數計算錯誤".

    The name stands in the vendor's log for people to read, and nowhere else.
    """
    name = escaped((message.name or "")[:_LONGEST_NAME])
    content = cdata(text.normalized(message.text or ""))
    return f'<USER NAME="{name}" MOBILE="{escaped(message.to)}" EMAIL="" SENDTIME="">{content}</USER>'


def _send_time(send_at: datetime | None, now: datetime) -> str:
    """YYYYMMDDhhmmss.

    A time that is past when it arrives is not sent, or sent at once: section 1.2 says both.
    """
    due_at = due(send_at, now, SECOND)
    return due_at.strftime("%Y%m%d%H%M%S") if due_at else ""


# Out of the vendor's answers


def _result(response: SoapResponse) -> str:
    """The result without what stands around it. Raises ValueError where there is none."""
    if response.result is None:
        raise ValueError("no result")
    return response.result.strip().removeprefix("\ufeff").strip()


def _error(result: str) -> Reason | None:
    """`-300, 帳號密碼不得為空值。`: the words may hold commas, and there may be none. Raises _SessionLost."""
    found = _ERROR.fullmatch(result)
    if found is None:
        return None
    return _reason(found[1], found[2] or "")


def _reason(code: str, words: str) -> Reason:
    if code == SESSION_LOST:
        raise _SessionLost
    return Reason(CODES.get(code, Code.UNKNOWN), provider_code=code, provider_text=quoted(words) or None)


def _complain(reason: Reason) -> NoReturn:
    raise CannotSay(reason)


def _read_login(response: SoapResponse) -> str:
    """Section 1.1: "傳回值的格式為一xml字串". Errors that never got that far come as everywhere else."""
    result = _result(response)
    try:
        reason = _error(result)
        if reason is None:
            connection = _inside(parse(result), "GET_CONNECTION")
            code = _word(connection, "CODE")
            if code == "0":
                session = _word(connection, "SESSION_KEY")
                if not _SESSION.fullmatch(session):
                    raise ValueError("no SESSION_KEY")
                return session
            if not _ERROR.fullmatch(code):
                raise ValueError("no CODE")
            reason = _reason(code, _word(connection, "DESCRIPTION"))
    except _SessionLost:
        reason = Reason(Code.PROVIDER_ERROR, provider_code=SESSION_LOST)  # No answer to a login.
    if reason.code is Code.UNKNOWN and _BAD_LOGIN.fullmatch(reason.provider_code or ""):
        reason = Reason(Code.BAD_CREDENTIALS, reason.provider_code, reason.provider_text)
    _complain(reason)


def _read_sent(response: SoapResponse, messages: Sequence[Message]) -> Sequence[Outcome] | MaybeSent | NotSent:
    result = _result(response)
    reason = _error(result)
    if reason is not None:
        if reason.provider_code == NOBODY_KNOWS:
            return MaybeSent(reason)
        if reason.provider_code in _ONE_MESSAGES_FAULT and len(messages) > 1:
            return NotSent(reason)  # Nobody can say whose fault it is: each is tried once more, alone (`group`).
        return [Refused(reason)] * len(messages)
    found = _SENT.fullmatch(result)
    if found is None:
        raise ValueError("neither a batch nor an error")
    credit, cost = Decimal(found["credit"]), Decimal(found["cost"])
    sended, unsend = int(found["sended"]), int(found["unsend"] or 0)
    if unsend >= len(messages) and sended == 0 and cost == 0:
        # UNSEND: "無額度時發送的通數". Nobody was texted and nothing was charged.
        return [Refused(Reason(Code.CREDIT_EXHAUSTED, provider_text="no credit for any of them"))] * len(messages)
    # "當該值大於 0 而剩餘點數等於 0 時表示有部份的簡訊因無額度而無法被發送": which ones, only their reports say (301).
    whole = len(messages) == 1 or (sended == len(messages) and not unsend)
    shares = _shares(cost, messages) if whole else [None] * len(messages)
    return [Accepted(found["batch"].lower(), points, credit) for points in shares]


def _shares(cost: Decimal, messages: Sequence[Message]) -> Sequence[Decimal | None]:
    """What each message of a call took of what all of them took, where that can be told."""
    if len(messages) == 1:
        return [cost]
    measured = [Every8d.measure(message).points for message in messages]
    if sum(measured) == cost:
        return measured
    share = cost / len(messages)
    even = len(set(measured)) == 1 and share * 100 == int(share * 100)
    return [share if even else None] * len(messages)


def _read_credit(response: SoapResponse) -> Decimal:
    result = _result(response)
    if re.fullmatch(_NUMBER, result):
        return Decimal(result)
    _complain(_error(result) or _unreadable("no credit"))


def _read_erased(response: SoapResponse) -> Decimal | Refusal:
    """Section 4.2: "a,b" are "刪除的筆數" and "回補的點數"; an empty value is "查無資料"."""
    result = _result(response) if response.result is not None else ""
    found = _ERASED.fullmatch(result)
    if found is not None and int(found["count"]) > 0:
        return Decimal(found["points"])
    if found is not None or not result:
        return _too_late(None, "EVERY8D knows no scheduled message of this batch")
    reason = _error(result) or _unreadable("neither count nor error")
    if reason.provider_code in ("-3", "-4"):
        return _too_late(reason, "EVERY8D has sent or erased it already")
    if reason.provider_code == "-8":
        return _too_late(reason, "EVERY8D cannot erase it now")
    _complain(reason)


def _too_late(said: Reason | None, problem: str) -> Refusal:
    code, words = (said.provider_code, said.provider_text) if said else (None, None)
    return Refusal(Reason(Code.SCHEDULE_INVALID, provider_code=code, provider_text=words), problem)


def _unreadable(what: str) -> Reason:
    return Reason(Code.PROVIDER_ERROR, provider_text=f"unreadable answer ({what})")


@dataclass(frozen=True, slots=True)
class _Answered:
    at: str
    text: str


@dataclass(frozen=True, slots=True)
class _Entry:
    """One SMS of a GET_DELIVERY_STATUS."""

    mobile: str
    to: str | None
    status: str
    cost: Decimal | None
    answered: tuple[_Answered, ...]


@dataclass(frozen=True, slots=True)
class _Page:
    entries: Sequence[_Entry]
    count: int  # of the whole batch


def _read_page(response: SoapResponse) -> _Page:
    result = _result(response)
    reason = _error(result)
    if reason is not None:
        _complain(reason)
    root = parse(result)
    code = _word(root, "CODE")
    if code != "0":
        if not _ERROR.fullmatch(code):
            raise ValueError("no CODE")
        _complain(_reason(code, _word(root, "DESCRIPTION")))
    log = _inside(root, "GET_DELIVERY_STATUS")
    count = log.get("COUNT", "").strip()
    if not re.fullmatch("[0-9]{1,9}", count):
        raise ValueError("no COUNT")
    return _Page([_entry(sms) for sms in log.iter("SMS")], int(count))


def _entry(sms: Element) -> _Entry:
    """MOBILE is padded to 20 characters, and so may everything else be."""
    cost, mobile = _word(sms, "COST"), _word(sms, "MOBILE")
    return _Entry(
        mobile=mobile,
        to=from_dialled(mobile),
        status=_word(sms, "STATUS"),
        cost=Decimal(cost) if re.fullmatch(_NUMBER, cost) else None,
        answered=tuple(
            _Answered(_word(reply, "REPLY_TIME"), _word(reply, "MESSAGE")) for reply in sms.iter("REPLY_SMS")
        ),
    )


def _inside(root: Element, name: str) -> Element:
    """The element of this name, be it the root. Raises LookupError."""
    found = next(root.iter(name), None)
    if found is None:
        raise LookupError(name)
    return found


def _word(parent: Element, name: str) -> str:
    return (parent.findtext(name) or "").strip()


def _reports(entry: _Entry, batch: str) -> Iterable[Report]:
    """SENT_TIME is when it was sent, not when the status was reported: it puts no two reports in order."""
    if entry.status and entry.status != REPLIED:
        yield _report(entry.status, batch, entry.to, None, entry.cost)


def _replies(entry: _Entry, batch: str) -> Iterable[Reply]:
    for answered in entry.answered:
        yield _reply(entry.mobile, answered.text, answered.at, batch)


def _report(status: str, batch: str, to: str | None, at: str | None, points: Decimal | None = None) -> Report:
    ours, code = STATUSES.get(status, (None, Code.UNKNOWN))
    provider_code = quoted(status)
    return Report(
        status=ours,
        reason=Reason(code, provider_code=provider_code) if code else None,
        provider_code=provider_code,
        provider_time=at,
        provider_ref=batch.lower(),
        to=to,
        points=points,
    )


def _reply(mobile: str, content: str, at: str, batch: str) -> Reply:
    """By callback and by query the same reply has the same key, though their times are written in other ways.

    So are the ends of its lines: XML knows only one way to end one.
    """
    content = text.normalized(content).replace("\r", "\n")
    sender = from_dialled(mobile.strip()) or mobile.strip()
    if not sender:
        raise ValueError("a reply from nobody")
    batch = batch.lower() if _BATCH.fullmatch(batch) else ""
    told = "\0".join((batch, sender, _digits(at), content.strip()))
    return Reply(
        provider=Every8d.key,
        key=sha256(told.encode("utf-8", "surrogatepass")).hexdigest()[:32],
        sender=sender,
        text=content,
        provider_time=at or None,
        provider_ref=batch or None,
    )


def _digits(at: str) -> str:
    """Both `20100320032750` and `2010/3/20 03:27:50` as section 3.2 prints it: its parts have two digits or one."""
    return "".join(part.zfill(2) for part in re.findall("[0-9]+", at))


def _told(callback: Callback) -> dict[str, str]:
    """The parameters we know, by their names in lower case; empty where nothing was said at all."""
    told: dict[str, str] = {}
    for name, value in callback.pairs():
        known = name.lower()
        if known in _TOLD and told.setdefault(known, value) != value:
            raise ValueError(f"{name} twice")
    if not told and not callback.is_probe:
        raise LookupError("STATUS")
    if told:
        told["status"] = told["status"].strip()
    return told
