#!/bin/sh
# run-e2e.sh [WORD]: the end-to-end tests against $WEIR_BIN (default ./weir), two at a time.
# run-e2e.sh --faults [GATEWAY...]: the table of faults, also against other gateways.
cd "$(dirname "$0")/.." || exit 1
root=$PWD
export WEIR_BIN="${WEIR_BIN:-$root/weir}" WEIR_SHARED="${WEIR_SHARED:-$root/../shared}" WEIR_TOOLS="${WEIR_TOOLS:-$root/build/tools}"
export PYTHONDONTWRITEBYTECODE=1
[ -x "$WEIR_BIN" ] || { echo "$WEIR_BIN is not there: run make first"; exit 1; }
python=$WEIR_TOOLS/venv/bin/python
[ -x "$python" ] || { echo "no test clients: run make setup first"; exit 1; }
[ "${1:-}" != --faults ] || { shift; exec "$python" test/e2e/failover_table.py "$@"; }
exec "$python" -m pytest -c test/e2e/pytest.ini --rootdir test/e2e ${1:+-k "$1"} test/e2e
