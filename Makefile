# weir: how it is built and tested.  `make help` lists what there is to do.
#
# One source tree, several builds of it, each in its own folder under build/:
#   rel   what ships: musl, static-PIE, small, stripped into ./weir (symbols stay in build/weir.debug)
#   host  host libc, -DWEIR_DEBUG: unit and flow tests, valgrind
#   asan  the same with address and undefined-behaviour sanitizers
#   cov   the same counting lines
#   fuzz  clang with its fuzzer and both sanitizers
# BearSSL is compiled once per libc by our own rule; its makefile is not used.

all:

# ---- knobs ---------------------------------------------------------------------------------------------------------
# V=1 shows commands.  K=json limits check/check-asan/valgrind to tests whose name holds the word, and then a source
# file that does not compile yet is left out of the library instead of stopping everything.
V ?=
K ?=
HOST_CC ?= gcc
MUSL_CC ?= musl-gcc
FUZZ_CC ?= clang
JOBS ?= $(shell nproc 2>/dev/null || echo 2)

Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-6s %s\n' '$(1)' '$(2)';)
ifeq (0,$(MAKELEVEL))
MAKEFLAGS += -j$(JOBS)
endif
MAKEFLAGS += --no-print-directory
.DELETE_ON_ERROR:
.SUFFIXES:
.SECONDARY:

WARN := -Wall -Wextra -Wshadow -Wconversion -Wsign-conversion -Wstrict-prototypes -Wmissing-prototypes -Wcast-qual \
  -Wwrite-strings -Wpointer-arith -Wvla -Wundef -Wformat=2 -Wnull-dereference -Wimplicit-fallthrough -Wdouble-promotion
# Vendor folders are system folders to the compiler: their headers do not answer to our warnings.
LANG_FLAGS := -std=c11 -D_GNU_SOURCE -Isrc -I. -isystem vendor -isystem vendor/bearssl/inc
# A build by hand shows warnings and goes on; a check stops.
WERROR ?=
CHECK_FLAGS := $(LANG_FLAGS) $(WARN) -Werror

SRC := $(sort $(wildcard src/*.c src/*/*.c))
HDR := $(sort $(wildcard src/*.h src/*/*.h))
LIB_SRC := $(filter-out src/main.c,$(SRC))
UNIT := $(sort $(wildcard test/unit/*_test.c))
FLOW := $(sort $(wildcard test/flow/*_test.c))
FLOW_HELP := $(filter-out $(FLOW),$(sort $(wildcard test/flow/*.c)))
BENCH := $(sort $(wildcard test/bench/*.c))
E2E := $(wildcard test/e2e/test_*.py)
FUZZ_SRC := $(sort $(wildcard fuzz/*.c))
FUZZ := $(filter-out replay,$(FUZZ_SRC:fuzz/%.c=%))

# ---- vendored sources ----------------------------------------------------------------------------------------------
# The list of BearSSL's files is only known after fetching: an included makefile that make rebuilds and then starts over.
ifneq (,$(filter-out clean distclean help setup lint format,$(or $(MAKECMDGOALS),all)))
include build/bearssl.mk
endif

build/setup.ok: test/setup.sh
	@mkdir -p build
	$(Q)test/setup.sh build
	@touch $@

# The dashboard, packed into a table that src/admin/page.c takes in.
build/page_data.h: src/admin/page.py src/admin/openapi.json $(wildcard src/admin/page/*)
	$(call say,PACK,src/admin/page)python3 src/admin/page.py src/admin/page src/admin/openapi.json $@ build/page
$(foreach b,rel host asan cov fuzz,build/$(b)/src/admin/page.o): build/page_data.h

build/bearssl.mk: vendor/fetch.sh vendor/SHA256SUMS | build/setup.ok vendor/bearssl/inc/bearssl.h vendor/jsmn/jsmn.h
	$(Q)vendor/fetch.sh
	$(Q){ printf 'BEARSSL :='; find vendor/bearssl/src -name '*.c' | LC_ALL=C sort | tr '\n' ' ' | sed 's/^/ /'; echo; } >$@

vendor/bearssl/inc/bearssl.h vendor/jsmn/jsmn.h &: | build/setup.ok
	$(call say,FETCH,BearSSL and jsmn)vendor/fetch.sh

# ---- builds --------------------------------------------------------------------------------------------------------
# Where the C library is musl itself, its compiler does everything.  Else musl-gcc compiles and we link by hand, because
# the wrapper turns -static-pie into a dynamic executable: rcrt1.o is the start file that relocates itself.
NATIVE_MUSL := $(findstring musl,$(shell $(HOST_CC) -dumpmachine 2>/dev/null))
comma := ,
REL_CC := $(if $(NATIVE_MUSL),$(HOST_CC),$(MUSL_CC))
# The compiler behind musl-gcc: link-time code is its own.
REL_LD := $(if $(NATIVE_MUSL),$(HOST_CC),gcc)
musl_specs = $(shell sed -n 's/.*-specs "\(.*\)".*/\1/p' "$$(command -v $(MUSL_CC))")
musl_lib = $(shell sed -n 's:.* \(/[^ ]*\)/crti\.o.*:\1:p' $(musl_specs) | head -n1)
LD_HARDEN := -Wl,--gc-sections,-z,relro,-z,now,-z,noexecstack,--build-id=none

# The binary has to stay below 600 KB: 400 for the data plane with TLS, the rest for the admin plane, its page and the state. Code that every byte or every handshake goes through is compiled for speed (measured by
# `make bench`), all else for size. No unwind tables: debuggers find theirs in build/weir.debug.
HOT := src/gate/intake% src/gate/upstream% src/net/conn% src/base/timer% \
  src/base/arena% src/gate/trace% src/gate/headers% src/gate/held% src/gate/exchange% src/gate/relay% src/http/write% src/net/loop% src/base/mem% \
  src/json/scan% src/json/simd% src/json/out% src/http/head% src/http/body% src/http/sse% src/http/bytes% \
  src/llm/peek% src/llm/members% src/base/slice% src/base/map% src/base/sha256% src/base/block% src/base/pool% src/base/log% src/base/libc_mem% \
  $(addprefix vendor/bearssl/src/,symcipher/aes_x86ni% hash/ghash_pclmul% symcipher/chacha20_sse2% symcipher/poly1305_ctmulq% \
    ec/ec_p256% int/i62%)
rel_opt = $(if $(filter $(HOT),$(1)),-O2 -falign-functions=16 -falign-jumps=1 -falign-loops=1 -falign-labels=1,-Os) \
  $(if $(filter src/base/relr.c src/base/libc_mem.c,$(1)),-fno-lto) \
  $(if $(filter src/base/libc_mem.c,$(1)),-DWEIR_OWN_MEM -fno-builtin -fno-tree-loop-distribute-patterns -fno-stack-protector)
# Packed relocations make position independence cost 2 KB instead of 30; src/base/relr.c applies them (see there).
RELR := $(if $(filter x86_64-%,$(shell $(REL_CC) -dumpmachine 2>/dev/null)),$(shell ld --help 2>/dev/null | grep -om1 pack-relative-relocs | head -n1))
# The link generates code too, and has to be told again how. Paths are cut, so that two checkouts of one commit give one binary.
REL_CODE := -g -flto=auto -fPIE -ffunction-sections -fdata-sections -fstack-protector-strong -fomit-frame-pointer \
  -fno-unwind-tables -fno-asynchronous-unwind-tables -ffile-prefix-map=$(CURDIR)=.
LD_REL := -O2 $(REL_CODE) $(LD_HARDEN) $(if $(RELR),-Wl$(comma)-z$(comma)$(RELR)$(comma)-e$(comma)relr_start)
REL_FLAGS := $$(call rel_opt,$$<) $(REL_CODE) $(if $(RELR),-DWEIR_PACKED_RELOCATIONS)
HOST_FLAGS := -O1 -g -fno-omit-frame-pointer -DWEIR_DEBUG
ASAN_FLAGS := $(HOST_FLAGS) -fsanitize=address,undefined -fno-sanitize-recover=all
# pointer-overflow would stop at NULL + 0, which an empty slice may be; the address sanitizer sees what matters of it.
FUZZ_FLAGS := $(HOST_FLAGS) -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize=pointer-overflow -fno-sanitize-recover=all
# Without sanitizers ten times the inputs: for counting, and for what only shows after many.
FUZZFAST_FLAGS := -O2 -g -DWEIR_DEBUG -fsanitize=fuzzer-no-link
COV_FLAGS := -O0 -g -DWEIR_UNCONFINED --coverage -fprofile-update=atomic

# $(1) build name, $(2) compiler, $(3) its flags, $(4) which BearSSL
define build_rules
OBJ_$(1) := $$(SRC:src/%.c=build/$(1)/src/%.o)
LIB_OBJ_$(1) := $$(LIB_SRC:src/%.c=build/$(1)/src/%.o)

build/$(1)/src/%.o: src/%.c Makefile | build/bearssl.mk
	@mkdir -p $$(@D)
	$$(call say,CC,$$< ($(1)))$(2) $$(LANG_FLAGS) $$(WARN) $$(WERROR) $(3) -MMD -MP -c $$< -o $$@

objs-$(1): $$(LIB_OBJ_$(1)) ; @:
.PHONY: objs-$(1)

# q, not r: two folders may hold files of one name.  With K= the library takes whatever compiles.
build/$(1)/libweir.a: $$(if $$(K),build/force,$$(LIB_OBJ_$(1)))
	$$(if $$(K),@$$(MAKE) -k objs-$(1) K= || echo '  (some sources do not compile yet: left out)')
	@rm -f $$@
	$$(call say,AR,$$@)ar qcs $$@ $$(if $$(K),$$$$(ls $$(LIB_OBJ_$(1)) 2>/dev/null),$$(LIB_OBJ_$(1)))

# Flow tests bring their own base/sys, so the real one must not be there to be picked up.
build/$(1)/libflow.a: build/$(1)/libweir.a
	@cp $$< $$@ && ar d $$@ sys.o

build/$(1)/test/%: test/%.c build/$(1)/libweir.a build/$(4)/libbearssl.a
	@mkdir -p $$(@D)
	$$(call say,LINK,$$@)$(2) $$(LANG_FLAGS) $$(WARN) $$(WERROR) -Itest/unit $(3) -MMD -MP -MF $$@.d \
	  $$< build/$(1)/libweir.a build/$(4)/libbearssl.a -o $$@

build/$(1)/test/flow/%: test/flow/%.c $(FLOW_HELP) build/$(1)/libflow.a build/$(4)/libbearssl.a
	@mkdir -p $$(@D)
	$$(call say,LINK,$$@)$(2) $$(LANG_FLAGS) $$(WARN) $$(WERROR) -Itest/unit -Itest/flow $(3) \
	  $$< $(FLOW_HELP) build/$(1)/libflow.a build/$(4)/libbearssl.a -o $$@
	@$(2) $$(LANG_FLAGS) -Itest/unit -Itest/flow $(3) -MM -MP -MT $$@ $$< $(FLOW_HELP) >$$@.d

# A fuzz target with the fuzzer in the fuzz build, elsewhere with a main that replays files.
FUZZ_MAIN_$(1) := $(if $(filter fuzz fuzzfast,$(1)),-fsanitize=fuzzer -fsanitize-coverage-ignorelist=fuzz/uncounted.txt,fuzz/replay.c)
build/$(1)/fuzz/%: fuzz/%.c fuzz/fuzz.h fuzz/replay.c build/$(1)/libweir.a build/$(4)/libbearssl.a
	@mkdir -p $$(@D)
	$$(call say,LINK,$$@)$(2) $$(LANG_FLAGS) $$(WARN) $$(WERROR) $(3) $$< $$(FUZZ_MAIN_$(1)) build/$(1)/libweir.a build/$(4)/libbearssl.a -o $$@
build/$(1)/fuzz/flow: fuzz/flow.c fuzz/fuzz.h fuzz/replay.c $(FLOW_HELP) build/$(1)/libflow.a build/$(4)/libbearssl.a
	@mkdir -p $$(@D)
	$$(call say,LINK,$$@)$(2) $$(LANG_FLAGS) $$(WARN) $$(WERROR) -Itest/unit -Itest/flow $(3) \
	  $$< $$(FUZZ_MAIN_$(1)) $(FLOW_HELP) build/$(1)/libflow.a build/$(4)/libbearssl.a -o $$@

run-$(1)/%: build/$(1)/test/%
	@test/run-one.sh $$* $$(RUNNER) $$<
run-$(1)/fuzz/%: build/$(1)/fuzz/%
	@test/run-one.sh fuzz/$$* $$(RUNNER) $$< fuzz/corpus/$$* fuzz/crash/$$*

-include $$(OBJ_$(1):.o=.d) $$(patsubst test/%.c,build/$(1)/test/%.d,$$(UNIT) $$(FLOW) $$(BENCH))
endef

# $(1) build name, $(2) compiler, $(3) flags.  Vendor code is compiled without our warnings.
define bearssl_rules
build/$(1)/bearssl/%.o: vendor/bearssl/src/%.c build/bearssl.mk $(if $(filter rel,$(1)),Makefile)
	@mkdir -p $$(@D)
	$$(Q)$(2) -w $(3) -Ivendor/bearssl/inc -Ivendor/bearssl/src -c $$< -o $$@

build/$(1)/libbearssl.a: $$(BEARSSL:vendor/bearssl/src/%.c=build/$(1)/bearssl/%.o)
	@rm -f $$@
	$$(call say,AR,$$@)ar qcs $$@ $$(filter %.o,$$^)
endef

$(eval $(call build_rules,rel,$(REL_CC),$(REL_FLAGS),rel))
$(eval $(call build_rules,host,$(HOST_CC),$(HOST_FLAGS),host))
$(eval $(call build_rules,asan,$(HOST_CC),$(ASAN_FLAGS),host))
$(eval $(call build_rules,cov,$(HOST_CC),$(COV_FLAGS),host))
$(eval $(call build_rules,fuzz,$(FUZZ_CC),$(FUZZ_FLAGS),host))
$(eval $(call build_rules,fuzzfast,$(FUZZ_CC),$(FUZZFAST_FLAGS),host))
$(eval $(call bearssl_rules,rel,$(REL_CC),$(REL_FLAGS)))
$(eval $(call bearssl_rules,host,$(HOST_CC),-O2 -g))

build/force: ;
.PHONY: build/force

# ---- the product ---------------------------------------------------------------------------------------------------
all: weir

# Objects, not an archive of them: an archive of link-time code needs an ar that knows the compiler.
WEIR_OBJ := $(OBJ_rel) $(BEARSSL:vendor/bearssl/src/%.c=build/rel/bearssl/%.o)
build/weir.debug: $(WEIR_OBJ)
ifneq (,$(NATIVE_MUSL))
	$(call say,LINK,weir)$(REL_LD) -static-pie $(LD_REL) -o $@ $(WEIR_OBJ)
else
	$(call say,LINK,weir)$(REL_LD) -nostdlib -static-pie $(LD_REL) -o $@ $(musl_lib)/rcrt1.o $(musl_lib)/crti.o \
	  $(WEIR_OBJ) $(musl_lib)/libc.a $$($(REL_LD) -print-libgcc-file-name) $(musl_lib)/crtn.o
endif

weir: build/weir.debug test/run-static.sh
	$(Q)strip -R .comment -o build/weir.tmp build/weir.debug
	$(Q)test/run-static.sh build/weir.tmp
	$(Q)mv build/weir.tmp $@

static: weir
	$(Q)test/run-static.sh weir
	@ls -l weir | awk '{ print "weir: " $$5 " bytes, static, no interpreter"; exit $$5 > 614400 }'

demo: weir
	@./weir demo

build/asan/weir: $(OBJ_asan) build/host/libbearssl.a
	$(call say,LINK,$@)$(HOST_CC) $(ASAN_FLAGS) -o $@ $^

build/cov/weir: $(OBJ_cov) build/host/libbearssl.a
	$(call say,LINK,$@)$(HOST_CC) $(COV_FLAGS) -o $@ $^

# ---- tests ---------------------------------------------------------------------------------------------------------
# Every test program prints "N passed, N failed" last; run-one.sh shows its output only when something went wrong and
# notes the count, run-sum.sh adds the notes up.
pick = $(if $(K),$(foreach t,$(1),$(if $(findstring $(K),$(t)),$(t))),$(1))
tests_of = $(patsubst test/%.c,run-$(1)/%,$(call pick,$(UNIT) $(FLOW))) $(call pick,$(FUZZ:%=run-$(1)/fuzz/%))

SANITIZE_ENV := ASAN_OPTIONS=abort_on_error=0:detect_stack_use_after_return=1:strict_string_checks=1 \
  UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1

setup:
	@test/setup.sh test

check:
	@test/run-sum.sh check $(MAKE) -k check-steps
check-steps: $(call tests_of,host) $(if $(K),,run-headers run-layers)

check-asan:
	@$(SANITIZE_ENV) test/run-sum.sh check-asan $(MAKE) -k check-asan-steps
check-asan-steps: $(call tests_of,asan)

VALGRIND := valgrind -q --error-exitcode=99 --leak-check=full --show-leak-kinds=definite,possible --track-fds=no
valgrind: export WEIR_SLACK = 40
valgrind:
	@test/run-sum.sh valgrind $(MAKE) -k valgrind-steps RUNNER='$(VALGRIND)'
valgrind-steps: $(patsubst test/%.c,run-host/%,$(call pick,$(UNIT)))

run-headers:
	@test/run-one.sh headers test/run-headers.sh "$(HOST_CC) $(CHECK_FLAGS)" $(HDR)
run-layers:
	@test/run-one.sh layers test/layers.sh

# Programs of the end-to-end tests: a reader of requests to compare with others, a writer of state to be killed.
READERS := build/host/test/e2e/read_requests build/host/test/e2e/store_driver

e2e: weir $(READERS)
	@test/setup.sh test
	@test/run-sum.sh e2e test/run-one.sh e2e test/run-e2e.sh $(if $(K),"$(K)")

# Every fault against weir and against the other gateways: G="weir nginx" for these only. Portkey and LiteLLM are installed in build/others.
faults: weir
	@test/setup.sh test
	@[ -n "$(G)" ] || test/setup.sh others
	@WEIR_BIN=$(CURDIR)/weir test/run-e2e.sh --faults $(if $(WRITE),--write) $(G)

# A million requests of a thousand clients with faults; N=100000 for fewer.
build/soak/soak: test/soak/soak.c test/bench/rig/rig.c test/bench/rig/rig.h
	@mkdir -p $(@D)
	$(call say,LINK,$@)$(HOST_CC) -std=c11 -D_GNU_SOURCE -O2 -g -Wall -Wextra -Wshadow -Wconversion -o $@ test/soak/soak.c test/bench/rig/rig.c
N ?= 1000000
soak: weir build/soak/soak
	@test/soak/run.py $(N) $(SEED)

# Every fallible call of every flow refused, once and from then on.
torture: $(FLOW:test/%.c=build/host/test/%)
	@test/run-torture.sh $^

test:
	@test/run-all.sh "$(MAKE)" setup all check check-asan e2e

check-warnings: | build/bearssl.mk build/page_data.h
	$(Q)test/run-warnings.sh "$(CHECK_FLAGS) -O2" gcc clang -- $(SRC) $(UNIT) $(FLOW) $(FLOW_HELP) $(BENCH) $(FUZZ_SRC)

cov: export WEIR_SLACK = 10
cov: build/cov/weir build/cov/test/e2e/read_requests build/cov/test/e2e/store_driver
	@test/setup.sh test
	@find build/cov -name '*.gcda' -delete
	@test/run-sum.sh cov $(MAKE) -k cov-steps; rc=$$?; test/run-cov.sh build/cov $(SRC); exit $$rc
cov-steps: $(call tests_of,cov) run-cov-e2e
run-cov-e2e: build/cov/weir
	@WEIR_BIN=$(CURDIR)/build/cov/weir WEIR_READER=$(CURDIR)/build/cov/test/e2e/read_requests WEIR_STORE_DRIVER=$(CURDIR)/build/cov/test/e2e/store_driver test/run-one.sh e2e test/run-e2e.sh

bench: weir
	test/bench/run.py $(if $(FULL),--full)

# Micro benches are built as the product's hot files are, but on the host libc: the two differ in memcpy, not in our code.
bench-micro: $(patsubst test/%.c,build/bench/%,$(BENCH))
	$(Q)for b in $^; do echo "== $$b"; $$b || exit 1; done
build/bench/%: test/%.c $(LIB_SRC) $(HDR) build/page_data.h build/host/libbearssl.a
	@mkdir -p $(@D)
	$(call say,LINK,$@)$(HOST_CC) $(LANG_FLAGS) -O2 -Itest/unit $< $(LIB_SRC) build/host/libbearssl.a -o $@
.PHONY: $(patsubst test/%.c,run-%,$(BENCH))

# Seeds: the committed ones, all former finds, and what can be made of the shared data. What is found is in build/fuzz/found.
MINUTES ?= 1
fuzz: $(FUZZ:%=build/fuzz/fuzz/%)
fuzz-run: $(patsubst %,build/fuzz/fuzz/%,$(or $(T),$(FUZZ)))
	@fuzz/run.sh $(MINUTES) $(or $(T),$(FUZZ))

lint: build/page_data.h
	@test/setup.sh lint
	@test/run-lint.sh "$(LANG_FLAGS)" $(SRC)

format:
	@test/setup.sh lint
	$(Q)clang-format -i $(SRC) $(HDR) $(UNIT) $(FLOW) $(FLOW_HELP) $(BENCH)

clean:
	rm -rf build weir
distclean: clean
	rm -rf vendor/bearssl vendor/jsmn

help:
	@echo 'make              build ./weir: one static binary'
	@echo 'make setup        install what the tests need (apt packages, Python and Node clients in build/tools)'
	@echo 'make demo         build and show failover with the built-in providers'
	@echo 'make test         everything below that decides whether weir is good: setup, check, check-asan, e2e'
	@echo 'make check        unit tests, flow tests, headers alone, layer rule      (K=json: only these)'
	@echo 'make check-asan   the same under the address and undefined-behaviour sanitizers'
	@echo 'make valgrind     unit tests under valgrind'
	@echo 'make e2e          the real binary with real clients and servers          (K=replay: only these)'
	@echo 'make faults       every fault against weir and the other gateways, one line a case (G="weir nginx": only these; WRITE=1: into test/RESULTS.md)'
	@echo 'make soak         a thousand clients, a million requests, every fault, nothing lost, doubled or mixed   (N=100000: fewer)'
	@echo 'make torture      every flow again with each system call and each block of memory refused'
	@echo 'make static       verify that ./weir needs no interpreter'
	@echo 'make check-warnings  gcc and clang with every warning an error'
	@echo 'make lint         clang-tidy, cppcheck, gcc -fanalyzer, banned calls'
	@echo 'make cov          line coverage of src/ by all tests'
	@echo 'make fuzz         build the fuzz targets with clang;  make fuzz-run MINUTES=5 T=flow: run one (or all)'
	@echo 'make bench        CPU, memory and start-up beside nginx, HAProxy and a bare relay, as ratios (FULL=1: longer, all of it)'
	@echo 'make bench-micro  the parsers alone'
	@echo 'make format       clang-format'
	@echo 'make clean        remove build/ and weir;  distclean: and the fetched sources'

.PHONY: all setup demo fuzz fuzz-run check check-steps check-asan check-asan-steps valgrind valgrind-steps run-headers run-layers e2e \
  faults soak torture test static check-warnings cov cov-steps run-cov-e2e bench bench-micro lint format clean distclean help
