/* Server-sent events: borders in a byte run, fields of one event (WHATWG HTML 9.2.5, 9.2.6). Not here: what the
 * data means, and how much of an unfinished event may be kept (the caller's bound).
 *
 * The scanner knows three facts about the bytes before: whether the current line has any, whether the last one was
 * a CR, and whether that CR ended an event. That is enough for any split to give the same events. */
#include "http/sse.h"

#include "http/bytes.h"

enum {
    SSE_IN_LINE = 1,  /* the current line is not empty */
    SSE_AFTER_CR = 2, /* an LF that comes next belongs to that CR */
    SSE_AT_BORDER = 4 /* that CR ended an event */
};

void sse_scan_init(struct sse_scan *s)
{
    s->state = 0;
}

size_t sse_scan_event(struct sse_scan *s, const char *p, size_t n)
{
    const char *const end = p + n;
    const char *at = p;

    if (n == 0)
        return 0;
    if (s->state & SSE_AFTER_CR) {
        unsigned was = s->state;

        s->state = 0;
        if (*at == '\n') {
            if (was & SSE_AT_BORDER)
                return 1;
            at++;
        }
    }
    while (at < end) {
        const char *eol = http_find_eol(at, end);
        bool blank = eol == at && !(s->state & SSE_IN_LINE);

        if (eol == end) {
            s->state = SSE_IN_LINE;
            return 0;
        }
        s->state = 0;
        at = eol + 1;
        if (*eol == '\r') {
            if (at == end)
                s->state = blank ? SSE_AFTER_CR | SSE_AT_BORDER : SSE_AFTER_CR;
            else if (*at == '\n')
                at++;
        }
        if (blank)
            return (size_t)(at - p);
    }
    return 0;
}

/* Takes one line off the event; its name and its value with one leading space cut. False at the end. */
static bool next_field(const char **at, const char *end, struct slice *name, struct slice *value)
{
    const char *line = *at, *eol, *colon;

    if (line == end)
        return false;
    eol = http_find_eol(line, end);
    *at = eol < end ? eol + 1 : end;
    if (eol + 1 < end && eol[0] == '\r' && eol[1] == '\n')
        *at = eol + 2;
    /* Field names are short: look for the colon no further than any name we know is long. */
    for (colon = line; colon < eol && *colon != ':' && colon - line < 6; colon++)
        ;
    if (colon < eol && *colon != ':')
        colon = eol;
    *name = slice_make(line, (size_t)(colon - line));
    if (colon < eol)
        colon++;
    if (colon < eol && *colon == ' ')
        colon++;
    *value = slice_make(colon, (size_t)(eol - colon));
    return true;
}

/* Second pass, only for events of several data lines. */
static bool join_data(const char *at, const char *end, size_t total, struct arena *a, struct slice *data)
{
    struct slice name, value;
    char *to = arena_take_bytes(a, total);
    size_t n = 0;
    bool second = false;

    if (!to)
        return false;
    while (next_field(&at, end, &name, &value)) {
        if (!slice_eq(name, SLICE("data")))
            continue;
        if (second)
            to[n++] = '\n';
        memcpy(to + n, value.p, value.n);
        n += value.n;
        second = true;
    }
    *data = slice_make(to, n);
    return true;
}

bool sse_event_read(struct slice raw, bool first, struct arena *a, struct sse_event *out)
{
    const char *at, *end, *start;
    struct slice name, value;
    size_t lines = 0, total = 0;

    *out = (struct sse_event){0};
    if (raw.n == 0)
        return true;
    at = raw.p;
    end = raw.p + raw.n;
    if (first && slice_starts(raw, SLICE("\xef\xbb\xbf")))
        at += 3;
    start = at;
    while (next_field(&at, end, &name, &value)) {
        if (slice_eq(name, SLICE("data"))) {
            out->data = value;
            total += value.n + 1;
            lines++;
        } else if (slice_eq(name, SLICE("event"))) {
            out->event = value;
        } else if (slice_eq(name, SLICE("error"))) {
            out->error = value;
        }
    }
    out->has_data = lines > 0;
    return lines < 2 || join_data(start, end, total - 1, a, &out->data);
}
