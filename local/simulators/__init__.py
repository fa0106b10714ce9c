"""The pretend providers: a second, independent reading of the vendors' documents. Nothing of smsgate is imported here.

A simulator is started, gives the secret that an account of it would have, and is stopped:

    with TwSms() as provider:
        provider.secret()                                  # username, password, base_url ...
        provider.accepted, provider.phones                 # the truth: what it took, and what each phone shows
        provider.script(Hangs(), operation="send")         # what goes wrong with the next call
        provider.plan_receipts((Step(2, "UNDELIV"),))      # what becomes of the next message
        provider.reply("+886912345678", "STOP")            # a text typed on a phone
"""

from __future__ import annotations

from local.simulators.base import Simulator
from local.simulators.every8d import Every8d
from local.simulators.meteorsis import Meteorsis
from local.simulators.smsget import SmsGet
from local.simulators.smsgo import SmsGo
from local.simulators.twsms import TwSms

SIMULATORS: dict[str, type[Simulator]] = {
    "every8d": Every8d,
    "meteorsis": Meteorsis,
    "smsget": SmsGet,
    "smsgo": SmsGo,
    "twsms": TwSms,
}
