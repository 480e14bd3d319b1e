"""A person at the console: texts, sees the reply, calls, speaks, sees what was said and done.

console.py URL SPEECH.wav SCREENSHOT.png TEXT TEXT_REPLY CALL_HEARD CALL_REPLY ACTION
"""

import re
import sys
import tempfile

from playwright.sync_api import expect, sync_playwright

url, speech, screenshot, text, text_reply, call_heard, call_reply, action = sys.argv[1:]
SECONDS = 1000
ARGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--autoplay-policy=no-user-gesture-required",
    "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream",
    f"--use-file-for-fake-audio-capture={speech}%noloop",
]
errors = []

with sync_playwright() as playwright, tempfile.TemporaryDirectory() as profile:
    browser = playwright.chromium.launch_persistent_context(
        profile, executable_path="/usr/bin/chromium", headless=True, args=ARGS, permissions=["microphone"])
    page = browser.new_page()
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    try:
        page.goto(url + "/console/")
        expect(page).to_have_title(re.compile("voxflow"))

        page.locator("#text").fill(text)
        page.locator("#send").click()
        messages = page.locator("#messages")
        expect(messages).to_contain_text(text)
        expect(messages).to_contain_text(text_reply, timeout=20 * SECONDS)

        page.locator("#call").click()
        expect(page.locator("#hangup")).to_be_enabled(timeout=10 * SECONDS)
        expect(page.locator("#action")).to_contain_text(action, timeout=10 * SECONDS)
        transcript = page.locator("#transcript")
        expect(transcript).to_contain_text(re.compile(call_heard, re.I), timeout=30 * SECONDS)
        expect(transcript).to_contain_text(re.compile(call_reply, re.I), timeout=20 * SECONDS)

        page.locator("#hangup").click()
        expect(page.locator("#call")).to_be_enabled(timeout=10 * SECONDS)
        expect(page.locator("#runs")).to_contain_text("hung_up", timeout=10 * SECONDS)
    finally:
        page.screenshot(path=screenshot, full_page=True)
        if not sys.exc_info()[0] is None:
            print(page.locator("body").inner_text(), errors, file=sys.stderr)
        browser.close()

assert not errors, errors
print("fine")
