"""Rebuilds TwiML with Twilio's own library: every verb, noun and attribute must be one it knows,
and the rebuilt tree must be ours.

conform_twiml.py DOCUMENT...
"""

import inspect
import re
import sys
import xml.etree.ElementTree as tree

from twilio.twiml.voice_response import VoiceResponse


def snake(name):
    return {"from": "from_"}.get(name, re.sub(r"([A-Z])", r"_\1", name).lower().lstrip("_"))


def rebuild(ours, theirs):
    """Adds our children to their element, by the methods that the library has for them."""
    for child in ours:
        make = getattr(theirs, snake(child.tag), None)
        if make is None:
            raise SystemExit(f"<{ours.tag}> has no <{child.tag}>")
        names = list(inspect.signature(make).parameters)
        given = {snake(name): value for name, value in child.attrib.items()}
        unknown = set(given) - set(names)
        if unknown:
            raise SystemExit(f"<{child.tag}> has no attribute {unknown}; it has {names}")
        text = (child.text or "").strip()
        # The text is the first parameter that is no attribute: message, number, url...
        made = make(text, **given) if text else make(**given)
        rebuild(child, made)


def same(a, b):
    return (a.tag == b.tag and a.attrib == b.attrib and (a.text or "").strip() == (b.text or "").strip()
            and len(a) == len(b) and all(same(x, y) for x, y in zip(a, b)))


for document in sys.argv[1:]:
    ours = tree.fromstring(document)
    assert ours.tag == "Response" and not ours.attrib, document
    response = VoiceResponse()
    rebuild(ours, response)
    theirs = tree.fromstring(str(response))
    assert same(ours, theirs), f"{document}\n{response}"
print("fine")
