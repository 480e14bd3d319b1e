"""Signs requests with Twilio's own RequestValidator: a JSON line in, a line out.

{"url", "form": [[name, value], ...]}  ->  the signature
{"url", "make_up": n}                  ->  a JSON array of n random forms, each with its signature
"""

import json
import random
import sys

from twilio.request_validator import RequestValidator

validator = RequestValidator(sys.argv[1])

LETTERS = "abcXYZ019 +&=%?/#'\"<>;:,.~_-\n\tàüñßéø€漢字🙂\u00a0"


class Form(dict):
    """Names to lists of values, read by the validator as a web framework's form."""

    def getall(self, name):
        return self[name]


def multi(pairs):
    form = Form()
    for name, value in pairs:
        form.setdefault(name, []).append(value)
    return form


def sign(url, pairs):
    return validator.compute_signature(url, multi(pairs))


def word(most):
    return "".join(random.choice(LETTERS) for _ in range(random.randrange(most)))


def made_up(url):
    pairs = [["MessageSid", "SM%032x" % random.getrandbits(128)], ["From", "+15557654321"], ["To", "+15559999999"]]
    pairs += [["Body", word(60)], ["NumMedia", "0"]]
    for _ in range(random.randrange(6)):
        name = random.choice(["Extra", "extra", "Ä", "Z1", "Empty"])
        pairs.append([name, "" if name == "Empty" else word(20)])
    random.shuffle(pairs)
    return {"form": pairs, "signature": sign(url, pairs)}


random.seed(20)
for line in sys.stdin:
    ask = json.loads(line)
    if "make_up" in ask:
        print(json.dumps([made_up(ask["url"]) for _ in range(ask["make_up"])]), flush=True)
    else:
        print(sign(ask["url"], ask["form"]), flush=True)
