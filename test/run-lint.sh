#!/bin/bash
# run-lint.sh "FLAGS" FILE...: banned calls, gcc -fanalyzer, cppcheck, clang-tidy.  Tools that are missing are named.
flags=$1
shift
passed=0 failed=0
verdict() { # NAME STATUS
	if [ "$2" -eq 0 ]; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "FAIL $1"; fi
}
# Comments and strings may speak of anything: they are blanked before the search.
code() {
	sed -e 's/"\([^"\\]\|\\.\)*"/""/g' -e 's://.*::' -e 's:/\*.*\*/::g' "$1" | awk '
	{ line = $0
	  if (inside) { if ((i = index(line, "*/")) == 0) { print ""; next } line = substr(line, i + 2); inside = 0 }
	  if ((i = index(line, "/*")) > 0) { line = substr(line, 1, i - 1); inside = 1 }
	  print line }'
}
call() { # REGEX FILE WHY
	local hits
	hits=$(code "$2" | grep -nE "(^|[^A-Za-z0-9_.>])($1)[[:space:]]*\(") || return 0
	echo "$hits" | sed "s|^|$2:|; s|\$|    <- $3|"
	return 1
}
for f; do
	ok=0
	call 'sprintf|vsprintf|strcpy|strcat|strtok|atoi|atol|sscanf|alloca|getaddrinfo|gethostbyname|localtime|gmtime|rand|srand|gets' \
		"$f" 'banned' || ok=1
	case $f in src/base/*) ;; *) call 'malloc|calloc|realloc|free|strdup' "$f" 'only in base/' || ok=1 ;; esac
	case $f in src/base/sys.c) ;; *)
		call 'read|write|close|recv|send|recvmsg|sendmsg|readv|writev|socket|accept4?|connect|bind|listen|epoll_[a-z0-9_]+|open|openat|fsync|rename|unlink|fork|execve|clock_gettime|getrandom|poll|select' \
			"$f" 'only in base/sys.c' || ok=1 ;;
	esac
	verdict "$f: banned calls" $ok
done
for f; do
	out=$(gcc $flags -O2 -fanalyzer -c "$f" -o /dev/null 2>&1)
	[ -n "$out" ] && echo "$out" | head -n 40
	[ -z "$out" ]; verdict "$f: gcc -fanalyzer" $?
done
if command -v cppcheck >/dev/null; then
	cppcheck -q --std=c11 --enable=warning,portability --inline-suppr --error-exitcode=1 -D_GNU_SOURCE -Isrc "$@"
	verdict cppcheck $?
else
	echo 'left out: cppcheck'
fi
if command -v clang-tidy >/dev/null; then
	clang-tidy --quiet --warnings-as-errors='*' \
		--checks='-*,bugprone-*,-bugprone-easily-swappable-parameters,-bugprone-reserved-identifier,clang-analyzer-*,-clang-analyzer-security.insecureAPI.DeprecatedOrUnsafeBufferHandling' \
		"$@" -- $flags 2>/dev/null
	verdict clang-tidy $?
else
	echo 'left out: clang-tidy'
fi
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
