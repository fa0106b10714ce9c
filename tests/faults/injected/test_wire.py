"""What breaks between us and a provider: nothing is lost by it, and nothing is sent twice."""

from __future__ import annotations

from local.simulators import SIMULATORS
from local.simulators.base import Closes, HttpSimulator
from tests.faults.suite import Run, Where, fault

OVER_HTTP = [key for key, simulator in SIMULATORS.items() if issubclass(simulator, HttpSimulator)]


@fault("F10", "the connection is closed after the request was written", Where.WIRE)
def test_a_connection_closed_after_the_request_is_doubtful_and_called_once(run: Run) -> None:
    with run.world(providers=["smsget"]) as world:
        world.faults.inject(Closes(), service="wire", operation="smsget.send", times=None)
        world.providers["smsget"].receipts = ()
        for number in range(20):
            world.publish(to=f"+8869123456{number:02}", text=f"text {number}")
        world.run(7200)

        run.equal("accepts", world.accepts().total(), 20)
