/* For the llm tests: recorded answers, read from WEIR_SHARED at run time. Absent, the tests run on their own cases and
 * say what they left out. */
#ifndef TEST_LLM_SHARED_H
#define TEST_LLM_SHARED_H

#include <dirent.h>
#include <stdlib.h>

#include "base/arena.h"
#include "check.h"
#include "http/head.h"
#include "llm/members.h"

static char shared_scratch[4 << 20];

static inline void scratch_init(struct arena *a)
{
    arena_init_fixed(a, shared_scratch, sizeof(shared_scratch));
}

static inline const char *shared_dir(void)
{
    const char *dir = getenv("WEIR_SHARED");

    return dir ? dir : "../shared";
}

static inline bool shared_there(const char *what)
{
    char path[1024];
    DIR *d;

    snprintf(path, sizeof(path), "%s/%s", shared_dir(), what);
    d = opendir(path);
    if (!d) {
        printf("left out: %s is not there\n", what);
        return false;
    }
    closedir(d);
    return true;
}

/* A whole file below the shared directory; empty when it can't be read. The caller frees p. */
static inline struct slice shared_read(const char *below, const char *name)
{
    char path[2048];
    FILE *f;
    char *p;
    long size;

    snprintf(path, sizeof(path), "%s/%s%s%s", shared_dir(), below, *name ? "/" : "", name);
    f = fopen(path, "rb");
    if (!f)
        return slice_make(NULL, 0);
    fseek(f, 0, SEEK_END);
    size = ftell(f);
    rewind(f);
    p = malloc((size_t)size + 1);
    size = p ? (long)fread(p, 1, (size_t)size, f) : 0;
    fclose(f);
    return slice_make(p, (size_t)size);
}

static inline void shared_free(struct slice *s)
{
    union {
        const char *c;
        void *p;
    } u = {.c = s->p};

    free(u.p);
    *s = slice_make(NULL, 0);
}

/* Calls each(id) for every case "<provider>/<case>" below `what`; returns how many. */
static inline unsigned shared_each(const char *what, void (*each)(const char *id))
{
    char path[1024], id[1024];
    struct dirent **provider = NULL, **name = NULL;
    unsigned count = 0;
    int np, nc;

    snprintf(path, sizeof(path), "%s/%s", shared_dir(), what);
    np = scandir(path, &provider, NULL, alphasort);
    for (int i = 0; i < np; i++) {
        snprintf(path, sizeof(path), "%s/%s/%s", shared_dir(), what, provider[i]->d_name);
        nc = provider[i]->d_name[0] == '.' ? 0 : scandir(path, &name, NULL, alphasort);
        for (int k = 0; k < nc; k++) {
            if (name[k]->d_name[0] != '.') {
                snprintf(id, sizeof(id), "%s/%s", provider[i]->d_name, name[k]->d_name);
                each(id);
                count++;
            }
            free(name[k]);
        }
        if (nc > 0)
            free(name);
        free(provider[i]);
    }
    if (np > 0)
        free(provider);
    return count;
}

/* A response head from the recorded status and header files, without the framing fields: those describe the recorder's
 * transport. `memory` must outlive the head. */
static inline bool shared_head(const char *below, struct http_response *head, char *memory, size_t cap)
{
    struct slice status = shared_read(below, "response.status"), fields = shared_read(below, "response.headers"), rest = fields;
    struct slice first = slice_trim(status);
    struct http_bad bad;
    size_t n, seen = 0;
    bool ok;

    n = (size_t)snprintf(memory, cap, "HTTP/1.1 %.*s%s\r\n", (int)first.n, first.n ? first.p : "", first.n < 4 ? " " : "");
    while (rest.n > 0) {
        ptrdiff_t nl = slice_find_char(rest, '\n');
        struct slice line = slice_trim(nl < 0 ? rest : slice_first(rest, (size_t)nl));

        rest = nl < 0 ? slice_make(NULL, 0) : slice_from(rest, (size_t)nl + 1);
        if (line.n == 0 || slice_starts_nocase(line, SLICE("content-length")) ||
            slice_starts_nocase(line, SLICE("transfer-encoding")) || slice_starts_nocase(line, SLICE("content-encoding")))
            continue;
        n += (size_t)snprintf(memory + n, cap - n, "%.*s\r\n", (int)line.n, line.p);
    }
    n += (size_t)snprintf(memory + n, cap - n, "\r\n");
    ok = http_response_parse(head, memory, n, &seen, false, &bad) == PARSE_DONE;
    if (!ok)
        printf("head of %s: %s\n", below, bad.why);
    shared_free(&status);
    shared_free(&fields);
    return ok;
}

#endif
