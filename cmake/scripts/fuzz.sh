#!/usr/bin/env bash
# Runs every libFuzzer target for FUZZ_SECONDS (default 60) with what it has found kept under build/fuzz/corpus/TARGET.
# The committed corpora are read, not written; copy an input there when it should stay a unit test.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
"$here/build.sh" fuzz fuzz_targets
cd "$root"
seconds=${FUZZ_SECONDS:-60}
failed=0
shopt -s nullglob
for target in build/fuzz/bin/*fuzz*; do
    [ -x "$target" ] || continue
    name=$(basename "$target")
    found=build/fuzz/corpus/$name
    mkdir -p "$found"
    seeds=()
    [ -d "tests/fuzz/corpus/${name%_fuzz}" ] && seeds=("tests/fuzz/corpus/${name%_fuzz}")
    echo "== $name for ${seconds}s"
    "$target" -max_total_time="$seconds" -rss_limit_mb=2048 -timeout=10 -print_final_stats=1 \
        -artifact_prefix="build/fuzz/$name-" "$found" "${seeds[@]}" 2>&1 | tail -n 12 || failed=$((failed + 1))
done
[ "$failed" -eq 0 ] || { echo "fuzz: $failed targets found something; inputs in build/fuzz" >&2; exit 1; }
