/* http/sse: borders and fields, by table, by the vectors of two public collections, and on recorded streams, cut at
 * every byte. */
#include "http/sse.h"

#include "check.h"
#include "http_guard.h"

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

/* ---- a stream as text: "{type|data}" per event that has data, "!error", "." for one that has none ---- */

struct text {
    char p[4 << 20];
    size_t n;
};

static void add(struct text *t, struct slice s)
{
    if (t->n + s.n <= sizeof t->p && s.n) {
        memcpy(t->p + t->n, s.p, s.n);
        t->n += s.n;
    }
}

static char arena_memory[4 << 20];

static void add_event(struct text *t, struct slice raw, bool first, bool with_empty)
{
    struct arena a;
    struct sse_event e;

    arena_init_fixed(&a, arena_memory, sizeof arena_memory);
    if (!sse_event_read(raw, first, &a, &e))
        add(t, SLICE("(arena full)"));
    if (e.error.n) {
        add(t, SLICE("!"));
        add(t, e.error);
    } else if (e.has_data) {
        add(t, SLICE("{"));
        add(t, e.event);
        add(t, SLICE("|"));
        add(t, e.data);
        add(t, SLICE("}"));
    } else if (with_empty) {
        add(t, SLICE("."));
    }
}

/* Feeds pieces of at most step bytes, the first of at most `first`, as a caller does: what did not end an event stays
 * in front of what comes next. False when borders are out of range. */
static bool split(struct slice in, size_t first, size_t step, bool guarded, bool with_empty, struct text *t)
{
    struct sse_scan scan;
    size_t start = 0, at = 0, piece = first, events = 0;

    t->n = 0;
    sse_scan_init(&scan);
    do {
        size_t n = piece < in.n - at ? piece : in.n - at;
        const char *p = guarded ? guard_copy(slice_make(in.p + at, n)) : in.p + at;

        piece = step;
        for (size_t took = 0; took < n;) {
            size_t k = sse_scan_event(&scan, p + took, n - took);

            if (k > n - took)
                return false;
            if (k == 0)
                break;
            took += k;
            add_event(t, slice_make(in.p + start, at + took - start), events++ == 0, with_empty);
            start = at + took;
        }
        at += n;
    } while (at < in.n);
    if (start < in.n)
        add(t, SLICE("..."));
    return true;
}

static struct text whole, cut;

static bool same(struct slice in, size_t first, size_t step, bool guarded)
{
    return CHECK(split(in, first, step, guarded, false, &cut)) &&
           CHECK(slice_eq(slice_make(cut.p, cut.n), slice_make(whole.p, whole.n)));
}

/* Every way to cut must read as the whole does. */
static void run_stream(struct slice in, bool every_cut)
{
    size_t stride = every_cut ? 1 : 1 + in.n / 50;

    CHECK(split(in, in.n, in.n, false, false, &whole));
    same(in, 1, 1, false);
    same(in, 0, 7, true);
    for (size_t at = 0; at <= in.n; at += stride)
        if (!same(in, at, in.n, in.n < 65536 && at % 64 == 0))
            return;
}

static const struct {
    const char *id;
    struct slice in;
    const char *want;
} cases[] = {
    {"LF", BYTES("data: a\n\ndata: b\n\n"), "{|a}{|b}"},
    {"CRLF", BYTES("data: a\r\n\r\ndata: b\r\n\r\n"), "{|a}{|b}"},
    {"CR", BYTES("data: a\r\rdata: b\r\r"), "{|a}{|b}"},
    {"mixed", BYTES("data: a\r\n\ndata: b\n\r\ndata: c\r\r\ndata: d\n\r"), "{|a}{|b}{|c}{|d}"},
    {"CR CR LF is one blank line", BYTES("data: a\r\r\ndata: b\n\n"), "{|a}{|b}"},
    {"CR LF CR is two lines", BYTES("data: a\r\n\rdata: b\n\n"), "{|a}{|b}"},
    {"blank lines", BYTES("\n\n\r\n\rdata: a\n\n\n\n"), "....{|a}.."},
    {"unfinished", BYTES("data: a\n\ndata: b\n"), "{|a}..."},
    {"unfinished line", BYTES("data: a\n\ndata: b"), "{|a}..."},
    {"nothing", BYTES(""), ""},
    {"one line", BYTES("x\n"), "..."},
    {"comments", BYTES(": OPENROUTER PROCESSING\n\n:\n\n: ping\ndata: a\n:b\n\n"), "..{|a}"},
    {"event", BYTES("event: error\ndata: {}\n\nevent:x\ndata:y\n\n"), "{error|{}}{x|y}"},
    {"last event field counts", BYTES("event: a\nevent: b\ndata: c\n\n"), "{b|c}"},
    {"event without data", BYTES("event: a\n\n"), "."},
    {"several data lines", BYTES("data: a\ndata:\ndata: b\n\n"), "{|a\n\nb}"},
    {"empty first line", BYTES("data:\ndata: b\n\n"), "{|\nb}"},
    {"two empty lines", BYTES("data\ndata:\n\n"), "{|\n}"},
    {"one space is cut", BYTES("data:  a \n\n"), "{| a }"},
    {"tab is not", BYTES("data:\ta\n\n"), "{|\ta}"},
    {"case counts", BYTES("Data: a\nDATA: b\ndata : c\n data: d\ndatax: e\ndat: f\n\n"), "."},
    {"no colon", BYTES("data\n\n"), "{|}"},
    {"colons in data", BYTES("data: a: b\n\n"), "{|a: b}"},
    {"GPUStack", BYTES("error: {\"code\":500}\n\n"), "!{\"code\":500}"},
    {"DONE", BYTES("data: [DONE]\n\n"), "{|[DONE]}"},
    {"BOM", BYTES("\xef\xbb\xbf" "data: a\n\n\xef\xbb\xbf" "data: b\n\n"), "{|a}."},
    {"R-27 NUL", BYTES("data: a\0b\n\n"), "{|a\0b}"},
    {"R-27 id and retry", BYTES("id: x\nretry: 0\n\n"), "."},
    {"R-27 CR in data is a line end", BYTES("data: a\rdata: b\n\n"), "{|a\nb}"},
    {"line separators of Unicode are data", BYTES("data: a\xe2\x80\xa8" "b\xc2\x85\v\f\n\n"),
     "{|a\xe2\x80\xa8" "b\xc2\x85\v\f}"},
};

static void test_cases(void)
{
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct slice want = slice_str(cases[i].want);

        if (strcmp(cases[i].id, "R-27 NUL") == 0)
            want = SLICE("{|a\0b}");
        check_case(cases[i].id);
        CHECK(split(cases[i].in, cases[i].in.n, cases[i].in.n, true, true, &whole));
        CHECK_SLICE(slice_make(whole.p, whole.n), want);
        run_stream(cases[i].in, true);
    }
}

/* Borders themselves, not only what is read between them: the same for each cut, but for an LF behind a CR that
 * input stopped at. */
static void test_borders(void)
{
    static const char in[] = "data: a\n\n: c\r\n\r\nevent: x\rdata: y\r\r\ndata: z\r\r";
    static const size_t want[] = {9, 16, 35, sizeof in - 1};

    check_case("borders");
    for (size_t cut_at = 0; cut_at < sizeof in; cut_at++) {
        struct sse_scan s;
        size_t at = 0, i = 0, stop = cut_at;

        sse_scan_init(&s);
        for (;;) {
            size_t k = sse_scan_event(&s, in + at, stop - at);

            if (k == 0) {
                if (stop == sizeof in - 1)
                    break;
                at = stop;
                stop = sizeof in - 1;
                continue;
            }
            at += k;
            if ((cut_at == 15 && at == 15) || (cut_at == 34 && at == 34)) { /* between CR and LF of a blank line */
                CHECK_INT(sse_scan_event(&s, in + at, sizeof in - 1 - at), 1);
                at++;
                stop = sizeof in - 1;
            }
            if (i < COUNT(want))
                CHECK_INT(at, want[i]);
            i++;
        }
        CHECK_INT(i, COUNT(want));
    }
}

static void test_arena(void)
{
    char memory[8];
    struct arena a;
    struct sse_event e;

    check_case("arena");
    arena_init_fixed(&a, memory, 3);
    CHECK(sse_event_read(SLICE("data: 123456\n\n"), false, &a, &e)); /* one line needs none */
    CHECK_STR(e.data, "123456");
    CHECK(sse_event_read(SLICE("data: 1\ndata: 3\n\n"), false, &a, &e));
    CHECK_STR(e.data, "1\n3");
    CHECK(!sse_event_read(SLICE("data: 1\ndata: 3\n\n"), false, &a, &e));
    arena_init_fixed(&a, memory, 2);
    CHECK(!sse_event_read(SLICE("data: 1\ndata: 3\n\n"), false, &a, &e));
    CHECK(sse_event_read(slice_make(NULL, 0), true, &a, &e));
    CHECK(!e.has_data);
}

/* F-103, S-48, R-27: lines of 100 KB, a stream of blank lines, of lone CR: linear, whatever is in them. */
static void test_long(void)
{
    static char text[1 << 20];
    static const struct {
        const char *id;
        char fill;
    } fills[] = {{"long line", 'x'}, {"colons", ':'}, {"blank lines", '\n'}, {"lone CR", '\r'}};

    for (size_t i = 0; i < COUNT(fills); i++) {
        size_t n = 100000;

        check_case(fills[i].id);
        memset(text, fills[i].fill, n);
        memcpy(text, "data: ", 6);
        memcpy(text + n, "\n\ndata: b\n\n", 11);
        run_stream(slice_make(text, n + 11), false);
    }
    check_case("lone CR in 1 MB");
    {
        struct sse_scan s;
        size_t at = 0, events = 0, k;

        memset(text, '\r', sizeof text);
        sse_scan_init(&s);
        while (at < sizeof text && (k = sse_scan_event(&s, text + at, sizeof text - at)) > 0) {
            at += k;
            events++;
        }
        CHECK_INT(events, sizeof text);
    }
}

static void test_vectors(void)
{
    static char line[200000];
    FILE *f = vectors_open("sse");
    unsigned count = 0;

    while (f && fgets(line, sizeof line, f)) {
        char *rest = line, *name = vectors_column(&rest);
        struct slice in = vectors_bytes(vectors_column(&rest));
        static struct text want;
        struct text *got = &whole;

        check_case(name);
        count++;
        want.n = 0;
        while (rest) {
            char *type = vectors_column(&rest);
            struct slice data, event = SLICE("?");

            if (strcmp(type, "-") != 0)
                event = vectors_bytes(type);
            data = vectors_bytes(vectors_column(&rest));
            add(&want, SLICE("{"));
            add(&want, event);
            add(&want, SLICE("|"));
            add(&want, data);
            add(&want, SLICE("}"));
        }
        CHECK(split(in, in.n, in.n, true, false, got));
        if (got->n >= 3 && memcmp(got->p + got->n - 3, "...", 3) == 0)
            got->n -= 3;
        if (memchr(want.p, '?', want.n)) { /* the vector does not say the types: blank ours out */
            size_t n = 0;

            for (size_t i = 0; i < got->n; i++) {
                cut.p[n++] = got->p[i];
                if (got->p[i] == '{') {
                    cut.p[n++] = '?';
                    while (i + 1 < got->n && got->p[i + 1] != '|')
                        i++;
                }
            }
            memcpy(got->p, cut.p, n);
            got->n = n;
        }
        CHECK_SLICE(slice_make(got->p, got->n), slice_make(want.p, want.n));
        run_stream(in, in.n < 3000);
    }
    if (f) {
        CHECK_INT(pclose(f), 0);
        CHECK_INT(count, 41);
    }
}

/* Recorded streams of the five quirk families: the same events for each cut, every byte in exactly one event,
 * and as many events with data as there are blank-line-ended blocks with a data line. */
static void test_recorded(void)
{
    static char line[4096], body[2 << 20];
    FILE *f = vectors_open("streams");
    unsigned count = 0;

    while (f && fgets(line, sizeof line, f)) {
        char *rest = line, *family = vectors_column(&rest), *path = vectors_column(&rest);
        FILE *in = fopen(path, "rb");
        size_t n = in ? fread(body, 1, sizeof body, in) : 0, blocks = 0, events = 0;
        bool crlf;

        if (in)
            fclose(in);
        check_case(path);
        if (!CHECK(n > 0))
            continue;
        count++;
        crlf = slice_find(slice_make(body, n), SLICE("\r\n\r\n")) >= 0;
        CHECK(crlf == (strcmp(family, "crlf") == 0));
        run_stream(slice_make(body, n), n < 3000);
        for (struct slice left = slice_make(body, n);;) { /* a second reader, by plain search */
            ptrdiff_t stop = slice_find(left, crlf ? SLICE("\r\n\r\n") : SLICE("\n\n"));
            struct slice block;

            if (stop < 0)
                break;
            block = slice_first(left, (size_t)stop);
            blocks += slice_starts(block, SLICE("data:")) || slice_find(block, SLICE("\ndata:")) >= 0;
            left = slice_from(left, (size_t)stop + (crlf ? 4 : 2));
        }
        CHECK(split(slice_make(body, n), n, n, false, false, &whole));
        {
            struct sse_scan s;
            size_t at = 0, k;
            struct arena a;
            struct sse_event e;

            sse_scan_init(&s);
            while ((k = sse_scan_event(&s, body + at, n - at)) > 0) {
                arena_init_fixed(&a, arena_memory, sizeof arena_memory);
                CHECK(sse_event_read(slice_make(body + at, k), at == 0, &a, &e));
                events += e.has_data;
                at += k;
            }
        }
        CHECK_INT(events, blocks);
        CHECK(blocks > 0);
    }
    if (f) {
        CHECK_INT(pclose(f), 0);
        CHECK(count >= 20);
    }
}

int main(void)
{
    test_cases();
    test_borders();
    test_arena();
    test_long();
    test_vectors();
    test_recorded();
    return check_end();
}
