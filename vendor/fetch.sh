#!/bin/sh
# Puts the BearSSL source tree and jsmn.h beside this script and checks them against SHA256SUMS.
#
# Order: what is here already, then the archives in $WEIR_VENDOR_CACHE (default: cache/ beside this script), then
# the machine's own package sources.  For the last one we derive source entries from the system's binary entries
# into a private apt state, so that no host is named here, no root is needed and the system's lists stay as they are.
#
# Needs tar, gzip, xz, sha256sum; apt-get only when the cache does not have the archives.
set -eu
cd "$(dirname "$0")"
here=$PWD
cache=${WEIR_VENDOR_CACHE:-$here/cache}

pin() { awk -v n="$1" '$2 == n { print $1 }' "$here/SHA256SUMS"; }
sha() { sha256sum "$1" 2>/dev/null | cut -d' ' -f1; }
die() { echo "vendor/fetch.sh: $*" >&2; exit 1; }

# One hash for a whole tree: names and contents of inc/ and src/, independent of how they were packed.
tree() { (cd "$1" 2>/dev/null && find inc src -type f | LC_ALL=C sort | xargs sha256sum | sha256sum | cut -d' ' -f1); }

bearssl_ok() { [ -d "$1/inc" ] && [ -d "$1/src" ] && [ "$(tree "$1")" = "$(pin bearssl-tree)" ]; }
jsmn_ok() { [ -f "$1" ] && [ "$(sha "$1")" = "$(pin jsmn/jsmn.h)" ]; }

if bearssl_ok bearssl && jsmn_ok jsmn/jsmn.h; then
	exit 0
fi

for t in tar gzip xz sha256sum awk; do
	command -v "$t" >/dev/null 2>&1 || die "$t is missing (make setup installs it)"
done

tmp=$(mktemp -d)
# The staging folder lies beside its destination so that the final step is a rename within one file system.
stage=$here/.stage.$$
mkdir "$stage"
trap 'rm -rf "$tmp" "$stage"' EXIT INT TERM

# Unpacks whatever archives of the two libraries lie in folder $1; true when both came out as pinned.
unpack() {
	rm -rf "$stage/b" "$stage/j"
	mkdir "$stage/b" "$stage/j"
	for a in "$1"/bearssl*.tar.*; do
		[ -f "$a" ] && tar xf "$a" -C "$stage/b" --strip-components=1 && break
	done
	for a in "$1"/jsmn*.tar.* "$1"/jsmn.h; do
		case $a in
		*.h) [ -f "$a" ] && cp "$a" "$stage/j/jsmn.h" ;;
		*) [ -f "$a" ] && tar xf "$a" -C "$stage/j" --strip-components=1 && break ;;
		esac
	done
	bearssl_ok "$stage/b" && jsmn_ok "$stage/j/jsmn.h"
}

# Only the two source archives are asked for: a mirror may lack the packaging part of a source package, and we do
# not need it.
download() {
	command -v apt-get >/dev/null 2>&1 ||
		die "no apt-get here: put the two archives of SHA256SUMS into $cache and run again"
	mkdir -p "$tmp/parts" "$tmp/lists/partial" "$tmp/cache/archives/partial" "$tmp/dl"
	for f in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
		[ -f "$f" ] && sed -n 's/^deb[[:space:]]/deb-src /p' "$f" >"$tmp/parts/$(basename "$f" .list).list"
	done
	for f in /etc/apt/sources.list.d/*.sources; do
		[ -f "$f" ] && sed 's/^Types:.*/Types: deb-src/' "$f" >"$tmp/parts/$(basename "$f")"
	done
	set -- -qq -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$tmp/parts" \
		-o Dir::State::lists="$tmp/lists" -o Dir::Cache="$tmp/cache" \
		-o APT::Sandbox::User="$(id -un)" -o Acquire::Languages=none
	{
		apt-get "$@" update && cd "$tmp/dl" &&
			apt-get "$@" --download-only --tar-only source bearssl jsmn
	} >"$tmp/log" 2>&1 || { cat "$tmp/log" >&2; die "could not download the sources of bearssl and jsmn"; }
	cd "$here"
	for f in "$tmp"/dl/*.tar.*; do
		want=$(pin "$(basename "$f")")
		[ -n "$want" ] && [ "$(sha "$f")" = "$want" ] || die "$(basename "$f") is not the pinned archive"
	done
}

if ! { [ -d "$cache" ] && unpack "$cache"; }; then
	download
	unpack "$tmp/dl" || die "the downloaded sources differ from SHA256SUMS"
	# Kept for the next clean checkout; a cache that cannot be written is no reason to fail.
	{ mkdir -p "$cache" && cp "$tmp"/dl/*.tar.* "$cache"/; } 2>/dev/null || true
fi

rm -rf bearssl jsmn
mv "$stage/b" bearssl
mkdir jsmn
cp "$stage/j/jsmn.h" jsmn/jsmn.h
