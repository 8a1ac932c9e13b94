#!/bin/sh
# run-static.sh BINARY: refuses a binary that needs an interpreter or a shared library, has a writable and executable
# segment, or lacks full relro.
set -eu
bin=$1
segments=$(readelf -lW "$bin")
dynamic=$(readelf -dW "$bin")
fail() { echo "$bin: $*" >&2; exit 1; }
case $segments in *INTERP*) fail "has an interpreter" ;; esac
case $dynamic in *NEEDED*) fail "needs a shared library" ;; esac
case $segments in *GNU_RELRO*) ;; *) fail "has no relro segment" ;; esac
case $dynamic in *BIND_NOW* | *"Flags: NOW"*) ;; *) fail "is not bound at start" ;; esac
if echo "$segments" | grep -Eq '(LOAD|GNU_STACK).* RWE '; then fail "has a writable and executable segment"; fi
