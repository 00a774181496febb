# Show the list below
_default:
    @just --list

# Exactly what CI runs: format, lints, docs, tests, demo, examples
check:
    ./.ci/run

# Run all tests, or those whose name contains the words given
test *ARGS:
    cargo test {{ARGS}}

# Run the tests of the features `hub` and `arrow`, which are not defaults
test-features:
    cargo test --features hub,arrow --lib --bins --test embedding -- hub:: arrow download help::

# Check the imports against the table in ARCHITECTURE.md
layers:
    cargo test --test layers

# Check format and lints, changing nothing
lint:
    cargo fmt --check
    cargo clippy --all-targets --features hub,arrow -- -D warnings

# Format the code
fmt:
    cargo fmt

# Build the documentation with warnings as errors; `just docs --open` shows it
docs *ARGS:
    RUSTDOCFLAGS="-D warnings" cargo doc --no-deps {{ARGS}}

# See it work: train on the built-in data, score it, parse five messages
demo *ARGS:
    cargo run --release -- demo {{ARGS}}

# Run the program: `just run parse --model models 'hello there'`
run *ARGS:
    cargo run --release -- {{ARGS}}

# Run every example, in release
examples:
    for file in examples/*.rs; do cargo run --release --example "$(basename "$file" .rs)" || exit 1; done

# Run one example: `just example attention --raw`
example NAME *ARGS:
    cargo run --release --example {{NAME}} -- {{ARGS}}

# Run the benchmarks, or those whose name contains the words given
bench *ARGS:
    cargo bench {{ARGS}}

# Compare with PyTorch and onnxruntime (downloaded on the first run): `just bench-peers --only training`
bench-peers *ARGS:
    #!/usr/bin/env bash
    set -euo pipefail
    place="${CARGO_TARGET_DIR:-target}/peers"
    [ -e "$place/bin/python" ] || python3 -m venv "$place"
    "$place/bin/python" -m pip install --quiet --requirement benches/peers/requirements.txt
    "$place/bin/python" benches/peers/run.py {{ARGS}}

# Repeat the measurements of docs/performance.md, with tables and plots
performance *ARGS: (bench-peers ARGS)
    "${CARGO_TARGET_DIR:-target}/peers/bin/python" benches/peers/page.py

# Repeat the measurements of docs/performance-avx2.md: all sides are limited to AVX2
performance-avx2 *ARGS:
    #!/usr/bin/env bash
    set -euo pipefail
    export TALKFORMER_INSTRUCTIONS=avx2
    export ATEN_CPU_CAPABILITY=avx2 MKL_ENABLE_INSTRUCTIONS=AVX2 ONEDNN_MAX_CPU_ISA=AVX2
    just bench-peers --page performance-avx2 --precisions f32 {{ARGS}}
    "${CARGO_TARGET_DIR:-target}/peers/bin/python" benches/peers/page.py performance-avx2

# Count the instructions of a training step and an answer, compare with the saved counts (needs valgrind)
instructions *ARGS:
    benches/instructions.sh {{ARGS}}

# Check the code for NVIDIA GPUs, with a compiler from PyPI in a folder of its own (docs/gpu.md): `just check-cuda ~/gpu`
check-cuda FOLDER:
    benches/device/build.sh {{FOLDER}} check

# Check licences, advisories and sources of all dependencies (needs cargo-deny)
licences:
    cargo deny check

# Train and score the default recipe on a data set beside the checkout: `just score train.yml test.yml`
score TRAIN TEST:
    cargo run --release -- train nlu --data {{TRAIN}} --out target/scored
    cargo run --release -- test nlu --model target/scored --data {{TEST}}
