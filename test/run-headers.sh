#!/bin/sh
# run-headers.sh "COMPILER FLAGS" HEADER...: each header must compile alone, twice in a row.
cc=$1
shift
passed=0 failed=0
for h; do
	inc=${h#src/}
	if printf '#include "%s"\n#include "%s"\n' "$inc" "$inc" | $cc -fsyntax-only -x c - 2>/tmp/weir-hdr.$$; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "FAIL $h does not compile alone"
		head -n 8 /tmp/weir-hdr.$$
	fi
done
rm -f /tmp/weir-hdr.$$
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
