#!/usr/bin/env bash
# Builds with the feature `cuda` on a machine without a GPU and without the CUDA toolkit: gets the compiler and the
# libraries from PyPI (2.3 GB on disk), makes the names to link against, and runs cargo with them.
#
#   benches/device/build.sh FOLDER check [cargo's arguments]    cargo check
#   benches/device/build.sh FOLDER build [cargo's arguments]    program and tests, copied to FOLDER/device
#   benches/device/build.sh FOLDER env                          the settings, for `eval`
#
# FOLDER holds compiler, libraries and build; it is made where it does not exist. candle's kernels alone take about
# 20 minutes of processor time, once; CUDAFORGE_THREADS says on how many cores. Set CUDA_COMPUTE_CAP for your card: 80
# (A100), 86 and 89 (GeForce 30 and 40), 90 (H100, H200; the default).
set -euo pipefail

[ $# -ge 2 ] || { sed -n '2,11s/^# \?//p' "$0" >&2; exit 2; }
mkdir -p "$1"
folder=$(cd "$1" && pwd)
what=$2
shift 2
repository=$(cd "$(dirname "$0")/../.." && pwd)
cuda=$folder/py/nvidia/cu13
names=$folder/names

packages=(
    nvidia-cuda-nvcc==13.0.88 nvidia-cuda-crt==13.0.88 nvidia-nvvm==13.0.88 nvidia-cuda-cccl==13.0.85
    nvidia-cuda-runtime==13.0.96 nvidia-cuda-nvrtc==13.0.88 nvidia-cublas==13.0.2.14 nvidia-curand==10.4.0.35
)
if [ ! -x "$cuda/bin/nvcc" ]; then
    python3 -m pip install --quiet --target "$folder/py" --no-deps "${packages[@]}" >&2
fi

# The linker wants names without versions, and a driver to link against: a shared object with the names of its
# functions, which the real one replaces when the program runs.
if [ ! -e "$names/libcuda.so" ]; then
    mkdir -p "$names"
    for library in "$cuda"/lib/lib*.so.*; do
        ln -sf "$library" "$names/$(basename "${library%%.so.*}").so"
    done
    grep -oh '\bcu[A-Z][A-Za-z0-9_]*' "$cuda/include/cuda.h" | sort -u | sed 's/.*/void &(void) {}/' |
        cc -shared -fPIC -w -x c -Wl,-soname,libcuda.so.1 -o "$names/libcuda.so" -
fi

settings=(
    "CUDA_HOME=$cuda" "CUDA_PATH=$cuda" "CUDA_ROOT=$cuda" "PATH=$cuda/bin:$PATH"
    "CUDA_COMPUTE_CAP=${CUDA_COMPUTE_CAP:-90}" CUDARC_CUDA_VERSION=13000
    "LIBRARY_PATH=$cuda/lib:$names" "CARGO_TARGET_DIR=$folder/target"
)
export "${settings[@]}"
cd "$repository"
case $what in
check)
    # In the profile of `build`, so that candle's kernels are compiled once for both.
    cargo check --release --features cuda --lib --bins --test device "$@"
    ;;
build)
    cargo build --release --features cuda "$@"
    cargo test --release --features cuda --test device --no-run "$@"
    rm -rf "$folder/device"
    mkdir -p "$folder/device"
    cp "$folder/target/release/talkformer" "$folder/device/"
    tests=$(find "$folder/target/release/deps" -name 'device-*' -type f -executable -printf '%T@ %p\n' | sort -n | tail -1)
    cp "${tests#* }" "$folder/device/tests"
    cp benches/device/run.sh benches/device/torch_step.py benches/peers/torch_worker.py "$folder/device/"
    cp -r tests/golden/encoders "$folder/device/golden"
    strip "$folder/device/talkformer" "$folder/device/tests"
    echo "$folder/device: copy it to the machine with the card and start run.sh there" >&2
    ;;
env)
    printf 'export %q\n' "${settings[@]}"
    ;;
*)
    echo "check, build or env, not $what" >&2
    exit 2
    ;;
esac
