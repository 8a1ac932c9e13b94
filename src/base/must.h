/* must(): our own invariants, always compiled in. Never for what a peer sent. */
#ifndef BASE_MUST_H
#define BASE_MUST_H

#define MUST_USE __attribute__((warn_unused_result))

/* Prints file, line and the condition on stderr, then aborts. Does not return. */
__attribute__((noreturn, cold)) void must_fail(const char *file, int line, const char *what);

#define must(c) (__builtin_expect(!!(c), 1) ? (void)0 : must_fail(__FILE__, __LINE__, #c))

/* For checks too hot for the shipped binary: on in test and sanitizer builds only. */
#ifdef WEIR_DEBUG
#define must_debug(c) must(c)
#else
#define must_debug(c) ((void)0)
#endif

#endif
