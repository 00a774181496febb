#!/usr/bin/env bash
# On a machine with an NVIDIA card: the tests of the device, then training steps, attention and products beside PyTorch in
# the same call. Needs no Rust: `build.sh FOLDER build` has put everything into one folder, which is copied here.
#
#   ./run.sh [DEVICE]          cuda (the default), cuda:1 …
#
# TALKFORMER_MINILM names the folder of all-MiniLM-L6-v2 for a comparison of embeddings, where it is there. The libraries
# are those of the CUDA toolkit, or of PyTorch, which brings them along.
set -uo pipefail
cd "$(dirname "$0")"
export TALKFORMER_TEST_DEVICE=${1:-cuda} TALKFORMER_GOLDEN=$PWD/golden

if python3 -c 'import torch' 2>/dev/null; then
    libraries=$(python3 - <<'PYTHON'
import glob, os, site
places = site.getsitepackages() + [site.getusersitepackages()]
print(":".join(f for place in places for f in glob.glob(os.path.join(place, "nvidia", "*", "lib"))))
PYTHON
    )
    export LD_LIBRARY_PATH=${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$libraries
fi
nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader
failed=0
./tests --test-threads=1 --nocapture || failed=1
CANDLE_NUM_THREADS=1 RAYON_NUM_THREADS=1 ./talkformer bench --device "$TALKFORMER_TEST_DEVICE" || failed=1
if python3 -c 'import torch' 2>/dev/null; then
    python3 torch_step.py || failed=1
else
    echo "PyTorch is not installed here; nothing to compare with"
fi
exit $failed
