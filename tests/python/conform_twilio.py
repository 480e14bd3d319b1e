"""The twilio library against our double of Twilio's REST API."""

import sys

from twilio.base.exceptions import TwilioRestException
from twilio.http.http_client import TwilioHttpClient
from twilio.rest import Client

base, account, token, live_call = sys.argv[1:]


class Loopback(TwilioHttpClient):
    def request(self, method, url, *args, **kwargs):
        return super().request(method, url.replace("https://api.twilio.com", base), *args, **kwargs)


def client(token):
    return Client(account, token, http_client=Loopback())


def refused(code, action):
    try:
        action()
    except TwilioRestException as error:
        assert error.code == code, error
    else:
        raise SystemExit(f"expected {code}")


twilio = client(token)
sent = twilio.messages.create(to="+15557654321", from_="+15550001000", body="héllo & bye",
                              media_url=["https://a/1.jpg", "https://a/2.jpg"])
assert sent.sid.startswith("SM") and sent.status == "queued" and sent.num_media == "2", sent
assert sent.body == "héllo & bye" and sent.error_code is None
refused(21211, lambda: twilio.messages.create(to="x", from_="+15550001000", body="x"))
refused(21602, lambda: twilio.messages.create(to="+15557654321", from_="+15550001000"))
refused(21617, lambda: twilio.messages.create(to="+15557654321", from_="+15550001000", body="x" * 1601))
refused(21610, lambda: twilio.messages.create(to="+15550000013", from_="+15550001000", body="x"))
refused(20003, lambda: client("wrong").messages.create(to="+15557654321", from_="+15550001000", body="x"))

updated = twilio.calls(live_call).update(twiml="<Response><Hangup/></Response>")
assert updated.sid == live_call and updated.status == "in-progress"
dialed = twilio.calls.create(to="+15557654321", from_="+15550001000", twiml="<Response/>", timeout=20,
                             status_callback="https://a/1", status_callback_event=["ringing", "completed"],
                             machine_detection="Enable", async_amd="true", async_amd_status_callback="https://a/2")
assert dialed.sid.startswith("CA") and dialed.status == "queued" and dialed.to == "+15557654321", dialed
refused(21211, lambda: twilio.calls.create(to="x", from_="+15550001000", twiml="<Response/>"))
refused(21220, lambda: twilio.calls("CA" + "0" * 32).update(status="completed"))
print("fine")
