#!/bin/sh
# run-one.sh NAME COMMAND...: runs one test program.  Silent when all is well; else shows what it printed.  The count
# in its last line "N passed, N failed" is noted in $WEIR_TALLY.  A program that dies or prints no count has failed.
name=$1
shift
log=${WEIR_LOGS:-build/log}/$(echo "$name" | tr '/ ' '__').log
mkdir -p "$(dirname "$log")"
"$@" >"$log" 2>&1
rc=$?
set -- $(sed -n 's/^\([0-9][0-9]*\) passed, \([0-9][0-9]*\) failed$/\1 \2/p' "$log" | tail -n 1)
passed=${1:-0} failed=${2:-0}
if [ $# -ne 2 ]; then
	echo "no count printed (exit status $rc)" >>"$log"
	failed=$((failed + 1))
elif [ "$rc" -ne 0 ] && [ "$failed" -eq 0 ]; then
	echo "exit status $rc" >>"$log"
	failed=1
elif [ "$rc" -eq 0 ] && [ "$passed" -eq 0 ] && [ "$failed" -eq 0 ]; then
	echo "it checked nothing" >>"$log"
	failed=1
fi
[ -n "$WEIR_TALLY" ] && echo "$passed $failed $name" >>"$WEIR_TALLY"
if [ "$failed" -ne 0 ]; then
	echo "== $name"
	tail -n "${WEIR_LOG_LINES:-200}" "$log"
elif grep -q '^left out: ' "$log"; then
	sed -n "s|^left out: |$name: left out: |p" "$log"
fi
[ "$failed" -eq 0 ]
