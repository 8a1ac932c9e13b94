/* Rows [0, n) are a heap, the greatest first; then the greatest goes to the end and the rest is made a heap again. */
#include "base/sort.h"

static void swap(char *a, char *b, size_t size)
{
    while (size-- > 0) {
        char c = *a;

        *a++ = *b;
        *b++ = c;
    }
}

/* Row `at` may be smaller than its children; below them all is in order. */
static void sift(char *rows, size_t at, size_t n, size_t size, int (*order)(const void *, const void *))
{
    for (size_t child; (child = 2 * at + 1) < n; at = child) {
        if (child + 1 < n && order(rows + child * size, rows + (child + 1) * size) < 0)
            child++;
        if (order(rows + at * size, rows + child * size) >= 0)
            return;
        swap(rows + at * size, rows + child * size, size);
    }
}

void sort(void *rows, size_t n, size_t size, int (*order)(const void *, const void *))
{
    char *p = rows;

    for (size_t i = n / 2; i-- > 0;)
        sift(p, i, n, size, order);
    while (n-- > 1) {
        swap(p, p + n * size, size);
        sift(p, 0, n, size, order);
    }
}
