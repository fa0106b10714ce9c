"""The whole gateway as one object: started, used, stopped. `make run` and the journey tests use the same one."""

from __future__ import annotations

import json
import secrets
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, Self

from local.aws import EmbeddedAws
from local.event_loop import EventLoop
from local.events import Events
from local.http_api import HttpApi
from local.lambdas import Code, Lambdas
from local.mails import Mails
from local.queues import QueuePoller
from local.resources import create_resources
from local.schedules import Schedules
from local.stack import Stack, read_stack
from local.streams import StreamPoller
from local.template import Place, Template

ROOT = Path(__file__).resolve().parent.parent
TEMPLATES: dict[Code, Path] = {
    "source": ROOT / "template.yaml",
    "built": ROOT / ".aws-sam" / "test" / "template.yaml",
}
DEFAULT_PORT = 8025

_PROVIDERS_PARAMETER = "EnabledProviders"
_PREFIX_PARAMETER = "SecretPrefix"
_MAIL_PARAMETER = "MailAddress"


class FunctionFailed(Exception):
    """A function that was invoked for its effect ended with an error."""


class Provider(Protocol):
    """A pretended provider, as far as it has to be known here.

    One whose customers enter on a web page where to call has the attributes `receipt_url` and `reply_url`; they are
    filled in as the customer would. One that answers by mail has a method `on_reply`, and says in its secret's
    `mail_from` which address it answers to.
    """

    def start(self) -> object: ...
    def stop(self) -> object: ...
    def secret(self) -> dict[str, Any]: ...


class Source(Protocol):
    """What starts functions from outside, in threads of its own."""

    def start(self) -> None: ...
    def ask_to_stop(self) -> None: ...
    def join(self) -> None: ...


class Gateway:
    """
    `providers`: pretended providers by key; each is started, enabled, and its secret stored.
    `secrets`: further secrets, or other contents for those, by their name after the prefix.
    `parameters`: values for the template's parameters.
    `speed`: how much faster than real the schedules run.
    `visibility_timeout`: seconds instead of what the template says, for every queue that says something.
    `port`: of the HTTP API; 0 is any free one, and a taken one is replaced by a free one.
    """

    aws: EmbeddedAws
    lambdas: Lambdas
    events: Events
    stack: Stack
    template: Template
    mails: Mails
    _schedules: Schedules

    def __init__(
        self,
        code: Code = "source",
        template: Path | None = None,
        *,
        providers: Mapping[str, Provider] | None = None,
        secrets: Mapping[str, Mapping[str, Any]] | None = None,
        parameters: Mapping[str, str] | None = None,
        speed: float = 1,
        visibility_timeout: int | None = None,
        port: int = 0,
    ) -> None:
        self.providers: Mapping[str, Provider] = providers or {}
        self._code: Code = code
        self._path = template or TEMPLATES[code]
        self._secrets = secrets or {}
        self._parameters = dict(parameters or {})
        self._speed = speed
        self._visibility_timeout = visibility_timeout
        self._port = port
        self._cleanup = ExitStack()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Ends every process and thread that was started, in the opposite order. A second time does nothing."""
        self._cleanup.close()

    @property
    def api_url(self) -> str:
        return self.place.api_url

    @property
    def scratch(self) -> Path:
        """Where logs are; gone when stopped."""
        return self._scratch

    @cached_property
    def callback_token(self) -> str:
        return secrets.token_urlsafe(32)

    def queue_url(self, logical_id: str) -> str:
        return self.template.ref(logical_id)

    def name(self, logical_id: str) -> str:
        """The physical name of a table, bus, bucket or function."""
        return self.template.name_of(logical_id)

    def arn(self, logical_id: str) -> str:
        return self.template.arn_of(logical_id)

    def tick(self, function: str) -> None:
        """What the function's schedule does, now instead of at its time."""
        result = self._schedules.tick(function)
        if result.failed:
            raise FunctionFailed(f"{function}: {result.payload.decode(errors='replace')}")

    def put_secret(self, name: str, content: Mapping[str, Any]) -> None:
        """Stores it as `{SecretPrefix}/{name}`; a newer one replaces what is there, as a rotation does."""
        secret_id, text = f"{self.secret_prefix}/{name}", json.dumps(content)
        try:
            self.aws.secrets.create_secret(Name=secret_id, SecretString=text)
        except self.aws.secrets.exceptions.ResourceExistsException:
            self.aws.secrets.put_secret_value(SecretId=secret_id, SecretString=text)

    @property
    def secret_prefix(self) -> str:
        return self.template.parameters.get(_PREFIX_PARAMETER) or self.place.stack

    def pids(self) -> list[int]:
        """Every process that belongs to this gateway."""
        return [self.aws.pid, *self.lambdas.pids()]

    def _start(self) -> None:
        # Ended in the opposite order: nothing new begins, workers end, then the embedded AWS and all that waits for it.
        cleanup = self._cleanup
        self._scratch = Path(tempfile.mkdtemp(prefix="smsgate-local-"))
        cleanup.callback(shutil.rmtree, self._scratch, ignore_errors=True)
        loop = EventLoop()
        cleanup.callback(loop.stop)
        sources: list[Source] = []
        cleanup.callback(_join, sources)
        api = HttpApi(self._port, loop)
        cleanup.callback(api.stop)
        self.aws = EmbeddedAws(self._scratch / "aws")
        cleanup.callback(self.aws.stop)
        self.place = Place(aws_url=self.aws.url, api_url=api.url)
        for key, provider in self.providers.items():
            self._enter_callbacks(key, provider)
            provider.start()
            cleanup.callback(provider.stop)

        self.template = Template(self._path, self.place, self._all_parameters())
        self.stack = read_stack(self.template)
        self.lambdas = Lambdas(self.stack.functions, self.place, self._scratch / "lambda", loop, self._code)
        cleanup.callback(self.lambdas.stop)
        cleanup.callback(_ask_to_stop, sources)

        self.aws.wait_until_ready()
        create_resources(self.template, self.aws, self._visibility_timeout)
        self._store_secrets()
        self.events = Events(self.aws)
        self._schedules = Schedules(self.stack.schedules, self.lambdas, self.place, self._speed)
        sources += [
            self.events,
            self._schedules,
            *(StreamPoller(source, self.aws, self.lambdas) for source in self.stack.streams),
            *(QueuePoller(source, self.aws, self.lambdas, self.place.region) for source in self.stack.queues),
        ]
        self.mails = Mails(self.stack.mails, self.aws, self.lambdas)
        for provider in self.providers.values():
            if hasattr(provider, "on_reply"):
                provider.on_reply(self.mails.arrive)
        for source in sources:
            source.start()
        api.start(self.stack.routes, self.lambdas.answer)

    def _enter_callbacks(self, key: str, provider: Provider) -> None:
        for attribute, path in (("receipt_url", "receipts"), ("reply_url", "replies")):
            if hasattr(provider, attribute):
                setattr(provider, attribute, f"{self.api_url}/{path}/{key}/{self.callback_token}")

    def _all_parameters(self) -> dict[str, str]:
        enabled = {_PROVIDERS_PARAMETER: ",".join(self.providers)} if self.providers else {}
        secrets = [provider.secret() for provider in self.providers.values()]
        address = next(({_MAIL_PARAMETER: str(secret["mail_from"])} for secret in secrets if "mail_from" in secret), {})
        return {**enabled, **address, **self._parameters}

    def _store_secrets(self) -> None:
        contents: dict[str, Mapping[str, Any]] = {
            "callbacks": {"tokens": [self.callback_token], "public_url": self.api_url},
            **{f"providers/{key}": provider.secret() for key, provider in self.providers.items()},
            **self._secrets,
        }
        for name, content in contents.items():
            self.put_secret(name, content)


def _ask_to_stop(sources: Iterable[Source]) -> None:
    for source in sources:
        source.ask_to_stop()


def _join(sources: Iterable[Source]) -> None:
    for source in sources:
        source.join()
