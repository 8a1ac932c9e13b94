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
# What a tool says that was looked at and is not so: FILE CHECK, and why.
known() {
	cat <<-'END'
		src/json/out.c -Wanalyzer-use-of-uninitialized-value (eight bytes are read only where there are eight)
		src/gate/route.c -Wanalyzer-use-of-uninitialized-value (entry j is set before j is drawn: the shuffle goes upwards)
		src/gate/route.c uninitvar (the same)
		src/gate/relay.c uninitvar (its address is taken here, and it is set before it is read)
		src/http/head.c pointerOutOfBoundsCond (n is the length of that very text)
		src/llm/usage.c clang-analyzer-core.uninitialized.Assign (a value is read only where its state says it was counted)
		src/base/slice.h clang-analyzer-core.UndefinedBinaryOperatorResult (conf/read.c: set whenever the type is a string)
		src/conf/read.c clang-analyzer-core.CallAndMessage (a scalar that was read is set; else the reader has failed)
		src/conf/providers.c clang-analyzer-core.CallAndMessage (the same, through read_need)
		src/admin/crud.c -Wanalyzer-use-of-uninitialized-value (an entry is counted when it has been set)
		src/gate/health.c -Wanalyzer-null-dereference (the line above asks)
		src/state/store.c ctunullpointer (every caller gives a place for it)
		src/admin/registry.c clang-analyzer-core.NullDereference (a change is never without its resource: reg.change up to reg.n)
		src/admin/auth.c bugprone-branch-clone (two reasons, one answer)
		src/admin/server.c bugprone-branch-clone (two reasons, one end)
		src/base/text.c clang-analyzer-valist.Uninitialized (the caller's, behind a pointer)
		src/gate/reply.c clang-analyzer-valist.Uninitialized (va_start stands two lines above)
		src/net/tls.c clang-analyzer-core.NonNullParamChecker (no bytes waiting, no buffer; else both are there)
	END
}
# Reads a tool's output, shows the findings that are not known; fails when there are any.
judge() {
	known | awk '
	FILENAME == "-" { split($0, w, " "); skip[w[1] " " w[2]] = 1; next }
	match($0, /src\/[^:]+:[0-9]+:[0-9]+: (fatal error|error|warning|portability|performance): /) {
		file = substr($0, RSTART); sub(/:.*/, "", file)
		check = $0; sub(/.*\[/, "", check); sub(/[],].*/, "", check)
		if ((file " " check) in skip) next
		print; bad = 1
	}
	END { exit bad }' - "$1"
}
out=$(mktemp)
trap 'rm -f "$out"' EXIT INT TERM
for f; do
	gcc $flags -O2 -fanalyzer -c "$f" -o /dev/null >"$out" 2>&1
	judge "$out"
	verdict "$f: gcc -fanalyzer" $?
done
if command -v cppcheck >/dev/null; then
	cppcheck -q --std=c11 --enable=warning,portability --inline-suppr --template=gcc -D_GNU_SOURCE -Isrc "$@" >"$out" 2>&1
	judge "$out"
	verdict cppcheck $?
else
	echo 'left out: cppcheck'
fi
# Left out of clang-tidy: rules of taste, and those that our X-macros, bounded sums and texts without NUL always break.
if command -v clang-tidy >/dev/null; then
	clang-tidy --quiet --checks='-*,bugprone-*,-bugprone-easily-swappable-parameters,-bugprone-reserved-identifier,-bugprone-macro-parentheses,-bugprone-implicit-widening-of-multiplication-result,-bugprone-narrowing-conversions,-bugprone-not-null-terminated-result,-bugprone-sizeof-expression,clang-analyzer-*,-clang-analyzer-deadcode.DeadStores,-clang-analyzer-security.insecureAPI.DeprecatedOrUnsafeBufferHandling' \
		"$@" -- $flags >"$out" 2>/dev/null
	judge "$out"
	verdict clang-tidy $?
else
	echo 'left out: clang-tidy'
fi
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
