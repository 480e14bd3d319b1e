"""The telnyx library against our double of Telnyx's REST API."""

import sys

import telnyx

base, key = sys.argv[1:]


def client(key):
    return telnyx.Telnyx(api_key=key, base_url=base, max_retries=0)


def refused(status, code, action):
    try:
        action()
    except telnyx.APIStatusError as error:
        assert error.status_code == status, error
        assert error.body["errors"][0]["code"] == code, error.body
    else:
        raise SystemExit(f"expected {code}")


def send(**fields):
    wanted = {"from_": "+15550001000", "to": "+15557654321", "text": "héllo"} | fields
    return client(key).messages.send(**wanted)


sent = send(media_urls=["https://a/1.jpg"]).data
assert sent.id and sent.direction == "outbound" and sent.to[0].status == "queued", sent
assert sent.text == "héllo" and sent.from_.phone_number == "+15550001000" and sent.type == "MMS", sent
again = [send(extra_headers={"Idempotency-Key": "k1"}).data.id for _ in range(2)]
assert again[0] == again[1] != sent.id, again
refused(400, "40310", lambda: send(to="x"))
refused(400, "40300", lambda: send(to="+15550000013"))
refused(401, "10009", lambda: client("wrong").messages.send(from_="+1", to="+1", text="x"))

calls = client(key).calls
dialed = calls.dial(connection_id="1494404757140276705", to="+15557654321", from_="+15550001000", timeout_secs=20).data
assert dialed.call_control_id.startswith("v3:") and dialed.is_alive is False, dialed
leg = dialed.call_control_id
assert calls.actions.answer(leg).data.result == "ok"
assert calls.actions.send_dtmf(leg, digits="1w2").data.result == "ok"
assert calls.actions.transfer(leg, to="+15550003000").data.result == "ok"
refused(422, "10016", lambda: calls.dial(connection_id="1", to="x", from_="+1"))
refused(422, "90018", lambda: calls.actions.hangup("v3:ended"))
print("fine")
