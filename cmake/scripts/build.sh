#!/usr/bin/env bash
# build.sh PRESET [TARGET…]: installs what is missing, configures the preset once and builds it. Quiet until something fails.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
preset=$1
shift
"$here/install-deps.sh"
cd "$root"

# Two checkouts share one cache, and a moved checkout keeps its hits.
export CCACHE_BASEDIR=$root CCACHE_NOHASHDIR=1

log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! cmake --preset "$preset" >"$log" 2>&1; then
    cat "$log" >&2
    exit 1
fi
target=()
[ $# -gt 0 ] && target=(--target "$@")
cmake --build --preset "$preset" "${target[@]}"
