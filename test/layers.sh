#!/bin/sh
# layers.sh [ROOT]: each #include "..." in src/ must point to the file's own folder or to one below it:
#   main > cmd > admin > gate > {conf, state} > llm > {json, http, net} > base
# sim stands beside gate, a server of its own: it may use what lies below conf.
# conf and llm may use json and http but not net; state may, as its helper process answers through the loop; conf and state don't know each other; json, http and net never use each other.  Vendor headers are included by one file each.
# Proves itself first on a few lines that must and must not pass.
cd "${1:-$(dirname "$0")/..}" || exit 1
command -v awk >/dev/null || exit 1

# Reads "FILE: #include ..." lines, prints one line per file: "ok FILE" or "FAIL FILE includes INC".
judge() {
	awk '
	BEGIN {
		allow["base"] = "base"
		allow["json"] = "json base"
		allow["http"] = "http base"
		allow["net"] = "net base"
		allow["llm"] = "llm json http base"
		allow["conf"] = "conf llm json http base"
		allow["sim"] = "sim llm json http net base"
		allow["state"] = "state llm json http net base"
		allow["gate"] = "gate state llm conf json http net base"
		allow["admin"] = "admin gate state llm conf json http net base"
		allow["cmd"] = "cmd sim admin gate state llm conf json http net base"
		allow["main"] = "main cmd sim admin gate state llm conf json http net base"
		# net/trust.c and net/tls.c are the TLS side, state seals keys at rest, base hashes.
		vendor["bearssl.h"] = "net base state"
		vendor["jsmn/jsmn.h"] = "json"
	}
	function has(list, word) { return index(" " list " ", " " word " ") > 0 }
	{
		split($0, part, "\t")
		file = part[1]; inc = part[2]
		n = split(file, p, "/")
		layer = n == 2 ? "main" : p[2]
		if (!(file in seen)) { seen[file] = 1; order[++files] = file }
		if (inc == "") next
		if (!(layer in allow)) { bad[file] = bad[file] "\nFAIL " file " lies in an unknown layer"; next }
		if (inc ~ /^bearssl\/inc\/bearssl[a-z0-9_]*\.h$/) inc = "bearssl.h"
		if (inc in vendor) {
			if (!has(vendor[inc], layer)) bad[file] = bad[file] "\nFAIL " file " includes " inc
			next
		}
		m = split(inc, q, "/")
		if (m != 2) { bad[file] = bad[file] "\nFAIL " file " includes \"" inc "\" without its folder"; next }
		if (q[1] == "build") next
		if (!has(allow[layer], q[1])) bad[file] = bad[file] "\nFAIL " file " includes " inc
	}
	END {
		for (i = 1; i <= files; i++)
			if (order[i] in bad) print substr(bad[order[i]], 2)
			else print "ok " order[i]
	}'
}

lines() {
	for f in src/*.[ch] src/*/*.[ch]; do
		[ -f "$f" ] || continue
		printf '%s\t\n' "$f"
		sed -n 's/^[[:space:]]*#[[:space:]]*include[[:space:]]*"\([^"]*\)".*/\1/p' "$f" | sed "s|^|$f	|"
	done
}

passed=0 failed=0
proof() { # EXPECT FILE INC
	got=$(printf '%s\t%s\n' "$2" "$3" | judge | cut -d' ' -f1)
	if [ "$got" = "$1" ]; then passed=$((passed + 1)); else
		failed=$((failed + 1))
		echo "FAIL the rule itself: $2 including $3 is $got, not $1"
	fi
}
proof ok src/main.c admin/api.h
proof ok src/gate/route.c llm/chat.h
proof ok src/llm/openai.c json/scan.h
proof ok src/net/tls.c bearssl.h
proof ok src/state/store.c net/loop.h
proof ok src/state/seal.c bearssl.h
proof ok src/gate/trace.c state/usage.h
proof FAIL src/llm/openai.c conf/conf.h
proof FAIL src/state/store.c conf/conf.h
proof FAIL src/conf/keys.c state/store.h
proof FAIL src/sim/sim.c gate/route.h
proof FAIL src/json/scan.c http/head.h
proof FAIL src/net/conn.c http/head.h
proof FAIL src/base/buf.c net/conn.h
proof FAIL src/llm/openai.c net/conn.h
proof FAIL src/gate/exchange.c admin/api.h
proof FAIL src/http/head.c jsmn/jsmn.h
proof FAIL src/gate/route.c route.h

out=$(lines | judge)
bad=$(echo "$out" | grep -c '^FAIL')
echo "$out" | grep '^FAIL'
passed=$((passed + $(echo "$out" | grep -c '^ok')))
failed=$((failed + bad))
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
