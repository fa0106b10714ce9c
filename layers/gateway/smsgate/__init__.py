"""smsgate: a send request in, one short message per recipient out, at most once each.

Where to look:
  requests.py   what a publisher may ask for, and every problem of what it may not
  numbers.py    telephone numbers in and out;  text.py  what a text costs and may hold
  messages.py   the values everything speaks in;  status.py, reasons.py  the words of the contract
  lifecycle.py  what may happen to a message, decided once and without I/O
  routing.py    which provider, in which order, and why;  policy.py  what the operator allows, as values
  routing_document.py  what the operator wrote of both, checked;  routebook.py  where it comes from
  wire.py       what goes to a provider and what comes back, as plain values
  providers/    one translator each;  providers/base.py says what a translator must do
  ledger.py     the truth, in DynamoDB
  sender.py receipts.py replies.py mailbox.py reconciler.py credits.py api.py publisher.py
                one use case per function, named like it; parts they share:
  dispatcher.py call once, record;  before it admission.py  may it go, wait or not, and claims.py  whose it is
  answers.py    what the HTTP API answers with;  api.py and api_*.py  a file for each kind of question
  accounts.py, lines.py, sessions.py  the way to a provider;  health.py  what a call says of it
  limits.py     what is counted before anything is spent;  turns.py  whose turn it is
  balance.py    what is left and what a slice may spend;  forecast.py, daybook.py  until when, and the account of a day
  suppression.py  the stop list;  stop_words.py  what puts a number there
  intake.py     callbacks, checked and stored;  evidence.py, conversation.py  reports and replies find their message
  replay.py     stored callbacks, read once more
  mime.py       raw mails, read for whose they are and what they say
  suspension.py providers left alone for a while;  overdue.py  reports that do not come
  wakeups.py    records that name messages instead of carrying a request
  strict_json.py, strict_xml.py  what others wrote, read without guessing
  settings.py   the only reader of the environment;  secrets.py  credentials
  aws.py        clients of AWS;  aws_json.py, aws_connections.py, sigv4.py  our own, for what every message needs
  telemetry.py  log lines and metrics, with nobody's number or text in them
  signals.py    what a change of a message counts for, once it is on the bus
"""
