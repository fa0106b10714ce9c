"""TwSMS (台灣簡訊): a form in, a small JSON object out, one recipient per call, and receipts to a URL per message.

Sections are those of the vendor's "TwSMS API 介面協定說明 4.0 JSON 版 (20211130)".
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import NoReturn
from urllib.parse import unquote

from smsgate import text
from smsgate.clock import MINUTE, due
from smsgate.messages import Dispatch, Message, Reply, Report, TooLong
from smsgate.numbers import from_dialled, is_taiwan, taiwan_national
from smsgate.outcomes import Accepted, MaybeSent, NotSent, Outcome, Refused
from smsgate.providers.base import (
    UNREADABLE,
    Ask,
    Cancels,
    CannotSay,
    Capabilities,
    Measure,
    PollsReplies,
    Provider,
    Queries,
    ReadsReceipts,
    Refusal,
    TellsCredit,
    ask,
    refuse,
    secret_text,
    submit,
    takes,
)
from smsgate.reasons import SUSPENDING, Code, Reason, quoted
from smsgate.status import Status
from smsgate.urls import base_url
from smsgate.wire import Callback, HttpExchange, HttpRequest, HttpResponse, Pairs

DONE = "00000"
NO_STATUS_YET = "00001"
NOT_FOUND = "00300"
NOT_DUE_YET = "00310"
NO_REPLIES = "00410"
SEND_AGAIN = "99998"
NOBODY_KNOWS = "99999"

# Section 6, "code / text 說明", in the vendor's order and words. None: no error, but news of something that exists.
CODES: Mapping[str, Code | None] = {
    DONE: None,  # 完成
    NO_STATUS_YET: None,  # 狀態尚未回復
    "00010": Code.BAD_CREDENTIALS,  # 帳號或密碼格式錯誤; the real server says this of an unknown account as well
    "00011": Code.BAD_CREDENTIALS,  # 帳號錯誤
    "00012": Code.BAD_CREDENTIALS,  # 密碼錯誤
    "00020": Code.CREDIT_EXHAUSTED,  # 通數不足
    "00030": Code.IP_NOT_ALLOWED,  # IP 無使用權限
    "00031": Code.COUNTRY_NOT_ENABLED,  # 限制發送國際門號
    "00040": Code.ACCOUNT_DISABLED,  # 帳號已停用
    "00041": Code.ACCOUNT_DISABLED,  # API 未啟用(請登入平台後至帳號設定內的 API 設定中啟用)
    "00050": Code.SCHEDULE_INVALID,  # sendtime 格式錯誤
    "00060": Code.INVALID_REQUEST,  # expirytime 格式錯誤
    "00100": Code.INVALID_NUMBER,  # 手機號碼格式錯誤
    "00110": Code.EMPTY_TEXT,  # 沒有簡訊內容
    "00120": Code.TOO_LONG,  # 長簡訊不支援國際門號
    "00130": Code.TOO_LONG,  # 簡訊內容超過長度
    # The receipt URL is ours; whatever TwSMS has against it is no fault of the publisher's.
    "00140": Code.PROVIDER_ERROR,  # drurl 格式錯誤
    "00150": Code.SCHEDULE_INVALID,  # sendtime 預約的時間已經超過
    "00170": Code.PROVIDER_ERROR,  # drurl 帶入的網址無法連線(http code 必須為 200)
    "00180": Code.UNSUPPORTED_CHARACTER,  # 簡訊內容帶有 Emoji 圖形
    NOT_FOUND: Code.PROVIDER_ERROR,  # 找不到 msgid
    NOT_DUE_YET: None,  # 預約尚未送出
    "00400": Code.PROVIDER_ERROR,  # 找不到 snumber 辨識碼
    NO_REPLIES: None,  # 沒有任何 mo 資料
    "00420": Code.PROVIDER_ERROR,  # smsQuery 指定查詢的格式錯誤
    "00430": Code.PROVIDER_ERROR,  # moQuery 指定查詢的格式錯誤
    SEND_AGAIN: Code.PROVIDER_ERROR,  # 資料處理異常，請重新發送
    NOBODY_KNOWS: Code.PROVIDER_ERROR,  # 系統錯誤，請通知系統廠商
}

# Section 6 again: what the document calls wrong with a request (000xx) or with what it holds (001xx). TwSMS has added
# to both over the years (00160 came and went), always as one more way to say no.
_NO = re.compile(r"00[01][0-9]{2}")

# Section 8, "statustext 說明", in the vendor's order and words.
STATUSES: Mapping[str, tuple[Status, Code | None]] = {
    "DELIVRD": (Status.DELIVERED, None),  # 訊息已發送到接收手機
    "EXPIRED": (Status.EXPIRED, Code.EXPIRED),  # 訊息已過了發送的有效時間
    "DELETED": (Status.CANCELED, Code.CANCELED),  # 訊息已被刪除
    "UNDELIV": (Status.UNDELIVERED, Code.UNREACHABLE),  # 訊息無法送達
    "ACCEPTD": (Status.SENT, None),  # 訊息正在接收狀態
    "UNKNOWN": (Status.UNDELIVERED, Code.UNKNOWN),  # 訊息為無效狀態
    "REJECTD": (Status.UNDELIVERED, Code.PROVIDER_ERROR),  # 訊息發送被拒絕
    "SYNTAXE": (Status.UNDELIVERED, Code.PROVIDER_ERROR),  # 訊息發送失敗
    "MOBERROR": (Status.UNDELIVERED, Code.INVALID_NUMBER),  # 電話號碼錯誤
    "MSGERROR": (Status.UNDELIVERED, Code.CONTENT_REFUSED),  # 訊息內容錯誤
    "OTERROR": (Status.UNDELIVERED, Code.PROVIDER_ERROR),  # 系統錯誤
    "OTHERROR": (Status.UNDELIVERED, Code.PROVIDER_ERROR),  # the same, as the vendor's other documents spell it
    "REJERROR": (Status.UNDELIVERED, Code.CONTENT_REFUSED),  # 被關鍵字過濾系統擋掉的簡訊
    "REJMOBIL": (Status.UNDELIVERED, Code.BLOCKED_BY_RECIPIENT),  # 門號使用者有申請檔廣告簡訊服務
}
_FAILED = "-1"  # section 7, statuscode: "0 = 成功 -1 = 失敗"

# Section 3, message: "中文最長 70 個字", "每 67 個字扣 1 點數"; "英文最長 160 個字", "每 153 個字扣 1 點數".
_CHINESE = (70, 67)
_ENGLISH = (160, 153)
_MOST_PARTS = 5  # "中文最長 335 個字", "英文最長 765 個字"
_POINTS_AT_HOME = 1  # "台灣門號每則扣 1 通,國際門號每則扣 3 通"
_POINTS_ABROAD = 3

_SHORTEST_VALIDITY, _LONGEST_VALIDITY = 300, 28800  # section 3, expirytime: "範圍：300~28800 秒"
_RECENT = timedelta(days=3)  # section 4, outrange: "查詢超過三天以上的紀錄"

# Section 5 knows no pages: one answer holds all that was said to a number in a day, each Chinese character of it as six
# bytes. There is room for ten thousand long ones here.
_LONGEST_DAY = 8 * 1024 * 1024

_CODE = re.compile(r"[0-9]{5}")
_REFERENCE = re.compile(r"[0-9]{1,20}")  # section 7 says 8 to 11 digits; one more must not turn a success into a doubt
_SEQUENCE = re.compile(r"[0-9A-Za-z_-]{1,64}")  # six digits in the sample; it is part of a key of the ledger
_TWO_WAY_NUMBER = re.compile(r"[0-9]{5}")  # section 5, snumber: "雙向門號辨識碼（5 個數字）"


class TwSms(Provider, Queries, Cancels, TellsCredit, PollsReplies, ReadsReceipts):
    key = "twsms"
    name = "TwSMS"
    capabilities = Capabilities(
        transport="http",
        recipients_per_call=1,
        countries=None,
        longest="335 characters with Chinese, 765 in English, in 5 parts; abroad 70 and 160, in one",
        schedule=True,
        validity=True,
        # This document has no parameter that makes one message two-way. A phone answers to the account's own two-way
        # number, however long ago it was texted; the answers are there for whoever asks by that number's snumber
        # (section 5). So any `replies` can be honoured, and nothing is sent for it.
        two_way=True,
        receipts="message",
    )
    unfit = "emoji, which TwSMS refuses"
    asks_per_call = 1

    def __init__(self, account: Mapping[str, object]) -> None:
        self._credentials: Pairs = (
            ("username", secret_text(account, "username")),
            ("password", secret_text(account, "password")),
        )
        self._base_url = base_url(account, "https://api.twsms.com/json/")
        self._reply_numbers = _reply_numbers(account)

    # What a message costs, and whether it can be sent here

    @classmethod
    def measure(cls, message: Message) -> Measure:
        content = message.text or ""
        english = text.is_ascii(content)
        parts = text.parts(text.units(content), *(_ENGLISH if english else _CHINESE))
        rate = _POINTS_AT_HOME if is_taiwan(message.to) else _POINTS_ABROAD
        return Measure(
            parts=parts,
            points=Decimal(parts * rate),
            encoding="ASCII" if english else "Unicode",
            offending=text.emoji(content),  # 00180 簡訊內容帶有 Emoji 圖形
        )

    @classmethod
    def _refusal(cls, message: Message, now: datetime) -> Refusal | None:
        return cls._on_land_in_taiwan(message)

    @classmethod
    def _text_refusal(cls, message: Message, measure: Measure) -> Refusal | None:
        if measure.parts > 1 and not is_taiwan(message.to):
            # Section 2.5: "長簡訊不支援國際門號".
            problem = f"{takes(measure)}, and TwSMS sends long messages to Taiwan only: shorten it to one"
            return refuse(Code.TOO_LONG, problem)
        if measure.parts > _MOST_PARTS:
            return refuse(Code.TOO_LONG, f"{takes(measure)}, and TwSMS sends at most {_MOST_PARTS}: shorten it")
        return None

    # Sending

    def send(self, dispatch: Dispatch, exchange: HttpExchange) -> tuple[Outcome, ...]:
        (message,) = dispatch.messages
        return (self._send_one(message, dispatch.receipt_url or "", dispatch.now, exchange),)

    def _send_one(self, message: Message, receipt_url: str, now: datetime, exchange: HttpExchange) -> Outcome:
        if message.reply_days is not None and not self._reply_numbers:
            # Only the account knows: without a number to ask by, every answer would be lost without a trace.
            return Refused(Reason(Code.UNSUPPORTED_FEATURE, provider_text="the account has no reply_numbers"))
        return submit(exchange, self._request("sms_send.php", _send_fields(message, receipt_url, now)), _read_sent)

    def _request(self, page: str, fields: Pairs, longest_answer: int | None = None) -> HttpRequest:
        # POST, although every sample is a GET: a password in a URL is a password in somebody's log.
        return HttpRequest("POST", self._base_url + page, (*self._credentials, *fields), longest_answer)

    # Asking

    def query(self, asks: Sequence[Ask], now: datetime, exchange: HttpExchange) -> list[Report]:
        reports = (self._query_one(each, now, exchange) for each in asks)
        return [report for report in reports if report is not None]

    def _query_one(self, asked: Ask, now: datetime, exchange: HttpExchange) -> Report | None:
        # "查詢較慢,謹慎使用": only for what cannot be found otherwise.
        old: Pairs = (("outrange", "Y"),) if now - asked.submitted_at > _RECENT else ()
        request = self._request("sms_query.php", (*_which(asked), *old))
        return ask(exchange, request, lambda response: _read_status(response, asked))

    def cancel(self, asked: Ask, exchange: HttpExchange) -> Decimal | Refusal | None:
        # The document prints `delttime`; the vendor's XML document and working clients say `deltime`.
        fields = (*_which(asked), ("delttime", "Y"), ("deltime", "Y"))
        return ask(exchange, self._request("sms_query.php", fields), _read_canceled)

    def credit(self, exchange: HttpExchange) -> Decimal:
        return ask(exchange, self._request("sms_query.php", (("checkpoint", "Y"),)), _read_credit)

    def replies_of(self, day: date, exchange: HttpExchange) -> Iterator[Reply]:
        silence: CannotSay | None = None
        for number in self._reply_numbers:
            request = self._request("smsmo_query.php", (("snumber", number), ("sdate", day.isoformat())), _LONGEST_DAY)
            try:
                entries = ask(exchange, request, _read_replies)
            except CannotSay as said:
                silence = said
                if said.reason.code in SUSPENDING:
                    break  # The next number would meet the same, and a wrong password is not tried again.
                continue  # One number's trouble keeps nobody from the answers to the others.
            for entry in entries:
                try:
                    yield _reply(number, entry)
                except UNREADABLE as error:
                    silence = CannotSay(
                        Reason(Code.PROVIDER_ERROR, provider_text=f"unreadable reply ({type(error).__name__})")
                    )
        if silence is not None:
            raise silence

    # Receipts

    @classmethod
    def read_receipts(cls, callback: Callback) -> list[Report]:
        """Section 4.1: `smsresp` is JSON, "urlencode 後帶入 smsresp 變數中並以 GET 方式回傳"."""
        if callback.is_probe:
            return []  # Section 3, drurl: "此參數所帶入的網址將自動檢測是否 http code = 200".
        told = [value for name, value in callback.pairs() if name == "smsresp"]
        if not told:
            raise LookupError("smsresp")
        message_id = callback.path.strip("/") or None
        return [_receipt(_object(_decoded(value)), message_id) for value in told]


# Into the vendor's form


def _mobile(number: str) -> str:
    """Section 3: "09xxxxxxx(台灣門號) or 國碼+門號 (國際門號)"."""
    return taiwan_national(number) if is_taiwan(number) else number.removeprefix("+")


def _which(asked: Ask) -> Pairs:
    return (("mobile", _mobile(asked.to)), ("msgid", asked.provider_ref))


def _send_fields(message: Message, receipt_url: str, now: datetime) -> Pairs:
    """Section 3, in the order of its table; what has no value is left out."""
    due_at = due(message.send_at, now, MINUTE)
    fields = (
        ("sendtime", due_at.strftime("%Y%m%d%H%M") if due_at else ""),
        ("expirytime", _expirytime(message, now)),
        ("mobile", _mobile(message.to)),
        ("message", text.normalized(message.text or "")),  # section 2.6: "換行請使用 \n (ASCII CODE 10)"
        ("drurl", receipt_url),
        # Else TwSMS calls the URL first, and while we are down it refuses the message (00170).
        ("drurl_check", "N" if receipt_url else ""),
        ("lmsg", "N" if message.too_long is TooLong.REJECT else ""),
    )
    return tuple((name, value) for name, value in fields if value or name == "message")


def _expirytime(message: Message, now: datetime) -> str:
    """Seconds the message may still take, within what TwSMS accepts.

    Below 300 it would be refused (00060), though it was in time here: a few minutes more are the smaller harm.
    Above 28800, eight hours, it would be refused as well; that is the longest any message is tried.
    """
    if message.valid_for is None:
        return ""
    left = message.valid_for - (now - message.accepted_at) // timedelta(seconds=1)
    return str(min(max(left, _SHORTEST_VALIDITY), _LONGEST_VALIDITY))


def _reply_numbers(account: Mapping[str, object]) -> tuple[str, ...]:
    numbers = account.get("reply_numbers") or []
    if not isinstance(numbers, list) or not all(
        isinstance(number, str) and _TWO_WAY_NUMBER.fullmatch(number) for number in numbers
    ):
        raise ValueError("the secret's reply_numbers must be a list of strings of five digits each")
    return tuple(dict.fromkeys(numbers))


# Out of the vendor's answers


def _object(written: str) -> dict[str, object]:
    found = json.loads(written, parse_float=Decimal, parse_constant=_refuse_constant)
    if not isinstance(found, dict):
        raise TypeError("not a JSON object")
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _answer(response: HttpResponse) -> tuple[str, dict[str, object]]:
    """The code, and all of the answer. The content type is text/html whatever it holds, so nobody looks at it."""
    answer = _object(response.text())
    code = answer["code"]
    if not isinstance(code, str) or not _CODE.fullmatch(code):
        raise ValueError("no code of five digits")
    return code, answer


def _word(answer: Mapping[str, object], name: str) -> str:
    """A field that is a string in some answers and a number in others; empty where it is missing."""
    value = answer.get(name)
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    return text.whole(str(value)).strip()


def _reason(code: str, answer: Mapping[str, object]) -> Reason:
    said = _word(answer, "text")
    return Reason(CODES.get(code) or Code.UNKNOWN, provider_code=code, provider_text=quoted(said) if said else None)


def _reference(answer: Mapping[str, object]) -> str | None:
    """`msgid` is a number in answers and a string in callbacks. Zero is what PHP makes of nothing."""
    found = _word(answer, "msgid")
    return found if _REFERENCE.fullmatch(found) and int(found) else None


def _read_sent(response: HttpResponse) -> Outcome:
    code, answer = _answer(response)
    if code == DONE:
        reference = _reference(answer)
        if reference is None:
            return MaybeSent(Reason(Code.NO_REPLY, provider_code=code, provider_text="success without a msgid"))
        return Accepted(reference)
    reason = _reason(code, answer)
    if code == SEND_AGAIN:
        return NotSent(reason)
    if code == NOBODY_KNOWS:
        return MaybeSent(reason)
    if code in CODES:
        # 00001 and 00310 speak of a message that exists: no answer to a send, and surely none that means no.
        return Refused(reason) if CODES[code] is not None else MaybeSent(reason)
    # A code that is not in the list means no where all its neighbours do. Anywhere else it could as well mean "taken,
    # but": nobody can know, and what may have gone out is never sent again.
    return Refused(reason) if _NO.fullmatch(code) else MaybeSent(reason)


def _read_status(response: HttpResponse, asked: Ask) -> Report | None:
    code, answer = _answer(response)
    if code in (NO_STATUS_YET, NOT_DUE_YET, NOT_FOUND):
        return None
    if code != DONE:
        raise CannotSay(_reason(code, answer))
    if not _word(answer, "statustext"):
        return None  # A success may carry empty status fields: nothing is known yet.
    return _report(answer, provider_ref=asked.provider_ref, to=asked.to)


def _read_canceled(response: HttpResponse) -> Refusal | None:
    """How many points come back is not said; they are seen in the next measurement of the credit."""
    code, answer = _answer(response)
    status = _word(answer, "statustext").upper()
    if code == DONE and status in ("", "DELETED"):
        return None
    if code in (DONE, NO_STATUS_YET):
        # The delete parameter was not understood or came too late: this is an ordinary report on what was sent.
        return _too_late(code, status or "no status yet", "TwSMS has sent it already")
    if code == NOT_FOUND:
        return _too_late(code, "no such msgid", "TwSMS knows no scheduled message of this number and msgid")
    # 00310 "預約尚未送出" is what a mere question brings while the message waits. It confirms nothing, and only a
    # confirmation makes a message canceled.
    raise CannotSay(_reason(code, answer))


def _too_late(code: str, said: str, problem: str) -> Refusal:
    return Refusal(Reason(Code.SCHEDULE_INVALID, provider_code=code, provider_text=quoted(said)), problem)


def _read_credit(response: HttpResponse) -> Decimal:
    """The document does not show this answer. Seen: `{"code":"00000","text":"Success","point":"1234"}`."""
    code, answer = _answer(response)
    if code != DONE:
        raise CannotSay(_reason(code, answer))
    points = answer["point"] if "point" in answer else answer["points"]
    if isinstance(points, bool) or not isinstance(points, str | int | Decimal):
        raise TypeError("point is no number")
    credit = Decimal(points)
    if not credit.is_finite():
        raise ValueError("point is no number")
    return credit


def _read_replies(response: HttpResponse) -> list[object]:
    code, answer = _answer(response)
    if code == NO_REPLIES:
        return []
    if code != DONE:
        raise CannotSay(_reason(code, answer))
    entries = answer["moResp"]
    if not isinstance(entries, list):
        raise TypeError("moResp is no list")
    return entries


def _reply(number: str, entry: object) -> Reply:
    if not isinstance(entry, dict):
        raise TypeError("a reply is no object")
    seq, mobile, content = _word(entry, "seq"), _word(entry, "mobile"), entry["message"]
    if not _SEQUENCE.fullmatch(seq) or not mobile or not isinstance(content, str):
        raise ValueError("a reply without seq, mobile or message")
    return Reply(
        provider=TwSms.key,
        key=f"{number}:{seq}",
        sender=from_dialled(mobile) or mobile,  # What is no telephone number to us is kept as it stands, not lost.
        text=text.whole(content),
        provider_time=_word(entry, "date") or None,
    )


def _report(
    answer: Mapping[str, object],
    *,
    provider_ref: str | None,
    to: str | None,
    message_id: str | None = None,
) -> Report:
    said = _word(answer, "statustext")
    status, code = STATUSES.get(said.upper(), (None, Code.UNKNOWN))
    if status is Status.DELIVERED and _word(answer, "statuscode") == _FAILED:
        status, code = None, Code.UNKNOWN  # Delivered and failed: it cannot be both, so it says neither.
    # What has no status text is kept by the best there is, so that nothing they said is dropped.
    provider_code = quoted(said or _word(answer, "statuscode") or _word(answer, "code"))
    return Report(
        status=status,
        reason=Reason(code, provider_code=provider_code) if code else None,
        provider_code=provider_code,
        # `donetime` in answers, `downtime` in callbacks (sections 4 and 7).
        provider_time=_word(answer, "donetime") or _word(answer, "downtime") or None,
        provider_ref=provider_ref,
        to=to,
        message_id=message_id,
        unwanted=said.upper() == "REJMOBIL",  # The user has applied to the operator for no advertising.
    )


def _receipt(told: Mapping[str, object], message_id: str | None) -> Report:
    reference = _reference(told)
    if reference is None and message_id is None:
        raise LookupError("neither msgid nor a path that names the message")
    mobile = _word(told, "mobile")
    return _report(told, provider_ref=reference, to=from_dialled(mobile) if mobile else None, message_id=message_id)


def _decoded(value: str) -> str:
    """ "收到 smsresp 請記得 urldecode 解碼": decoded once already, and once more where it was encoded twice."""
    return unquote(value) if value.lower().startswith("%7b") else value
