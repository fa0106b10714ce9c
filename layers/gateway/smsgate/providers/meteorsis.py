"""Meteorsis (慧昇): a mail of seven or eight lines out, the answer by mail, receipts to one URL of the account.

Sections are those of the vendor's "SMTTP API 說明書 2.1 (2024-03-26)".

The answer to a mail carries nothing of it but its subject ("回覆電郵的主題會用上這個欄位的文字", section 3.1), so the
subject says all that is needed to understand the answer: which messages the mail carried, in which order, and in which
attempt of theirs. Nothing has to be stored for it.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Hashable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from smsgate import text
from smsgate.clock import MINUTE, TAIPEI, due
from smsgate.messages import Dispatch, Lane, Message, Report
from smsgate.outcomes import Accepted, MaybeSent, NotSent, Outcome, Refused
from smsgate.providers.base import (
    Capabilities,
    MailAnswer,
    Measure,
    Provider,
    ReadsMail,
    ReadsReceipts,
    Refusal,
    refuse,
    secret_text,
    submit,
    takes,
)
from smsgate.reasons import Code, Reason, quoted
from smsgate.status import Status
from smsgate.wire import Callback, InboundMail, Line, MailRequest, MailResponse, SmtpServer

HONG_KONG = TAIPEI  # one offset, all the year

ECONOMY = "SMSNotice"
"""Section 3.2, SENDERID: "要使用香港經濟線，設定為 SMSNotice"; 25: "香港經濟線只適用於香港地區"."""

# Section 7.1, "API 錯誤碼", in the vendor's order and words. All of them come instead of SMSDIDs: nothing was taken.
ERRORS: Mapping[str, Code] = {
    "1": Code.PROVIDER_ERROR,  # 非預期系統錯誤
    "2": Code.BAD_CREDENTIALS,  # API 憑證名稱與密碼不符
    "3": Code.ACCOUNT_DISABLED,  # API 憑證已被停用
    "5": Code.SCHEDULE_INVALID,  # 短訊的排程日期只限於 5 年之內
    "6": Code.TOO_LONG,  # 短訊內容必須存在，同時英文短訊的字數只限於 459；或統一碼短訊的字數只限於 201
    "8": Code.UNSUPPORTED_FEATURE,  # 顯示名稱必須存在，並只限於 11 個位的英文數字組合或 11 個位的數字
    "16": Code.CREDIT_EXHAUSTED,  # 餘額不足
    "17": Code.INVALID_NUMBER,  # 電話號碼格式錯誤
    "18": Code.CONTENT_REFUSED,  # 中國短訊的內容包含非法詞語
    "20": Code.PROVIDER_ERROR,  # 連接逾時
    "22": Code.COUNTRY_NOT_ENABLED,  # 短訊發送到指定國家被封阻
    "25": Code.UNSUPPORTED_FEATURE,  # 香港經濟線只適用於香港地區
    # 電郵格式錯誤: what stands in those lines is the publisher's or the secret's; the lines themselves are ours.
    "250": Code.PROVIDER_ERROR,  # 標籤數目不符
    "251": Code.BAD_CREDENTIALS,  # [USERNAME]
    "252": Code.BAD_CREDENTIALS,  # [PASSWORD]
    "253": Code.INVALID_NUMBER,  # [RECIPIENT]
    "254": Code.CONTENT_REFUSED,  # [CONTENT]
    "255": Code.PROVIDER_ERROR,  # [LANG_ENG]
    "256": Code.SCHEDULE_INVALID,  # [SCHEDULING]
    "257": Code.UNSUPPORTED_FEATURE,  # [SENDERID]
    "259": Code.PROVIDER_ERROR,  # [DNCR]
}

_OF_ONE_RECIPIENT = frozenset({"17", "18", "22", "25", "253"})
"""Errors that one recipient of many is enough for, and the answer does not say which."""

# Section 7.2, "短訊狀態", in the vendor's order and words, each with the reason where section 7.3 gives none.
STATUSES: Mapping[str, tuple[Status, Code | None]] = {
    "1": (Status.UNDELIVERED, Code.PROVIDER_ERROR),  # 上傳失敗
    "2": (Status.SENT, None),  # 上傳成功
    "3": (Status.SCHEDULED, None),  # 排程
    "4": (Status.SENT, None),  # 處理
    "19": (Status.SENT, None),  # 重發: "供應商仍會不斷重發"
    "20": (Status.EXPIRED, Code.EXPIRED),  # 過期: "有效期後，若傳送仍然失敗，短訊被取消"
    "21": (Status.UNDELIVERED, Code.UNREACHABLE),  # 無法傳送
    "22": (Status.DELIVERED, None),  # 確認傳送
}

# Section 7.3, "短訊狀態錯誤碼", in the vendor's order and words.
CAUSES: Mapping[str, Code | None] = {
    "300": None,  # 不適用
    "301": Code.NO_REPORT,  # 回條未接收
    "302": Code.INVALID_NUMBER,  # 號碼格式錯誤
    "303": Code.INVALID_NUMBER,  # 號碼不存在、已停用
    "304": Code.UNREACHABLE,  # 手機已關、接收不良、飛線
    "305": Code.HANDSET,  # 短訊匣已滿
    "306": Code.PROVIDER_ERROR,  # 不支援當地網絡
    "307": Code.BLOCKED_BY_RECIPIENT,  # 拒收名冊號碼
    "308": Code.CREDIT_EXHAUSTED,  # 餘額不足
    "309": Code.CONTENT_REFUSED,  # 中國短訊非法詞語
    "312": Code.BLOCKED_BY_RECIPIENT,  # 訊息被封鎖，例如客戶欠款、濫發訊息、客戶拒收、程式攔截
    "315": Code.PROVIDER_ERROR,  # 本地電訊商系統故障
    "326": Code.CREDIT_EXHAUSTED,  # 短訊收費超出上限
}

# Section 7.4, "短訊數及字數上限": how long a text of one part, of two, of three ... may be.
_UNICODE = (70, 134, 201)
_ENGLISH = (160, 306, 459)
_CHINA = (62, 120, 180, 240, 300, 360, 420, 459)

# A line of a mail holds 998 characters (RFC 5322, section 2.1.1), and a tag is one line.
_LINE = 998
_LONGEST_UNICODE = (_LINE - len("[CONTENT]=")) // 4  # only China takes more than this, in English
_RECIPIENTS = 82  # of eleven digits: 12 + 82 * 12 - 1
_RECIPIENTS_OF_FIFTEEN_DIGITS = 61
_ELEVEN = 11

_ANSWERED_WITHIN = timedelta(minutes=15)
_ON_THE_WAY = timedelta(minutes=2)  # A mail takes its time; a schedule that is past when it arrives is nowhere defined.
_YEARS = 5  # 5: "短訊的排程日期只限於 5 年之內"

_ENGLISH_CHARACTERS = frozenset(
    character for character in map(chr, range(0x20, 0x7F)) if not text.beyond_gsm(character)
)
_NUMBER = re.compile(r"\+[1-9][0-9]{7,14}")
_SENDER = re.compile(r"[A-Za-z0-9]{1,11}")
_TAG_VALUE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")
_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_{|}~-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})+")
_HOST = re.compile(r"[A-Za-z0-9.:-]{1,253}")

_SUBJECT = re.compile(
    r"(?<![A-Za-z0-9-])([a-z2-7]{24})-([0-9]{1,5})-([0-9]{1,4})(?:-([1-9a-f][0-9a-f]{0,20}))?(?![A-Za-z0-9-])"
)
# What may follow a number that is whole: blanks, brackets, marks. Anything else, and it may have been another number.
_WHOLE = r"""(?=[ \t\r\n\u00a0\u3000\])>(<*"'.]|$)(?!\.[0-9])"""
# At the beginning of a line, where the vendor puts them: whatever a message says stands behind a tag.
_TAKEN = re.compile(
    rf"^[^\S\r\n]*[\[(*\"']*SMSDID\s*:\s*([0-9]{{1,20}}(?:\s*,\s*[0-9]{{1,20}})*){_WHOLE}(?!\s*,)", re.MULTILINE
)
_ERROR = re.compile(rf"^[^\S\r\n]*[\[(*\"']*ERROR\s*:\s*([0-9]{{1,4}}){_WHOLE}(?:[ \t]*\(([^)\r\n]*)\))?", re.MULTILINE)

_SMSDID = re.compile(r"[0-9]{1,20}")  # section 6.2 says 6 to 9 digits, section 4.1 shows 5
_RECIPIENT = re.compile(r"[ +]?([1-9][0-9]{5,14})")
_DOS = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2})(?::[0-9]{2})?")
_CHARGED = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?")


class Meteorsis(Provider, ReadsMail, ReadsReceipts):
    key = "meteorsis"
    name = "Meteorsis"
    mail_domain = "meteorsis.com"
    capabilities = Capabilities(
        transport="mail",
        recipients_per_call=_RECIPIENTS,
        countries=None,
        longest="201 characters with Chinese, 459 in English, in 3 parts; to China 247 and 459, in 8",
        schedule=True,
        sender=True,
        receipts="account",
    )

    def __init__(self, account: Mapping[str, object]) -> None:
        self._username = _tag_value(account, "username")
        self._password = _tag_value(account, "password")
        self._mail_from = _address(secret_text(account, "mail_from"), "mail_from")
        self._mail_to = _address(account.get("mail_to") or "sendsms@meteorsis.com", "mail_to")
        self._sender = _default_sender(account)
        self._dncr = _flag(account, "dncr", default=False)
        self._server = _server(account)

    # What a message costs, and whether it can be sent here

    @classmethod
    def measure(cls, message: Message) -> Measure:
        content = text.normalized(message.text or "")
        english = _is_english(content)
        table = _table(message.to, english)
        parts = _parts(len(content) if english else text.units(content), table)
        return Measure(
            parts=parts,
            points=Decimal(parts),  # What a part costs stands in a price list by country; `charged` tells later.
            encoding="ASCII" if english else "Unicode",
            offending=text.forbidden(content),
        )

    @classmethod
    def _refusal(cls, message: Message, now: datetime) -> Refusal | None:
        if not _NUMBER.fullmatch(message.to):
            problem = "`to` has fewer digits than any mobile number Meteorsis dials: check it"
            return refuse(Code.INVALID_NUMBER, problem)
        return cls._sender_refusal(message) or cls._time_refusal(message, now)

    @classmethod
    def _sender_refusal(cls, message: Message) -> Refusal | None:
        if message.sender is None:
            return None
        if message.sender.startswith("#"):
            # Section 3.2: "不可發送「#」開頭顯示名稱"; Hong Kong keeps them for registered senders.
            return refuse(
                Code.UNSUPPORTED_FEATURE, "`sender` begins with #, which Meteorsis does not send: choose another"
            )
        if not _SENDER.fullmatch(message.sender):
            return refuse(
                Code.UNSUPPORTED_FEATURE, "`sender` must be 1 to 11 letters and digits at Meteorsis: shorten it"
            )
        if _is_economy(message.sender) and not _in_hong_kong(message.to):
            problem = f"`sender` {ECONOMY} is Meteorsis's economy line, for Hong Kong only: choose another"
            return refuse(Code.UNSUPPORTED_FEATURE, problem)
        return None

    @classmethod
    def _time_refusal(cls, message: Message, now: datetime) -> Refusal | None:
        at = _due(message.send_at, now)
        if at is not None and at > _five_years_after(now):
            problem = "`send_at` is more than five years away: Meteorsis takes an earlier time"
            return refuse(Code.SCHEDULE_INVALID, problem)
        return None

    @classmethod
    def _text_refusal(cls, message: Message, measure: Measure) -> Refusal | None:
        content = text.normalized(message.text or "")
        most = len(_table(message.to, _is_english(content)))
        if measure.parts > most:
            return refuse(Code.TOO_LONG, f"{takes(measure)}, and Meteorsis sends at most {most}: shorten it")
        if not _is_english(content) and text.units(content) > _LONGEST_UNICODE:
            limit = f"{_LONGEST_UNICODE} characters with Chinese"
            return refuse(Code.TOO_LONG, f"`text` is longer than the {limit} that a line of a mail holds: shorten it")
        return None

    # Sending

    @classmethod
    def group(cls, message: Message) -> Hashable:
        """One mail for neighbours of one request. So a one-time password is alone in its mail, and its answer exact.

        A second attempt is alone as well: after an error that does not say whose it is, each is asked about by itself.
        """
        request, _, position = message.message_id.rpartition("-")
        if len(message.attempts) > 1 or not position.isdecimal():
            return message.message_id
        long = len(message.to) - 1 > _ELEVEN
        block = int(position) // (_RECIPIENTS_OF_FIFTEEN_DIGITS if long else _RECIPIENTS)
        same = (message.text, message.sender, message.send_at, message.lane, _in_hong_kong(message.to))
        return (request, long, block, *same)

    def send(self, dispatch: Dispatch, exchange: Line) -> tuple[Outcome, ...]:
        in_order = sorted(dispatch.messages, key=lambda message: _position(message.message_id))
        outcome = self._send(in_order, dispatch.now, exchange)
        return (outcome,) * len(dispatch.messages)

    def _send(self, messages: Sequence[Message], now: datetime, exchange: Line) -> Outcome:
        sender = self._sender_of(messages[0])
        if isinstance(sender, Refused):
            return sender
        lines = _lines(self._username, self._password, messages, sender, self._dncr, now)
        request = MailRequest(self._mail_from, self._mail_to, _subject(messages), lines, self._server)
        return submit(exchange, request, _handed_over)

    def _sender_of(self, message: Message) -> str | Refused:
        """What stands in the message, else in the secret; else the economy line, where it reaches."""
        sender = message.sender or self._sender or ECONOMY
        if _is_economy(sender) and not _in_hong_kong(message.to):
            said = "outside Hong Kong a sender is needed: name one in the message or in the secret"
            return Refused(Reason(Code.UNSUPPORTED_FEATURE, provider_text=said))
        return ECONOMY if _is_economy(sender) else sender

    # The answer, by mail

    @classmethod
    def read_mail(cls, mail: InboundMail) -> list[MailAnswer]:
        """Section 4: `SMSDID:10001,10002,10003`, one for each recipient, or `ERROR:3 (XXXXXX)` for all of them."""
        attempt, message_ids = _members(mail.subject)
        taken = {tuple(re.findall(r"[0-9]+", found[1])) for found in _TAKEN.finditer(mail.text)}
        errors = {found[1]: found[2] or "" for found in _ERROR.finditer(mail.text)}
        if len(taken) + len(errors) != 1:
            raise ValueError("not one answer")
        if taken:
            (references,) = taken
            if len(references) != len(message_ids) or len(set(references)) != len(references):
                raise ValueError("not one SMSDID for each recipient")
            told = zip(message_ids, references, strict=True)
            return [MailAnswer(message_id, attempt, Accepted(reference)) for message_id, reference in told]
        ((code, said),) = errors.items()
        outcome = _refused(code, said, alone=len(message_ids) == 1)
        return [MailAnswer(message_id, attempt, outcome) for message_id in message_ids]

    # Receipts

    @classmethod
    def read_receipts(cls, callback: Callback) -> list[Report]:
        """Section 6.1: a GET of `smsdid`, `recipient`, `smsdstatus`, `smsderrorcode`, `dos`, `charged` and others."""
        if callback.is_probe:
            return []
        pairs = callback.pairs()
        told = dict(pairs)
        if len(told) != len(pairs):
            raise ValueError("a parameter stands there twice")
        return [_report(told)]


# Into the vendor's mail


def _lines(
    username: str, password: str, messages: Sequence[Message], sender: str, dncr: bool, now: datetime
) -> tuple[str, ...]:
    """Section 3.1: "全部大楷，順序排列 ... 一行一個標籤，總共 7 個"; [DNCR] is the eighth ("選擇性標籤")."""
    first = messages[0]
    content = text.normalized(first.text or "")
    english = _is_english(content)
    lines = (
        f"[USERNAME]={username}",
        f"[PASSWORD]={password}",
        f"[RECIPIENT]={','.join(message.to.removeprefix('+') for message in messages)}",
        f"[CONTENT]={content if english else _hex(content)}",
        f"[LANG_ENG]={1 if english else 0}",
        f"[SCHEDULING]={_scheduling(first.send_at, now)}",
        f"[SENDERID]={sender}",
    )
    # The do-not-call register is about advertising. Who is on it still wants the password she has just asked for.
    return (*lines, f"[DNCR]={1 if first.lane is Lane.BULK else 0}") if dncr else lines


def _is_english(content: str) -> bool:
    """Can the text stand in a line as it is? "英文短訊只限英文、數目字及標點符號".

    What would not arrive as it was written goes as Unicode: line breaks, blanks at an end of the line, what could be
    taken for a tag.
    """
    return _ENGLISH_CHARACTERS.issuperset(content) and content == content.strip() and "]=" not in content


def _hex(content: str) -> str:
    """Section 5: 你好嗎?a is 4F60597D55CE003F0061."""
    return content.encode("utf-16-be", "surrogatepass").hex().upper()


def _in_hong_kong(number: str) -> bool:
    return number.startswith("+852")


def _is_economy(sender: str) -> bool:
    return sender.lower() == ECONOMY.lower()


def _table(number: str, english: bool) -> tuple[int, ...]:
    if number.startswith("+86"):
        return _CHINA
    return _ENGLISH if english else _UNICODE


def _parts(length: int, table: tuple[int, ...]) -> int:
    if length <= table[-1]:
        return bisect_left(table, length) + 1
    return max(len(table) + 1, -(-length // (table[1] // 2)))


def _scheduling(send_at: datetime | None, now: datetime) -> str:
    """Section 3.2: "格式是 yyyy-MM-dd hh:mm ... 如果想即時傳送短訊，請填上 now"; the sample of section 5 says 23:59."""
    at = _due(send_at, now)
    return at.strftime("%Y-%m-%d %H:%M") if at else "now"


def _due(send_at: datetime | None, now: datetime) -> datetime | None:
    """The full minute in Hong Kong, never before the time that was asked for; None means now."""
    return due(send_at, now, MINUTE, _ON_THE_WAY)


def _five_years_after(now: datetime) -> datetime:
    here = now.astimezone(HONG_KONG)
    try:
        return here.replace(year=here.year + _YEARS)
    except ValueError:  # 29 February
        return here.replace(year=here.year + _YEARS, day=28)


def _subject(messages: Sequence[Message]) -> str:
    """`request-position-attempt`, and behind it which of the positions that follow are in the mail, bit by bit."""
    first = messages[0]
    start = _position(first.message_id)
    others = sum(1 << (_position(message.message_id) - start - 1) for message in messages[1:])
    subject = f"{first.message_id}-{len(first.attempts)}"
    return f"{subject}-{others:x}" if others else subject


def _members(subject: str) -> tuple[int, list[str]]:
    """The attempt and the messages, in their order, that a subject of ours speaks of."""
    found = {match.groups() for match in _SUBJECT.finditer(subject)}
    if len(found) != 1:
        raise ValueError("no subject of ours")
    ((request, start, attempt, others),) = found
    bits = int(others or "0", 16)
    positions = [0, *(bit + 1 for bit in range(bits.bit_length()) if bits >> bit & 1)]
    return int(attempt), [f"{request}-{int(start) + position}" for position in positions]


def _position(message_id: str) -> int:
    return int(message_id.rpartition("-")[2])


def _handed_over(_: MailResponse) -> Outcome:
    """A mail server took it over. What Meteorsis says comes by mail, and may be lost on its way (section 2)."""
    waits = Reason(Code.NO_REPLY, provider_text="no answer by mail so far")
    return MaybeSent(waits, evidence_within=_ANSWERED_WITHIN)


# Out of the vendor's answers


def _refused(code: str, said: str, *, alone: bool) -> Refused | NotSent:
    reason = Reason(ERRORS.get(code, Code.UNKNOWN), provider_code=code, provider_text=quoted(said) or None)
    # Nothing of the mail was taken, and most of its recipients have nothing to do with it: each goes again, alone.
    return NotSent(reason) if code in _OF_ONE_RECIPIENT and not alone else Refused(reason)


def _report(told: Mapping[str, str]) -> Report:
    reference = told["smsdid"].strip()
    if not _SMSDID.fullmatch(reference):
        raise ValueError("smsdid is no number")
    said, cause = told["smsdstatus"].strip(), told.get("smsderrorcode", "").strip()
    status, reason = _meaning(said, cause)
    sent_at = _DOS.fullmatch(told.get("dos", "").strip())
    charged = told.get("charged", "").strip()
    provider_code = quoted(f"{said}/{cause}" if cause else said)
    return Report(
        status=status,
        reason=Reason(reason, provider_code=provider_code) if reason else None,
        provider_code=provider_code,
        # When it was sent, not when it was reported, with or without seconds. To the minute, so that two reports of
        # one message never seem to follow each other.
        provider_time=sent_at[1] if sent_at else None,
        provider_ref=reference,
        to=_number(told.get("recipient", "")),
        points=Decimal(charged) if _CHARGED.fullmatch(charged) else None,
        # 307 "拒收名冊號碼", on the register of those who refuse. 312 may be a debt of ours as well: it lists nobody.
        unwanted=cause == "307" and reason is Code.BLOCKED_BY_RECIPIENT,
    )


def _meaning(said: str, cause: str) -> tuple[Status | None, Code | None]:
    if said not in STATUSES:
        return None, Code.UNKNOWN
    status, usual = STATUSES[said]
    because = CAUSES.get(cause, Code.UNKNOWN) if cause else None
    if status is not Status.DELIVERED:
        return status, because or usual
    if because in (None, Code.UNKNOWN):
        return status, None
    return None, Code.UNKNOWN  # Delivered, and why it was not: it cannot be both, so it says neither.


def _number(recipient: str) -> str | None:
    """Section 6.2: "國家碼 + 流動電話號碼", which is E.164 without its plus."""
    digits = _RECIPIENT.fullmatch(recipient)
    return f"+{digits[1]}" if digits else None


# Out of the account's secret


def _tag_value(account: Mapping[str, object], field: str) -> str:
    value = secret_text(account, field)
    if not _TAG_VALUE.fullmatch(value):
        raise ValueError(f"{field} must be printable ASCII: it is a line of a mail")
    return value


def _address(value: object, field: str) -> str:
    if not isinstance(value, str) or not _ADDRESS.fullmatch(value):
        raise ValueError(f"{field} must be a mail address")
    return value


def _default_sender(account: Mapping[str, object]) -> str | None:
    sender = account.get("sender")
    if sender is None:
        return None
    if not isinstance(sender, str) or not _SENDER.fullmatch(sender):
        raise ValueError("sender must be 1 to 11 letters and digits")
    return sender


def _flag(account: Mapping[str, object], field: str, *, default: bool) -> bool:
    value = account.get(field, default)
    if not isinstance(value, bool):
        raise ValueError(f"{field} must be true or false")
    return value


def _server(account: Mapping[str, object]) -> SmtpServer | None:
    """`smtp`; without it the mails go by SES. Every mail holds the account's password, so none goes without TLS."""
    smtp = account.get("smtp")
    if smtp is None:
        return None
    if not isinstance(smtp, dict):
        raise ValueError("smtp must be an object of host, port, starttls, username and password")
    host, port = smtp.get("host"), smtp.get("port", 587)
    if not isinstance(host, str) or not _HOST.fullmatch(host):
        raise ValueError("smtp.host must be a host's name")
    if isinstance(port, bool) or not isinstance(port, int) or not 0 < port < 65536:
        raise ValueError("smtp.port must be a number from 1 to 65535")
    starttls = smtp.get("starttls", True)
    if not isinstance(starttls, bool):
        raise ValueError("smtp.starttls must be true or false")
    if not starttls and not _flag(account, "allow_http", default=False):
        raise ValueError("smtp.starttls may be false only where the secret says `allow_http`: mails hold the password")
    username, password = smtp.get("username"), smtp.get("password")
    for name, value in (("username", username), ("password", password)):
        if value is not None and (not isinstance(value, str) or not _TAG_VALUE.fullmatch(value)):
            raise ValueError(f"smtp.{name} must be printable ASCII, or left out")
    if (username is None) != (password is None):
        raise ValueError("smtp.username and smtp.password belong together")
    return SmtpServer(host, port, starttls, username, password)
