#!/usr/bin/env bash
# Counts the instructions of a training step and of an answer under callgrind, and compares them with
# benches/instructions.txt. Counts do not depend on what else the machine does, as times do.
#
#   benches/instructions.sh          compare; fails on an increase of more than 2 %
#   benches/instructions.sh --keep   save the new counts
#
# The output of callgrind stays in target/instructions, for callgrind_annotate.
set -euo pipefail
cd "$(dirname "$0")/.."

kept=benches/instructions.txt
out=${CARGO_TARGET_DIR:-target}/instructions
mkdir -p "$out"

# valgrind does not support AVX-512, and other machines should give the same counts. It computes each lane of a
# multiply-add separately, hence the few repetitions.
export TALKFORMER_INSTRUCTIONS=avx2 CANDLE_NUM_THREADS=1

program=$(cargo bench --bench instructions --no-run --message-format=json |
    sed -n '/"name":"instructions"/s/.*"executable":"\([^"]*\)".*/\1/p')

# All instructions of a run: `instructions NAME ARGUMENT...`.
instructions() {
    local name=$1
    shift
    valgrind --tool=callgrind --callgrind-out-file="$out/$name.callgrind" "$program" "$@" 2>&1 |
        sed -n 's/.*Collected : \([0-9]*\).*/\1/p'
}

# Of one repetition: those of 2n minus those of n, so that start-up does not count.
each() {
    local name=$1 n=$2 once twice
    shift 2
    once=$(instructions "$name" "$name" "$n" "$@")
    twice=$(instructions "$name" "$name" $((2 * n)) "$@")
    echo $(((twice - once) / n))
}

"$program" prepare "$out/model"
train=$(each train 1)
parse=$(each parse 4 "$out/model")

if [[ ${1:-} == --keep ]]; then
    {
        echo "# Instructions of one repetition; \`just instructions --keep\` writes this file ($(rustc --version))."
        echo "train $train"
        echo "parse $parse"
    } >"$kept"
fi

failed=0
while read -r name before; do
    now=${!name}
    awk -v name="$name" -v now="$now" -v before="$before" 'BEGIN {
        change = 100 * (now / before - 1)
        printf "%-6s %12d instructions, kept %12d, %+.2f %%%s\n", name, now, before, change, (change > 2 ? "  too many" : "")
        exit (change > 2)
    }' || failed=1
done < <(grep -v '^#' "$kept")
exit $failed
