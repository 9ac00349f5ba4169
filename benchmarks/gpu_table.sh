#!/usr/bin/env bash
# The rows of the GPU tables in docs/engine.md and log.md on this machine, the GPU tests first. Each row's
# table and JSON are in OUT as soon as it is done, and a row that fails stops no other.
#
#   benchmarks/gpu_table.sh OUT                                  Ponder alone
#   PEERS=/tmp/vw:/tmp/site benchmarks/gpu_table.sh OUT          vLLM and TRL, installed there, beside it
#   ROWS="rollout-1.5b step" benchmarks/gpu_table.sh OUT         these rows alone
set -u
out=$(mkdir -p "${1:?usage: benchmarks/gpu_table.sh OUT}" && cd "$1" && pwd)
cd "$(dirname "$0")/.."
python=${PYTHON:-python3} peers=${PEERS:-}
known="tests rollout-1.5b step rollout-lognormal rollout-7b rollout-135m train"
rows=${ROWS:-$known}
vllm=(${peers:+--vs vllm --vllm-process in --peer-path "$peers" --folder "${TMPDIR:-/tmp}"})
trl=(${peers:+--vs trl --trl-mode vllm --peer-path "$peers" --folder "${TMPDIR:-/tmp}"})
# Only the files that have some: the others need packages that a GPU machine may lack.
gpu_tests="tests/gpu tests/generate/test_parity.py tests/train/rl/test_run.py"
failed=""

row() { # row NAME SCRIPT ARGUMENT...
  local name=$1 script=$2
  shift 2
  "$python" "benchmarks/$script.py" "$@" --json "$out/$name.json" >"$out/$name.txt" 2>"$out/$name.err"
}

for name in $rows; do
  begun=$SECONDS
  case $name in
    tests) "$python" -m pytest -m gpu -n "${WORKERS:-6}" $gpu_tests >"$out/tests.txt" 2>&1 ;;
    rollout-1.5b) row $name rollout --workload fixed "${vllm[@]}" ;;
    rollout-lognormal) row $name rollout --workload lognormal --repeats 2 "${vllm[@]}" ;;
    rollout-7b) row $name rollout --shape 7b --workload fixed "${vllm[@]}" ;;
    rollout-135m) row $name rollout --shape 135m --workload fixed "${vllm[@]}" ;;
    step) row $name step "${trl[@]}" batch.microbatch_tokens=16384 batch.recompute=layers ;;
    train) row $name train ;;
    *) echo "error: ROWS: $name is none of: $known" && false ;;
  esac || failed+=" $name"
  echo "$name: $((SECONDS - begun)) s$([[ "$failed " == *" $name "* ]] && echo ", failed: see $out/$name.*")"
  [ -f "$out/$name.txt" ] && tail -n 6 "$out/$name.txt"
done
[ -z "$failed" ]
