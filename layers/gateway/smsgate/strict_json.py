"""JSON that others wrote, read without guessing, and the words that say what is wrong with it.

What a reader could take in two ways is refused: a name twice in one object, NaN, numbers beyond what a float holds.
No problem repeats a text or a telephone number.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any, NoReturn


class NotJson(ValueError):
    """Says in its text what stands in the way."""


def parse(body: str | bytes, largest: int, smaller: str) -> object:
    """The value in `body`. Raises NotJson; where it has more than `largest` bytes, `smaller` says what to do."""
    if len(body) > largest or (isinstance(body, str) and len(body.encode(errors="surrogatepass")) > largest):
        raise NotJson(f"is larger than {largest} bytes; {smaller}")
    try:
        said = body.decode() if isinstance(body, bytes) else body
        return json.loads(
            said.removeprefix("\ufeff"),
            object_pairs_hook=_object,
            parse_constant=_refuse_constant,
            parse_float=_float,
        )
    except NotJson:
        raise
    except UnicodeDecodeError:
        raise NotJson("is not UTF-8; send JSON in UTF-8") from None
    except json.JSONDecodeError as error:
        # Its own message, without the excerpt: the text of a message might be in that.
        raise NotJson(
            f"is not JSON: {error.msg.removesuffix(' at')} (line {error.lineno}, column {error.colno})"
        ) from None
    except ValueError:
        raise NotJson("holds a number of too many digits") from None  # Python reads integers of up to 4,300
    except RecursionError:
        raise NotJson("is nested too deeply") from None


def kind(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    kinds = {str: "a string", int: "a number", float: "a number", list: "a list", dict: "an object"}
    return kinds.get(type(value), "no JSON value")


def needs(what: str, value: object) -> str:
    return f"leave the field out or give {what}" if value is None else f"give {what}"


def repeatable(name: str) -> str:
    """A name out of what was sent, fit to be repeated: one short line in which no telephone number can be read."""
    line = "".join(char if char.isprintable() else "?" for char in name[:40])
    if sum(char.isnumeric() for char in line) > 6:
        line = "".join("*" if char.isnumeric() else char for char in line)
    return line if len(name) <= 40 else f"{line}…"


def did_you_mean(name: str, known: Collection[str]) -> str:
    """The known name that was probably meant, as the end of a sentence; empty where there is none."""
    import difflib

    plain = {_plain(one): one for one in sorted(known)}
    close = difflib.get_close_matches(_plain(name[:40]), plain, n=1, cutoff=0.6)
    return f"; did you mean `{plain[close[0]]}`?" if close else ""


def _plain(name: str) -> str:
    return name.casefold().replace("_", "").replace("-", "")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    read = dict(pairs)
    if len(read) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise NotJson(f"names `{repeatable(name)}` twice in one object; which of them counts cannot be known")
            seen.add(name)
    return read


def _refuse_constant(name: str) -> NoReturn:
    raise NotJson(f"holds {name}, which is not JSON")


def _float(digits: str) -> float:
    number = float(digits)
    if number in (float("inf"), float("-inf")):
        raise NotJson("holds a number that is too large")
    return number
