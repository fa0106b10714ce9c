"""EVERY8D, pretended: a second reading of "Web Services API Specifications-2.1", an ASMX that speaks SOAP 1.1 and 1.2.

Stricter than the vendor's own server: an envelope, an argument or a USER that is not exactly as documented is a fault,
where .NET would quietly take what it knows. Where the document is silent, the real server's ways are followed as far as
they are known: five fields in the answer to a send, numbers padded to twenty characters, many more parameters in a
callback than are listed, with lower-case escapes. The callback's address is set by the vendor's people on request, so
here it is an attribute.
"""

from __future__ import annotations

import re
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import ClassVar
from urllib.parse import quote_plus
from xml.sax.saxutils import escape

from lxml import etree

from local.simulators.base import Call, CallbackMade, HttpAnswer, HttpCall, HttpSimulator, Says, Step, Submission

TAIPEI = timezone(timedelta(hours=8))
NAMESPACE = "http://tempuri.org/"
ENVELOPES = {"1.1": "http://schemas.xmlsoap.org/soap/envelope/", "1.2": "http://www.w3.org/2003/05/soap-envelope"}
MEDIA_TYPES = {"1.1": "text/xml; charset=utf-8", "1.2": "application/soap+xml; charset=utf-8"}

# The operations and their parameters, in the document's order.
OPERATIONS: dict[str, tuple[str, ...]] = {
    "getConnection": ("userID", "password"),
    "sendSMS": ("sessionKey", "subject", "content", "mobile", "sendTime"),
    "closeConnection": ("sessionKey",),
    "sendParamSMS": ("sessionKey", "subject", "contentXML", "sendTime"),
    "getDeliveryStatus": ("sessionKey", "batchID", "pageNo"),
    "getCredit": ("sessionKey",),
    "eraseBooking": ("sessionKey", "batchID"),
}

TEXTS = {
    "0": "",
    "-24": "The content is empty.",
    "-41": "no mobile.",
    "-99": "主機端發生不明錯誤,請與廠商窗口聯繫。",
    "-100": "無此帳號。",
    "-101": "密碼錯誤。",
    "-300": "帳號密碼不得為空值。",
    "-301": "Session 資料不存在,請重新登入。",
    "-999": "帳號已封鎖,請洽服務窗口。",
}

_PRICES = ((70, 1), (134, 2), (201, 3), (268, 4), (333, 5))  # section 1.2, 計價補充說明
_TOO_MANY_BAD_LOGINS = 10  # "認證錯誤超過 10 次將封鎖此服務"
_CALLBACK_RETRIES = 10  # section 3.1: "Retry 次數最多 10 次"
_PAGE = 1000

_TAIWAN = re.compile(r"(?:\+886|0)(9[0-9]{8})")
_ABROAD = re.compile(r"\+(?!886)[1-9][0-9]{5,14}")


@dataclass(frozen=True, slots=True)
class Answered:
    at: datetime
    text: str


@dataclass(slots=True)
class Row:
    """One recipient of a batch."""

    batch: str
    mobile: str
    to: str
    name: str
    text: str
    status: str
    points: int = 0
    sent_at: datetime | None = None
    due: datetime | None = None
    shown: bool = False
    answered: list[Answered] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Recipient:
    mobile: str
    text: str
    name: str = ""
    send_time: str = ""


class _Fault(Exception):
    """What .NET says when it cannot make a call of what it was sent."""


class Every8d(HttpSimulator):
    key = "every8d"
    delivered = "100"
    path: ClassVar[str] = "/API21/SOAP/SMS.asmx"

    def __init__(self) -> None:
        super().__init__()
        self.username = f"{self.key}-user"
        self.password = f"{self.key}-password"
        self.soap_version = "1.1"
        self.credit = Decimal(1_000_000)
        self.international = True
        self.receipt_url = ""
        self.retry_callbacks_after = timedelta(seconds=0.2)
        self.logins = 0
        self.bad_logins = 0
        self._sessions: dict[str, date] = {}
        self.session_refusals: Counter[str] = Counter()
        self._batches: dict[str, list[Row]] = {}
        self._callback_tries: Counter[str] = Counter()

    def secret(self) -> dict[str, object]:
        return {
            "username": self.username,
            "password": self.password,
            "base_url": f"{self.root.rstrip('/')}{self.path}",
            "allow_http": True,
            "soap_version": self.soap_version,
        }

    @property
    def locked(self) -> bool:
        return self.bad_logins > _TOO_MANY_BAD_LOGINS

    def lose_sessions(self) -> None:
        """As when their server is started anew: every call answers -301 until somebody logs in."""
        with self._lock:
            self._sessions.clear()

    def reply(self, phone: str, text: str) -> None:
        """An answer to the last message on this phone; it has no batch where there was none."""
        with self._lock:
            rows = [row for batch in self._batches.values() for row in batch if row.to == phone and row.shown]
            batch = rows[-1].batch if rows else ""
            if rows:
                rows[-1].answered.append(Answered(self.now(), text))
        if self.receipt_url:
            self._call_back(_callback_url(self.receipt_url, batch, phone, self.now(), "999", text))

    @staticmethod
    def says(result: str | None, operation: str = "sendSMS", *, carried_out: bool = False) -> Says:
        """An answer to script: this result, or none, in a proper envelope."""
        return Says(envelope(operation, result), content_type=MEDIA_TYPES["1.1"], carried_out=carried_out)

    @staticmethod
    def faults(words: str = "Server was unable to process request.", *, carried_out: bool = False) -> Says:
        return Says(fault("1.1", "Server", words), 500, MEDIA_TYPES["1.1"], carried_out=carried_out)

    # SOAP

    def operation(self, call: HttpCall) -> str:
        try:
            return _body_of(call)[1]
        except _Fault:
            return "unknown"

    def answer(self, call: HttpCall) -> HttpAnswer:
        if call.path.lower() != self.path.lower():
            return HttpAnswer(b"<html><body><h1>404 Not Found</h1></body></html>", 404)
        if call.method != "POST":
            return HttpAnswer(b"<html><head><title>SMS Web Service</title></head><body></body></html>")
        version = "1.2" if _media_type(call) == "application/soap+xml" else "1.1"
        try:
            spoken, operation, arguments = _body_of(call)
            _check_action(call, spoken, operation)
        except _Fault as trouble:
            return HttpAnswer(fault(version, "Client", str(trouble)), 500, MEDIA_TYPES[version])
        with self._lock:
            self.calls.append(Call(self.now(), operation, arguments))
            result = self._call(operation, arguments)
        return HttpAnswer(envelope(operation, result, spoken), 200, MEDIA_TYPES[spoken])

    def _call(self, operation: str, arguments: Mapping[str, str]) -> str | None:
        if operation == "getConnection":
            return self._log_in(arguments.get("userID", ""), arguments.get("password", ""))
        if self._sessions.get(arguments.get("sessionKey", "")) != self._today():
            self.session_refusals[operation] += 1
            if operation == "closeConnection":
                return "-1"
            return _sms_log("-301") if operation == "getDeliveryStatus" else _error("-301")
        operations: dict[str, Callable[[Mapping[str, str]], str]] = {
            "closeConnection": self._log_out,
            "sendSMS": self._send,
            "sendParamSMS": self._send_personal,
            "getDeliveryStatus": self._tell_status,
            "getCredit": self._tell_credit,
            "eraseBooking": self._erase,
        }
        return operations[operation](arguments)

    # Sections 1.1 and 1.3

    def _log_in(self, username: str, password: str) -> str:
        if not username or not password:
            return _error("-300", ", ")
        if self.locked:
            return _connection("-999")
        if (username, password) != (self.username, self.password):
            self.bad_logins += 1
            return _connection("-101" if username == self.username else "-100")
        self.logins += 1
        key = uuid.uuid4().hex.upper()
        self._sessions[key] = self._today()
        return _connection("0", key)

    def _log_out(self, arguments: Mapping[str, str]) -> str:
        del self._sessions[arguments["sessionKey"]]
        return "1"

    def _today(self) -> date:
        """ "SessionKey 有效期為單日,隔日即失效"."""
        return self.now().astimezone(TAIPEI).date()

    # Sections 1.2 and 2.2

    def _send(self, arguments: Mapping[str, str]) -> str:
        if not arguments.get("content"):
            return _error("-24")
        mobiles = [mobile for mobile in arguments.get("mobile", "").split(",") if mobile]
        return self._take([_Recipient(mobile, arguments["content"]) for mobile in mobiles], arguments)

    def _send_personal(self, arguments: Mapping[str, str]) -> str:
        recipients = _users(arguments.get("contentXML", ""))
        return self._take(recipients, arguments) if recipients is not None else _error("-99")

    def _take(self, recipients: Sequence[_Recipient], arguments: Mapping[str, str]) -> str:
        if not recipients:
            return _error("-41")
        batch = str(uuid.uuid4())
        rows = [self._row(batch, recipient, arguments.get("sendTime", "")) for recipient in recipients]
        sended = cost = unsend = 0
        for row in rows:
            if row.status:
                continue
            if row.points > self.credit:
                row.status, row.points = "301", 0
                unsend += 1
                continue
            self.credit -= row.points
            cost += row.points
            sended += 1
            self._accept(row, arguments)
        self._batches[batch] = rows
        return f"{self.credit:.2f},{sended},{Decimal(cost):.1f},{unsend},{batch}"

    def _row(self, batch: str, recipient: _Recipient, send_time: str) -> Row:
        """A row whose status is set already is never sent, and costs nothing."""
        home, abroad = _TAIWAN.fullmatch(recipient.mobile), _ABROAD.fullmatch(recipient.mobile)
        to = f"+886{home[1]}" if home else recipient.mobile
        row = Row(batch, recipient.mobile, to, recipient.name, recipient.text, "")
        wanted = recipient.send_time or send_time
        if not home and not abroad:
            row.status = "-3"
        elif abroad and not self.international:
            row.status = "500"
        elif wanted:
            row.due = _moment(wanted)
            if row.due is None or row.due < self.now():
                row.status = "-4"  # "若傳送時間小於系統接單時間,將不予傳送"
        if not row.status:
            row.points = _points(recipient.text) * (1 if home else 3)
        return row

    def _accept(self, row: Row, arguments: Mapping[str, str]) -> None:
        now = self.now()
        row.status = "300" if row.due else "0"
        row.sent_at = row.due or now
        fields = {name: value for name, value in arguments.items() if name != "sessionKey"}
        self.accepted.append(Submission(now, row.batch, row.to, row.text, row.points, fields, row.due))
        start = row.due or now
        self._at(start, lambda: self._deliver(row, start))

    def _deliver(self, row: Row, start: datetime) -> None:
        if row.status == "303":
            return
        row.status = "0"
        plan = self._plan()
        if not plan:
            self._display(row)
        for step in plan:
            self._at(start + timedelta(seconds=step.after), lambda step=step: self._become(row, step))  # type: ignore[misc]

    def _become(self, row: Row, step: Step) -> None:
        with self._lock:
            row.status = step.status
        if step.status == self.delivered:
            self._display(row)
        if step.told and self.receipt_url:
            text = row.text if step.status == self.delivered else ""
            self._call_back(_callback_url(self.receipt_url, row.batch, row.to, self.now(), step.status, text))

    def _display(self, row: Row) -> None:
        if not row.shown:
            row.shown = True
            self._show(row.to, row.text, row.batch)

    # Section 3.1

    def _make_callback(self, url: str, data: bytes | None) -> None:
        status, body = self._fetch(url, data)
        with self._lock:
            self.callbacks.append(CallbackMade(self.now(), url, status, body))
            self._callback_tries[url] += 1
            again = status != 200 and self._callback_tries[url] <= _CALLBACK_RETRIES
        if again:
            self._at(self.now() + self.retry_callbacks_after, lambda: self._call_back(url))

    # Sections 3.2 and 4

    def _tell_status(self, arguments: Mapping[str, str]) -> str:
        rows = self._batches.get(arguments.get("batchID", ""), [])
        page = arguments.get("pageNo", "")
        if not re.fullmatch("[1-9][0-9]{0,6}|", page):
            return _sms_log("-99")
        start = (int(page or 1) - 1) * _PAGE
        return _sms_log("0", rows[start : start + _PAGE], len(rows))

    def _tell_credit(self, arguments: Mapping[str, str]) -> str:
        return f"{self.credit:.2f}"

    def _erase(self, arguments: Mapping[str, str]) -> str:
        rows = self._batches.get(arguments.get("batchID", ""), [])
        if not rows:
            return ""  # "空值:查無資料"
        waiting = [row for row in rows if row.status == "300"]
        if not waiting:
            return "-4,已發送或已刪除"
        for row in waiting:
            row.status = "303"
        points = sum(row.points for row in waiting)
        self.credit += points
        return f"{len(waiting)},{Decimal(points):.1f}"


# SOAP


def _parser() -> etree.XMLParser:
    """libxml2's: another one than the gateway's, so that the two cannot agree on the same mistake."""
    return etree.XMLParser(resolve_entities=False, no_network=True, remove_comments=True, remove_pis=True)


def _media_type(call: HttpCall) -> str:
    return call.headers.get("content-type", "").partition(";")[0].strip().lower()


def _body_of(call: HttpCall) -> tuple[str, str, dict[str, str]]:
    """SOAP version, operation and arguments. Raises _Fault where anything is not exactly as it should be."""
    version = {"text/xml": "1.1", "application/soap+xml": "1.2"}.get(_media_type(call))
    if version is None:
        raise _Fault("Client found request content type of another kind")
    if b"<!DOCTYPE" in call.body:
        raise _Fault("For security reasons DTD is prohibited in this XML document.")
    try:
        root = etree.fromstring(call.body, _parser())
    except etree.XMLSyntaxError:
        raise _Fault("Server did not find required SOAP Envelope: there is an error in the XML document.") from None
    soap = ENVELOPES[version]
    if root.tag != f"{{{soap}}}Envelope":
        raise _Fault("Possible SOAP version mismatch")
    bodies = root.findall(f"{{{soap}}}Body")
    if len(bodies) != 1 or len(bodies[0]) != 1:
        raise _Fault("There must be one Body with one call in it")
    (called,) = bodies[0]
    operation = called.tag.removeprefix(f"{{{NAMESPACE}}}")
    if operation not in OPERATIONS:
        raise _Fault("Server did not recognize the operation")
    names = [child.tag.removeprefix(f"{{{NAMESPACE}}}") for child in called]
    if names != [name for name in OPERATIONS[operation] if name in names] or any(len(child) for child in called):
        raise _Fault("Arguments that are not in the WSDL, twice, or out of order")
    return version, operation, {name: child.text or "" for name, child in zip(names, called, strict=True)}


def _check_action(call: HttpCall, version: str, operation: str) -> None:
    wanted = f'"{NAMESPACE}{operation}"'
    if version == "1.1":
        action = call.headers.get("soapaction", "")
    else:
        found = re.search(r'action=("[^"]*")', call.headers.get("content-type", ""))
        action = found[1] if found else wanted  # In 1.2 it may be left out.
    if action != wanted:
        raise _Fault("Server did not recognize the value of HTTP Header SOAPAction.")


def envelope(operation: str, result: str | None, version: str = "1.1") -> bytes:
    inside = "" if result is None else f"<{operation}Result>{escape(result)}</{operation}Result>"
    return _enveloped(version, f'<{operation}Response xmlns="{NAMESPACE}">{inside}</{operation}Response>')


def fault(version: str, who: str, words: str) -> bytes:
    if version == "1.1":
        return _enveloped(
            version,
            f"<soap:Fault><faultcode>soap:{who}</faultcode><faultstring>{escape(words)}</faultstring><detail/></soap:Fault>",
        )
    code = {"Client": "Sender", "Server": "Receiver"}[who]
    return _enveloped(
        version,
        f"<soap:Fault><soap:Code><soap:Value>soap:{code}</soap:Value></soap:Code><soap:Reason>"
        f'<soap:Text xml:lang="en">{escape(words)}</soap:Text></soap:Reason></soap:Fault>',
    )


def _enveloped(version: str, body: str) -> bytes:
    return (
        f'<?xml version="1.0" encoding="utf-8"?><soap:Envelope xmlns:soap="{ENVELOPES[version]}" '
        'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:xsd="http://www.w3.org/2001/XMLSchema">'
        f"<soap:Body>{body}</soap:Body></soap:Envelope>"
    ).encode()


# What it answers


def _error(code: str, joint: str = ",") -> str:
    return f"{code}{joint}{TEXTS[code]}"


def _connection(code: str, key: str = "") -> str:
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\r\n<SMS><GET_CONNECTION>'
        f"<CODE>{code}</CODE><SESSION_KEY>{key}</SESSION_KEY><DESCRIPTION>{TEXTS[code]}</DESCRIPTION>"
        "</GET_CONNECTION></SMS>"
    )


def _sms_log(code: str, rows: Sequence[Row] = (), count: int = 0) -> str:
    words = "發送狀態查詢成功" if code == "0" else TEXTS[code]
    listed = "".join(_sms(row) for row in rows)
    return (
        f'<?xml version="1.0" encoding="utf-8"?>\r\n<SMS_LOG><CODE>{code}</CODE><DESCRIPTION>{words}</DESCRIPTION>'
        f'<GET_DELIVERY_STATUS COUNT="{count}">{listed}</GET_DELIVERY_STATUS></SMS_LOG>'
    )


def _sms(row: Row) -> str:
    replies = "".join(
        f"<REPLY_SMS><REPLY_TIME>{_written(answered.at)}</REPLY_TIME>"
        f"<MESSAGE><![CDATA[{answered.text.replace(']]>', ']]]]><![CDATA[>')}]]></MESSAGE></REPLY_SMS>"
        for answered in row.answered
    )
    return (
        f"<SMS><NAME>{escape(row.name)}</NAME><MOBILE>{row.mobile:<20}</MOBILE>"
        f"<SENT_TIME>{_written(row.sent_at) if row.sent_at else ''}</SENT_TIME><COST>{Decimal(row.points):.2f}</COST>"
        f"<STATUS>{row.status}</STATUS>{replies}</SMS>"
    )


def _callback_url(url: str, batch: str, to: str, at: datetime, status: str, text: str) -> str:
    """Section 3.1, with the parameters that real calls carry besides."""
    told = {
        "BatchID": batch,
        "RM": to,
        "RT": at.astimezone(TAIPEI).strftime("%Y%m%d%H%M%S"),
        "STATUS": status,
        "SM": text,
        "MR": "",
        "CustID": "",
        "UserNo": "10001",
        "ST": at.astimezone(TAIPEI).strftime("%Y%m%d%H%M%S"),
        "SUBJECT": "",
        "NAME": "",
        "USERID": "every8d-user",
        "SOURCE": "WS",
        "CHARGE": "1",
        "MSGID": "",
    }
    query = "&".join(f"{name}={_lower_escapes(quote_plus(value))}" for name, value in told.items())
    return f"{url}?{query}"


def _lower_escapes(written: str) -> str:
    """As .NET writes them."""
    return re.sub("%[0-9A-F]{2}", lambda escaped: escaped[0].lower(), written)


def _users(content_xml: str) -> list[_Recipient] | None:
    """Section 2.2; None where it is not exactly so."""
    if "<!DOCTYPE" in content_xml.partition("<REPS")[0]:
        return None
    try:
        root = etree.fromstring(content_xml.encode(), _parser())
    except etree.XMLSyntaxError:
        return None
    if root.tag != "REPS" or root.attrib or (root.text or "").strip():
        return None
    recipients = []
    for user in root:
        if user.tag != "USER" or set(user.attrib) != {"NAME", "MOBILE", "EMAIL", "SENDTIME"} or len(user):
            return None
        if (
            len(user.attrib["NAME"]) > 50
            or len(user.attrib["MOBILE"]) > 20
            or not user.text
            or (user.tail or "").strip()
        ):
            return None
        name, mobile, send_time = (str(user.attrib[name]) for name in ("NAME", "MOBILE", "SENDTIME"))
        recipients.append(_Recipient(mobile, user.text, name, send_time))
    return recipients


def _points(text: str) -> int:
    """As a handset counts: what lies beyond U+FFFF is two."""
    length = sum(2 if ord(character) > 0xFFFF else 1 for character in text)
    points = 0
    while length > 333:  # "超過 333 字仍可發送,系統將自動拆則"
        points, length = points + 5, length - 333
    return points + next(price for longest, price in _PRICES if length <= longest)


def _moment(send_time: str) -> datetime | None:
    """YYYYMMDDhhmmss, Taipei."""
    if not re.fullmatch("[0-9]{14}", send_time):
        return None
    try:
        return datetime.strptime(send_time, "%Y%m%d%H%M%S").replace(tzinfo=TAIPEI)
    except ValueError:
        return None


def _written(moment: datetime) -> str:
    return moment.astimezone(TAIPEI).strftime("%Y/%m/%d %H:%M:%S")
