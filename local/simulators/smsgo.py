"""smsgo, pretended: a second reading of "簡訊購 API 技術文件 6.0" (2017/3/24), strict where it is clear.

Where the document is silent, the real server's ways are followed as far as they are known: the text is `smbody`, lines
end in CRLF, an error repeats its code as msgid, JSON of the .asp pages has a comma too many and comes as text/html,
queryBulk.asp separates its columns by `|`.
"""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from itertools import count
from urllib.parse import parse_qsl, quote, quote_from_bytes, urlsplit
from xml.sax.saxutils import escape

from local.simulators.base import Call, CallbackMade, HttpAnswer, HttpCall, HttpSimulator, Says, Step, Submission

TAIPEI = timezone(timedelta(hours=8))

# Table 1, and the codes that the real server was seen to use besides.
TEXTS = {
    "0": "OK",
    "-1": "CGI string error!!",
    "-2": "授權錯誤",
    "-3": "Priority錯誤",
    "-4": "A Number違反規則",
    "-5": "B Number違反規則",
    "-6": "Closed User",
    "-7": "Invalid Encoding",
    "-8": "點數不夠",
    "-9": "Invalid msisdn amount",
    "-10": "Send Fail",
    "-11": "Database error",
    "-15": "IP not allowed",
    "-16": "API not enabled",
    "-18": "Area not served",
    "-19": "Number blocked",
    "-21": "Over limit",
    "-23": "Signature missing",
}

_PLAIN = ("BIG5", "ASCII", "UCS2")
_ENCODINGS = (*_PLAIN, "PBIG5", "PASCII", "LBIG5", "LASCII", "LUCS2", "PUSH")
_PAGES = {
    "sendsms.aspx": "send",
    "query.asp": "query",
    "queryBulk.asp": "query",
    "query_point.asp": "credit",
    "sendsms_cancel.asp": "cancel",
}
_RETRIES = 3  # section 2: "re-try 次數為三次"


@dataclass(slots=True)
class _Sms:
    """One number of a call."""

    taken: Submission
    dstaddr: str
    response: str
    replyurl: str
    replies_until: datetime
    status: str = ""
    canceled: bool = False
    shown: bool = False


class SmsGo(HttpSimulator):
    key = "smsgo"
    delivered = "DELIVRD"

    def __init__(self) -> None:
        super().__init__()
        self.username = f"{self.key}-user"
        self.password = f"{self.key}-password"
        self.credit = 1_000_000
        self.address_allowed = True
        self.closed = False
        self.api_enabled = True
        self.tells_number = True  # the URL format of section 2 has no dstaddr, its samples have one
        self.retry_seconds = 0.2
        self.two_way_number = "0911510128"
        self._sent: dict[str, list[_Sms]] = {}
        self._two_way = 0
        self._serial = count(9665)

    def secret(self) -> dict[str, object]:
        return {
            "username": self.username,
            "password": self.password,
            "base_url": f"{self.root}sms_gw/",
            "allow_http": True,
        }

    def reply(self, phone: str, text: str, encoding: str | None = None) -> None:
        """To the latest two-way message on this phone that is still open; to none, nobody hears of it."""
        with self._lock:
            candidates = [sms for sent in self._sent.values() for sms in sent if sms.taken.to == phone and sms.replyurl]
            open_ones = [sms for sms in candidates if sms.shown and self.now() <= sms.replies_until]
            if not open_ones:
                return
            sms = open_ones[-1]
        said, written = _as_typed(text, encoding)
        fields = (
            ("msgid", sms.taken.ref),
            ("srcaddr", quote(sms.dstaddr, safe="")),
            ("dstaddr", self.two_way_number),
            ("smbody", quote_from_bytes(written, safe="")),
            ("encoding", said),
            ("timestamp", quote(self.now().astimezone(TAIPEI).strftime("%Y/%m/%d %H:%M:%S"), safe="")),
        )
        self._tell(sms.replyurl, sms.taken.ref, "&".join(f"{name}={value}" for name, value in fields))

    @staticmethod
    def says(code: str, *, carried_out: bool = False) -> Says:
        """An answer to script: this code, with the document's words, as JSON."""
        return Says(_json_sent(code if code != "0" else "1", code, 0).encode(), carried_out=carried_out)

    def operation(self, call: HttpCall) -> str:
        folder, _, page = call.path.rpartition("/")
        return _PAGES.get(page, "unknown") if folder == "/sms_gw" else "unknown"

    def answer(self, call: HttpCall) -> HttpAnswer:
        operation = self.operation(call)
        if operation == "unknown":
            return HttpAnswer(b"<html><body><h2>404 - File or directory not found.</h2></body></html>", status=404)
        if call.method != "GET":  # section 1: "利用 HTTP 協定中 Get Method"
            return HttpAnswer(b"<html><body><h2>405 - HTTP verb not allowed.</h2></body></html>", status=405)
        fields = _fields(call.query)
        with self._lock:
            self.calls.append(Call(self.now(), operation, fields))
        trouble = self._account_trouble(fields)
        match operation:
            case "send":
                return self._send(fields, trouble)
            case "credit":
                return self._tell_credit(fields, trouble)
            case "cancel":
                return self._cancel(fields, trouble)
        if call.path.endswith("/query.asp"):
            return self._query(fields, trouble)
        return self._query_bulk(fields, trouble)

    # Who calls

    def _account_trouble(self, fields: Mapping[str, str]) -> str | None:
        troubles = (
            ("-2", (fields.get("username"), fields.get("password")) != (self.username, self.password)),
            ("-15", not self.address_allowed),
            ("-6", self.closed),
            ("-16", not self.api_enabled),
        )
        return next((code for code, met in troubles if met), None)

    # Section 1, sending

    def _send(self, fields: Mapping[str, str], trouble: str | None) -> HttpAnswer:
        code = trouble or _number_trouble(fields) or _encoding_trouble(fields) or _parameter_trouble(fields)
        if code is not None:
            return _sent_answer(fields, code, code, 0)
        encoding, (shown, parts) = fields.get("encoding", "BIG5"), _carried(fields)
        numbers = fields["dstaddr"].split(",")
        with self._lock:
            extra = 0
            if fields.get("replyurl"):
                # Note 4: "每 10 則簡訊多扣一點".
                extra = (self._two_way + len(numbers)) // 10 - self._two_way // 10
            points = parts * len(numbers) + extra
            if points > self.credit:
                return _sent_answer(fields, "-8", "-8", 0)
            self.credit -= points
            self._two_way += len(numbers) if fields.get("replyurl") else 0
            ref = self.now().astimezone(TAIPEI).strftime("%y%m%d%H%M%S") + f"{next(self._serial) % 10_000:04}"
            sent = [self._take(fields, number, ref, shown, parts) for number in numbers]
            self._sent[ref] = sent
        for sms in sent:
            start = sms.taken.due or sms.taken.at
            self._at(start, lambda sms=sms, start=start: self._deliver(sms, encoding, start))  # type: ignore[misc]
        return _sent_answer(fields, ref, "0", points)

    def _take(self, fields: Mapping[str, str], number: str, ref: str, shown: str, points: int) -> _Sms:
        now = self.now()
        due = _moment(fields["dlvtime"]) if fields.get("dlvtime") else None
        taken = Submission(
            at=now,
            ref=ref,
            to=_e164(number),
            text=shown,
            points=points,
            fields=dict(fields),
            due=due if due is not None and due > now else None,
        )
        self.accepted.append(taken)
        days = int(fields.get("replydays") or 3)  # "預設為 3(天)"
        return _Sms(
            taken,
            number,
            fields.get("response", ""),
            fields.get("replyurl", ""),
            (taken.due or now) + timedelta(days=days),
        )

    def _deliver(self, sms: _Sms, encoding: str, start: datetime) -> None:
        if sms.canceled:
            return
        plan = self._plan()
        if not plan:
            self._display(sms, encoding)
        for step in plan:
            when = start + timedelta(seconds=step.after)
            self._at(when, lambda step=step: self._become(sms, step, encoding))  # type: ignore[misc]

    def _become(self, sms: _Sms, step: Step, encoding: str) -> None:
        with self._lock:
            sms.status = step.status
        if step.status == self.delivered:
            self._display(sms, encoding)
        if step.told and sms.response:
            number = f"&dstaddr={quote(sms.dstaddr, safe='')}" if self.tells_number else ""
            # In the order of section 3's samples.
            query = f"msgid={sms.taken.ref}&statusstr={step.status}&statuscode=0{number}"
            self._tell(sms.response, sms.taken.ref, query)

    def _display(self, sms: _Sms, encoding: str) -> None:
        if not sms.shown:
            sms.shown = True
            link = f"\n{sms.taken.fields['wapurl']}" if encoding == "PUSH" else ""
            self._show(sms.taken.to, sms.taken.text + link, sms.taken.ref)

    # Section 2, telling

    def _tell(self, url: str, ref: str, query: str) -> None:
        """ "response字串?msgid=…": put behind whatever was given, as it stands."""
        self._begin(self._tell_until_acknowledged, f"{url}?{query}", ref)

    def _tell_until_acknowledged(self, url: str, ref: str) -> None:
        for attempt in range(1 + _RETRIES):
            if attempt:
                self.pause(self.retry_seconds)
            status, body, content_type = self._surroundings.fetch(url, None, 10) if self._surroundings else _get(url)
            with self._lock:
                self.callbacks.append(CallbackMade(self.now(), url, status, body))
            expected = f"magicid=tccrd_sms_gateway_rpack\nmsgid={ref}\n".encode()
            if status == 200 and content_type.lower().startswith("text/plain") and body == expected:
                return

    # Section 1, asking

    def _query(self, fields: Mapping[str, str], trouble: str | None) -> HttpAnswer:
        sms = next(iter(self._find(fields.get("msgid", ""), [fields.get("dstaddr", "")])), None)
        code = trouble or ("0" if sms is not None else "-1")
        said = sms.status if sms is not None and not trouble else TEXTS[code]
        number = sms.dstaddr if sms is not None and not trouble else ""
        if _wants(fields, "JSON"):
            return _html(
                f'{{"results":{{"result":[{{"statusCode": "{code}","statusStr":"{said}","cellphone":"{number}"}},]}}}}'
            )
        return _html(f"{code}|{said}|{number}\r\n")

    def _query_bulk(self, fields: Mapping[str, str], trouble: str | None) -> HttpAnswer:
        if trouble:
            return _html(f"{trouble}|{TEXTS[trouble]}||\r\n")
        numbers = [number for number in fields.get("dstaddr", "").split(",") if number]
        found = [
            f"0|{sms.status}|{sms.dstaddr}|{sms.taken.ref}\r\n"
            for ref in dict.fromkeys(fields.get("msgid", "").split(","))
            for sms in self._find(ref, numbers)
        ]
        return _html("".join(found))

    def _find(self, ref: str, numbers: Iterable[str]) -> list[_Sms]:
        wanted = {number for number in numbers if number}
        with self._lock:
            return [sms for sms in self._sent.get(ref, []) if not wanted or sms.dstaddr in wanted]

    def _tell_credit(self, fields: Mapping[str, str], trouble: str | None) -> HttpAnswer:
        points = str(self.credit) if trouble is None else "0"
        if _wants(fields, "JSON"):
            return _html(f'{{"results":{{"result":[{{"statuscode": "{trouble or 0}","point": "{points}"}}]}}}}')
        return _html(trouble or points)

    def _cancel(self, fields: Mapping[str, str], trouble: str | None) -> HttpAnswer:
        """The document does not show the answer: it is given like that of a send. One msgid, all of its numbers."""
        with self._lock:
            sent = self._sent.get(fields.get("msgid", ""), [])
            waiting = [sms for sms in sent if not sms.canceled and (sms.taken.due or self.now()) > self.now()]
            if trouble or not waiting:
                code = trouble or "-1"
                return _sent_answer(fields, code, code, 0)
            for sms in waiting:
                sms.canceled, sms.status = True, "DELETED"
                self.credit += sms.taken.points
        return _sent_answer(fields, fields["msgid"], "0", 0)


def _fields(query: str) -> dict[str, str]:
    """The endpoints speak UTF-8; of a tag given twice the first counts."""
    found: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True, encoding="utf-8", errors="replace"):
        found.setdefault(name, value)
    return found


def _is_taiwan(number: str) -> bool:
    return re.fullmatch("09[0-9]{8}", number) is not None


def _e164(number: str) -> str:
    return f"+886{number[1:]}" if _is_taiwan(number) else number


def _number_trouble(fields: Mapping[str, str]) -> str | None:
    numbers = fields.get("dstaddr", "").split(",")
    if not fields.get("dstaddr") or len(numbers) > 50:
        return "-9"
    fine = all(_is_taiwan(number) or re.fullmatch(r"\+(?!886)[1-9][0-9]{5,14}", number) for number in numbers)
    return None if fine else "-5"


def _encoding_trouble(fields: Mapping[str, str]) -> str | None:
    encoding = fields.get("encoding", "BIG5")
    abroad = not all(_is_taiwan(number) for number in fields["dstaddr"].split(","))
    # Note 5: "國際簡訊目前 encoding 參數只能使用 BIG5/ASCII/UCS2".
    return None if encoding in (_PLAIN if abroad else _ENCODINGS) else "-7"


def _parameter_trouble(fields: Mapping[str, str]) -> str | None:
    encoding = fields.get("encoding", "BIG5")
    replydays, dlvtime = fields.get("replydays", ""), fields.get("dlvtime", "")
    wrong = (
        not fields.get("smbody"),  # FAQ 7: "很有可能簡訊 body 是空的"
        (encoding == "PUSH") != bool(fields.get("wapurl")),
        encoding not in _PLAIN and bool(fields.get("replyurl") or replydays),
        len(fields.get("replyurl", "")) > 300,
        bool(replydays) and not (re.fullmatch("[0-9]{1,2}", replydays) and 1 <= int(replydays) <= 30),
        bool(dlvtime) and _moment(dlvtime) is None,
    )
    return "-1" if any(wrong) else None


def _carried(fields: Mapping[str, str]) -> tuple[str, int]:
    """What reaches the phone, and in how many messages."""
    encoding, text = fields.get("encoding", "BIG5"), fields["smbody"]
    if encoding == "PUSH":
        size = len((text + fields["wapurl"]).encode())
        return text, 1 if size <= 88 else _parts(_units(text + fields["wapurl"]), 70, 67)
    readable = _readable(text, encoding)
    single, part = (160, 153) if encoding.endswith("ASCII") else (70, 67)
    if encoding.startswith("L"):
        kept = _cut(readable, 330)
        return kept, _parts(_units(kept), single, part)
    return _cut(readable, single), 1  # note 1: "超過字數部份會自動截斷"


def _readable(text: str, encoding: str) -> str:
    """A handset told to read an alphabet shows ? for what it lacks."""
    if encoding.endswith("UCS2"):
        return text
    alphabet = "ascii" if encoding.endswith("ASCII") else "cp950"
    return "".join(char if _holds(alphabet, char) else "?" for char in text)


def _holds(alphabet: str, char: str) -> bool:
    try:
        char.encode(alphabet)
    except UnicodeEncodeError:
        return False
    return True


def _units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def _cut(text: str, units: int) -> str:
    return text.encode("utf-16-le")[: units * 2].decode("utf-16-le", "ignore")


def _parts(length: int, single: int, part: int) -> int:
    return 1 if length <= single else -(-length // part)


def _moment(dlvtime: str) -> datetime | None:
    """YYYY/MM/DD hh24:mm:ss, Taipei."""
    if not re.fullmatch("[0-9]{4}/[0-9]{2}/[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}", dlvtime):
        return None
    try:
        return datetime.strptime(dlvtime, "%Y/%m/%d %H:%M:%S").replace(tzinfo=TAIPEI)
    except ValueError:
        return None


def _as_typed(text: str, encoding: str | None) -> tuple[str, bytes]:
    """Percent-encoded by the encoding it is said to be in, as in section 3's sample of `smbody=%7c%21%8a%0a`."""
    codecs: Mapping[str, Callable[[], bytes]] = {
        "ASCII": lambda: text.encode("ascii"),
        "BIG5": lambda: text.encode("cp950"),
        "UCS2": lambda: text.encode("utf-16-be"),
    }
    if encoding is not None:
        return encoding, codecs[encoding]()
    for name, encode in codecs.items():
        with suppress(UnicodeEncodeError):
            return name, encode()
    raise ValueError("no handset can type this")


def _get(url: str) -> tuple[int | None, bytes, str]:
    parts = urlsplit(url)
    connect = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = connect(parts.hostname or "", parts.port, timeout=10)
    try:
        connection.request("GET", f"{parts.path or '/'}?{parts.query}")
        answer = connection.getresponse()
        return answer.status, answer.read(), answer.headers.get("Content-Type", "")
    except (OSError, http.client.HTTPException):
        return None, b"", ""
    finally:
        connection.close()


def _wants(fields: Mapping[str, str], rtype: str) -> bool:
    return fields.get("rtype", "").upper() == rtype


def _html(written: str) -> HttpAnswer:
    return HttpAnswer(written.encode())


def _sent_answer(fields: Mapping[str, str], msgid: str, code: str, points: int) -> HttpAnswer:
    if _wants(fields, "JSON"):
        return _html(_json_sent(msgid, code, points))
    if _wants(fields, "XML"):
        leaves = {"msgid": msgid, "statuscode": code, "statusstr": TEXTS[code], "point": str(points)}
        inner = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in leaves.items())
        return _html(f'<?xml version="1.0" encoding="utf-8"?>\r\n<result>{inner}</result>')
    return _html(f"msgid={msgid}\r\nstatuscode={code}\r\nstatusstr={TEXTS[code]}\r\npoint={points}\r\n")


def _json_sent(msgid: str, code: str, points: int) -> str:
    told = {"msgid": int(msgid), "statuscode": code, "statusstr": TEXTS.get(code, ""), "point": points}
    return json.dumps({"result": told}, ensure_ascii=False, separators=(",", ":"))
