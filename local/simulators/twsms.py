"""TwSMS, pretended: a second reading of "TwSMS API 介面協定說明 4.0 JSON 版 (20211130)", strict where it is clear.

Where the document is silent, the real server's ways are followed as far as they are known: an unknown account is
answered 00010, the credit is a string named `point`, everything comes as text/html.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from itertools import count
from urllib.parse import parse_qsl, quote, urlsplit

from local.simulators.base import Call, HttpAnswer, HttpCall, HttpSimulator, Says, Step, Submission

TAIPEI = timezone(timedelta(hours=8))

# Section 6.
TEXTS = {
    "00000": "Success",
    "00001": "狀態尚未回復",
    "00010": "帳號或密碼格式錯誤",
    "00011": "帳號錯誤",
    "00012": "密碼錯誤",
    "00020": "通數不足",
    "00030": "IP 無使用權限",
    "00031": "限制發送國際門號",
    "00040": "帳號已停用",
    "00041": "API 未啟用",
    "00050": "sendtime 格式錯誤",
    "00060": "expirytime 格式錯誤",
    "00100": "手機號碼格式錯誤",
    "00110": "沒有簡訊內容",
    "00120": "長簡訊不支援國際門號",
    "00130": "簡訊內容超過長度",
    "00140": "drurl 格式錯誤",
    "00150": "sendtime 預約的時間已經超過",
    "00170": "drurl 帶入的網址無法連線",
    "00180": "簡訊內容帶有 Emoji 圖形",
    "00300": "找不到 msgid",
    "00310": "預約尚未送出",
    "00400": "找不到 snumber 辨識碼",
    "00410": "沒有任何 mo 資料",
    "00420": "smsQuery 指定查詢的格式錯誤",
    "00430": "moQuery 指定查詢的格式錯誤",
    "99998": "資料處理異常，請重新發送",
    "99999": "系統錯誤，請通知系統廠商",
}

# Section 7: 0 is success. What is still on its way has not failed.
_SUCCESSFUL = {"DELIVRD", "ACCEPTD"}

_RECENT = timedelta(days=3)

# Pictures above U+1F000, flags, keycaps, and the symbols phones draw as pictures or are told to draw so.
_EMOJI = re.compile(
    "[\U0001f300-\U0001f53d\U0001f546-\U0001f64f\U0001f680-\U0001f6ff\U0001f1e6-\U0001f1ff"
    "\U0001f90c-\U0001f93a\U0001f93c-\U0001f945\U0001f947-\U0001f9ff\U0001fa70-\U0001faff"
    "\u231a\u231b\u23e9-\u23ec\u23f0\u23f3\u2614\u2615\u26a1\u26bd\u26be\u2705\u270a\u270b\u2728\u274c\u2753\u2757"
    "\u2b50\u2b55]|[#*0-9\u00a9\u00ae\u203c-\u3299]\ufe0f|[#*0-9]\u20e3"
)


@dataclass(slots=True)
class _Message:
    taken: Submission
    mobile: str
    drurl: str
    status: str = ""
    status_at: datetime | None = None
    deleted: bool = False
    shown: bool = False


@dataclass(frozen=True, slots=True)
class _Typed:
    seq: int
    snumber: str
    at: datetime
    mobile: str
    text: str


class TwSms(HttpSimulator):
    key = "twsms"
    delivered = "DELIVRD"

    def __init__(self) -> None:
        super().__init__()
        self.username = f"{self.key}-user"
        self.password = f"{self.key}-password"
        self.credit = 1_000_000
        self.two_way_numbers = ["12345"]
        self.disabled = False
        self.api_enabled = True
        self.address_allowed = True
        self.international = True
        self._messages: dict[str, _Message] = {}
        self._typed: list[_Typed] = []
        self._msgids = count(222_160_591)  # the document's own sample
        self._seqs = count(221_831)

    def secret(self) -> dict[str, object]:
        return {
            "username": self.username,
            "password": self.password,
            "base_url": f"{self.root}json/",
            "allow_http": True,
            "reply_numbers": list(self.two_way_numbers),
        }

    def reply(self, phone: str, text: str, snumber: str | None = None) -> None:
        with self._lock:
            to = snumber or self.two_way_numbers[0]
            self._typed.append(_Typed(next(self._seqs), to, self.now(), _as_dialled(phone), text))

    @staticmethod
    def says(code: str, *, carried_out: bool = False) -> Says:
        """An answer to script: this code, with the document's words."""
        return Says(_json({"code": code, "text": TEXTS.get(code, "")}), carried_out=carried_out)

    def operation(self, call: HttpCall) -> str:
        fields = _fields(call)
        match call.path.rpartition("/")[2]:
            case "sms_send.php":
                return "send"
            case "smsmo_query.php":
                return "replies"
            case "sms_query.php" if fields.get("checkpoint") == "Y":
                return "credit"
            case "sms_query.php" if _wants_deletion(fields):
                return "cancel"
            case "sms_query.php":
                return "query"
        return "unknown"

    def answer(self, call: HttpCall) -> HttpAnswer:
        if not call.path.startswith("/json/") or self.operation(call) == "unknown":
            return HttpAnswer(b"<html><body><h1>404 Not Found</h1></body></html>", status=404)
        fields = _fields(call)
        operation = self.operation(call)
        with self._lock:
            self.calls.append(Call(self.now(), operation, fields))
        code = self._account_trouble(fields)
        if code is not None:
            return _answer(code)
        match operation:
            case "send":
                return self._send(fields)
            case "credit":
                return _answer("00000", point=str(self.credit))
            case "cancel":
                return self._delete(fields)
            case "query":
                return self._query(fields)
        return self._query_replies(fields)

    # Who calls

    def _account_trouble(self, fields: Mapping[str, str]) -> str | None:
        troubles = (
            ("00010", not fields.get("username") or not fields.get("password")),
            ("00010", fields.get("username") != self.username),
            ("00012", fields.get("password") != self.password),
            ("00040", self.disabled),
            ("00041", not self.api_enabled),
            ("00030", not self.address_allowed),
        )
        return next((code for code, met in troubles if met), None)

    # Section 3

    def _send(self, fields: Mapping[str, str]) -> HttpAnswer:
        code = self._time_trouble(fields) or self._recipient_trouble(fields) or self._text_trouble(fields)
        code = code or self._receipt_url_trouble(fields)
        if code is not None:
            return _answer(code)
        points = _points(fields)
        with self._lock:
            if points > self.credit:
                return _answer("00020")
            self.credit -= points
            message = self._take(fields, points)
        start = message.taken.due or message.taken.at
        self._at(start, lambda: self._deliver(message, start))
        return _answer("00000", msgid=int(message.taken.ref))

    def _take(self, fields: Mapping[str, str], points: int) -> _Message:
        taken = Submission(
            at=self.now(),
            ref=str(next(self._msgids)),
            to=_e164(fields["mobile"]),
            text=fields["message"],
            points=points,
            fields=dict(fields),
            due=_moment(fields["sendtime"]) if fields.get("sendtime") else None,
        )
        message = _Message(taken, fields["mobile"], fields.get("drurl", ""))
        self.accepted.append(taken)
        self._messages[taken.ref] = message
        return message

    def _time_trouble(self, fields: Mapping[str, str]) -> str | None:
        sendtime, expirytime = fields.get("sendtime", ""), fields.get("expirytime", "")
        if sendtime:
            due = _moment(sendtime)
            if due is None:
                return "00050"
            if due <= self.now():
                return "00150"
        if expirytime and not (re.fullmatch("[0-9]{1,9}", expirytime) and 300 <= int(expirytime) <= 28800):
            return "00060"
        return None

    def _recipient_trouble(self, fields: Mapping[str, str]) -> str | None:
        mobile = fields.get("mobile", "")
        if _is_taiwan(mobile):
            return None
        if not re.fullmatch("[1-9][0-9]{5,14}", mobile) or mobile.startswith("886"):
            return "00100"
        return None if self.international else "00031"

    def _text_trouble(self, fields: Mapping[str, str]) -> str | None:
        text = fields.get("message", "")
        if not text:
            return "00110"
        if _EMOJI.search(text):
            return "00180"
        standard, _, longest = _limits(text)
        length = _length(text)
        if length > standard and not _is_taiwan(fields["mobile"]):
            return "00120"
        if length > longest or (length > standard and fields.get("lmsg") == "N"):
            return "00130"
        return None

    def _receipt_url_trouble(self, fields: Mapping[str, str]) -> str | None:
        drurl = fields.get("drurl", "")
        if not drurl:
            return None
        parts = urlsplit(drurl)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            return "00140"
        if fields.get("drurl_check") != "N" and self._fetch(drurl, seconds=5)[0] != 200:
            return "00170"
        return None

    def _deliver(self, message: _Message, start: datetime) -> None:
        if message.deleted:
            return
        plan = self._plan()
        if not plan:
            self._display(message)
        for step in plan:
            self._at(start + timedelta(seconds=step.after), lambda step=step: self._become(message, step))  # type: ignore[misc]

    def _become(self, message: _Message, step: Step) -> None:
        with self._lock:
            message.status, message.status_at = step.status, self.now()
        if step.status == self.delivered:
            self._display(message)
        if step.told and message.drurl:
            self._call_back(_receipt_url(message, step.status, self.now()))

    def _display(self, message: _Message) -> None:
        if not message.shown:
            message.shown = True
            self._show(message.taken.to, message.taken.text, message.taken.ref)

    # Section 4

    def _query(self, fields: Mapping[str, str]) -> HttpAnswer:
        if not fields.get("mobile") or not re.fullmatch("[0-9]+", fields.get("msgid", "")):
            return _answer("00420")
        with self._lock:
            message = self._find(fields)
            if message is None:
                return _answer("00300")
            if self.now() - message.taken.at > _RECENT and fields.get("outrange") != "Y":
                return _answer("00300")
            if not message.status:
                waits = message.taken.due is not None and message.taken.due > self.now()
                return _answer("00310" if waits else "00001")
            return _answer("00000", **_status(message.status, "donetime", message.status_at or self.now()))

    def _delete(self, fields: Mapping[str, str]) -> HttpAnswer:
        if not fields.get("mobile") or not re.fullmatch("[0-9]+", fields.get("msgid", "")):
            return _answer("00420")
        with self._lock:
            message = self._find(fields)
            if message is None or message.deleted or message.taken.due is None or message.taken.due <= self.now():
                return _answer("00300")
            message.deleted, message.status, message.status_at = True, "DELETED", self.now()
            self.credit += message.taken.points
            return _answer("00000")

    def _find(self, fields: Mapping[str, str]) -> _Message | None:
        message = self._messages.get(fields["msgid"])
        return message if message is not None and message.mobile == fields["mobile"] else None

    # Section 5

    def _query_replies(self, fields: Mapping[str, str]) -> HttpAnswer:
        snumber = fields.get("snumber", "")
        day = fields.get("sdate") or self.now().astimezone(TAIPEI).strftime("%Y-%m-%d")
        if not re.fullmatch("[0-9]{5}", snumber) or not _is_day(day):
            return _answer("00430")
        if snumber not in self.two_way_numbers:
            return _answer("00400")
        with self._lock:
            found = [
                {"seq": str(typed.seq), "date": _stamp(typed.at), "mobile": typed.mobile, "message": typed.text}
                for typed in self._typed
                if typed.snumber == snumber and typed.at.astimezone(TAIPEI).strftime("%Y-%m-%d") == day
            ]
        return _answer("00000", moResp=found) if found else _answer("00410")


def _fields(call: HttpCall) -> dict[str, str]:
    """Query and form alike; of a tag given twice the last counts, as in PHP."""
    written = "&".join(part for part in (call.query, call.body.decode("latin-1")) if part)
    pairs = parse_qsl(written, keep_blank_values=True, encoding="latin-1")
    return {name: _characters(value.encode("latin-1")) for name, value in pairs}


def _characters(value: bytes) -> str:
    """Section 3, message: "可使用 UTF8 碼或 BIG5 碼 (BIG5 碼部分特殊字會變成?號)"."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("big5", "replace").replace("\ufffd", "?")


def _wants_deletion(fields: Mapping[str, str]) -> bool:
    """The document says `delttime`, the server also knows `deltime`."""
    return "Y" in (fields.get("delttime"), fields.get("deltime"))


def _is_taiwan(mobile: str) -> bool:
    return re.fullmatch("09[0-9]{8}", mobile) is not None


def _e164(mobile: str) -> str:
    return f"+886{mobile[1:]}" if _is_taiwan(mobile) else f"+{mobile}"


def _as_dialled(phone: str) -> str:
    return f"0{phone[4:]}" if phone.startswith("+886") else phone.removeprefix("+")


def _limits(text: str) -> tuple[int, int, int]:
    """A standard message, a part of a long one, the longest: "中文最長 70 個字", "英文最長 160 個字"."""
    return (160, 153, 765) if text.isascii() else (70, 67, 335)


def _length(text: str) -> int:
    """As a handset counts: what lies beyond U+FFFF is two."""
    return sum(2 if ord(character) > 0xFFFF else 1 for character in text)


def _points(fields: Mapping[str, str]) -> int:
    standard, part, _ = _limits(fields["message"])
    length = _length(fields["message"])
    parts = 1 if length <= standard else -(-length // part)
    return parts * (1 if _is_taiwan(fields["mobile"]) else 3)


def _moment(sendtime: str) -> datetime | None:
    """YYYYMMDDHHII, Taipei."""
    if not re.fullmatch("[0-9]{12}", sendtime):
        return None
    try:
        return datetime.strptime(sendtime, "%Y%m%d%H%M").replace(tzinfo=TAIPEI)
    except ValueError:
        return None


def _is_day(written: str) -> bool:
    if not re.fullmatch("[0-9]{4}-[0-9]{2}-[0-9]{2}", written):
        return False
    try:
        datetime.strptime(written, "%Y-%m-%d").replace(tzinfo=TAIPEI)
    except ValueError:
        return False
    return True


def _stamp(moment: datetime) -> str:
    """YYYYMMDDHHIISS, Taipei."""
    return moment.astimezone(TAIPEI).strftime("%Y%m%d%H%M%S")


def _status(status: str, time_name: str, at: datetime) -> dict[str, object]:
    code = "0" if status in _SUCCESSFUL else "-1"
    return {"statuscode": code, "statustext": status, time_name: _stamp(at)}


def _receipt_url(message: _Message, status: str, at: datetime) -> str:
    """Section 4.1, in the order of its sample."""
    told = {
        "code": "00000",
        "text": TEXTS["00000"],
        "msgid": message.taken.ref,
        "mobile": message.mobile,
        **_status(status, "downtime", at),
    }
    joint = "&" if "?" in message.drurl else "?"
    return f"{message.drurl}{joint}smsresp={quote(_json(told), safe='')}"


def _answer(code: str, **more: object) -> HttpAnswer:
    return HttpAnswer(_json({"code": code, "text": TEXTS[code], **more}))


def _json(value: Mapping[str, object]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
