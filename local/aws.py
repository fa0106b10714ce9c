"""The embedded AWS: ministack in a process of its own, ended with this one, and clients that talk to it.

ministack has the queues' real receive counts, starts in half a second and moves thousands of queue messages a second.
DynamoDB's items and streams are ours (`local/dynamodb`), in the same process and before it: claims need a conditional
write that is atomic between processes and answers `ALL_OLD` to whoever comes second, which moto's server does not keep,
and ministack takes milliseconds for what a gateway under load asks a thousand times a second (`tests/local/test_aws.py`
tries what is needed). Lambda, its event sources and the HTTP API are ours, too: ministack runs functions inside its own
interpreter, where its packages leak in, and makes no routes from a SAM template.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from functools import partial
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_ssm import SSMClient

REGION = "us-east-1"
ACCOUNT = "000000000000"

_START_SECONDS = 20.0


class DidNotStart(Exception):
    """The embedded AWS ended or stayed silent; what it last said is in the message."""


class RecordsTrimmed(Exception):
    """What was to be read of a stream is no more."""


class NotTold(BotoCoreError):
    fmt = "what happened cannot be said now: {why}"


class EmbeddedAws:
    def __init__(self, scratch: Path, region: str = REGION, account: str = ACCOUNT) -> None:
        scratch.mkdir(parents=True)
        self._region = region
        self._lock = threading.Lock()
        self._log = scratch / "aws.log"
        self._port = _free_port()
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
            "BIND_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(self._port),
            "MINISTACK_ACCOUNT_ID": account,
            "MINISTACK_REGION": region,
            "TMPDIR": str(scratch),  # where it writes its process id
            "LOG_LEVEL": "WARNING",
        }
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "local.aws"],
                cwd=Path(__file__).resolve().parent.parent,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a Ctrl-C in the terminal is ours to handle
            )
        self._clients: dict[str, Any] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def dynamodb(self) -> DynamoDBClient:
        return self._client("dynamodb")  # type: ignore[no-any-return]  # boto3 types its clients only through stubs

    @property
    def streams(self) -> Any:
        return self._client("dynamodbstreams")

    @property
    def events(self) -> EventBridgeClient:
        return self._client("events")  # type: ignore[no-any-return]

    @property
    def s3(self) -> S3Client:
        return self._client("s3")  # type: ignore[no-any-return]

    @property
    def secrets(self) -> SecretsManagerClient:
        return self._client("secretsmanager")  # type: ignore[no-any-return]

    @property
    def sns(self) -> SNSClient:
        return self._client("sns")  # type: ignore[no-any-return]

    @property
    def sqs(self) -> SQSClient:
        return self._client("sqs")  # type: ignore[no-any-return]

    @property
    def ssm(self) -> SSMClient:
        return self._client("ssm")  # type: ignore[no-any-return]

    def wait_until_ready(self) -> None:
        give_up = time.monotonic() + _START_SECONDS
        while time.monotonic() < give_up and self._process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self._port), timeout=0.2).close()
            except OSError:
                time.sleep(0.02)
            else:
                return
        said = self._log.read_text(encoding="utf-8", errors="replace")[-2000:]
        raise DidNotStart(f"the embedded AWS did not start:\n{said}")

    def stop(self) -> None:
        """By force: it keeps nothing, and asked politely it would first wait for every open poll."""
        self._process.kill()
        self._process.wait()
        if self._process.stdin:
            self._process.stdin.close()

    def await_records(self, iterator: str, most: int, wait: float, gather: float) -> tuple[str, list[bytes]]:
        """The next iterator, and records of a stream as Lambda is given them, each as text.

        Not `GetRecords`, which answers at once, and whose every value botocore would look at, more slowly than
        everything else that is done with it.
        """
        asked = {"ShardIterator": iterator, "Limit": most, "Seconds": wait, "Gather": gather}
        following, *records = self._await("DynamoDBStreams_20120810.AwaitRecords", asked)
        return following.decode(), records

    def await_events(self, place: int, wait: float, gather: float) -> tuple[int, list[bytes]]:
        """What the event buses took from the event at `place` on, each as text, and where it goes on.

        For one reader: what is before `place` is forgotten.
        """
        following, *events = self._await("AWSEvents.AwaitEvents", {"Place": place, "Seconds": wait, "Gather": gather})
        return int(following), events

    def _await(self, target: str, asked: Mapping[str, Any]) -> list[bytes]:
        """The lines of an answer that takes its time (local/front.py)."""
        try:
            with closing(HTTPConnection("127.0.0.1", self._port)) as connection:
                connection.request("POST", "/", json.dumps(asked), {"x-amz-target": target})
                response = connection.getresponse()
                said = response.read()
        except (OSError, HTTPException) as error:
            raise NotTold(why=type(error).__name__) from error
        if response.status != 200:
            raise RecordsTrimmed if b"TrimmedDataAccess" in said else NotTold(why=said.decode())
        return said.split(b"\n")

    def fail(self, service: str) -> None:
        """Every call to it is answered with an error, and not carried out, until it is mended.

        As boto3 names it: `dynamodb`. Only those whose calls say whom they are for (`x-amz-target`): not S3, SES, SNS.
        """
        self._tell("fail", service)

    def mend(self, service: str) -> None:
        self._tell("mend", service)

    def _tell(self, verb: str, service: str) -> None:
        """Over the pipe whose end says that this process is gone. It is heard within moments, not at once."""
        target = self._client(service).meta.service_model.metadata["targetPrefix"]
        if self._process.stdin:
            self._process.stdin.write(f"{verb} {target}\n".encode())
            self._process.stdin.flush()

    def _client(self, service: str) -> Any:
        with self._lock:
            if service not in self._clients:
                self._clients[service] = self._new_client(service)
            return self._clients[service]

    def _new_client(self, service: str) -> Any:
        return boto3.session.Session().client(
            service,  # type: ignore[call-overload]  # the stubs know services only as literals
            endpoint_url=self.url,
            region_name=self._region,
            aws_access_key_id="local",
            aws_secret_access_key="local",  # noqa: S106  # the embedded AWS asks for one and looks at none
            config=Config(retries={"total_max_attempts": 1}, read_timeout=30, max_pool_connections=50),
        )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _obey(failing: set[str], leave: Callable[[], None]) -> None:
    """Our end of the pipe closes however the parent dies, SIGKILL included: nothing is left behind."""
    for line in sys.stdin:
        verb, target = line.split()
        (failing.add if verb == "fail" else failing.discard)(f"{target}.")
    leave()


def _serve() -> None:
    told_to_fail: set[str] = set()
    threading.Thread(target=_obey, args=[told_to_fail, partial(os._exit, 0)], daemon=True).start()
    import ministack.app

    from local.dynamodb.service import Tables
    from local.event_log import EventLog
    from local.front import Front
    from local.serving import serve

    region, account = os.environ["MINISTACK_REGION"], os.environ["MINISTACK_ACCOUNT_ID"]
    front = Front(ministack.app.app, Tables(region), EventLog(region, account), told_to_fail)
    serve(front, os.environ["BIND_HOST"], int(os.environ["GATEWAY_PORT"]))


if __name__ == "__main__":
    _serve()
