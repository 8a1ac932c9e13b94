/* For the parser tests: bytes placed so that they end against an unreadable page, and the shared test data when it
 * is there. */
#ifndef TEST_HTTP_GUARD_H
#define TEST_HTTP_GUARD_H

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/slice.h"

#define BYTES(lit) {("" lit), sizeof(lit) - 1}

enum { GUARD_CAP = 1 << 20 };

/* Up to GUARD_CAP bytes whose end is the end of readable memory. One at a time. */
static inline char *guard_copy(struct slice s)
{
    static char *room;

    if (!room) {
        size_t page = (size_t)sysconf(_SC_PAGESIZE);
        char *all = mmap(NULL, GUARD_CAP + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        if (all == MAP_FAILED || mprotect(all + GUARD_CAP, page, PROT_NONE) != 0 || s.n > GUARD_CAP) {
            printf("no guard page\n");
            exit(2);
        }
        room = all + GUARD_CAP;
    }
    if (s.n)
        memcpy(room - s.n, s.p, s.n);
    return room - s.n;
}

/* Lines of test/unit/http_vectors.py for that set, to be read from and closed with pclose; NULL, with a
 * printed line, when the shared data or python3 is not there. */
static inline FILE *vectors_open(const char *set)
{
    const char *shared = getenv("WEIR_SHARED");
    char command[512], probe[512];

    if (!shared)
        shared = "../shared";
    snprintf(probe, sizeof probe, "%s/data/conformance", shared);
    if (access(probe, R_OK) != 0 || access("test/unit/http_vectors.py", R_OK) != 0 ||
        system("python3 -c '' 2>/dev/null") != 0) {
        printf("left out: %s vectors (no shared data or no python3)\n", set);
        return NULL;
    }
    snprintf(command, sizeof command, "python3 test/unit/http_vectors.py '%s' %s", shared, set);
    return popen(command, "r");
}

/* Cuts the next tab-separated column off a line. */
static inline char *vectors_column(char **rest)
{
    char *start = *rest, *tab;

    if (!start)
        return NULL;
    tab = start + strcspn(start, "\t\n");
    *rest = *tab == '\t' ? tab + 1 : NULL;
    *tab = '\0';
    return start;
}

/* Hex to bytes, in place. */
static inline struct slice vectors_bytes(char *hex)
{
    size_t n = 0;

    for (; hex && hex[2 * n] && hex[2 * n + 1]; n++) {
        char two[3] = {hex[2 * n], hex[2 * n + 1], 0};

        hex[n] = (char)strtoul(two, NULL, 16);
    }
    return slice_make(hex, n);
}

#endif
