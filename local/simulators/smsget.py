"""SMS-Get, pretended: a second reading of "SMS-Get 商務簡訊 API 說明", strict where it is clear.

Where the document is silent, the real server's ways are followed as far as they are known: | between the fields, two
points for a two-way message, no emoji, everything as text/html. The two callback URLs are set on the account's page,
so here they are attributes.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from itertools import count
from urllib.parse import parse_qsl, quote_plus, urlencode

from local.simulators.base import Call, HttpAnswer, HttpCall, HttpSimulator, Says, Step, Submission

TAIPEI = timezone(timedelta(hours=8))

# Sections 一, 三 and 五.
TEXTS = {
    "001": "參數錯誤",
    "002": "預約時間參數錯誤",
    "003": "預約時間過期",
    "004": "訊息長度過長",
    "005": "帳號密碼錯誤",
    "006": "IP 無法存取",
    "007": "收件者人數為 0",
    "008": "收件人超過 250 人",
    "009": "點數不足",
    "010": "尚未申請雙向功能",
}

# Section 一: how a number of each country looks, and the digits of it that are not in E.164 or are in it only.
_NUMBERS = (
    ("台灣", r"09\d{8}", "0", "+886"),
    ("大陸", r"1\d{10}", "", "+86"),
    ("香港", r"\d{8}", "", "+852"),
    ("澳門", r"853\d{8}", "", "+"),
    ("日本", r"81\d{10}", "", "+"),
    ("馬來西亞", r"60\d{9,10}", "", "+"),
    ("越南", r"84\d{9,10}", "", "+"),
    ("印尼", r"62\d{10,11}", "", "+"),
    ("泰國", r"66\d{9}", "", "+"),
    ("澳洲", r"61\d{9}", "", "+"),
    ("新加坡", r"65\d{8}", "", "+"),
    ("菲律賓", r"63\d{10}", "", "+"),
    ("阿拉伯聯合大公國", r"971\d{9}", "", "+"),
    ("柬埔寨", r"855\d{8,9}", "", "+"),
    ("美國", r"001\d{10}", "00", "+"),
    ("韓國", r"821\d{8,9}", "", "+"),
)
_POINTS = {"台灣": 1, "香港": 1, "大陸": 2}
_POINTS_ELSEWHERE = 3  # documented nowhere
_POINTS_TWO_WAY = 2
_LONGEST = (765, 335)  # documented nowhere: five parts, in English and with Chinese
_MOST_RECIPIENTS = 250

# Pictures above U+1F000, flags, keycaps, and the symbols phones draw as pictures or are told to draw so.
_EMOJI = re.compile(
    "[\U0001f300-\U0001f53d\U0001f546-\U0001f64f\U0001f680-\U0001f6ff\U0001f1e6-\U0001f1ff"
    "\U0001f90c-\U0001f93a\U0001f93c-\U0001f945\U0001f947-\U0001f9ff\U0001fa70-\U0001faff"
    "\u231a\u231b\u23e9-\u23ec\u23f0\u23f3\u2614\u2615\u26a1\u26bd\u26be\u2705\u270a\u270b\u2728\u274c\u2753\u2757"
    "\u2b50\u2b55]|[#*0-9\u00a9\u00ae\u203c-\u3299]\ufe0f|[#*0-9]\u20e3"
)


@dataclass(frozen=True, slots=True)
class _Number:
    """A recipient, as it was written and as the world knows it."""

    written: str
    e164: str
    country: str


@dataclass(slots=True)
class _Recipient:
    taken: Submission
    number: _Number
    item_id: str  # 簡訊辨識 ID
    shown: bool = False


class SmsGet(HttpSimulator):
    key = "smsget"
    delivered = "DELIVRD"

    def __init__(self) -> None:
        super().__init__()
        self.username = f"{self.key}-user"
        self.password = f"{self.key}-password"
        self.credit = 1_000_000
        self.two_way = True
        self.reply_code = "03"
        self.address_allowed = True
        self.receipt_url = ""
        self.reply_url = ""
        self._item_ids: dict[str, str] = {}  # of the last message on each phone
        self._sms_ids = count(5_837_201)
        self._items = count(0x59C4E123)  # the document's own sample

    def secret(self) -> dict[str, object]:
        return {
            "username": self.username,
            "password": self.password,
            "base_url": self.root,
            "allow_http": True,
            "reply_code": self.reply_code,
        }

    def reply(self, phone: str, text: str, code: str | None = None) -> None:
        """Typed as the account's users are told to: with its code before the text. With another one it never comes."""
        typed_code = self.reply_code if code is None else code
        if not self.reply_url or typed_code != self.reply_code:
            return
        number = _number_of(phone)
        written = number.written if number else phone.removeprefix("+")
        with self._lock:
            item_id = self._item_ids.get(phone) or self._next_item_id()
        # "回覆內容為 UTF-8 格式,且經過 URL ENCODE": so once before the form is encoded, and once with it.
        row = "|".join((written, item_id, _stamp(self.now()), quote_plus(f"{typed_code}{text}")))
        self._call_back(self.reply_url, urlencode({"content": row}).encode())

    @staticmethod
    def says(code: str, *, carried_out: bool = False) -> Says:
        """An answer to script: this code, with the document's words."""
        return Says(_json(code, TEXTS.get(code, "")), carried_out=carried_out)

    def operation(self, call: HttpCall) -> str:
        pages = {"/api_send.php": "send", "/api_send_twoway.php": "send", "/api_query_credit.php": "credit"}
        return pages.get(call.path, "unknown")

    def answer(self, call: HttpCall) -> HttpAnswer:
        operation = self.operation(call)
        if operation == "unknown":
            return HttpAnswer(b"<html><body><h1>404 Not Found</h1></body></html>", status=404)
        fields = _fields(call)
        with self._lock:
            self.calls.append(Call(self.now(), operation, fields))
        code = self._account_trouble(fields)
        if code is not None:
            return _refusal(code)
        if operation == "credit":
            return HttpAnswer(_json("000", f"{self.username}|{self.credit}"))
        return self._send(fields, two_way=call.path.endswith("twoway.php"))

    # Who calls

    def _account_trouble(self, fields: Mapping[str, str]) -> str | None:
        if not fields.get("username") or not fields.get("password"):
            return "001"
        if (fields["username"], fields["password"]) != (self.username, self.password):
            return "005"
        return None if self.address_allowed else "006"

    # Sections 一 and 三

    def _send(self, fields: Mapping[str, str], *, two_way: bool) -> HttpAnswer:
        numbers = [_number(written) for written in fields.get("phone", "").split(",") if written]
        code = self._trouble(fields, numbers, two_way=two_way)
        if code is not None:
            return _refusal(code)
        recipients = [number for number in numbers if number is not None]
        prices = [_parts(fields["sms_msg"]) * _price(number, two_way=two_way) for number in recipients]
        with self._lock:
            if sum(prices) > self.credit:
                return _refusal("009")
            self.credit -= sum(prices)
            sms_id = str(next(self._sms_ids))
            due = _moment(fields) if fields["method"] == "2" else None
            taken = [
                self._take(fields, sms_id, number, price, due) for number, price in zip(recipients, prices, strict=True)
            ]
            left = self.credit
        start = due or taken[0].taken.at
        self._at(start, lambda: self._deliver(taken, start))
        return HttpAnswer(_json("000", f"{sms_id}|{sum(prices)}|{left}"))

    def _take(
        self, fields: Mapping[str, str], sms_id: str, number: _Number, points: int, due: datetime | None
    ) -> _Recipient:
        taken = Submission(self.now(), sms_id, number.e164, fields["sms_msg"], points, dict(fields), due)
        recipient = _Recipient(taken, number, self._next_item_id())
        self.accepted.append(taken)
        self._item_ids[number.e164] = recipient.item_id
        return recipient

    def _next_item_id(self) -> str:
        return f"{next(self._items):08x}"

    def _trouble(self, fields: Mapping[str, str], numbers: Sequence[_Number | None], *, two_way: bool) -> str | None:
        if two_way and not self.two_way:
            return "010"
        if not numbers:
            return "007"
        if len(numbers) > _MOST_RECIPIENTS:
            return "008"
        if any(number is None or (two_way and number.country != "台灣") for number in numbers):
            return "001"
        return self._text_trouble(fields.get("sms_msg", "")) or self._time_trouble(fields)

    def _text_trouble(self, text: str) -> str | None:
        if not text or _EMOJI.search(text):
            return "001"
        return "004" if _length(text) > _LONGEST[not text.isascii()] else None

    def _time_trouble(self, fields: Mapping[str, str]) -> str | None:
        if fields.get("method") == "1":
            return None
        if fields.get("method") != "2":
            return "001"
        due = _moment(fields)
        if due is None:
            return "002"
        return "003" if due <= self.now() else None

    def _deliver(self, recipients: Sequence[_Recipient], start: datetime) -> None:
        """What becomes of several at the same time is told in one callback, a row each."""
        steps: dict[float, list[tuple[_Recipient, Step]]] = defaultdict(list)
        for recipient in recipients:
            plan = self._plan()
            if not plan:
                self._display(recipient)
            for step in plan:
                steps[step.after].append((recipient, step))
        for after, together in steps.items():
            self._at(start + timedelta(seconds=after), lambda together=together: self._become(together))  # type: ignore[misc]

    def _become(self, together: Sequence[tuple[_Recipient, Step]]) -> None:
        for recipient, step in together:
            if step.status == self.delivered:
                self._display(recipient)
        rows = [
            "|".join((recipient.number.written, recipient.item_id, _stamp(self.now()), step.status))
            for recipient, step in together
            if step.told
        ]
        if rows and self.receipt_url:
            form = {"sms_id": together[0][0].taken.ref, "content": ",".join(rows)}
            self._call_back(self.receipt_url, urlencode(form).encode())

    def _display(self, recipient: _Recipient) -> None:
        if not recipient.shown:
            recipient.shown = True
            self._show(recipient.taken.to, recipient.taken.text, recipient.taken.ref)


def _fields(call: HttpCall) -> dict[str, str]:
    """ "可使用 GET 及 POST 方式皆可"; of a tag given twice the last counts, as in PHP."""
    written = "&".join(part for part in (call.query, call.body.decode("latin-1")) if part)
    return dict(parse_qsl(written, keep_blank_values=True))


def _number(written: str) -> _Number | None:
    for country, form, dropped, put in _NUMBERS:
        if re.fullmatch(form, written, re.ASCII):
            return _Number(written, put + written.removeprefix(dropped), country)
    return None


def _number_of(phone: str) -> _Number | None:
    """How SMS-Get writes the phone of this E.164 number."""
    for country, form, dropped, put in _NUMBERS:
        written = dropped + phone.removeprefix(put)
        if phone.startswith(put) and re.fullmatch(form, written, re.ASCII):
            return _Number(written, phone, country)
    return None


def _price(number: _Number, *, two_way: bool) -> int:
    return _POINTS_TWO_WAY if two_way else _POINTS.get(number.country, _POINTS_ELSEWHERE)


def _length(text: str) -> int:
    """As a handset counts: what lies beyond U+FFFF is two."""
    return sum(2 if ord(character) > 0xFFFF else 1 for character in text)


def _parts(text: str) -> int:
    """ "純英文 160 個字內算一則 超過 160 字,每 153 字算一則 中英文 70 個字內算一則 超過 70 字,每 67 算一則"."""
    single, part = (160, 153) if text.isascii() else (70, 67)
    length = _length(text)
    return 1 if length <= single else -(-length // part)


def _moment(fields: Mapping[str, str]) -> datetime | None:
    """ "YYYY/MM/DD", "00~23" and "00~59", Taipei."""
    written = " ".join(fields.get(name, "") for name in ("send_date", "hour", "min"))
    if not re.fullmatch(r"\d{4}/\d{2}/\d{2} \d{2} \d{2}", written, re.ASCII):
        return None
    try:
        return datetime.strptime(written, "%Y/%m/%d %H %M").replace(tzinfo=TAIPEI)
    except ValueError:
        return None


def _stamp(moment: datetime) -> str:
    return moment.astimezone(TAIPEI).strftime("%Y-%m-%d %H:%M:%S")


def _refusal(code: str) -> HttpAnswer:
    return HttpAnswer(_json(code, TEXTS[code]))


def _json(code: str, words: str) -> bytes:
    answer = {"stats": code == "000", "error_code": code, "error_msg": words}
    return json.dumps(answer, separators=(",", ":")).encode()
