/* Heap sort: a tenth of the C library's qsort in size, never quadratic, needs no memory, is not stable. */
#ifndef BASE_SORT_H
#define BASE_SORT_H

#include <stddef.h>

/* Arguments as qsort's. */
void sort(void *rows, size_t n, size_t size, int (*order)(const void *, const void *));

#endif
