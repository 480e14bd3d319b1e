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
print("fine")
