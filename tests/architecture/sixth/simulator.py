"""A pretend Plainline, after its guide 2.3."""

from __future__ import annotations

import json
from datetime import timedelta
from urllib.parse import parse_qs, urlencode

from local.simulators.base import HttpAnswer, HttpCall, HttpSimulator, Submission


class Plainline(HttpSimulator):
    key = "plainline"
    delivered = "there"

    def __init__(self) -> None:
        super().__init__()
        self.receipt_url = ""

    def secret(self) -> dict[str, object]:
        return {"username": "someone", "password": "plainline-word", "base_url": self.root, "allow_http": True}

    def reply(self, phone: str, text: str) -> None:
        """Nobody can answer."""

    def operation(self, call: HttpCall) -> str:
        return "send"

    def answer(self, call: HttpCall) -> HttpAnswer:
        fields = {name: values[0] for name, values in parse_qs(call.body.decode()).items()}
        if fields.get("pass") != "plainline-word":
            return HttpAnswer(json.dumps({"ok": False, "code": "password"}).encode())
        to, ref = f"+{fields['to']}", f"p{len(self.accepted) + 1}"
        self.accepted.append(Submission(self.now(), ref, to, fields["text"], 1, fields))
        self._show(to, fields["text"], ref)
        told = urlencode({"ref": ref, "to": to, "status": "there"})
        later = self.now() + timedelta(seconds=0.2)
        self._timetable.at(later, lambda: self._call_back(f"{self.receipt_url}?{told}"))
        return HttpAnswer(json.dumps({"ok": True, "ref": ref}).encode())
