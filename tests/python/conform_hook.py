"""standardwebhooks judges a webhook of ours: conform_hook.py SECRET HEADERS BODY."""

import json
import sys

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

secret, headers, body = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3]
Webhook(secret).verify(body, headers)
try:
    Webhook(secret).verify(body + " ", headers)
except WebhookVerificationError:
    print("fine")
