/* What handlers share: errors, queries, preconditions. */
#include "admin/call.h"

#include <stdarg.h>

#include "admin/server.h"
#include "base/text.h"
#include "json/out.h"

static const struct {
    unsigned status;
    const char *code;
} codes[] = {{400, "bad_request"},       {401, "unauthorized"},          {403, "forbidden"},         {404, "not_found"},
             {405, "method_not_allowed"}, {409, "conflict"},             {411, "length_required"},   {412, "precondition_failed"},
             {413, "too_large"},         {415, "unsupported_media_type"}, {421, "misdirected_request"}, {422, "invalid_field"},
             {428, "precondition_required"}, {500, "internal"},          {502, "upstream"},          {503, "read_only"}};

const char *admin_code(unsigned status)
{
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (codes[i].status == status)
            return codes[i].code;
    return "bad_request"; /* what the HTTP parser finds: 414, 417, 431, 501, 505 */
}

void admin_json(struct admin_call *c, unsigned status, struct slice json)
{
    admin_reply(c, &(struct admin_reply){.status = status, .body = json});
}

void admin_error(struct admin_call *c, unsigned status, const char *field, const char *format, ...)
{
    char why[1024], text[4096]; /* each byte of why twice becomes six in JSON at worst */
    struct json_out o;
    va_list ap;
    size_t n;

    va_start(ap, format);
    n = (size_t)text_vformat(why, 320, format, ap);
    va_end(ap);
    n = n < 320 ? n : 319;
    json_out_init(&o, text, sizeof text);
    json_open(&o, '{');
    json_key(&o, "errorCode");
    json_out_str(&o, slice_str(admin_code(status)));
    json_key(&o, "statusCode");
    json_out_u64(&o, status);
    json_key(&o, "msg");
    json_out_str(&o, slice_make(why, n));
    json_key(&o, "details");
    json_open(&o, '{');
    if (field) {
        json_key(&o, "field");
        json_out_str_max(&o, slice_str(field), 200);
    }
    json_close(&o, '}');
    json_close(&o, '}');
    must(!o.full);
    admin_reply(c, &(struct admin_reply){.status = status, .body = json_out_done(&o)});
}

/* ---- Queries ---- */

static int hex(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
}

bool admin_decode(struct slice raw, bool plus, struct arena *a, struct slice *out)
{
    char *p = arena_take_bytes(a, raw.n + 1);
    size_t n = 0;

    if (!p)
        return false;
    for (size_t i = 0; i < raw.n; i++) {
        if (raw.p[i] == '%') {
            int hi = i + 2 < raw.n ? hex(raw.p[i + 1]) : -1, lo = i + 2 < raw.n ? hex(raw.p[i + 2]) : -1;

            if (hi < 0 || lo < 0 || (hi | lo) == 0)
                return false;
            p[n++] = (char)(hi << 4 | lo);
            i += 2;
        } else {
            p[n++] = plus && raw.p[i] == '+' ? ' ' : raw.p[i];
        }
    }
    p[n] = '\0';
    *out = slice_make(p, n);
    return true;
}

/* The next "name=value" of a query, raw. */
static bool next_pair(struct slice *query, struct slice *name, struct slice *value)
{
    ptrdiff_t end, eq;
    struct slice pair;

    while (query->n && query->p[0] == '&')
        *query = slice_from(*query, 1);
    if (!query->n)
        return false;
    end = slice_find_char(*query, '&');
    pair = end < 0 ? *query : slice_first(*query, (size_t)end);
    *query = slice_from(*query, pair.n);
    eq = slice_find_char(pair, '=');
    *name = eq < 0 ? pair : slice_first(pair, (size_t)eq);
    *value = slice_from(pair, eq < 0 ? pair.n : (size_t)eq + 1);
    return true;
}

bool admin_query(const struct admin_call *c, const char *name, struct slice *out)
{
    struct slice query = c->query, key, value;

    while (next_pair(&query, &key, &value))
        if (slice_eq(key, slice_str(name)))
            return admin_decode(value, true, c->arena, out);
    return false;
}

bool admin_query_only(struct admin_call *c, const char *const *names)
{
    struct slice query = c->query, key, value, plain;
    uint32_t seen = 0;

    while (next_pair(&query, &key, &value)) {
        unsigned i = 0;

        while (names[i] && !slice_eq(key, slice_str(names[i])))
            i++;
        if (names[i] && !(seen & 1u << i) && admin_decode(value, true, c->arena, &plain)) {
            seen |= 1u << i;
            continue;
        }
        key = slice_first(key, 64);
        admin_error(c, 422, names[i], names[i] ? "The query parameter \"%.*s\" is given twice, or not well percent-encoded."
                                               : "There is no query parameter \"%.*s\" here.", (int)key.n, key.p);
        return false;
    }
    return true;
}

bool admin_query_limit(struct admin_call *c, uint32_t usual, uint32_t most, uint32_t *out)
{
    struct slice text;
    uint64_t v;

    *out = usual;
    if (!admin_query(c, "limit", &text))
        return true;
    if (!slice_u64(text, &v) || v < 1 || v > most) {
        admin_error(c, 422, "limit", "limit must be a whole number from 1 to %u.", (unsigned)most);
        return false;
    }
    *out = (uint32_t)v;
    return true;
}

/* RFC 9110 13.1.1: a list of ETags, or "*". Ours hold no comma. */
bool admin_matches(struct admin_call *c, struct slice etag)
{
    struct slice rest = c->if_match;

    if (!rest.n)
        return true;
    while (rest.n) {
        ptrdiff_t comma = slice_find_char(rest, ',');
        struct slice one = slice_trim(comma < 0 ? rest : slice_first(rest, (size_t)comma));

        if (slice_eq(one, etag) || slice_eq(one, SLICE("*")))
            return true;
        rest = slice_from(rest, comma < 0 ? rest.n : (size_t)comma + 1);
    }
    admin_error(c, 412, NULL, "This was changed by somebody else meanwhile. Load it again and repeat the change.");
    return false;
}
