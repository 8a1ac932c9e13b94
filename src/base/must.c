/* The end of the program when one of our own invariants broke. */
#include "base/must.h"

#include <stdio.h>
#include <stdlib.h>

void must_fail(const char *file, int line, const char *what)
{
    fprintf(stderr, "weir: broken invariant at %s:%d: %s\n", file, line, what);
    abort();
}
