#!/bin/sh
# run-one.sh NAME COMMAND...: runs one test program.  Silent when all is well; else shows what it printed.  The count
# in its last line "N passed, N failed[, N skipped]" is noted in $WEIR_TALLY.  A program that dies or prints no count has failed.
name=$1
shift
log=${WEIR_LOGS:-build/log}/$(echo "$name" | tr '/ ' '__').log
mkdir -p "$(dirname "$log")"
"$@" >"$log" 2>&1
rc=$?
set -- $(sed -n -e 's/^\([0-9][0-9]*\) passed, \([0-9][0-9]*\) failed$/\1 \2 0/p' \
	-e 's/^\([0-9][0-9]*\) passed, \([0-9][0-9]*\) failed, \([0-9][0-9]*\) skipped$/\1 \2 \3/p' "$log" | tail -n 1)
passed=${1:-0} failed=${2:-0} skipped=${3:-0}
if [ $# -ne 3 ]; then
	echo "no count printed (exit status $rc)" >>"$log"
	failed=$((failed + 1))
elif [ "$rc" -ne 0 ] && [ "$failed" -eq 0 ]; then
	echo "exit status $rc" >>"$log"
	failed=1
elif [ "$rc" -eq 0 ] && [ "$passed" -eq 0 ] && [ "$failed" -eq 0 ] && [ "$skipped" -eq 0 ]; then
	echo "it checked nothing" >>"$log"
	failed=1
fi
[ -n "$WEIR_TALLY" ] && echo "$passed $failed $skipped $name" >>"$WEIR_TALLY"
if [ "$failed" -ne 0 ]; then
	echo "== $name"
	tail -n "${WEIR_LOG_LINES:-200}" "$log"
elif grep -q '^left out: ' "$log"; then
	sed -n "s|^left out: |$name: left out: |p" "$log"
fi
[ "$failed" -eq 0 ]
