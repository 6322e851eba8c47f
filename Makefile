# What people and CI run. `make demo` and `make test` need a Rust toolchain, a C compiler and nothing else.
CARGO ?= cargo
# Given to `taper demo`: `make demo ARGS=--once`.
ARGS ?=
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)

.PHONY: demo test tools fmt fmt-check lint doc bench deny flights

# Real flights through three versions of a real model, under a split that you can move.
demo:
	$(CARGO) run --release --locked -- demo $(ARGS)

# Everything that must hold before a change goes in. The tests come last, so that their own count closes the output.
test: tools fmt-check lint doc
	$(CARGO) test --locked

# Debian packages that tests call: prometheus (with promtool), curl, and Python, into an environment of which the tests install
# clients of other protocols. Only the programs are wanted, so the service that comes with Prometheus is not started.
tools:
	@missing=; \
	command -v prometheus >/dev/null && command -v promtool >/dev/null || missing="$$missing prometheus"; \
	command -v curl >/dev/null || missing="$$missing curl"; \
	python3 -c 'import ensurepip, venv' 2>/dev/null || missing="$$missing python3 python3-venv"; \
	test -z "$$missing" || { \
	    $(SUDO) apt-get update && \
	    $(SUDO) env DEBIAN_FRONTEND=noninteractive SYSTEMD_OFFLINE=1 RUNLEVEL=1 \
	        apt-get install --yes --no-install-recommends $$missing; }

fmt:
	$(CARGO) fmt

fmt-check:
	$(CARGO) fmt --check

# All targets, so benches are compiled too.
lint:
	$(CARGO) clippy --locked --all-targets -- --deny warnings

doc:
	RUSTDOCFLAGS="--deny warnings" $(CARGO) doc --locked --no-deps --document-private-items

# Micro-benches, the gateway under load beside a bare tonic echo, then the gateway with versions swapped under load,
# and its memory over two million predictions with everything on.
bench:
	$(CARGO) bench --locked

# Licences, sources and known faults of what we build on. Needs `cargo install cargo-deny --locked`.
deny:
	$(CARGO) deny check

# Trains the three versions of examples/flights again; same seed, same bytes.
flights:
	examples/flights/rebuild.sh
