# Doors for a newcomer.
.PHONY: help demo test crash

help:
	@echo "make demo   install what is missing, build, and serve the example flows on this machine"
	@echo "make test   everything that is checked; installs what it needs"
	@echo "make crash  10,000 texts while processes and servers are killed; about ten minutes"

# Without a key and without an account: text it by the printed curl, talk to it in the browser.
demo:
	@engine/cli/install.sh
	@cargo build -p cli
	@target/debug/voxflow demo

# Everything that is checked; installs what is missing. `cargo test` alone is the fast part of it.
test:
	@tests/run.sh

# The crash tests in full size: what may not be lost, answered twice or out of order.
crash:
	@VOXFLOW_CRASH=full tests/run.sh crash
