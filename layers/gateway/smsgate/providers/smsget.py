"""SMS-Get (商務簡訊): a form with up to 250 numbers in, three words of JSON out, and callbacks to the account's URLs.

Sections are those of the vendor's "SMS-Get 商務簡訊 API 說明": 一 sending, 二 receipts, 三 two-way messages, 四 their
replies, 五 credit. There is no way to ask about a message, and none to take one back.
"""

from __future__ import annotations

import json
import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from hashlib import sha256
from urllib.parse import unquote_plus

from smsgate import text
from smsgate.clock import MINUTE, due, rounded_up
from smsgate.messages import Dispatch, Message, Reply, Report
from smsgate.numbers import calling_code, is_taiwan, national_digits
from smsgate.outcomes import Accepted, MaybeSent, Outcome, Refused
from smsgate.providers.base import (
    CannotSay,
    Capabilities,
    Measure,
    Provider,
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
from smsgate.reasons import Code, Reason, quoted
from smsgate.status import Status
from smsgate.urls import base_url
from smsgate.wire import Acknowledgement, Callback, HttpExchange, HttpRequest, HttpResponse, Pairs

DONE = "000"

# Sections 一 and 三, error_code, in the vendor's order and words.
CODES: Mapping[str, Code] = {
    "001": Code.INVALID_REQUEST,  # 參數錯誤
    "002": Code.SCHEDULE_INVALID,  # 預約時間參數錯誤
    "003": Code.SCHEDULE_INVALID,  # 預約時間過期
    "004": Code.TOO_LONG,  # 訊息長度過長
    "005": Code.BAD_CREDENTIALS,  # 帳號密碼錯誤
    "006": Code.IP_NOT_ALLOWED,  # IP 無法存取
    # We never send an empty list: nothing that was in it is a number to them.
    "007": Code.INVALID_NUMBER,  # 收件者人數為 0
    "008": Code.INVALID_REQUEST,  # 收件人超過 250 人
    "009": Code.CREDIT_EXHAUSTED,  # 點數不足
    # The account's, yet no reason to leave the account alone: what is not two-way goes out all the same.
    "010": Code.UNSUPPORTED_FEATURE,  # 尚未申請雙向功能
}

# The document shows DELIVRD and lists none: these are all the words of SMPP 3.4, appendix B, which it belongs to.
STATUSES: Mapping[str, tuple[Status, Code | None]] = {
    "DELIVRD": (Status.DELIVERED, None),
    "EXPIRED": (Status.EXPIRED, Code.EXPIRED),
    "DELETED": (Status.CANCELED, Code.CANCELED),
    "UNDELIV": (Status.UNDELIVERED, Code.UNREACHABLE),
    "ACCEPTD": (Status.SENT, None),
    "UNKNOWN": (Status.UNDELIVERED, Code.UNKNOWN),  # "message is in invalid state"
    "REJECTD": (Status.UNDELIVERED, Code.PROVIDER_ERROR),
}
MALFORMED = "malformed row"
"""Stands for the code in the report of a row that is none, which so is counted and never matched."""


@dataclass(frozen=True, slots=True)
class _NumberForm:
    """How SMS-Get writes the numbers of a country: what stands before the national digits, and these."""

    calling_code: str
    prefix: str
    national: str
    points: int | None = None  # a part

    def e164(self, written: str) -> str | None:
        found = re.fullmatch(f"{self.prefix}({self.national})", written)
        return f"+{self.calling_code}{found[1]}" if found else None


# Section 一, phone: its samples, and how many digits they have. Section 一, sms_msg: "台灣、香港門號每則扣一點",
# "中國大陸門號每則扣二點"; of the others the document says that they are reached, and no price.
NUMBER_FORMS: Mapping[str, _NumberForm] = {
    "TW": _NumberForm("886", "0", "9[0-9]{8}", points=1),  # 0912345XXX(共 10 碼)
    # Without a country code, so only mobile numbers: those on land may begin like somebody else's country code.
    "CN": _NumberForm("86", "", "1[0-9]{10}", points=2),  # 135XXXXX123(共 11 碼)
    "HK": _NumberForm("852", "", "[0-9]{8}", points=1),  # 54XXX123(共8碼)
    "MO": _NumberForm("853", "853", "[0-9]{8}"),  # 85366XXX123(共 11 碼)
    "JP": _NumberForm("81", "81", "[0-9]{10}"),  # 8190XXXXX123(共 12 碼)
    "MY": _NumberForm("60", "60", "[0-9]{9,10}"),  # 6012XXXX123(共 11 或 12 碼)
    "VN": _NumberForm("84", "84", "[0-9]{9,10}"),  # 8412XXXX123(共 11 或 12 碼)
    "ID": _NumberForm("62", "62", "[0-9]{10,11}"),  # 628123XXX123(共 12 或 13 碼)
    "TH": _NumberForm("66", "66", "[0-9]{9}"),  # 668123XX123(共 11 碼)
    "AU": _NumberForm("61", "61", "[0-9]{9}"),  # 614123XX123(共 11 碼)
    "SG": _NumberForm("65", "65", "[0-9]{8}"),  # 658123X123(共 10 碼)
    "PH": _NumberForm("63", "63", "[0-9]{10}"),  # 6397XXXXX123(共 12 碼)
    "AE": _NumberForm("971", "971", "[0-9]{9}"),  # 9715XXXXX123(共 12 碼)
    "KH": _NumberForm("855", "855", "[0-9]{8,9}"),  # 8551XXXX123(共 11 碼或 12 碼)
    "US": _NumberForm("1", "001", "[0-9]{10}"),  # 001123XXXX123(共 13 碼)
    "KR": _NumberForm("82", "82", "1[0-9]{8,9}"),  # 82112XXXX123(共 11 或 12 碼); "國際碼 ... 821"
}

_BY_CALLING_CODE = {form.calling_code: form for form in NUMBER_FORMS.values()}

# Nobody says what the other thirteen countries cost: reckoned at the dearest rate there is, and corrected by the
# points that the answer states.
_POINTS_NOT_DOCUMENTED = 2
_POINTS_TWO_WAY = 2  # a part, as its customers know it; section 三 repeats the prices of section 一

# Section 一, sms_msg: "純英文 160 個字內算一則", "超過 160 字,每 153 字算一則"; "中英文 70 個字內算一則",
# "超過 70 字,每 67 算一則".
_ENGLISH = (160, 153)
_CHINESE = (70, 67)
# 004 訊息長度過長, and nowhere how long that is. Taiwan's other vendors stop at five parts (330 to 335 characters with
# Chinese). Beyond that a text had better go another way at once than be refused here, which would be the end of it.
_MOST_PARTS = 5

_CODE = re.compile(r"[0-9A-Za-z]{1,8}")
_REFERENCE = re.compile(r"(?!0+$)[0-9A-Za-z-]{1,40}")  # 20 characters by the document, without saying which; 0 is none
_POINTS = re.compile(r"-?[0-9]{1,15}(?:\.[0-9]{1,6})?")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}")
# "簡訊接收者回傳時,請務必加上您的雙向簡訊代碼 03", and what people put between it and what they have to say.
_REPLY_CODE = re.compile(r"[0-9]{2}")
_CODE_AND_SPACE = re.compile(rf"{_REPLY_CODE.pattern}\s*")
# A text is URL-encoded, so a comma ends its row; before anything that is no row it was a comma of the text after all.
_NEXT_REPLY = re.compile(r",(?=[^,|]*\|[^,|]*\|[^,|]*\|)")


class SmsGet(Provider, TellsCredit, ReadsReceipts, ReadsReplies):
    key = "smsget"
    name = "SMS-Get"
    capabilities = Capabilities(
        transport="http",
        recipients_per_call=250,  # 008 收件人超過 250 人
        countries=frozenset(NUMBER_FORMS),
        longest="335 characters with Chinese, 765 in English, in 5 parts",
        schedule=True,
        two_way=True,
        receipts="account",
    )
    unfit = "emoji, which SMS-Get does not carry"

    def __init__(self, account: Mapping[str, object]) -> None:
        self._credentials: Pairs = (
            ("username", secret_text(account, "username")),
            ("password", secret_text(account, "password")),
        )
        # The document says http; the same host answers on https.
        self._base_url = base_url(account, "https://sms-get.com/")
        self._takes_replies = _has_reply_code(account)

    # What a message costs, and whether it can be sent here

    @classmethod
    def measure(cls, message: Message) -> Measure:
        content = message.text or ""
        english = text.is_ascii(content)
        parts = text.parts(text.units(content), *(_ENGLISH if english else _CHINESE))
        return Measure(
            parts=parts,
            points=Decimal(parts * _points_a_part(message)),
            encoding="ASCII" if english else "Unicode",
            offending=text.emoji(content),
        )

    @classmethod
    def _refusal(cls, message: Message, now: datetime) -> Refusal | None:
        if _written(message.to) is None:
            return refuse(Code.INVALID_NUMBER, "`to` has not the form SMS-Get documents for mobile numbers: correct it")
        if message.reply_days is not None and not is_taiwan(message.to):
            # Section 三: "雙向簡訊僅台灣手機門號可送達".
            return refuse(
                Code.UNSUPPORTED_FEATURE, "SMS-Get takes answers from Taiwan only: leave `replies` out for other `to`"
            )
        return None

    @classmethod
    def _text_refusal(cls, message: Message, measure: Measure) -> Refusal | None:
        if measure.parts > _MOST_PARTS:
            problem = f"{takes(measure)}, and more than {_MOST_PARTS} are not sent by SMS-Get: shorten it"
            return refuse(Code.TOO_LONG, problem)
        return None

    @classmethod
    def group(cls, message: Message) -> Hashable:
        """All that one form says for all of its numbers. Countries may be mixed: "09XX123XXX, 135xxx12xxx"."""
        minute = None if message.send_at is None else rounded_up(message.send_at, MINUTE)
        return text.normalized(message.text or ""), minute, message.reply_days is not None

    # Sending

    def send(self, dispatch: Dispatch, exchange: HttpExchange) -> tuple[Outcome, ...]:
        messages = dispatch.messages
        two_way = messages[0].reply_days is not None
        if two_way and not self._takes_replies:
            # Only the account knows: what people answer without its code never arrives.
            why = Reason(Code.UNSUPPORTED_FEATURE, provider_text="the account has no reply_code")
            return (Refused(why),) * len(messages)
        page = "api_send_twoway.php" if two_way else "api_send.php"
        outcome = submit(exchange, self._request(page, _send_fields(messages, dispatch.now)), _read_sent)
        if not isinstance(outcome, Accepted):
            return (outcome,) * len(messages)
        return tuple(replace(outcome, points=points) for points in _shared(outcome.points, messages))

    def _request(self, page: str, fields: Pairs = ()) -> HttpRequest:
        # POST: 250 numbers need it, and a password in a URL is a password in somebody's log.
        return HttpRequest("POST", self._base_url + page, (*self._credentials, *fields))

    # Asking

    def credit(self, exchange: HttpExchange) -> Decimal:
        return ask(exchange, self._request("api_query_credit.php"), _read_credit)

    # Receipts

    @classmethod
    def read_receipts(cls, callback: Callback) -> list[Report]:
        """Section 二: `sms_id` of the call, and in `content` a row for each of its recipients."""
        if callback.is_probe:
            return []
        fields = _fields(callback)
        reference, content = fields["sms_id"].strip(), fields["content"]
        if not _REFERENCE.fullmatch(reference):
            raise ValueError("sms_id")
        reports = [_report(reference, row) for row in content.split(",") if row.strip()]
        if all(report.provider_code == MALFORMED for report in reports):
            raise ValueError("content")
        return reports

    @classmethod
    def acknowledge(cls, callback: Callback) -> Acknowledgement:
        """ "您接收的 URL 僅需要回應"ok"字串即可"."""
        return Acknowledgement("ok")

    # Replies

    @classmethod
    def read_replies(cls, callback: Callback) -> list[Reply]:
        """Section 四: `content` is a row of number, recognition id, time and text."""
        if callback.is_probe:
            return []
        fields = _fields(callback)
        if "sms_id" in fields:
            # The URLs were mixed up on the account's page. Taken for a reply, a receipt would say DELIVRD for somebody.
            raise ValueError("a receipt")
        return [_reply(row) for row in _NEXT_REPLY.split(fields["content"])]

    @classmethod
    def acknowledge_reply(cls, callback: Callback) -> Acknowledgement:
        return Acknowledgement("ok")


# Into the vendor's form


def _written(number: str) -> str | None:
    """As section 一 writes the numbers of its country, or None where they have not this form."""
    form = _BY_CALLING_CODE.get(calling_code(number))
    if form is None:
        return None
    written = form.prefix + national_digits(number)
    return written if form.e164(written) == number else None


def _points_a_part(message: Message) -> int:
    if message.reply_days is not None:
        return _POINTS_TWO_WAY
    form = _BY_CALLING_CODE.get(calling_code(message.to))
    return form.points if form is not None and form.points is not None else _POINTS_NOT_DOCUMENTED


def _send_fields(messages: Sequence[Message], now: datetime) -> Pairs:
    """Section 一, in the order of its table; what has no value is left out."""
    latest = max((message.send_at for message in messages if message.send_at is not None), default=None)
    due_at = due(latest, now, MINUTE)
    schedule: Pairs = ()
    if due_at is not None:
        schedule = (
            ("send_date", due_at.strftime("%Y/%m/%d")),
            ("hour", due_at.strftime("%H")),
            ("min", due_at.strftime("%M")),
        )
    return (
        ("method", "1" if due_at is None else "2"),
        ("sms_msg", text.normalized(messages[0].text or "")),
        ("phone", ",".join(_written(message.to) or "" for message in messages)),
        *schedule,
    )


def _has_reply_code(account: Mapping[str, object]) -> bool:
    """Reading replies knows no account and relies on a code of two digits, so that is what the account must have."""
    code = account.get("reply_code")
    if code in (None, ""):
        return False
    if not isinstance(code, str) or not _REPLY_CODE.fullmatch(code):
        raise ValueError("the secret's reply_code must be a string of two digits")
    return True


# Out of the vendor's answers


def _answer(response: HttpResponse) -> tuple[bool, str, str]:
    """`stats`, `error_code` and `error_msg`. The content type is text/html whatever it holds, so nobody looks at it."""
    answer = json.loads(response.text())
    if not isinstance(answer, dict):
        raise TypeError("not a JSON object")
    stats, code, words = answer["stats"], answer["error_code"], answer.get("error_msg", "")
    if isinstance(stats, str):
        stats = {"true": True, "false": False}[stats.lower()]
    if not isinstance(stats, bool) or not isinstance(code, str) or not _CODE.fullmatch(code):
        raise TypeError("no stats or no error_code")
    return stats, code, words if isinstance(words, str) else ""


def _reason(code: str, words: str) -> Reason:
    said = quoted(text.whole(words))
    return Reason(CODES.get(code, Code.UNKNOWN), provider_code=code, provider_text=said or None)


def _read_sent(response: HttpResponse) -> Outcome:
    """Success is `id|points used|points left`, for all numbers of the call together."""
    done, code, words = _answer(response)
    if done != (code == DONE):
        # Sent and an error, or not sent and none: it cannot be both, so it says neither.
        return MaybeSent(Reason(Code.UNKNOWN, provider_code=code, provider_text="stats and error_code contradict"))
    if not done:
        # A code that is not in the list as well: `stats` says what the list need not, "發送成功或失敗".
        return Refused(_reason(code, words))
    told = [field.strip() for field in words.split("|")]
    if len(told) < 3 or not _REFERENCE.fullmatch(told[0]):
        return MaybeSent(Reason(Code.NO_REPLY, provider_code=code, provider_text="success without a usable id"))
    return Accepted(told[0], points=_points(told[1]), credit=_points(told[2]))


def _points(written: str) -> Decimal | None:
    return Decimal(written) if _POINTS.fullmatch(written) else None


def _shared(used: Decimal | None, messages: Sequence[Message]) -> list[Decimal | None]:
    """What each message of a call took of the points that all of them took, where that can be told."""
    measured = [SmsGet.measure(message).points for message in messages]
    if used is not None and sum(measured) != used:
        even = len(set(measured)) == 1 and used % len(messages) == 0
        return [used / len(messages) if even else None] * len(messages)
    return [points if used is not None else None for points in measured]


def _read_credit(response: HttpResponse) -> Decimal:
    """Section 五: `account|points left`."""
    done, code, words = _answer(response)
    if not done or code != DONE:
        raise CannotSay(_reason(code, words))
    _, _, left = words.rpartition("|")
    points = _points(left.strip())
    if points is None:
        raise ValueError("no points")
    return points


# Out of callbacks


def _fields(callback: Callback) -> dict[str, str]:
    """ "我們將以 POST 方式傳送", and the document shows it as a query. The last of two of a name counts, as in PHP."""
    if callback.content_type.lower().startswith("multipart/form-data"):
        return {**dict(replace(callback, body=b"").pairs()), **_multipart(callback)}
    return dict(callback.pairs())


def _multipart(callback: Callback) -> dict[str, str]:
    """What PHP's curl makes of a form that it is given as an array."""
    from email import message_from_bytes

    head = b"Content-Type: " + callback.content_type.encode("ascii", "replace") + b"\r\n\r\n"
    fields = {}
    for part in message_from_bytes(head + callback.body).walk():
        name, value = part.get_param("name", header="content-disposition"), part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(value, bytes):
            fields[name] = value.decode()
    return fields


def _report(reference: str, row: str) -> Report:
    """ "電話號碼 簡訊辨識 ID 電信商回報時間 回報狀態", with | between. A row that is none keeps no other back."""
    columns = [column.strip() for column in row.split("|")]
    if len(columns) < 4 or not columns[0] or not columns[3]:
        return Report(None, Reason(Code.UNKNOWN, MALFORMED), MALFORMED, provider_ref=reference)
    number, _, time, said = columns[:4]
    status, code = STATUSES.get(said.upper(), (None, Code.UNKNOWN))
    provider_code = quoted(said)
    return Report(
        status=status,
        reason=Reason(code, provider_code=provider_code) if code else None,
        provider_code=provider_code,
        # Reports of a message are put into order by it: what is no time must not become the latest.
        provider_time=time if _TIME.fullmatch(time) else None,
        provider_ref=reference,
        to=_e164(number),
    )


def _reply(row: str) -> Reply:
    """The recognition id is none that sending ever told us, so it is the number that finds the message."""
    number, recognition, time, encoded = (column.strip() for column in row.split("|", 3))
    if not number:
        raise ValueError("a reply without a number")
    said = unquote_plus(encoded)
    code = _CODE_AND_SPACE.match(said)
    return Reply(
        provider=SmsGet.key,
        key=sha256(f"{number}\n{recognition}\n{time}\n{said}".encode()).hexdigest()[:32],
        sender=_e164(number) or number,  # What is no telephone number to us is kept as it stands, not lost.
        text=said[code.end() :] if code else said,
        provider_time=time or None,
    )


def _e164(written: str) -> str | None:
    """No number has two of the forms. Of those written without a country code, one with it is understood as well."""
    digits = re.sub(r"[ +-]", "", written)
    for form in NUMBER_FORMS.values():
        number = form.e164(digits)
        if number is not None:
            return number
    for form in (NUMBER_FORMS["TW"], NUMBER_FORMS["CN"], NUMBER_FORMS["HK"]):
        if re.fullmatch(form.calling_code + form.national, digits):
            return f"+{digits}"
    return None
