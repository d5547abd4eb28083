#!/usr/bin/env bash
# Instructions for each proxied request: HTTP/1.1 on both sides, 1 KB, one worker, the access log on. Two runs, of N and of
# 2N requests, are subtracted, so that start and end do not count; a busy machine changes nothing. The figure is of user
# space: counted by the processor where perf may, else by callgrind.
#
# instructions.sh [N]; RP names the binary.
set -euo pipefail
cd "$(dirname "$0")/.."

N="${1:-2000}"
if [ -z "${RP:-}" ]; then
    cargo build --release --quiet
    RP="${CARGO_TARGET_DIR:-target}/release/rp"
fi
export PORT="${PORT:-18080}" ORIGIN="${ORIGIN:-18081}"
scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT

if perf stat -e instructions:u -x, -o "$scratch/probe" true 2>/dev/null && grep -q '^[0-9]' "$scratch/probe"; then
    by="perf"
    count() {
        python3 benches/load.py "$PORT" "$ORIGIN" "$1" \
            perf stat -e instructions:u -x, -o "$scratch/count" "$RP" run benches/instructions.proxyfile 2>"$scratch/said" || return
        grep instructions "$scratch/count" | cut -d, -f1
    }
else
    by="callgrind"
    count() {
        python3 benches/load.py "$PORT" "$ORIGIN" "$1" \
            valgrind --tool=callgrind --callgrind-out-file=/dev/null "$RP" run benches/instructions.proxyfile 2>"$scratch/said" || return
        sed -n 's/.*Collected : \([0-9]*\).*/\1/p' "$scratch/said"
    }
fi

# `set -e` does not hold inside of what is asked whether it failed.
once="$(count "$N")" || { cat "$scratch/said" >&2; exit 1; }
twice="$(count "$((2 * N))")" || { cat "$scratch/said" >&2; exit 1; }
echo "$(((twice - once) / N)) instructions for each request ($by, $N and $((2 * N)) requests)"
