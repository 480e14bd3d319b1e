"""line-bot-sdk against our double of LINE's REST API."""

import sys
import uuid

from linebot.v3.messaging import ApiClient, Configuration, MessagingApi, PushMessageRequest, ReplyMessageRequest, TextMessage
from linebot.v3.messaging.exceptions import ApiException

base, key, token = sys.argv[1:]


def api(key):
    return MessagingApi(ApiClient(Configuration(access_token=key, host=base)))


def refused(status, action):
    try:
        action()
    except ApiException as error:
        assert error.status == status, error
        return error
    raise SystemExit(f"expected {status}")


text = TextMessage(text="héllo")
reply = ReplyMessageRequest(reply_token=token, messages=[text])
assert api(key).reply_message(reply).sent_messages[0].id
refused(400, lambda: api(key).reply_message(reply))
retry = str(uuid.uuid4())
push = PushMessageRequest(to="U1", messages=[text])
sent = api(key).push_message(push, x_line_retry_key=retry)
again = refused(409, lambda: api(key).push_message(push, x_line_retry_key=retry))
assert again.headers["x-line-accepted-request-id"], again.headers
assert sent.sent_messages[0].id in again.body, again.body
refused(400, lambda: api(key).push_message(push, x_line_retry_key="no uuid"))
refused(401, lambda: api("wrong").push_message(push))
print("fine")
