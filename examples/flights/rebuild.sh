#!/bin/sh
# Trains the three versions of `flight-delay` again, into a registry folder that does not hold them yet.
# The same machine makes the same bytes each time; another processor may round differently in the last digit.
# Usage: rebuild.sh REGISTRY      TAPER=path/to/taper uses that binary instead of building one
set -eu
registry=${1:?usage: rebuild.sh REGISTRY}
here=$(dirname "$0")
for spec in 1-logistic 2-perceptron 3-january; do
    ${TAPER:-cargo run --release --quiet --} train "$here/$spec.toml" \
        --registry "$registry" --version "${spec%%-*}" --created-at 2026-01-01T00:00:00Z
done
