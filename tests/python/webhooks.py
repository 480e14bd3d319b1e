"""Webhooks of texts as the vendors make them, judged by the vendors' own libraries.

webhooks.py KIND KEY one BODY   ->  the headers of one good webhook, as JSON
webhooks.py KIND KEY each       ->  the same for every line of input, a line each
webhooks.py KIND KEY many N     ->  a JSON array of N random webhooks, good and bad:
                                    {"headers", "body", "good": the library's verdict}

KIND and KEY: telnyx and the seed of its key in hex, line and the channel secret, hook and the
secret of Standard Webhooks.
"""

import base64
import json
import random
import sys
import time
from datetime import datetime, timezone

from linebot.v3 import SignatureValidator
from nacl.signing import SigningKey
from standardwebhooks.webhooks import Webhook, WebhookVerificationError
from telnyx import Telnyx as TelnyxClient

LETTERS = "abcXYZ019 +&=%?/#'<>;:,.~_-àüñßéø€漢字🙂\u00a0"


class Telnyx:
    def __init__(self, key):
        self.pen = SigningKey(bytes.fromhex(key))
        self.public = base64.b64encode(bytes(self.pen.verify_key)).decode()
        self.client = TelnyxClient(api_key="x", public_key=self.public)

    def sign(self, body, at, _):
        signature = self.pen.sign(f"{at}|{body}".encode()).signature
        return {"telnyx-timestamp": str(at), "telnyx-signature-ed25519": base64.b64encode(signature).decode()}

    def fits(self, body, headers):
        try:
            event = self.client.webhooks.unwrap(body, headers=headers)
            assert event.data.event_type == "message.received", event
            return True
        except ValueError:
            return False

    def body(self, number, words):
        return {"data": {"record_type": "event", "event_type": "message.received", "id": number,
                         "payload": {"id": number, "record_type": "message", "direction": "inbound", "type": "SMS",
                                     "from": {"phone_number": "+15557654321"},
                                     "to": [{"phone_number": "+15559999999"}], "text": words, "media": []}}}


class Line:
    def __init__(self, key):
        self.validator = SignatureValidator(key)

    def sign(self, body, at, _):
        import hashlib
        import hmac
        made = hmac.new(self.validator.channel_secret, body.encode(), hashlib.sha256).digest()
        return {"x-line-signature": base64.b64encode(made).decode()}

    def fits(self, body, headers):
        return self.validator.validate(body, headers.get("x-line-signature", ""))

    def body(self, number, words):
        return {"destination": "Uxxx", "events": [{
            "type": "message", "mode": "active", "timestamp": int(time.time() * 1000), "webhookEventId": number,
            "deliveryContext": {"isRedelivery": False}, "source": {"type": "user", "userId": "U1"},
            "replyToken": "r", "message": {"id": "1", "type": "text", "text": words, "quoteToken": "q"}}]}


class Hook:
    def __init__(self, key):
        self.webhook = Webhook(key)

    def sign(self, body, at, number):
        moment = datetime.fromtimestamp(at, tz=timezone.utc)
        return {"webhook-id": number, "webhook-timestamp": str(at),
                "webhook-signature": self.webhook.sign(number, moment, body)}

    def fits(self, body, headers):
        try:
            self.webhook.verify(body, headers)
            return True
        except WebhookVerificationError:
            return False

    def body(self, number, words):
        return {"from": "anna", "text": words}


def spoiled(kind, body, headers):
    """One thing about it is changed, so that it must not be believed; or nothing."""
    way = random.randrange(7)
    if way == 0:
        body = body.replace("a", "b", 1) if "a" in body else body + " "
    elif way == 1:
        body += "\n"
    elif way == 2:
        name = random.choice(list(headers))
        headers = {other: value for other, value in headers.items() if other != name}
    elif way == 3:
        name = next(name for name in headers if "signature" in name)
        value = headers[name]
        headers = headers | {name: value[:-6] + value[-6:].swapcase()}
    elif way == 4:
        other = type(kind)(OTHER[sys.argv[1]])
        headers = other.sign(body, int(time.time()), headers.get("webhook-id"))
    elif way == 5 and sys.argv[1] != "line":
        headers = kind.sign(body, int(time.time()) + random.choice([-1, 1]) * random.randrange(400, 9000),
                            headers.get("webhook-id"))
    elif way == 6 and sys.argv[1] != "line":
        name = next(name for name in headers if "timestamp" in name)
        headers = headers | {name: str(int(headers[name]) + 1)}
    return body, headers


OTHER = {"telnyx": "11" * 32, "line": "another", "hook": "whsec_" + base64.b64encode(b"another one").decode()}
kind = {"telnyx": Telnyx, "line": Line, "hook": Hook}[sys.argv[1]](sys.argv[2])
if sys.argv[3] == "one":
    print(json.dumps(kind.sign(sys.argv[4], int(time.time()), "w%032x" % random.getrandbits(128))))
elif sys.argv[3] == "each":
    for line in sys.stdin:
        body = line.rstrip("\n")
        print(json.dumps(kind.sign(body, int(time.time()), "w%032x" % random.getrandbits(128))), flush=True)
else:
    random.seed(20)
    made = []
    for n in range(int(sys.argv[4])):
        number = "w%032x" % random.getrandbits(128)
        words = "".join(random.choice(LETTERS) for _ in range(random.randrange(60)))
        body = json.dumps(kind.body(number, words), ensure_ascii=random.random() < 0.5)
        headers = kind.sign(body, int(time.time()) + random.randrange(-200, 200), number)
        if n % 2:
            body, headers = spoiled(kind, body, headers)
        made.append({"headers": headers, "body": body, "good": kind.fits(body, headers)})
    print(json.dumps(made))
