"""smstransports: the wires to the providers.

Each transport knows one library and decides once, for every provider, whether a call that broke was certainly not sent
or may have been.

  http.py     HTTP over httpx, under one total deadline
  sockets.py  the httpx transport below it, which keeps that deadline
"""
