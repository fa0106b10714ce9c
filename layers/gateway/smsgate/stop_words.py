"""Is a reply a word that asks for silence, a word that ends it, or neither? Pure.

Only a reply that is nothing but such a word is one: "STOP." and 「退訂」 are, "please stop sending the wrong parcel" is
an answer like any other. What a publisher of Twilio or AWS expects to work, works: their English words are all here.

Two of theirs are not: YES does not start anything, for it answers a question; and though CANCEL stops, as both have it
and as the FCC's rule on revoking consent names it, 取消 alone does not: people answer it to an order or a booking.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

_STOP = """
    stop stopall unsubscribe cancel end quit revoke optout remove arret td
    退訂 我要退訂 取消訂閱 取消接收 取消發送 停止 停止訂閱 停止接收 停止發送 停止傳送 拒收 拒收簡訊 拒絕接收
    不要再傳 不要再傳了 不要再發 不要再發了 不要再寄 不要再寄了 別再傳 別再傳了 別再發 別再發了
    请退订 退订 我要退订 取消订阅 取消发送 停止订阅 停止发送 停止传送 拒收短信 拒绝接收
    不要再传 不要再传了 不要再发 不要再发了 别再传 别再传了 别再发 别再发了
    請退訂 請停止 请停止 請取消訂閱 请取消订阅 請停止發送 请停止发送 請停止傳送 請不要再傳 請不要再發 请不要再发
    請不要再傳了 請不要再發了 请不要再发了 請勿再傳 請勿再發 请勿再发
"""

_START = """
    start unstop subscribe resubscribe optin resume
    訂閱 重新訂閱 我要訂閱 恢復 恢復訂閱 恢復接收 恢復發送 開始 開始接收
    订阅 重新订阅 我要订阅 恢复 恢复订阅 恢复接收 恢复发送 开始 开始接收
"""


@dataclass(frozen=True, slots=True)
class Word:
    word: str  # of the lists above
    stops: bool  # or starts


_WORDS = {
    word: Word(word, stops)
    for words, stops in ((_STOP, True), (_START, False))
    for word in (unicodedata.normalize("NFKC", each).casefold() for each in words.split())
}


def word_of(text: str) -> Word | None:
    """The stop or start word that a reply is, however it is dressed: case, width, punctuation, spaces, emoji.

    Some say it twice, or thrice.
    """
    bare = _letters_and_digits(text)
    if not bare:
        return None
    return next((known for word, known in _WORDS.items() if bare == word * (len(bare) // len(word))), None)


def _letters_and_digits(text: str) -> str:
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(char for char in folded if unicodedata.category(char)[0] in "LN")
