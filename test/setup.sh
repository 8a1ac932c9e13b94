#!/bin/sh
# setup.sh build|test|lint|others|fuzz: installs what is missing, quick when nothing is.
#   build  what `make` needs: compiler, musl, unpackers
#   test   also the programs the tests run, and the official clients into build/tools (or $WEIR_TOOLS)
#   lint   clang-tidy, cppcheck, clang-format
#   others Portkey and LiteLLM into build/others (or $WEIR_OTHERS), to be compared with (`make faults`)
#   fuzz   AFL++ and clang's fuzzer
set -eu
cd "$(dirname "$0")/.."
what=${1:-test}
tools=${WEIR_TOOLS:-build/tools}

has() { PATH=$PATH:/usr/sbin:/sbin command -v "$1" >/dev/null 2>&1; }

missing=
need() { has "$1" || missing="$missing $2"; }
need gcc gcc
need ar binutils
need xz xz-utils
need python3 python3
case $(gcc -dumpmachine 2>/dev/null || true) in *musl*) ;; *) need musl-gcc musl-tools ;; esac
[ -e /usr/include/stdio.h ] || missing="$missing libc6-dev"
if [ "$what" = test ]; then
	need clang clang
	need valgrind valgrind
	need openssl openssl
	need curl curl
	need nginx nginx-light
	need haproxy haproxy
	need node nodejs
	need npm npm
	python3 -c 'import venv, ensurepip' 2>/dev/null || missing="$missing python3-venv"
elif [ "$what" = lint ]; then
	need clang-tidy clang-tidy
	need clang-format clang-format
	need cppcheck cppcheck
elif [ "$what" = fuzz ]; then
	need clang clang
	need afl-clang-fast afl++
	# Where clang's run-time libraries are a package of their own, the fuzzer is in it.
	if has clang && [ ! -e "$(clang -print-file-name=libclang_rt.fuzzer-x86_64.a)" ] && ! ls "$(clang -print-resource-dir)"/lib/linux/libclang_rt.fuzzer-* >/dev/null 2>&1; then
		missing="$missing libclang-rt-$(clang -dumpversion | cut -d. -f1)-dev"
	fi
fi
if [ -n "$missing" ]; then
	root=
	if [ "$(id -u)" -ne 0 ]; then
		has sudo || { echo "setup: please install as root:$missing" >&2; exit 1; }
		root=sudo
	fi
	has apt-get || { echo "setup: no apt-get here, please install:$missing" >&2; exit 1; }
	echo "installing:$missing"
	log=$(mktemp)
	# Servers that a package starts by itself would only be in the way of the tests.
	if ! { $root apt-get -qq update && $root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
		apt-get -qq install -y --no-install-recommends $missing; } >"$log" 2>&1; then
		cat "$log" >&2
		rm -f "$log"
		echo "setup: could not install:$missing" >&2
		exit 1
	fi
	rm -f "$log"
fi
if [ "$what" = others ]; then
	others=${WEIR_OTHERS:-build/others}
	mkdir -p "$others/node"
	# One that can't be had is named and left out; the others are compared with all the same.
	[ -x "$others/venv/bin/litellm" ] || { python3 -m venv "$others/venv" && "$others/venv/bin/pip" install -q --disable-pip-version-check 'litellm[proxy]'; } ||
		echo "left out: LiteLLM could not be installed"
	cp test/e2e/node-others/package.json "$others/node/"
	[ -e "$others/node/node_modules/@portkey-ai" ] || npm --prefix "$others/node" install --silent --no-audit --no-fund --ignore-scripts ||
		echo "left out: Portkey could not be installed"
fi
[ "$what" = test ] || exit 0

# The clients, pinned.  A stamp holds the hash of the pins, so that a change of theirs installs anew.
stamp() { cat "$@" | sha256sum | cut -d' ' -f1; }
quietly() { "$@" >"$tools/setup.log" 2>&1 || { cat "$tools/setup.log" >&2; exit 1; }; }
mkdir -p "$tools"
want=$(stamp test/e2e/requirements.txt)
if [ "$(cat "$tools/venv/stamp" 2>/dev/null)" != "$want" ]; then
	rm -rf "$tools/venv"
	quietly python3 -m venv "$tools/venv"
	quietly "$tools/venv/bin/python" -m pip install -q --disable-pip-version-check -r test/e2e/requirements.txt
	echo "$want" >"$tools/venv/stamp"
fi
# What reads the admin API's answers; a list of its own, so that a change of it adds to what is there instead of installing all anew.
want=$(stamp test/e2e/requirements-admin.txt)
if [ "$(cat "$tools/venv/stamp-admin" 2>/dev/null)" != "$want" ]; then
	quietly "$tools/venv/bin/python" -m pip install -q --disable-pip-version-check -r test/e2e/requirements-admin.txt
	echo "$want" >"$tools/venv/stamp-admin"
fi
# What drives the dashboard. A machine that can't have a browser leaves its tests out, and they say so.
if ! has chromium; then
	root=
	[ "$(id -u)" -eq 0 ] || root=sudo
	$root env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends chromium >"$tools/chromium.log" 2>&1 ||
		echo "setup: no Chromium can be installed: the dashboard's tests are left out"
fi
want=$(stamp test/e2e/requirements-page.txt)
if has chromium && [ "$(cat "$tools/venv/stamp-page" 2>/dev/null)" != "$want" ]; then
	quietly "$tools/venv/bin/python" -m pip install -q --disable-pip-version-check -r test/e2e/requirements-page.txt
	echo "$want" >"$tools/venv/stamp-page"
fi
# What plays the API's own description against it; apart, as it wants other versions of the same packages.
want=$(stamp test/e2e/requirements-schema.txt)
if [ "$(cat "$tools/schema/stamp" 2>/dev/null)" != "$want" ]; then
	rm -rf "$tools/schema"
	quietly python3 -m venv "$tools/schema"
	quietly "$tools/schema/bin/python" -m pip install -q --disable-pip-version-check -r test/e2e/requirements-schema.txt
	echo "$want" >"$tools/schema/stamp"
fi
want=$(stamp test/e2e/node/package.json test/e2e/node/package-lock.json)
if [ "$(cat "$tools/node/stamp" 2>/dev/null)" != "$want" ]; then
	rm -rf "$tools/node"
	mkdir -p "$tools/node"
	cp test/e2e/node/package.json test/e2e/node/package-lock.json "$tools/node/"
	quietly npm --prefix "$tools/node" ci --no-audit --no-fund --ignore-scripts
	echo "$want" >"$tools/node/stamp"
fi
