"""Calls a line with streamdouble, an independent Twilio: prints its report as JSON.

line.py SCENARIO.yaml WS_URL TRACE.jsonl NAME=VALUE...
"""

import subprocess
import sys
from pathlib import Path

scenario, url, trace, *parameters = sys.argv[1:]
command = [Path(sys.executable).parent / "streamdouble", "scenario", scenario, url, "--json", "--trace", trace]
for parameter in parameters:
    command += ["--param", parameter]
done = subprocess.run(command, capture_output=True, text=True, timeout=90)
print(done.stdout)
print(done.stderr, file=sys.stderr)
# 0 clean, 1 an expectation or a threshold failed: the report tells; more is no report at all.
sys.exit(0 if done.returncode in (0, 1) else done.returncode)
