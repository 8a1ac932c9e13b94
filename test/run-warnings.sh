#!/bin/sh
# run-warnings.sh "FLAGS" COMPILER... -- FILE...: every file, every compiler, warnings are errors.
flags=$1
shift
ccs=
while [ "$1" != -- ]; do ccs="$ccs $1"; shift; done
shift
passed=0 failed=0
for f; do
	for cc in $ccs; do
		if $cc $flags -Itest/unit -Itest/flow -c "$f" -o /dev/null; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
	done
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
