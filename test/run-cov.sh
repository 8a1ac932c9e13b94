#!/bin/sh
# run-cov.sh BUILD SOURCE...: line coverage per file and in total, worst first, from the counters under BUILD.
build=$1
shift
for s; do
	o=$build/${s%.c}.o
	[ -f "$o" ] || continue
	gcov -n -o "$(dirname "$o")" "$s" 2>/dev/null | awk -v s="$s" '
		/^File / { f = $2; gsub(/\047/, "", f) }
		/^Lines executed:/ && f == s { split($0, a, /[:% ]+/); print a[3], a[5], s; exit }'
done | sort -n | awk '
	{ printf "%6.2f %%  %5d  %s\n", $1, $2, $3; hit += $1 * $2 / 100; all += $2 }
	END { if (all) printf "%6.2f %%  %5d  all of src/\n", 100 * hit / all, all }'
