#!/usr/bin/env bash
# test.sh PRESET: one build, all suites, one plain result line `N passed, N failed, N skipped` of individual test cases.
# Suites: unit, fuzz corpora, lint and conformance side by side; then integration; then the official SDKs.
# MILLRACE_TEST_FILTER limits ctest to names that match (and leaves the SDKs out).
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
preset=${1:-release}
cd "$root" || exit 1

if ! "$here/build.sh" "$preset"; then
    echo "test: the build failed" >&2
    echo "0 passed, 1 failed, 0 skipped"
    exit 1
fi

build=$root/build/$preset
results=$build/test-results
rm -rf "$results"
mkdir -p "$results/gtest"
export GTEST_OUTPUT="json:$results/gtest/" GTEST_COLOR=no
# Symbols in sanitizer reports, and no silent recovery from undefined behaviour.
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_stack_use_after_return=1:strict_string_checks=1}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1:halt_on_error=1}
export TSAN_OPTIONS=${TSAN_OPTIONS:-halt_on_error=1:second_deadlock_stack=1}
symbolizer=$(command -v llvm-symbolizer-19) && export ASAN_SYMBOLIZER_PATH=$symbolizer TSAN_SYMBOLIZER_PATH=$symbolizer

filter=()
[ -n "${MILLRACE_TEST_FILTER:-}" ] && filter=(-R "$MILLRACE_TEST_FILTER")
run_ctest() {  # run_ctest NAME ARGUMENT…
    local name=$1
    shift
    ctest --test-dir "$build" --output-on-failure --no-tests=ignore --output-junit "$results/$name.xml" "${filter[@]}" "$@"
}
echo "== unit, fuzz corpora, lint, conformance"
run_ctest first -j2 -LE integration
echo "== integration"
run_ctest integration -j2 -L integration

if [ "$preset" = release ] && [ -z "${MILLRACE_TEST_FILTER:-}" ]; then
    echo "== official SDKs"
    tests/sdk/run.sh "$build" "$results/sdk.log"
fi

python3 "$here/count_tests.py" "$results"
