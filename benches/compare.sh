#!/usr/bin/env bash
# rp beside the proxies that are installed here (nginx, HAProxy, Caddy), by a bench folder that is not part of this
# repository: BENCH_DIR has `setup.sh`, `bench.sh` and `report.py`. Prints medians and ratios of one round as Markdown.
#
# compare.sh [SCENARIOS]; RP names the binary, ROUNDS (3) and DURATION (5, seconds) how long it goes on.
set -euo pipefail
cd "$(dirname "$0")/.."

BENCH_DIR="$(cd "${BENCH_DIR:-../shared/bench}" && pwd)"
if [ -z "${RP:-}" ]; then
    cargo build --release --quiet
    RP="$PWD/target/release/rp"
fi
export RP
proxies="rp"
for name in caddy haproxy nginx; do
    if command -v "$name" >/dev/null || [ -x "/usr/sbin/$name" ]; then proxies="$name,$proxies"; fi
done
out="$(mktemp)"
trap 'rm -f "$out"' EXIT
"$BENCH_DIR/setup.sh"
"$BENCH_DIR/bench.sh" --proxies "$proxies" --scen "${1:-abcdefgGhi}" --rounds "${ROUNDS:-3}" --dur "${DURATION:-5}" --out "$out"
"$BENCH_DIR/report.py" "$out"
