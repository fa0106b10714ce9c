"""Providers with their credentials and the way to them: an instance per version of the secret."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from smsgate.lines import Lines
from smsgate.providers.base import Provider
from smsgate.secrets import Secret, Secrets, SecretUnreadable
from smsgate.wire import Line


@dataclass(frozen=True, slots=True)
class Account:
    provider: Provider
    version: str  # of the secret
    line: Line = field(repr=False)


class Accounts:
    def __init__(self, secrets: Secrets, find: Callable[[str], type[Provider]], lines: Lines) -> None:
        self._secrets = secrets
        self._find = find
        self._lines = lines
        self._opened: dict[str, Account] = {}

    def open(self, key: str) -> Account:
        """Raises SecretUnreadable where the account cannot be had or its secret is not as it must be."""
        secret = self._secrets.account(key)
        opened = self._opened.get(key)
        if opened is None or opened.version != secret.version:
            opened = Account(self._provider(key, secret), secret.version, self._lines.open(key, secret.version))
            self._opened[key] = opened
        return opened

    def rotated(self, key: str, refused_version: str) -> bool:
        """After a refused password: is there a newer secret than the one that was refused?"""
        try:
            return self._secrets.reread(key).version != refused_version
        except SecretUnreadable:
            return False

    def _provider(self, key: str, secret: Secret) -> Provider:
        fields: Mapping[str, object] = secret.fields
        try:
            return self._find(key)(fields)
        except (KeyError, ValueError, TypeError) as error:
            raise SecretUnreadable(str(error)) from None
