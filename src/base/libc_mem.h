/* The memory functions of the shipped binary: see libc_mem.c. Not to be called by these names: the release build gives them the C
 * library's, tests compare them with it. */
#ifndef BASE_LIBC_MEM_H
#define BASE_LIBC_MEM_H

#include <stddef.h>

#ifdef WEIR_OWN_MEM
#define own_memcpy memcpy
#define own_memmove memmove
#define own_memset memset
#define own_memcmp memcmp
#define own_memchr memchr
#endif

/* Contracts are the C library's, to the letter: memcpy of ranges that do not overlap, memcmp ordering by unsigned bytes, and so on. Pointers may
 * be anything when n is 0. */
void *own_memcpy(void *restrict to, const void *restrict from, size_t n);
void *own_memmove(void *to, const void *from, size_t n);
void *own_memset(void *to, int byte, size_t n);
int own_memcmp(const void *a, const void *b, size_t n);
void *own_memchr(const void *in, int byte, size_t n);

#endif
