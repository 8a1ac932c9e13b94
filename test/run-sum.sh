#!/bin/sh
# run-sum.sh NAME COMMAND...: runs a command whose steps go through run-one.sh, and prints the sum of their counts.
# A command that fails without any counted failure (a test that does not compile) counts as one.
# Inside another run-sum or run-all ($WEIR_TALLY set) the counts go to the outer one as well.
name=$1
shift
outer=$WEIR_TALLY
WEIR_TALLY=$(mktemp)
export WEIR_TALLY
trap 'rm -f "$WEIR_TALLY"' EXIT INT TERM
MAKEFLAGS=$MAKEFLAGS "$@"
rc=$?
set -- $(awk '{ p += $1; f += $2; s += $3 } END { print p + 0, f + 0, s + 0 }' "$WEIR_TALLY")
passed=$1 failed=$2 skipped=$3
[ "$skipped" -ne 0 ] || skipped=
if [ "$rc" -ne 0 ] && [ "$failed" -eq 0 ]; then
	failed=1
	echo "== $name: stopped before its end (exit status $rc)"
fi
if [ -n "$outer" ]; then
	echo "$passed $failed ${skipped:-0} $name" >>"$outer"
	echo "$name: $passed passed, $failed failed${skipped:+, $skipped skipped}"
else
	echo "$passed passed, $failed failed${skipped:+, $skipped skipped}"
fi
[ "$failed" -eq 0 ]
