"""Every provider of the house, one line each. A module is loaded when its provider is first looked up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import cast

from smsgate.providers.base import Provider


class _Registry(Mapping[str, type[Provider]]):
    """Provider key to class. A provider's module has its key as name, so one that nobody uses costs no cold start."""

    def __init__(self, classes: Mapping[str, str]) -> None:
        self._classes = classes

    def __getitem__(self, key: str) -> type[Provider]:
        name = self._classes[key]
        return cast("type[Provider]", getattr(import_module(f"{__name__}.{key}"), name))

    def __contains__(self, key: object) -> bool:
        return key in self._classes

    def __iter__(self) -> Iterator[str]:
        return iter(self._classes)

    def __len__(self) -> int:
        return len(self._classes)


PROVIDERS: Mapping[str, type[Provider]] = _Registry(
    {
        "twsms": "TwSms",
        "smsgo": "SmsGo",
        "smsget": "SmsGet",
        "every8d": "Every8d",
        "meteorsis": "Meteorsis",
    }
)


def find(key: str) -> type[Provider]:
    """The provider of this key. Raises ValueError that names what there is instead."""
    if key not in PROVIDERS:
        raise ValueError(f"{key!r} is no provider; there are {', '.join(PROVIDERS)}")
    return PROVIDERS[key]
