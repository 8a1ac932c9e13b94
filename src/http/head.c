/* Heads of HTTP/1.x messages: one pass over the bytes, no allocation, no state between calls but `seen`.
 *
 * A head is parsed from its start whenever a further line of it ends, so that a bad line is refused when it ends and
 * not when the head does; that is at most twice for each of HTTP_FIELDS_MAX + 3 lines. Between that, more bytes only
 * cost a search for the next control byte. Bytes are judged in one place each: line grammar in parse_fields, the start
 * line in parse_request_line and parse_status_line, meaning (lengths, host, connection) in the functions behind them.
 *
 * Not here: whether a method or path exists, whether a body is allowed (H-20) or too long (H-18), the 1xx cap. */
#include "http/head.h"

#include "base/must.h"
#include "http/bytes.h"

/* ---- names ---- */

static const struct slice name_text[HTTP_NAME_COUNT] = {
#define X(id, text) [HTTP_##id] = {text, sizeof(text) - 1},
    HTTP_NAMES(X)
#undef X
};

/* Perfect hash: the multiplier was searched so that each name has a slot of its own. When a name is added,
 * http_bytes_test fails and prints the two constants that make it hold again. */
enum { NAME_SLOT_BITS = 7 };
#define NAME_MULTIPLIER 0xc3326261u
static const uint8_t name_slot[1 << NAME_SLOT_BITS] = {
    [1] = HTTP_CONTENT_ENCODING, [3] = HTTP_HOST, [4] = HTTP_CONNECTION, [6] = HTTP_VIA, [8] = HTTP_X_WEIR_FAILOVER,
    [9] = HTTP_X_API_KEY, [13] = HTTP_ACCEPT_ENCODING, [14] = HTTP_UPGRADE, [17] = HTTP_SET_COOKIE,
    [19] = HTTP_IF_MATCH, [20] = HTTP_ANTHROPIC_VERSION, [25] = HTTP_ETAG, [26] = HTTP_ANTHROPIC_BETA,
    [33] = HTTP_REFERER, [35] = HTTP_KEEP_ALIVE, [36] = HTTP_SEC_FETCH_SITE, [42] = HTTP_TRANSFER_ENCODING,
    [43] = HTTP_PROXY_AUTHORIZATION, [45] = HTTP_X_REQUEST_ID, [48] = HTTP_PROXY_CONNECTION,
    [50] = HTTP_X_GOOG_API_KEY, [51] = HTTP_CACHE_CONTROL, [52] = HTTP_DATE, [54] = HTTP_VARY, [58] = HTTP_ORIGIN,
    [61] = HTTP_LOCATION, [62] = HTTP_WWW_AUTHENTICATE, [63] = HTTP_RETRY_AFTER_MS, [64] = HTTP_PROXY_AUTHENTICATE,
    [65] = HTTP_ALT_SVC, [73] = HTTP_TRAILER, [78] = HTTP_CONTENT_LENGTH, [80] = HTTP_COOKIE,
    [85] = HTTP_USER_AGENT, [86] = HTTP_CONTENT_TYPE, [88] = HTTP_ACCEPT, [89] = HTTP_STRICT_TRANSPORT_SECURITY,
    [90] = HTTP_FORWARDED, [92] = HTTP_ACCESS_CONTROL_ALLOW_ORIGIN, [94] = HTTP_EXPECT, [96] = HTTP_RETRY_AFTER,
    [99] = HTTP_REQUEST_ID, [105] = HTTP_AUTHORIZATION, [106] = HTTP_IF_NONE_MATCH, [107] = HTTP_ALLOW,
    [114] = HTTP_TE, [124] = HTTP_API_KEY, [125] = HTTP_X_SHOULD_RETRY, [127] = HTTP_SERVER,
};

/* First, middle and last byte, folded, and the length. */
static inline unsigned name_hash(const char *p, size_t n)
{
    uint32_t key = (uint32_t)(unsigned char)p[0] | (uint32_t)(unsigned char)p[n / 2] << 8 |
                   (uint32_t)(unsigned char)p[n - 1] << 16 | 0x202020u;

    return ((key | (uint32_t)n << 24) * NAME_MULTIPLIER) >> (32 - NAME_SLOT_BITS);
}

static inline uint64_t load64(const char *p)
{
    uint64_t v;

    memcpy(&v, p, sizeof v);
    return v;
}

static inline uint32_t load32(const char *p)
{
    uint32_t v;

    memcpy(&v, p, sizeof v);
    return v;
}

/* Whether p, once folded, is the lower-case text. Only for HTTP_C_PLAIN bytes: on those |0x20 changes capital
 * letters and nothing else. The last word overlaps the one before it instead of counting bytes. */
static inline bool plain_eq(const char *p, const char *text, size_t n)
{
    const uint64_t fold = 0x2020202020202020u;

    if (n >= 8) {
        uint64_t diff = (load64(p + n - 8) | fold) ^ load64(text + n - 8);

        for (size_t i = 0; i + 8 < n; i += 8)
            diff |= (load64(p + i) | fold) ^ load64(text + i);
        return diff == 0;
    }
    if (n >= 4)
        return (((load32(p) | (uint32_t)fold) ^ load32(text)) |
                ((load32(p + n - 4) | (uint32_t)fold) ^ load32(text + n - 4))) == 0;
    for (size_t i = 0; i < n; i++)
        if ((p[i] | 0x20) != text[i])
            return false;
    return true;
}

static inline enum http_name plain_name_id(const char *p, size_t n)
{
    enum http_name id = (enum http_name)name_slot[name_hash(p, n)];

    if (name_text[id].n == n && plain_eq(p, name_text[id].p, n))
        return id;
    return HTTP_OTHER;
}

enum http_name http_name_id(struct slice name)
{
    if (name.n == 0 || !http_all_plain(name.p, name.n))
        return HTTP_OTHER;
    return plain_name_id(name.p, name.n);
}

struct slice http_name_text(enum http_name id)
{
    must(id > HTTP_OTHER && id < HTTP_NAME_COUNT);
    return name_text[id];
}

bool http_hop_by_hop(enum http_name id)
{
    switch ((int)id) { /* an int: the many other names need no case */
    case HTTP_CONNECTION:
    case HTTP_KEEP_ALIVE:
    case HTTP_PROXY_AUTHENTICATE:
    case HTTP_PROXY_AUTHORIZATION:
    case HTTP_PROXY_CONNECTION:
    case HTTP_TE:
    case HTTP_TRAILER:
    case HTTP_TRANSFER_ENCODING:
    case HTTP_UPGRADE:
        return true;
    default:
        return false;
    }
}

/* ---- lines ---- */

#define BIT(id) (UINT64_C(1) << (id))
_Static_assert(HTTP_NAME_COUNT <= 64, "sets of names are one word");
_Static_assert(HTTP_FIELDS_MAX < 255, "first[] holds index + 1 in a byte");

/* The head being read: a view of the caller's struct, since requests and responses keep their fields alike. */
struct head {
    const char *at, *end;
    struct http_field *field;
    uint8_t *first;
    unsigned nfields;
    uint64_t repeated; /* names that came twice or more */
    struct http_bad *bad;
};

static enum parse refuse(struct http_bad *bad, unsigned status, const char *why)
{
    *bad = (struct http_bad){.status = status, .why = why};
    return PARSE_BAD;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static enum parse refuse_name(struct head *h, const char *line, const char *stop)
{
    if (is_blank(*line))
        return refuse(h->bad, 400, h->nfields ? "folded header line" : "white space before the first header");
    if (*stop == ':')
        return refuse(h->bad, 400, "empty header name");
    if (is_blank(*stop))
        return refuse(h->bad, 400, "white space in or after a header name");
    if (*stop == '\r' || *stop == '\n')
        return refuse(h->bad, 400, "header line without a colon");
    return refuse(h->bad, 400, "a byte that may not be in a header name");
}

/* *at stands on CR or on a byte that may not be here. Moves over CRLF. */
static inline enum parse line_end(struct head *h, const char *stop, const char *why)
{
    if (stop == h->end)
        return PARSE_MORE;
    if (*stop == '\r') {
        if (stop + 1 == h->end)
            return PARSE_MORE;
        if (stop[1] == '\n') {
            h->at = stop + 2;
            return PARSE_DONE;
        }
        return refuse(h->bad, 400, "bare CR");
    }
    return refuse(h->bad, 400, *stop == '\n' ? "bare LF" : why);
}

/* Reads header lines up to and including the blank one. Position and count are kept in locals: written through h they
 * would be read again after every store into the caller's fields. */
static enum parse parse_fields(struct head *h)
{
    const char *const end = h->end;
    const char *line = h->at;
    struct http_field *f = h->field;

    for (unsigned n = 0;; n++, f++) {
        const char *colon = http_find_unplain(line, end), *value, *stop, *tail;
        enum http_name id = HTTP_OTHER;
        /* A plain name, one space, then a visible byte: nearly every line there is. */
        bool usual = end - colon > 2 && colon[0] == ':' && colon[1] == ' ' && colon[2] > ' ' && colon != line, plain = true;

        if (usual) {
            id = plain_name_id(line, (size_t)(colon - line));
            value = colon + 2;
        } else {
            h->nfields = n;
            if (line < end && *line == '\r')
                return line_end(h, line, "");
            plain = colon < end && *colon == ':' && colon != line;
            if (plain) {
                id = plain_name_id(line, (size_t)(colon - line));
            } else {
                colon = http_skip(colon, end, HTTP_C_TOKEN);
                if (colon == end)
                    return PARSE_MORE;
                if (*colon != ':' || colon == line)
                    return refuse_name(h, line, colon);
            }
            for (value = colon + 1; value < end && is_blank(*value); value++)
                ;
        }
        stop = http_find_ctl(value, end);
        if (end - stop < 2 || stop[0] != '\r' || stop[1] != '\n')
            return line_end(h, stop, "a control byte in a header value");
        if (n == HTTP_FIELDS_MAX)
            return refuse(h->bad, 431, "too many header lines");
        tail = stop;
        if (!usual || stop[-1] <= ' ')
            while (tail > value && is_blank(tail[-1]))
                tail--;
        f->name = slice_make(line, (size_t)(colon - line));
        f->value = slice_make(value, (size_t)(tail - value));
        f->id = id;
        f->plain_name = plain;
        f->whole_line = usual && tail == stop;
        line = stop + 2;
        if (id == HTTP_OTHER)
            continue;
        if (h->first[id])
            h->repeated |= BIT(id);
        else
            h->first[id] = (uint8_t)(n + 1);
    }
}

static inline bool has(const struct head *h, enum http_name id)
{
    return h->first[id] != 0;
}

static inline struct slice get(const struct head *h, enum http_name id)
{
    return h->field[h->first[id] - 1].value;
}

/* ---- values ---- */

/* Next element of a comma-separated list, blanks around it cut; false at the end. Empty elements come out
 * as such: some readers skip them, some refuse. */
static bool list_next(struct slice *rest, struct slice *element)
{
    const char *comma;

    if (!rest->p)
        return false;
    comma = rest->n ? memchr(rest->p, ',', rest->n) : NULL;
    *element = slice_trim(slice_first(*rest, comma ? (size_t)(comma - rest->p) : rest->n));
    *rest = comma ? slice_from(*rest, (size_t)(comma - rest->p) + 1) : slice_make(NULL, 0);
    return true;
}

bool http_list_has(struct slice value, struct slice token)
{
    struct slice element;

    while (list_next(&value, &element))
        if (element.n && slice_eq_nocase(element, token))
            return true;
    return false;
}

/* One Content-Length value: 0 or [1-9][0-9]{0,9}. Leading zeros are refused because some parsers read them as octal,
 * more digits because nothing that long is ever served (H-16, H-17). */
static enum parse parse_length(struct slice v, uint64_t *length, struct http_bad *bad)
{
    uint64_t sum = 0;

    if (v.n == 0)
        return refuse(bad, 400, "content-length is empty");
    for (size_t i = 0; i < v.n; i++) {
        if (v.p[i] < '0' || v.p[i] > '9')
            return refuse(bad, 400, "content-length is not a plain number");
        sum = sum * 10 + (uint64_t)(v.p[i] - '0'); /* of more than ten digits it means nothing, and is not used */
    }
    if (v.n > 1 && v.p[0] == '0')
        return refuse(bad, 400, "content-length has leading zeros");
    if (v.n > 10)
        return refuse(bad, 413, "content-length is too large");
    *length = sum;
    return PARSE_DONE;
}

/* One Transfer-Encoding value. Only "chunked" alone is understood; what is wrong by grammar or order is 400, what
 * is right but another coding is 501 (RFC 9112 6.1, 6.3). */
static enum parse check_codings(struct slice v, struct http_bad *bad)
{
    struct slice coding;
    bool chunked = false, unknown = false;

    while (list_next(&v, &coding)) {
        if (coding.n == 0)
            return refuse(bad, 400, "transfer-encoding has an empty element");
        if (http_skip(coding.p, coding.p + coding.n, HTTP_C_TOKEN) != coding.p + coding.n)
            return refuse(bad, 400, "transfer-encoding is malformed");
        if (chunked)
            return refuse(bad, 400, "transfer-encoding has a coding after chunked");
        if (slice_eq_nocase(coding, SLICE("identity")))
            return refuse(bad, 400, "transfer-encoding identity");
        if (slice_eq_nocase(coding, SLICE("chunked")))
            chunked = true;
        else
            unknown = true;
    }
    if (unknown)
        return refuse(bad, 501, "transfer-encoding other than chunked");
    return PARSE_DONE;
}

/* RFC 9112 6.3, with every ambiguity refused instead of resolved. */
static enum parse find_framing(const struct head *h, unsigned minor, enum http_framing *framing, uint64_t *length)
{
    *framing = HTTP_NO_BODY;
    *length = 0;
    if (has(h, HTTP_TRANSFER_ENCODING)) {
        if (has(h, HTTP_CONTENT_LENGTH))
            return refuse(h->bad, 400, "both transfer-encoding and content-length");
        if (h->repeated & BIT(HTTP_TRANSFER_ENCODING))
            return refuse(h->bad, 400, "more than one transfer-encoding");
        if (minor == 0)
            return refuse(h->bad, 400, "transfer-encoding in HTTP/1.0");
        *framing = HTTP_CHUNKED;
        return check_codings(get(h, HTTP_TRANSFER_ENCODING), h->bad);
    }
    if (has(h, HTTP_CONTENT_LENGTH)) {
        if (h->repeated & BIT(HTTP_CONTENT_LENGTH))
            return refuse(h->bad, 400, "more than one content-length");
        *framing = HTTP_LENGTH;
        return parse_length(get(h, HTTP_CONTENT_LENGTH), length, h->bad);
    }
    return PARSE_DONE;
}

/* What the Connection fields of a head say, all of them together. */
struct connection {
    bool keep_alive, close, more;
};

static void read_connection(struct slice value, struct connection *c)
{
    struct slice element;

    /* One word, as nearly always. Only plain bytes: then folding is exact, and there is no comma. */
    if (value.n == 10 && http_all_plain(value.p, 10) && plain_eq(value.p, "keep-alive", 10)) {
        c->keep_alive = true;
        return;
    }
    while (list_next(&value, &element)) {
        if (slice_eq_nocase(element, SLICE("keep-alive")))
            c->keep_alive = true;
        else if (slice_eq_nocase(element, SLICE("close")))
            c->close = true;
        else if (element.n)
            c->more = true;
    }
}

static struct connection find_connection(const struct head *h)
{
    struct connection c = {false, false, false};

    if (!has(h, HTTP_CONNECTION))
        return c;
    read_connection(get(h, HTTP_CONNECTION), &c);
    if (h->repeated & BIT(HTTP_CONNECTION))
        for (unsigned i = h->first[HTTP_CONNECTION]; i < h->nfields; i++)
            if (h->field[i].id == HTTP_CONNECTION)
                read_connection(h->field[i].value, &c);
    return c;
}

/* "host[:port]" as Host and the authority of a target have it: a name or IPv4 of letters, digits, '-', '.', '_', or
 * bracketed IPv6; port 1..65535. The RFC's sub-delimiters and escapes are refused: no such name resolves, and other
 * readers of the same value would cut it elsewhere (H-46). */
static bool split_authority(struct slice v, struct slice *host, bool *has_port)
{
    const char *end = v.p + v.n, *stop;
    uint64_t port;

    if (v.n == 0)
        return false;
    if (v.p[0] == '[') {
        for (stop = v.p + 1; stop < end && (http_is(*stop, HTTP_C_HEX) || *stop == ':' || *stop == '.'); stop++)
            ;
        if (stop == end || *stop != ']' || stop - v.p < 3)
            return false;
        stop++;
    } else {
        stop = http_skip(v.p, end, HTTP_C_HOST);
        if (stop == v.p)
            return false;
    }
    *host = slice_make(v.p, (size_t)(stop - v.p));
    *has_port = stop < end;
    if (stop == end)
        return true;
    if (*stop != ':' || end - stop > 6)
        return false;
    return slice_u64(slice_make(stop + 1, (size_t)(end - stop) - 1), &port) && port >= 1 && port <= 65535;
}

/* ---- request ---- */

static enum http_method find_method(struct slice m)
{
    static const struct {
        struct slice text;
        enum http_method method;
    } known[] = {
        {{"POST", 4}, HTTP_POST},       {{"GET", 3}, HTTP_GET},         {{"HEAD", 4}, HTTP_HEAD},
        {{"PUT", 3}, HTTP_PUT},         {{"PATCH", 5}, HTTP_PATCH},     {{"DELETE", 6}, HTTP_DELETE},
        {{"OPTIONS", 7}, HTTP_OPTIONS}, {{"CONNECT", 7}, HTTP_CONNECT}, {{"TRACE", 5}, HTTP_TRACE},
    };

    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (slice_eq(m, known[i].text))
            return known[i].method;
    return HTTP_METHOD_OTHER;
}

/* "HTTP/1.x" at h->at; the byte behind it is the caller's. Bytes are compared as they come, so that a prefix of
 * anything else is refused at once. */
static enum parse parse_version(struct head *h, unsigned *minor)
{
    static const char want[] = "HTTP/";
    const char *p = h->at;
    size_t n = (size_t)(h->end - p);

    if (n > 8 && load64(p) == load64("HTTP/1.1")) {
        *minor = 1;
        h->at = p + 8;
        return PARSE_DONE;
    }
    for (size_t i = 0; i < 5; i++) {
        if (i == n)
            return PARSE_MORE;
        if (p[i] != want[i])
            return refuse(h->bad, 400, "malformed HTTP version");
    }
    for (size_t i = 5; i < 8; i++) {
        if (i == n)
            return PARSE_MORE;
        if (i == 6 ? p[i] != '.' : (p[i] < '0' || p[i] > '9'))
            return refuse(h->bad, 400, "malformed HTTP version");
    }
    if (n == 8)
        return PARSE_MORE; /* HTTP/1.10 is malformed, HTTP/1.2 is not: the caller sees which */
    *minor = (unsigned)(p[7] - '0');
    h->at = p + 8;
    return PARSE_DONE;
}

static bool version_known(const struct head *h)
{
    return h->at[-3] == '1' && (h->at[-1] == '0' || h->at[-1] == '1');
}

/* "METHOD target HTTP/1.x" CRLF. The target's form is judged later, when Host is known. */
static enum parse parse_request_line(struct http_request *r, struct head *h)
{
    const char *p = h->at, *stop;
    enum parse got;

    for (unsigned skipped = 0; p < h->end && *p == '\r'; skipped++) { /* RFC 9112 2.2; H-40 */
        if (skipped == 2)
            return refuse(h->bad, 400, "blank lines before the request");
        got = line_end(h, p, "");
        if (got != PARSE_DONE)
            return got;
        p = h->at;
    }
    stop = http_skip(p, h->end, HTTP_C_TOKEN);
    if (stop == h->end)
        return PARSE_MORE;
    if (*stop != ' ' || stop == p)
        return refuse(h->bad, 400, "malformed method");
    r->method_text = slice_make(p, (size_t)(stop - p));
    p = stop + 1;
    stop = http_skip(p, h->end, HTTP_C_TARGET);
    if (stop - p > HTTP_TARGET_MAX)
        return refuse(h->bad, 414, "request target is too long");
    if (stop == h->end)
        return PARSE_MORE;
    if (stop == p)
        return refuse(h->bad, 400, "empty request target");
    if (*stop != ' ')
        return refuse(h->bad, 400,
                      *stop == '\r' || *stop == '\n' ? "request line without a version"
                                                     : "a byte that may not be in a request target");
    r->target = slice_make(p, (size_t)(stop - p));
    h->at = stop + 1;
    got = parse_version(h, &r->minor);
    if (got != PARSE_DONE)
        return got;
    stop = h->at;
    got = line_end(h, stop, "malformed HTTP version");
    if (got == PARSE_DONE) {
        h->at = stop;
        if (!version_known(h))
            return refuse(h->bad, 505, "HTTP version is not 1.0 or 1.1");
        h->at = stop + 2;
    }
    return got;
}

static enum parse check_host(struct http_request *r, const struct head *h)
{
    bool has_port;

    r->host = slice_make(NULL, 0);
    if (h->repeated & BIT(HTTP_HOST))
        return refuse(h->bad, 400, "more than one host");
    if (!has(h, HTTP_HOST))
        return r->minor == 0 ? PARSE_DONE : refuse(h->bad, 400, "host is missing");
    if (!split_authority(get(h, HTTP_HOST), &r->host, &has_port))
        return refuse(h->bad, 400, "malformed host");
    return PARSE_DONE;
}

/* Cuts "http://authority" off an absolute-form target. RFC 9112 3.2.2 lets the target win over Host; we
 * want them to agree (H-44). */
static enum parse cut_authority(struct http_request *r, const struct head *h)
{
    size_t scheme = slice_starts_nocase(r->target, SLICE("http://"))    ? 7
                    : slice_starts_nocase(r->target, SLICE("https://")) ? 8
                                                                        : 0;
    struct slice rest = slice_from(r->target, scheme), authority, host;
    size_t n = 0;
    bool has_port;

    if (!scheme)
        return refuse(h->bad, 400, "malformed request target");
    while (n < rest.n && rest.p[n] != '/' && rest.p[n] != '?')
        n++;
    authority = slice_first(rest, n);
    if (!split_authority(authority, &host, &has_port))
        return refuse(h->bad, 400, "malformed authority in the request target");
    if (has(h, HTTP_HOST) && !slice_eq_nocase(authority, get(h, HTTP_HOST)))
        return refuse(h->bad, 400, "request target and host differ");
    r->host = host;
    r->target = slice_from(rest, n);
    return PARSE_DONE;
}

/* The four forms of a target (RFC 9112 3.2), each only with the methods it belongs to. */
static enum parse split_target(struct http_request *r, const struct head *h)
{
    ptrdiff_t mark;
    enum parse got;

    r->query = slice_make(NULL, 0);
    r->path = r->target;
    if (r->method == HTTP_CONNECT) {
        struct slice host;
        bool has_port;

        if (!split_authority(r->target, &host, &has_port) || !has_port)
            return refuse(h->bad, 400, "malformed request target");
        return PARSE_DONE;
    }
    if (r->target.p[0] == '*')
        return r->target.n == 1 && r->method == HTTP_OPTIONS
                   ? PARSE_DONE
                   : refuse(h->bad, 400, "asterisk target without OPTIONS");
    if (r->target.p[0] != '/') {
        got = cut_authority(r, h);
        if (got != PARSE_DONE)
            return got;
    }
    mark = slice_find_char(r->target, '?');
    r->path = mark < 0 ? r->target : slice_first(r->target, (size_t)mark);
    if (mark >= 0)
        r->query = slice_from(r->target, (size_t)mark + 1);
    if (r->path.n == 0)
        r->path = SLICE("/"); /* "http://host?x": the one slice outside the buffer */
    return PARSE_DONE;
}

static enum parse check_expect(struct http_request *r, const struct head *h)
{
    r->expect_continue = false;
    if (!has(h, HTTP_EXPECT))
        return PARSE_DONE;
    if ((h->repeated & BIT(HTTP_EXPECT)) || !slice_eq_nocase(get(h, HTTP_EXPECT), SLICE("100-continue")))
        return refuse(h->bad, 417, "expectation other than 100-continue");
    r->expect_continue = r->minor == 1 && (r->framing == HTTP_CHUNKED || r->length > 0);
    return PARSE_DONE;
}

/* Fields of which a second one lets two readers of the same request see different things (H-49, S-26). */
static const uint64_t once_in_request = BIT(HTTP_API_KEY) | BIT(HTTP_AUTHORIZATION) | BIT(HTTP_CONTENT_TYPE) |
                                        BIT(HTTP_X_API_KEY) | BIT(HTTP_X_GOOG_API_KEY);

static enum parse parse_request(struct http_request *r, struct head *h)
{
    struct connection said;
    enum parse got;

    memset(r->first, 0, sizeof r->first);
    got = parse_request_line(r, h);
    if (got == PARSE_DONE)
        got = parse_fields(h);
    if (got != PARSE_DONE)
        return got;
    r->nfields = h->nfields;
    r->method = find_method(r->method_text);
    got = check_host(r, h);
    if (got == PARSE_DONE)
        got = split_target(r, h);
    if (got == PARSE_DONE)
        got = find_framing(h, r->minor, &r->framing, &r->length);
    if (got == PARSE_DONE)
        got = check_expect(r, h);
    if (got == PARSE_DONE && (h->repeated & once_in_request))
        got = refuse(h->bad, 400, "a header that may come once came twice");
    said = find_connection(h);
    r->keep_alive = (r->minor == 1 || said.keep_alive) && !said.close && r->method != HTTP_CONNECT;
    r->hop_names = said.more;
    return got;
}

/* ---- response ---- */

/* "HTTP/1.x NNN[ reason]" CRLF */
static enum parse parse_status_line(struct http_response *r, struct head *h)
{
    enum parse got = parse_version(h, &r->minor);
    const char *p;
    unsigned status = 0;

    if (got != PARSE_DONE)
        return got;
    p = h->at;
    if (*p != ' ')
        return refuse(h->bad, 502, "malformed status line");
    if (!version_known(h))
        return refuse(h->bad, 502, "HTTP version is not 1.0 or 1.1");
    for (int i = 1; i <= 3; i++) {
        if (p + i == h->end)
            return PARSE_MORE;
        if (p[i] < '0' || p[i] > '9')
            return refuse(h->bad, 502, "status is not a number of three digits");
        status = status * 10 + (unsigned)(p[i] - '0');
    }
    if (status < 100 || status > 599)
        return refuse(h->bad, 502, "status is not in 100..599");
    r->status = status;
    p += 4;
    if (p < h->end && *p == ' ')
        p = http_find_ctl(p + 1, h->end);
    return line_end(h, p, "a byte that may not be in a status line");
}

static enum parse parse_response(struct http_response *r, struct head *h, bool to_head)
{
    struct connection said;
    enum parse got;

    memset(r->first, 0, sizeof r->first);
    got = parse_status_line(r, h);
    if (got == PARSE_DONE)
        got = parse_fields(h);
    if (got != PARSE_DONE)
        return got;
    r->nfields = h->nfields;
    got = find_framing(h, r->minor, &r->framing, &r->length);
    if (got != PARSE_DONE)
        return got;
    if (r->status == 101)
        return refuse(h->bad, 502, "protocol switch that nobody asked for");
    said = find_connection(h);
    r->keep_alive = r->minor == 1 && !said.close; /* 1.0 is never used again */
    r->hop_names = said.more;
    if (r->status < 200 || r->status == 204 || r->status == 304) {
        /* No body whatever the head says; but a peer that announces one may send it. */
        if (r->framing == HTTP_CHUNKED || r->length > 0)
            r->keep_alive = false;
        r->framing = HTTP_NO_BODY;
    } else if (to_head) {
        r->framing = HTTP_NO_BODY;
    } else if (r->framing == HTTP_NO_BODY) {
        r->framing = HTTP_UNTIL_CLOSE;
        r->keep_alive = false;
    }
    return PARSE_DONE;
}

/* ---- entrances ---- */

/* Whether the bytes behind *seen give reason to parse (again): the first call, a line that ended, a byte that will
 * be refused, or no room for more. If not, *seen moves on. */
static bool worth_parsing(const char *p, size_t n, size_t *seen)
{
    const char *end = p + n, *hit;

    if (*seen == 0 || *seen > n || n >= HTTP_HEAD_MAX)
        return true;
    hit = http_find_ctl(p + *seen, end);
    if (hit < end)
        return true;
    *seen = n;
    return false;
}

/* What a parse that ran out of bytes comes to. A CR at the end is searched again, with the byte behind it. */
static enum parse not_all_there(const char *p, size_t n, size_t *seen, struct http_bad *bad)
{
    if (n >= HTTP_HEAD_MAX)
        return refuse(bad, 431, "head is too long");
    *seen = n && p[n - 1] == '\r' ? n - 1 : n;
    return PARSE_MORE;
}

enum parse http_request_parse(struct http_request *r, const char *p, size_t n, size_t *seen, struct http_bad *bad)
{
    size_t limit = n < HTTP_HEAD_MAX ? n : HTTP_HEAD_MAX;
    struct head h = {.at = p, .end = p + limit, .field = r->field, .first = r->first, .bad = bad};
    enum parse got;

    if (!worth_parsing(p, limit, seen))
        return PARSE_MORE;
    got = parse_request(r, &h);
    if (got == PARSE_MORE)
        return not_all_there(p, limit, seen, bad);
    r->head_len = (size_t)(h.at - p);
    return got;
}

enum parse http_response_parse(struct http_response *r, const char *p, size_t n, size_t *seen, bool to_head,
                               struct http_bad *bad)
{
    size_t limit = n < HTTP_HEAD_MAX ? n : HTTP_HEAD_MAX;
    struct head h = {.at = p, .end = p + limit, .field = r->field, .first = r->first, .bad = bad};
    enum parse got;

    if (!worth_parsing(p, limit, seen))
        return PARSE_MORE;
    got = parse_response(r, &h, to_head);
    if (got == PARSE_MORE)
        got = not_all_there(p, limit, seen, bad);
    if (got == PARSE_BAD)
        bad->status = 502; /* what the client is told, whatever the rule was */
    r->head_len = (size_t)(h.at - p);
    return got;
}
