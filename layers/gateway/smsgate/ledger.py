"""The truth, in DynamoDB: the only file that knows keys and expressions.

Every change of a message is the same small dance: read it, let `lifecycle` say what it becomes, write the whole of it
if its version is still the one that was read, else start over. One mechanism for claims, outcomes, reports and
cancellations, so that no two of them can undo each other.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from smsgate.attributes import from_wire, to_wire
from smsgate.items import DOUBT, Plain, message_from_plain, message_to_plain, stamp
from smsgate.messages import Message, Reply
from smsgate.reasons import Code
from smsgate.requests import InvalidRequest, request_hash, split_message_id
from smsgate.wire import Callback

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

Step = Callable[[Message], Message]

UNREAD = "unread"
"""Where callbacks that came to nothing lie in the index of what somebody must look at."""

_TRIES = 50
"""Lost races before a change is given up: each is lost to somebody's progress, so even ten workers end long before."""

_KEYS_PER_CALL = 100
"""What BatchGetItem takes at once."""

_PAUSES = (0.0, 0.05, 0.1, 0.2, 0.4)
"""Before each asking for the keys that a throttled table left unprocessed."""

_SUPPRESSED = "suppressed#"


class Contended(Exception):
    """A message changed under our hands every time; the caller's own retry takes it from here."""


@dataclass(frozen=True, slots=True)
class Saved:
    message: Message


@dataclass(frozen=True, slots=True)
class Taken:
    """Somebody else wrote first; this is what lies there now."""

    message: Message


@dataclass(frozen=True, slots=True)
class Page:
    items: list[Plain] = field(repr=False)
    cursor: Plain | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class AccountSums:
    """What is added to a provider's day."""

    messages: int
    reckoned: Decimal
    taken: Decimal
    stated: int
    differing: int


class Ledger:
    def __init__(
        self,
        client: DynamoDBClient,
        table: str,
        retention: timedelta,
        token: Callable[[], str] = lambda: secrets.token_hex(16),
    ) -> None:
        self._client = client
        self._table = table
        self._retention = retention
        self._token = token

    # Messages

    def get(self, message_id: str) -> Message | None:
        try:
            key = _message_key(message_id)
        except ValueError:
            return None
        plain = self._get(key)
        return message_from_plain(plain) if plain else None

    def save(self, message: Message) -> Saved | Taken:
        """Write a message if it is still at the version it was read at."""
        token = self._token()
        saved = replace(message, version=message.version + 1)
        plain = {**_message_key(message.message_id), **message_to_plain(saved, self._retention), "stamp": token}
        if message.version:
            condition, values = "version = :seen", {":seen": message.version}
        else:
            condition, values = "attribute_not_exists(pk)", {}
        before = self._put(plain, condition, values)
        # The client sends a write again when its answer was lost; then our own success stands in the way of itself.
        if before is None or before.get("stamp") == token:
            return Saved(saved)
        if not before:
            raise Contended(message.message_id)  # Its retention ended since it was read: there is nothing to change.
        return Taken(message_from_plain(before))

    def change(self, message_id: str, step: Step) -> Message | None:
        """What the message became by `step`; None where there is no such message."""
        message = self.get(message_id)
        return None if message is None else self.change_from(message, step)

    def change_from(self, message: Message, step: Step) -> Message:
        """As `change`, from a message read before: saves the reading where nobody was faster."""
        for _ in range(_TRIES):
            changed = step(message)
            if changed is message:
                return message
            result = self.save(changed)
            if isinstance(result, Saved):
                return result.message
            message = result.message
        raise Contended(message.message_id)

    def of_request(self, request_id: str) -> Iterator[Message]:
        yield from self.of_hash(request_hash(request_id))

    def of_hash(self, hashed: str) -> Iterator[Message]:
        for plain in self._query(
            "pk = :pk AND begins_with(sk, :prefix)", {":pk": hashed, ":prefix": "m#"}, consistent=True
        ):
            yield message_from_plain(plain)

    def to_recipient(self, number: str, limit: int, cursor: Mapping[str, Any] | None = None) -> Page:
        """Keys of what went to a number, newest first."""
        return self._page("recipient", "#to = :to", {":to": number}, {"#to": "to"}, limit, cursor, newest_first=True)

    def due(self, shard: str, now: datetime, limit: int, cursor: Mapping[str, Any] | None = None) -> Page:
        """Keys of the messages of one shard that somebody must look at, the longest overdue first."""
        values = {":shard": shard, ":now": stamp(now)}
        return self._page("due", "due_shard = :shard AND due_at <= :now", values, {}, limit, cursor)

    def waiting(self, shard: str, limit: int, cursor: Mapping[str, Any] | None = None) -> Page:
        """As `due`, those whose time has not come as well."""
        return self._page("due", "due_shard = :shard", {":shard": shard}, {}, limit, cursor)

    def doubtful(self) -> int:
        """How many messages nobody knows the end of; of very many (a page of the index), at least so many."""
        answer = self._client.query(
            TableName=self._table,
            IndexName="due",
            KeyConditionExpression="due_shard = :shard",
            ExpressionAttributeValues=to_wire({":shard": DOUBT}),
            Select="COUNT",
        )
        return answer["Count"]

    # Requests that were refused whole

    def reject_request(self, rejected: InvalidRequest, code: Code, now: datetime) -> bool:
        """Keep an invalid request's problems; False where they are kept already (its record came again)."""
        problems = [{"field": problem.field, "problem": problem.problem} for problem in rejected.problems]
        return self._create(
            {
                "pk": request_hash(rejected.request_id),
                "sk": f"rejected#{_digest(repr(problems))}",
                "request_id": rejected.request_id,
                "code": code.value,
                "problems": problems,
                "at": stamp(now),
                "expires": self._expires(now),
            }
        )

    def rejections(self, request_id: str) -> list[Plain]:
        return list(
            self._query(
                "pk = :pk AND begins_with(sk, :prefix)",
                {":pk": request_hash(request_id), ":prefix": "rejected#"},
                consistent=True,
            )
        )

    # Provider references: where a send answer and a report that may be faster meet

    def link(self, provider: str, provider_ref: str, message: Message) -> list[str]:
        """Tie a provider's reference to its message; gives the keys of callbacks that were here first."""
        linked = self._update(
            _reference_key(provider, provider_ref, message.to),
            "SET message_id = :message_id, expires = :expires",
            {":message_id": message.message_id, ":expires": self._expires(message.send_at or message.accepted_at)},
        )
        return sorted(linked.get("callbacks", ()))

    def find(self, provider: str, provider_ref: str, to: str, callback_key: str, now: datetime) -> str | None:
        """The message of a reference; where the send answer is not stored yet, leave word for it."""
        key = _reference_key(provider, provider_ref, to)
        linked = self._update(
            key,
            "ADD callbacks :callback SET expires = if_not_exists(expires, :expires)",
            {":callback": {callback_key}, ":expires": self._expires(now)},
        )
        found = linked.get("message_id")
        return str(found) if found else None

    def referenced(self, provider: str, provider_ref: str, to: str) -> str | None:
        """The message of a reference, if it is known by now."""
        plain = self._get(_reference_key(provider, provider_ref, to))
        return plain.get("message_id") if plain else None

    def holders(self, provider: str, provider_ref: str) -> set[str]:
        """Every message that a provider's reference is tied to, whoever its recipient is."""
        pk = _reference_key(provider, provider_ref, "")["pk"]
        found = self._query("pk = :pk", {":pk": pk}, consistent=True)
        return {plain["message_id"] for plain in found if "message_id" in plain}

    # Callbacks, raw

    def keep_callback(self, provider: str, kind: str, callback: Callback, now: datetime) -> str:
        """Store a callback as it came, before anybody tries to understand it. The same bytes are stored once."""
        raw = f"{kind}\n{callback.method}\n{callback.path}\n{callback.query}\n".encode() + callback.body
        key = f"callback#{provider}#{hashlib.sha256(raw).hexdigest()[:40]}"
        self._create(
            {
                "pk": key,
                "sk": "callback",
                "provider": provider,
                "kind": kind,
                "method": callback.method,
                "path": callback.path,
                "query": callback.query,
                "body": callback.body,
                "content_type": callback.content_type,
                "at": stamp(now),
                "expires": self._expires(now),
            }
        )
        return key

    def callback(self, key: str) -> Callback | None:
        plain = self._get(_callback_key(key))
        return callback_of(plain) if plain and "body" in plain else None

    def forget_callback(self, key: str) -> None:
        """Keep no more of it than that it came."""
        self._update(_callback_key(key), "REMOVE body, #query", {}, names={"#query": "query"})

    def mark_callback(self, key: str, problem: str, now: datetime) -> None:
        """Remember why a stored callback came to nothing; it is listed until it has been understood."""
        self._update(
            _callback_key(key),
            "SET problem = :problem, due_shard = :unread, due_at = if_not_exists(due_at, :now)",
            {":problem": problem, ":unread": UNREAD, ":now": stamp(now)},
        )

    def callback_understood(self, key: str) -> None:
        self._update(_callback_key(key), "REMOVE problem, due_shard, due_at", {})

    def unread_callbacks(self, limit: int, cursor: Mapping[str, Any] | None = None) -> Page:
        """Callbacks that came to nothing, the oldest first, each as it was stored."""
        page = self._page("due", "due_shard = :unread", {":unread": UNREAD}, {}, limit, cursor)
        found = (self._get({"pk": key["pk"], "sk": key["sk"]}) for key in page.items)
        return Page([plain for plain in found if plain is not None and "body" in plain], page.cursor)

    # Replies

    def has_reply(self, reply: Reply) -> bool:
        return self._get(_reply_key(reply)) is not None

    def keep_reply(
        self, reply: Reply, message_id: str | None, request_id: str | None, match: str, now: datetime
    ) -> bool:
        """Store a reply once, however often it comes; False where it was here."""
        return self._create(
            {
                **_reply_key(reply),
                "reply_id": reply_id_of(reply),
                "provider": reply.provider,
                "from": reply.sender,
                "text": reply.text,
                "provider_time": reply.provider_time,
                "message_id": message_id,
                "request_id": request_id,
                "match": match,
                "at": stamp(now),
                # Beside the messages in the index by number, under a key no number can have.
                "to": _sender_key(reply.sender),
                "accepted_at": stamp(now),
                "expires": self._expires(now),
            }
        )

    def replies_from(
        self, number: str, since: datetime | None, limit: int, cursor: Mapping[str, Any] | None = None
    ) -> Page:
        """What a number said, newest first: whole items."""
        condition, values = "#to = :to", {":to": _sender_key(number)}
        if since:
            condition, values = "#to = :to AND accepted_at >= :since", {**values, ":since": stamp(since)}
        page = self._page("recipient", condition, values, {"#to": "to"}, limit, cursor, newest_first=True)
        found = {plain["pk"]: plain for plain in self._get_many([_key_of(key) for key in page.items])}
        return replace(page, items=[found[key["pk"]] for key in page.items if key["pk"] in found])

    # The stop list

    def suppression(self, number: str) -> Plain | None:
        return self._get(_suppression_key(number))

    def set_suppression(
        self, number: str, state: Mapping[str, Any], seen: int, forgotten_from: datetime | None
    ) -> bool:
        """Replace what is known of a number, if nobody changed it since version `seen`; kept for good, or for a while.

        Whoever wants no messages is not forgotten with the messages: only an entry that was lifted ends.
        """
        expires = self._expires(forgotten_from) if forgotten_from else None
        return self._replace(_suppression_key(number), {**state, "expires": expires}, seen)

    def suppressed(self, numbers: Iterable[str]) -> set[str]:
        """Which of the numbers are on the stop list, as of now."""
        keys = [_suppression_key(number) for number in sorted(set(numbers))]
        found = self._get_many(keys, "pk, active")
        return {str(plain["pk"]).removeprefix(_SUPPRESSED) for plain in found if plain["active"]}

    # Providers

    def provider_state(self, provider: str, aspect: str) -> Plain | None:
        return self._get({"pk": f"provider#{provider}", "sk": aspect})

    def set_provider_state(self, provider: str, aspect: str, state: Mapping[str, Any], seen: int) -> bool:
        """Replace one aspect of a provider's state if nobody changed it since version `seen` (0: there was none)."""
        return self._replace({"pk": f"provider#{provider}", "sk": aspect}, state, seen)

    def count_failure(self, provider: str, now: datetime, since: datetime | None) -> int:
        """One more failure in a row: how many they are now. A row begins anew unless its last is from after `since`."""
        key = {"pk": f"provider#{provider}", "sk": "failures"}
        if since is not None:
            try:
                counted = self._update(
                    key,
                    "SET in_a_row = in_a_row + :one, last_at = :now",
                    {":one": 1, ":now": stamp(now), ":since": stamp(since)},
                    "last_at >= :since",
                )
                return int(counted["in_a_row"])
            except self._client.exceptions.ConditionalCheckFailedException:
                pass  # There is no row, or it has ended.
        self._update(key, "SET in_a_row = :one, last_at = :now", {":one": 1, ":now": stamp(now)})
        return 1

    def forget_failures(self, provider: str) -> None:
        self._update({"pk": f"provider#{provider}", "sk": "failures"}, "SET in_a_row = :none", {":none": 0})

    def count_reports(self, provider: str, window: str, *, sent: int, late: int, until: datetime) -> tuple[int, int]:
        """Messages a provider took in a window of time, and those of them without a report: how many they are now."""
        counted = self._update(
            {"pk": f"provider#{provider}", "sk": f"reports#{window}"},
            "ADD sent :sent, late :late SET expires = :expires",
            {":sent": sent, ":late": late, ":expires": int(until.timestamp())},
        )
        return int(counted["sent"]), int(counted["late"])

    # The account of a provider's day

    def account(self, provider: str, day: date) -> Plain | None:
        return self._get(_account_key(provider, day))

    def add_to_account(
        self, provider: str, day: date, sums: AccountSums, named: Collection[str], most_named: int, now: datetime
    ) -> None:
        """Add up, in one write; `named` are remembered as long as there is room for all of them."""
        key = _account_key(provider, day)
        values = {
            ":messages": sums.messages,
            ":reckoned": sums.reckoned,
            ":taken": sums.taken,
            ":stated": sums.stated,
            ":differing": sums.differing,
            ":expires": self._expires(now),
        }
        if named:
            naming = {":named": set(named), ":names": len(named), ":room": most_named - len(named)}
            try:
                self._client.update_item(
                    TableName=self._table,
                    Key=to_wire(key),
                    UpdateExpression=(
                        "ADD messages :messages, reckoned :reckoned, taken :taken, stated :stated, "
                        "differing :differing, named :named, named_count :names "
                        "SET expires = if_not_exists(expires, :expires)"
                    ),
                    ConditionExpression="attribute_not_exists(named_count) OR named_count <= :room",
                    ExpressionAttributeValues=to_wire({**values, **naming}),
                )
                return
            except self._client.exceptions.ConditionalCheckFailedException:
                pass  # Full: they are counted all the same.
        self._update(
            key,
            "ADD messages :messages, reckoned :reckoned, taken :taken, stated :stated, differing :differing "
            "SET expires = if_not_exists(expires, :expires)",
            values,
        )

    def note_movement(
        self,
        provider: str,
        day: date,
        *,
        began: Decimal,
        ended: Decimal,
        fallen: Decimal,
        risen: Decimal,
        now: datetime,
    ) -> None:
        self._update(
            _account_key(provider, day),
            "SET began = :began, ended = :ended, fallen = :fallen, risen = :risen, "
            "expires = if_not_exists(expires, :expires)",
            {
                ":began": began,
                ":ended": ended,
                ":fallen": fallen,
                ":risen": risen,
                ":expires": self._expires(now),
            },
        )

    def mark_account_told(self, provider: str, day: date) -> None:
        self._update(_account_key(provider, day), "SET told = :told", {":told": True})

    # Counts

    def count(self, name: str, amount: Decimal, until: datetime) -> Decimal:
        """Add to a count, whatever it comes to: what it is now."""
        counted = self._update(
            _count_key(name),
            "ADD used :amount, version :one SET expires = :expires",
            {":amount": amount, ":one": 1, ":expires": int(until.timestamp())},
        )
        return Decimal(counted["used"])

    def count_within(self, name: str, amount: Decimal, limit: Decimal, until: datetime) -> bool:
        """Add to a count if it stays within its limit; else it stays as it was."""
        if amount > limit:
            return False
        token = self._token()
        before = self._update_unless_repeated(
            _count_key(name),
            "ADD used :amount, version :one SET expires = :expires, stamp = :token",
            {
                ":amount": amount,
                ":one": 1,
                ":expires": int(until.timestamp()),
                ":token": token,
                ":room": limit - amount,
            },
            "(attribute_not_exists(used) OR used <= :room) AND (attribute_not_exists(stamp) OR stamp <> :token)",
        )
        return before is None or before.get("stamp") == token

    def count_back(self, name: str, amount: Decimal) -> None:
        """Take from a count what was added to it, at most once; where it cannot be known, it stays counted."""
        for _ in range(_TRIES):
            known = self._get(_count_key(name))
            if known is None or known["used"] < amount:
                return
            token = self._token()
            before = self._update_unless_repeated(
                _count_key(name),
                "ADD used :amount, version :one SET stamp = :token",
                {":amount": -amount, ":one": 1, ":token": token, ":seen": known["version"]},
                "version = :seen",
            )
            # One write on, and not ours: lost to somebody else. Two on, ours may be the first of them.
            if before is None or before.get("stamp") == token or before.get("version") != known["version"] + 1:
                return

    # The table

    def _replace(self, key: Plain, state: Mapping[str, Any], seen: int) -> bool:
        token = self._token()
        plain = {**key, **state, "version": seen + 1, "stamp": token}
        if seen:
            before = self._put(plain, "version = :seen", {":seen": seen})
        else:
            before = self._put(plain, "attribute_not_exists(pk)", {})
        return before is None or before.get("stamp") == token

    def _expires(self, now: datetime) -> int:
        return int((now + self._retention).timestamp())

    def _create(self, plain: Plain) -> bool:
        token = self._token()
        before = self._put({**plain, "stamp": token}, "attribute_not_exists(pk)", {})
        if before == {}:
            raise Contended(plain["pk"])  # It expired this moment, and ours is not there.
        return before is None or before.get("stamp") == token

    def _get(self, key: Plain) -> Plain | None:
        answer = self._client.get_item(TableName=self._table, Key=to_wire(key), ConsistentRead=True)
        return from_wire(answer["Item"]) if "Item" in answer else None

    def _get_many(self, keys: Sequence[Plain], attributes: str | None = None) -> list[Plain]:
        """Those of the keys that are there, in any order. Raises Contended where the table does not get to all."""
        found: list[Plain] = []
        how: Any = {"ConsistentRead": True} | ({"ProjectionExpression": attributes} if attributes else {})
        for start in range(0, len(keys), _KEYS_PER_CALL):
            asked: Any = {**how, "Keys": [to_wire(key) for key in keys[start : start + _KEYS_PER_CALL]]}
            for pause in _PAUSES:
                time.sleep(pause)
                answer = self._client.batch_get_item(RequestItems={self._table: asked})
                found += [from_wire(item) for item in answer["Responses"].get(self._table, ())]
                asked = answer.get("UnprocessedKeys", {}).get(self._table)
                if not asked:
                    break
            else:
                raise Contended("keys left unprocessed")
        return found

    def _put(self, plain: Plain, condition: str, values: Mapping[str, Any]) -> Plain | None:
        """None where it was written; else the item that stood in the way, or nothing where it is gone by now."""
        optional: dict[str, Any] = {"ExpressionAttributeValues": to_wire(values)} if values else {}
        try:
            self._client.put_item(
                TableName=self._table,
                Item=to_wire(plain),
                ConditionExpression=condition,
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
                **optional,
            )
        except self._client.exceptions.ConditionalCheckFailedException as failed:
            item: Mapping[str, Any] = failed.response.get("Item", {})  # type: ignore[assignment]
            return from_wire(item) if item else self._get({"pk": plain["pk"], "sk": plain["sk"]}) or {}
        return None

    def _update(
        self,
        key: Plain,
        expression: str,
        values: Mapping[str, Any],
        condition: str | None = None,
        names: Mapping[str, str] | None = None,
    ) -> Plain:
        optional: dict[str, Any] = {"ConditionExpression": condition} if condition else {}
        if names:
            optional["ExpressionAttributeNames"] = dict(names)
        if values:
            optional["ExpressionAttributeValues"] = to_wire(values)
        answer = self._client.update_item(
            TableName=self._table,
            Key=to_wire(key),
            UpdateExpression=expression,
            ReturnValues="ALL_NEW",
            **optional,
        )
        return from_wire(answer["Attributes"])

    def _update_unless_repeated(
        self, key: Plain, expression: str, values: Mapping[str, Any], condition: str
    ) -> Plain | None:
        """None where it was written; else the item that stood in the way, by whose stamp our own write is known."""
        try:
            self._client.update_item(
                TableName=self._table,
                Key=to_wire(key),
                UpdateExpression=expression,
                ConditionExpression=condition,
                ExpressionAttributeValues=to_wire(values),
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except self._client.exceptions.ConditionalCheckFailedException as failed:
            item: Mapping[str, Any] = failed.response.get("Item", {})  # type: ignore[assignment]
            return from_wire(item)
        return None

    def _query(self, condition: str, values: Mapping[str, Any], *, consistent: bool) -> Iterator[Plain]:
        start: dict[str, Any] = {}
        while True:
            answer = self._client.query(
                TableName=self._table,
                KeyConditionExpression=condition,
                ExpressionAttributeValues=to_wire(values),
                ConsistentRead=consistent,
                **start,
            )
            for item in answer["Items"]:
                yield from_wire(item)
            if "LastEvaluatedKey" not in answer:
                return
            start = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}

    def _page(
        self,
        index: str,
        condition: str,
        values: Mapping[str, Any],
        names: Mapping[str, str],
        limit: int,
        cursor: Mapping[str, Any] | None,
        *,
        newest_first: bool = False,
    ) -> Page:
        optional: dict[str, Any] = {}
        if names:
            optional["ExpressionAttributeNames"] = dict(names)
        if cursor:
            optional["ExclusiveStartKey"] = to_wire(cursor)
        answer = self._client.query(
            TableName=self._table,
            IndexName=index,
            KeyConditionExpression=condition,
            ExpressionAttributeValues=to_wire(values),
            ScanIndexForward=not newest_first,
            Limit=limit,
            **optional,
        )
        last = answer.get("LastEvaluatedKey")
        return Page([from_wire(item) for item in answer["Items"]], from_wire(last) if last else None)


def message_id_of(key: Mapping[str, Any]) -> str:
    """The message id behind an index's key."""
    return f"{key['pk']}-{str(key['sk']).removeprefix('m#')}"


def reply_id_of(reply: Reply) -> str:
    return f"{reply.provider}-{_digest(reply.key)}"


def _message_key(message_id: str) -> Plain:
    hashed, position = split_message_id(message_id)
    return {"pk": hashed, "sk": f"m#{position}"}


def _reply_key(reply: Reply) -> Plain:
    return {"pk": f"reply#{reply.provider}#{reply.key}", "sk": "reply"}


def _account_key(provider: str, day: date) -> Plain:
    return {"pk": f"provider#{provider}", "sk": f"account#{day.isoformat()}"}


def _key_of(item: Plain) -> Plain:
    return {"pk": item["pk"], "sk": item["sk"]}


def _sender_key(number: str) -> str:
    return f"from:{number}"


def _suppression_key(number: str) -> Plain:
    return {"pk": f"{_SUPPRESSED}{number}", "sk": "suppression"}


def _count_key(name: str) -> Plain:
    return {"pk": f"count#{name}", "sk": "count"}


def _callback_key(key: str) -> Plain:
    return {"pk": key, "sk": "callback"}


def callback_of(plain: Plain) -> Callback:
    """What was called, from its stored item."""
    return Callback(plain["method"], plain["path"], plain["query"], plain["body"], plain["content_type"])


def _reference_key(provider: str, provider_ref: str, to: str) -> Plain:
    return {"pk": f"ref#{provider}#{provider_ref}", "sk": to}


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:24]
