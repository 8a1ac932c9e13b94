#!/bin/sh
# run.sh MINUTES TARGET...: fuzzes one target after the other, each for so long. The corpus grows in build/fuzz/corpus; an input that breaks a
# property goes to build/fuzz/found and, once understood, to fuzz/crash/<target>/ for good.
minutes=$1
shift
found=build/fuzz/found
passed=0 failed=0
mkdir -p "$found"
python3 fuzz/seeds.py build/fuzz/seeds
for t; do
	seeds=
	for d in "fuzz/corpus/$t" "fuzz/crash/$t" "build/fuzz/seeds/$t"; do [ -d "$d" ] && seeds="$seeds $d"; done
	options=-max_len=4096
	[ "$t" = flow ] && options='-max_len=700 -len_control=0'
	[ -f "fuzz/$t.dict" ] && options="$options -dict=fuzz/$t.dict"
	mkdir -p "build/fuzz/corpus/$t"
	if "build/fuzz/fuzz/$t" -max_total_time=$((minutes * 60)) $options -timeout=20 -print_final_stats=1 "-artifact_prefix=$found/$t-" \
		"build/fuzz/corpus/$t" $seeds >"$found/$t.log" 2>&1; then
		passed=$((passed + 1))
		echo "$t: $(sed -n 's/^stat::number_of_executed_units: *//p' "$found/$t.log") inputs, nothing found"
	else
		failed=$((failed + 1))
		grep -a -e 'not true' -e 'ERROR: ' -e 'runtime error' -e '^FAIL' -e 'written to' "$found/$t.log"
	fi
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
