"""Addresses out of a provider's secret: TLS unless the secret says otherwise, nothing in them but where to call."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

_UNFIT = re.compile(r"[^\x21-\x7e]|\\")


def check_url(url: str, allow_http: bool) -> str:
    """The address itself, if a provider may be called there. Raises ValueError, which never quotes the address."""
    if _UNFIT.search(url):
        raise ValueError("must be plain ASCII without spaces or backslashes")
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and allow_http):
        raise ValueError("must begin with https:// (http:// only where the secret says `allow_http`)")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must hold no user name and no password")
    if not parts.hostname:
        raise ValueError("must name a host")
    if "?" in url or "#" in url:
        raise ValueError("must hold no query and no fragment")
    try:
        _ = parts.port
    except ValueError:
        raise ValueError("must name a port from 0 to 65535, or none") from None
    return url


def address(account: Mapping[str, object], field: str, default: str) -> str:
    """The address in `field` of a provider's secret, checked; raises ValueError naming the field."""
    allow_http = account.get("allow_http", False)
    if not isinstance(allow_http, bool):
        raise ValueError("allow_http must be true or false")
    url = account.get(field) or default
    if not isinstance(url, str):
        raise ValueError(f"{field} must be a string")
    try:
        return check_url(url, allow_http)
    except ValueError as problem:
        raise ValueError(f"{field}: {problem}") from None


def base_url(account: Mapping[str, object], default: str) -> str:
    """`base_url` of a provider's secret, ending in the slash that a page's name is put behind."""
    return address(account, "base_url", default).rstrip("/") + "/"
