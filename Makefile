# What people and CI run. `make demo` and `make test` need a Rust toolchain, a C compiler and nothing else.
CARGO ?= cargo
# Given to `taper demo`: `make demo ARGS=--once`.
ARGS ?=
# Seconds for each door: `make fuzz SECONDS=600`.
SECONDS ?= 60
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)

.PHONY: demo test tools fmt fmt-check lint doc bench deny flights fuzz

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
# its memory over two million predictions with everything on, and its instructions per request, which needs valgrind.
bench:
	$(CARGO) bench --locked --no-fail-fast

# Licences, sources and known faults of what we build on. Needs `cargo install cargo-deny --locked`.
deny:
	$(CARGO) deny check

# Trains the three versions of examples/flights again; same seed, same bytes.
flights:
	examples/flights/rebuild.sh

# Coverage-guided fuzzing of every door that reads what strangers send, with libFuzzer; wants a C++ compiler. What it finds interesting
# is kept in target/fuzz/corpus; what makes a door fail, in target/fuzz.
DOORS := native open_inference tensorflow_serving rest_infer rest_predict
HOST := $(shell rustc -vV | sed -n 's/^host: //p')
COVERAGE := -Cpasses=sancov-module $(addprefix -Cllvm-args=-sanitizer-coverage-, \
    level=4 inline-8bit-counters pc-table trace-compares)
fuzz:
	for door in $(DOORS); do \
	    corpus=target/fuzz/corpus/$$door; mkdir -p $$corpus; \
	    DOOR=$$door SEEDS=$$corpus RUSTFLAGS="--cfg fuzzing -Ccodegen-units=1 $(COVERAGE)" \
	    $(CARGO) run --locked --target-dir target/fuzz --target $(HOST) --features fuzz --example fuzz -- \
	        -max_total_time=$(SECONDS) -max_len=65536 -artifact_prefix=target/fuzz/ \
	        $$corpus tests/fuzz/corpus/$$door || exit 1; \
	done
