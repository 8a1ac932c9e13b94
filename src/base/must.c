/* The end of the program when one of our own invariants broke. */
#include "base/must.h"

#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/text.h"

void must_fail(const char *file, int line, const char *what)
{
    char text[512];
    size_t n = (size_t)text_format(text, sizeof text, "weir: broken invariant at %s:%d: %s\n", file, line, what);

    /* Past base/sys.c: where a test has put its own in place, this must still be seen. */
    if (syscall(SYS_write, 2, text, n < sizeof text ? n : sizeof text - 1) == -1)
        abort();
    abort();
}
