# Two doors for a newcomer.
.PHONY: test

# Everything that is checked; installs what is missing. `cargo test` alone is the fast part of it.
test:
	@tests/run.sh
