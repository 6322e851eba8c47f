# The targets that developers and CI run. `make demo` needs a Rust toolchain and a C compiler. `make test` also needs the Debian
# packages that `make tools` installs.
CARGO ?= cargo
# Arguments for `taper demo`: `make demo ARGS=--once`.
ARGS ?=
# Seconds per fuzz target: `make fuzz SECONDS=600`.
SECONDS ?= 60
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)

.PHONY: demo test check tools fmt fmt-check lint doc bench deny flights fuzz walks

# Replays real flights through four versions of one model while you change the split.
demo:
	$(CARGO) run --release --locked -- demo $(ARGS)

# Every check that a change must pass before it is merged. The tests run last, so that their summary ends the output.
test: tools fmt-check lint doc
	$(CARGO) test --locked

# The tests that need no Debian package and no PyPI: everything but those in modules named `peers`, the lints and the documentation.
check: fmt-check
	$(CARGO) test --locked --lib --test architecture --test it -- --skip peers::

# Installs the Debian packages that tests call: prometheus (with promtool), curl, and Python with venv, into which the tests
# install clients of other protocols. The tests need only the programs, so the Prometheus service is not started.
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

# Checks all targets, so benches are compiled too.
lint:
	$(CARGO) clippy --locked --all-targets -- --deny warnings

doc:
	RUSTDOCFLAGS="--deny warnings" $(CARGO) doc --locked --no-deps --document-private-items

# Runs the micro-benches, the load benches and the count of instructions, which needs valgrind; benches/README.md describes each.
bench:
	$(CARGO) bench --locked --no-fail-fast

# Checks licences, sources and known vulnerabilities of the dependencies. Needs `cargo install cargo-deny --locked`.
deny:
	$(CARGO) deny check

# Walks from training scripts to first predictions, as docs/models.md describes, with the real libraries from PyPI: all of them, or
# `make walks WALKS="xgboost lightgbm"`. PyTorch takes several GB, and is installed only for its own walk.
WALKS ?= xgboost lightgbm sklearn onnx torch
WALKS_VENV := target/walks-venv
WALKS_NEED := examples/walks/requirements.txt $(if $(filter torch,$(WALKS)),examples/walks/requirements-torch.txt)
walks: tools
	$(CARGO) build --locked
	test -x $(WALKS_VENV)/bin/pip || python3 -m venv $(WALKS_VENV)
	$(WALKS_VENV)/bin/pip install --quiet --disable-pip-version-check $(addprefix --requirement ,$(WALKS_NEED))
	PATH="$(CURDIR)/$(WALKS_VENV)/bin:$(CURDIR)/target/debug:$$PATH" python3 examples/walks/walk.py $(WALKS)

# Makes the four versions of examples/flights again: trains three and imports one. The same seed gives the same bytes.
flights:
	examples/flights/rebuild.sh

# Fuzzes every entry point that reads data from untrusted clients, guided by coverage, with libFuzzer. Needs a C++ compiler.
# Inputs that reach new code are kept in target/fuzz/corpus, failing inputs in target/fuzz.
FUZZ_TARGETS := native open_inference tensorflow_serving rest_infer rest_predict xgboost lightgbm onnx npz
HOST := $(shell rustc -vV | sed -n 's/^host: //p')
COVERAGE := -Cpasses=sancov-module $(addprefix -Cllvm-args=-sanitizer-coverage-, \
    level=4 inline-8bit-counters pc-table trace-compares)
fuzz:
	for target in $(FUZZ_TARGETS); do \
	    corpus=target/fuzz/corpus/$$target; mkdir -p $$corpus; \
	    FUZZ_TARGET=$$target SEEDS=$$corpus RUSTFLAGS="--cfg fuzzing -Ccodegen-units=1 $(COVERAGE)" \
	    $(CARGO) run --locked --target-dir target/fuzz --target $(HOST) --features fuzz --example fuzz -- \
	        -max_total_time=$(SECONDS) -max_len=65536 -artifact_prefix=target/fuzz/ \
	        $$corpus tests/fuzz/corpus/$$target || exit 1; \
	done
