#!/bin/sh
# run-torture.sh PROGRAM...: each flow program with every point of torture: every fallible call of the system and every block of memory
# refused once, and from then on. Says how many points each has. It takes a few minutes.
passed=0 failed=0 points=0
mkdir -p build/log/torture
for p; do
	name=$(basename "$p")
	log=build/log/torture/$name.log
	FLOW_TORTURE=all nice -n 10 "$p" >"$log" 2>&1
	set -- $(sed -n 's/^\([0-9][0-9]*\) passed, \([0-9][0-9]*\) failed$/\1 \2/p' "$log" | tail -n 1)
	n=$(sed -n 's/^points of torture: //p' "$log" | tail -n 1)
	[ $# -eq 2 ] || set -- 0 1
	passed=$((passed + $1)) failed=$((failed + $2)) points=$((points + ${n:-0}))
	echo "$name: ${n:-no} points, $1 checks passed, $2 failed"
	[ "$2" -eq 0 ] || grep -a -A2 FAIL "$log" | head -n 40
done
echo "points of torture: $points"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
