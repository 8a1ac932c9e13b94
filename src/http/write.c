/* Emits heads and chunk framing. Every byte is checked here, whoever checked it before, but for lines out of a head that the parser of
 * head.c took (debug builds check those as well): what this writes reads back as exactly the fields that were put in (H-62). Not here: which fields may leave at all; that is gate's. */
#include "http/write.h"

#include "base/must.h"
#include "http/bytes.h"

void http_out_init(struct http_out *o, char *memory, size_t cap)
{
    *o = (struct http_out){.p = memory, .cap = cap};
}

/* Room for n more bytes, or NULL. Checked before the addition. */
static inline char *room(struct http_out *o, size_t n)
{
    if (o->bad || n > o->cap - o->n) {
        o->bad = true;
        return NULL;
    }
    o->n += n;
    return o->p + o->n - n;
}

/* Copies s; returns the end of the copy. Names and values are short, and for those two overlapping moves beat a call
 * of memcpy (by three times with musl's). */
static inline char *put(char *to, struct slice s)
{
    size_t n = s.n;

    if (n > 32) {
        memcpy(to, s.p, n);
    } else if (n >= 16) {
        memcpy(to, s.p, 16);
        memcpy(to + n - 16, s.p + n - 16, 16);
    } else if (n >= 8) {
        memcpy(to, s.p, 8);
        memcpy(to + n - 8, s.p + n - 8, 8);
    } else if (n >= 4) {
        memcpy(to, s.p, 4);
        memcpy(to + n - 4, s.p + n - 4, 4);
    } else {
        for (size_t i = 0; i < n; i++)
            to[i] = s.p[i];
    }
    return to + n;
}

static bool only(struct slice s, unsigned classes)
{
    return s.n == 0 || http_skip(s.p, s.p + s.n, classes) == s.p + s.n;
}

static inline bool name_ok(struct slice s)
{
    return s.n && (http_all_plain(s.p, s.n) || only(s, HTTP_C_TOKEN));
}

void http_out_request(struct http_out *o, struct slice method, struct slice prefix, struct slice path,
                      struct slice query)
{
    size_t n = method.n + prefix.n + path.n + query.n;
    char first = prefix.n ? prefix.p[0] : path.n ? path.p[0] : '\0';
    char *to;

    if (method.n == 0 || !only(method, HTTP_C_TOKEN) || first != '/' || !only(prefix, HTTP_C_TARGET) ||
        !only(path, HTTP_C_TARGET) || !only(query, HTTP_C_TARGET)) {
        o->bad = true;
        return;
    }
    to = room(o, n + (query.n ? 1 : 0) + sizeof "  HTTP/1.1\r\n" - 1);
    if (!to)
        return;
    to = put(to, method);
    *to++ = ' ';
    to = put(put(to, prefix), path);
    if (query.n) {
        *to++ = '?';
        to = put(to, query);
    }
    put(to, SLICE(" HTTP/1.1\r\n"));
}

static void put_text(struct http_out *o, struct slice text)
{
    char *to = room(o, text.n);

    if (to)
        put(to, text);
}

void http_out_status(struct http_out *o, unsigned status)
{
    struct slice reason;
    char *to;

    if (status == 200) {
        put_text(o, SLICE("HTTP/1.1 200 OK\r\n"));
        return;
    }
    reason = slice_str(http_reason(status));
    if (status < 100 || status > 599) {
        o->bad = true;
        return;
    }
    to = room(o, sizeof "HTTP/1.1 000 \r\n" - 1 + reason.n);
    if (!to)
        return;
    to = put(to, SLICE("HTTP/1.1 "));
    *to++ = (char)('0' + status / 100);
    *to++ = (char)('0' + status / 10 % 10);
    *to++ = (char)('0' + status % 10);
    *to++ = ' ';
    put(put(to, reason), SLICE("\r\n"));
}

void http_out_field(struct http_out *o, struct slice name, struct slice value)
{
    char *to;

    if (!name_ok(name) || !http_all_value(value.p, value.n)) {
        o->bad = true;
        return;
    }
    to = room(o, name.n + value.n + 4);
    if (!to)
        return;
    to = put(to, name);
    *to++ = ':';
    *to++ = ' ';
    to = put(to, value);
    *to++ = '\r';
    *to = '\n';
}

void http_out_ready(struct http_out *o, struct slice name_colon_space, struct slice value)
{
    char *to;

    if (!http_all_value(value.p, value.n)) {
        o->bad = true;
        return;
    }
    to = room(o, name_colon_space.n + value.n + 2);
    if (!to)
        return;
    to = put(put(to, name_colon_space), value);
    *to++ = '\r';
    *to = '\n';
}

void http_out_field2(struct http_out *o, struct slice name, struct slice a, struct slice b)
{
    char *to;

    if (!name_ok(name) || !http_all_value(a.p, a.n) || !http_all_value(b.p, b.n)) {
        o->bad = true;
        return;
    }
    to = room(o, name.n + a.n + b.n + 4);
    if (!to)
        return;
    to = put(to, name);
    *to++ = ':';
    *to++ = ' ';
    to = put(put(to, a), b);
    *to++ = '\r';
    *to = '\n';
}

static struct slice digits_of(uint64_t value, char digits[20])
{
    size_t at = 20;

    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    return slice_make(digits + at, 20 - at);
}

void http_out_field_u64(struct http_out *o, struct slice name, uint64_t value)
{
    char digits[20];

    http_out_field(o, name, digits_of(value, digits));
}

void http_out_length(struct http_out *o, uint64_t value)
{
    char digits[20];

    http_out_ready(o, SLICE("content-length: "), digits_of(value, digits));
}

/* Whether s is whole field lines as http_out_field makes them. */
static bool lines_ok(struct slice s)
{
    const char *p = s.p, *end = s.p + s.n;

    while (p < end) {
        const char *colon = http_find_unplain(p, end), *stop;

        if (colon < end && *colon != ':')
            colon = http_skip(colon, end, HTTP_C_TOKEN);
        if (colon == p || colon == end || *colon != ':')
            return false;
        stop = http_find_ctl(colon, end);
        if (end - stop < 2 || stop[0] != '\r' || stop[1] != '\n')
            return false;
        p = stop + 2;
    }
    return true;
}

void http_out_raw(struct http_out *o, struct slice emitted_before)
{
    if (emitted_before.n == 0)
        return;
    if (lines_ok(emitted_before))
        http_out_keep(o, emitted_before);
    else
        o->bad = true;
}

void http_out_keep(struct http_out *o, struct slice lines)
{
#ifdef WEIR_DEBUG
    must(lines_ok(lines));
#endif
    put_text(o, lines);
}

void http_out_lines(struct http_out *o, struct slice lines, unsigned count)
{
    if (http_count_ctl(lines.p, lines.n) == 2 * (size_t)count)
        put_text(o, lines);
    else
        o->bad = true;
}

void http_out_end(struct http_out *o)
{
    put_text(o, SLICE("\r\n"));
}

const char *http_reason(unsigned status)
{
    static const struct {
        unsigned short status;
        const char *text;
    } known[] = { /* RFC 9110 15, and the few registered later that gateways send */
        {200, "OK"}, {400, "Bad Request"}, {401, "Unauthorized"}, {404, "Not Found"}, {429, "Too Many Requests"},
        {503, "Service Unavailable"}, {100, "Continue"}, {101, "Switching Protocols"}, {102, "Processing"},
        {103, "Early Hints"}, {201, "Created"}, {202, "Accepted"}, {203, "Non-Authoritative Information"},
        {204, "No Content"}, {205, "Reset Content"}, {206, "Partial Content"}, {300, "Multiple Choices"},
        {301, "Moved Permanently"}, {302, "Found"}, {303, "See Other"}, {304, "Not Modified"}, {305, "Use Proxy"},
        {307, "Temporary Redirect"}, {308, "Permanent Redirect"}, {402, "Payment Required"}, {403, "Forbidden"},
        {405, "Method Not Allowed"}, {406, "Not Acceptable"}, {407, "Proxy Authentication Required"},
        {408, "Request Timeout"}, {409, "Conflict"}, {410, "Gone"}, {411, "Length Required"},
        {412, "Precondition Failed"}, {413, "Content Too Large"}, {414, "URI Too Long"},
        {415, "Unsupported Media Type"}, {416, "Range Not Satisfiable"}, {417, "Expectation Failed"},
        {421, "Misdirected Request"}, {422, "Unprocessable Content"}, {423, "Locked"}, {424, "Failed Dependency"},
        {425, "Too Early"}, {426, "Upgrade Required"}, {428, "Precondition Required"},
        {431, "Request Header Fields Too Large"}, {451, "Unavailable For Legal Reasons"},
        {500, "Internal Server Error"}, {501, "Not Implemented"}, {502, "Bad Gateway"}, {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"}, {507, "Insufficient Storage"}, {511, "Network Authentication Required"},
    };

    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (known[i].status == status)
            return known[i].text;
    return "";
}

size_t http_chunk_head(char out[HTTP_CHUNK_HEAD_MAX], size_t payload)
{
    static const char hex[] = "0123456789abcdef";
    char digits[2 * sizeof payload];
    size_t at = sizeof digits, n;

    do {
        digits[--at] = hex[payload & 15];
        payload >>= 4;
    } while (payload);
    n = sizeof digits - at;
    memcpy(out, digits + at, n);
    out[n] = '\r';
    out[n + 1] = '\n';
    return n + 2;
}
