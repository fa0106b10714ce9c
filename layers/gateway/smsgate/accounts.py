"""Providers with their credentials: an instance per version of the secret."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from smsgate.providers.base import Provider
from smsgate.secrets import Secret, Secrets, SecretUnreadable


class Accounts:
    def __init__(self, secrets: Secrets, find: Callable[[str], type[Provider]]) -> None:
        self._secrets = secrets
        self._find = find
        self._made: dict[str, tuple[str, Provider]] = {}

    def provider(self, key: str) -> Provider:
        """Raises SecretUnreadable where the account cannot be had or its secret is not as it must be."""
        return self._make(key, self._secrets.account(key))

    def version(self, key: str) -> str:
        return self._secrets.account(key).version

    def rotated(self, key: str, refused_version: str) -> bool:
        """After a refused password: is there a newer secret than the one that was refused?"""
        return self._secrets.reread(key).version != refused_version

    def _make(self, key: str, secret: Secret) -> Provider:
        version, provider = self._made.get(key, (None, None))
        if provider is None or version != secret.version:
            provider = self._open(key, secret.fields)
            self._made[key] = (secret.version, provider)
        return provider

    def _open(self, key: str, fields: Mapping[str, object]) -> Provider:
        try:
            return self._find(key)(fields)
        except (KeyError, ValueError, TypeError) as error:
            raise SecretUnreadable(str(error)) from None
