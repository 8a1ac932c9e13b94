#!/bin/sh
# run-all.sh MAKE TARGET...: makes each target in turn, goes on after a failure, and ends with one summed line.
make=$1
shift
WEIR_TALLY=$(mktemp)
export WEIR_TALLY
trap 'rm -f "$WEIR_TALLY"' EXIT INT TERM
for target; do
	before=$(wc -l <"$WEIR_TALLY")
	if ! $make "$target" && [ "$(wc -l <"$WEIR_TALLY")" -eq "$before" ]; then
		echo "== make $target failed"
		echo "0 1 0 $target" >>"$WEIR_TALLY"
	fi
done
set -- $(awk '{ p += $1; f += $2; s += $3 } END { print p + 0, f + 0, s + 0 }' "$WEIR_TALLY")
skipped=
[ "$3" -eq 0 ] || skipped=", $3 skipped"
echo "$1 passed, $2 failed$skipped"
[ "$2" -eq 0 ] && [ "$1" -gt 0 ]
