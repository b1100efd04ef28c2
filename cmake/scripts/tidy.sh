#!/usr/bin/env bash
# tidy.sh [REGEX]: clang-tidy over all sources, or those whose path matches, with the flags that the tidy preset gives them.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
"$here/install-deps.sh"
cd "$root"
cmake --preset tidy >/dev/null
run-clang-tidy-19 -p build/tidy -quiet -j "$(nproc)" "${1:-.}" 2>/dev/null | grep -vE '^(clang-tidy-19 |[0-9]+ warnings generated)' || true
exit "${PIPESTATUS[0]}"
