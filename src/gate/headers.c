/* The header rules. Request side: everything but what the table drops (credentials, hop-by-hop, forwarding claims, cookies).
 * Response side likewise. No framing field ever crosses: each side's length is ours (faults.md, lesson 2). */
#include "gate/headers.h"

enum direction {
    PASS = 0,
    DROP_UP = 1,   /* never to an upstream */
    DROP_DOWN = 2, /* never to a client */
    DROP = DROP_UP | DROP_DOWN,
};

static const uint8_t rules[HTTP_NAME_COUNT] = {
    /* hop-by-hop, RFC 9110 7.6.1 */
    [HTTP_CONNECTION] = DROP,
    [HTTP_KEEP_ALIVE] = DROP,
    [HTTP_PROXY_CONNECTION] = DROP,
    [HTTP_PROXY_AUTHENTICATE] = DROP,
    [HTTP_PROXY_AUTHORIZATION] = DROP,
    [HTTP_TE] = DROP,
    [HTTP_TRAILER] = DROP,
    [HTTP_UPGRADE] = DROP,
    /* framing: ours on each side */
    [HTTP_TRANSFER_ENCODING] = DROP,
    [HTTP_CONTENT_LENGTH] = DROP,
    [HTTP_EXPECT] = DROP,
    [HTTP_HOST] = DROP_UP,
    /* we ask for identity and look inside what comes */
    [HTTP_ACCEPT_ENCODING] = DROP_UP,
    /* the client's credentials are for us */
    [HTTP_AUTHORIZATION] = DROP,
    [HTTP_X_API_KEY] = DROP,
    [HTTP_API_KEY] = DROP,
    [HTTP_X_GOOG_API_KEY] = DROP,
    [HTTP_COOKIE] = DROP,
    /* claims about who is asking, which an upstream might believe (S-27) */
    [HTTP_FORWARDED] = DROP_UP,
    [HTTP_VIA] = DROP_UP,
    [HTTP_X_REQUEST_ID] = DROP, /* ours goes to the client */
    [HTTP_X_WEIR_FAILOVER] = DROP,
    /* written by us, or meant for the upstream's own site (R-24, S-42) */
    [HTTP_SET_COOKIE] = DROP_DOWN,
    [HTTP_ALT_SVC] = DROP_DOWN,
    [HTTP_STRICT_TRANSPORT_SECURITY] = DROP_DOWN,
    [HTTP_SERVER] = DROP_DOWN,
    [HTTP_LOCATION] = DROP_DOWN,
    [HTTP_CACHE_CONTROL] = DROP_DOWN,
    [HTTP_ACCESS_CONTROL_ALLOW_ORIGIN] = DROP_DOWN,
    [HTTP_WWW_AUTHENTICATE] = DROP_DOWN,
    [HTTP_X_SHOULD_RETRY] = DROP_DOWN, /* the SDK must hear what weir knows, not what one provider thought */
};

/* The first four bytes of a name, folded: what tells the prefixes below from nearly every other name in one compare. */
static uint32_t first4(const char *name)
{
    uint32_t w;

    memcpy(&w, name, sizeof w);
    return w | 0x20202020u;
}

static bool prefix_crosses(struct slice name, enum direction direction)
{
    uint32_t w;

    if (name.n < sizeof w)
        return true;
    w = first4(name.p);
    if (w == first4("x-we") && slice_starts_nocase(name, SLICE("x-weir-")))
        return false;
    if (direction == DROP_UP)
        return w != first4("x-fo") || !slice_starts_nocase(name, SLICE("x-forwarded-"));
    return w != first4("acce") || !slice_starts_nocase(name, SLICE("access-control-"));
}

static bool crosses(const struct http_field *f, enum direction direction)
{
    if (f->id != HTTP_OTHER)
        return !(rules[f->id] & direction);
    /* Some servers read Content_Length as Content-Length (H-13). No API has such a name. */
    if (direction == DROP_UP && !f->plain_name && slice_find_char(f->name, '_') >= 0)
        return false;
    return prefix_crosses(f->name, direction);
}

/* Whether a Connection field of the head lists the name, which makes it hop-by-hop whatever it is. */
static bool listed(const struct http_field *field, unsigned n, struct slice name)
{
    for (unsigned i = 0; i < n; i++)
        if (field[i].id == HTTP_CONNECTION && http_list_has(field[i].value, name))
            return true;
    return false;
}

static bool ends_line(const char *p)
{
    return p[0] == '\r' && p[1] == '\n';
}

/* Out of a request's head lines go as they were parsed a moment ago. An answer's head may have waited: there they are counted again, so that
 * bytes which changed since do not leave (H-62). */
static void put_run(struct http_out *o, struct slice run, unsigned lines, enum direction direction)
{
    if (lines && direction == DROP_UP)
        http_out_keep(o, run);
    else if (lines)
        http_out_lines(o, run, lines);
}

/* Emits the fields that cross. Those that stand side by side in the head they came in, each a whole line, go in one piece. */
static void copy_fields(struct http_out *o, const struct http_field *field, unsigned n, bool hop_names,
                        enum direction direction)
{
    struct slice run = slice_make(NULL, 0);
    unsigned lines = 0;

    for (const struct http_field *f = field; f < field + n; f++) {
        if (!crosses(f, direction) || (hop_names && listed(field, n, f->name)))
            continue;
        if (!f->whole_line || run.p + run.n != f->name.p) {
            put_run(o, run, lines, direction);
            run = slice_make(f->name.p, 0);
            lines = 0;
        }
        if (!f->whole_line) {
            http_out_field(o, f->name, f->value);
        } else if (ends_line(f->value.p + f->value.n)) {
            run.n += f->name.n + f->value.n + 4;
            lines++;
        } else {
            o->bad = true;
        }
    }
    put_run(o, run, lines, direction);
}

struct slice headers_forward(const struct http_request *r, struct arena *a, bool *has_anthropic_version)
{
    size_t most = 0;
    struct http_out o;

    for (unsigned i = 0; i < r->nfields; i++)
        most += r->field[i].name.n + r->field[i].value.n + 4;
    http_out_init(&o, arena_take_bytes(a, most), most);
    if (!o.p)
        return slice_make(NULL, 0);
    *has_anthropic_version = r->first[HTTP_ANTHROPIC_VERSION] != 0;
    copy_fields(&o, r->field, r->nfields, r->hop_names, DROP_UP);
    return o.bad ? slice_make(NULL, 0) : slice_make(o.p, o.n);
}

void headers_credential(struct http_out *o, enum surface surface, const struct credential *key,
                        bool has_anthropic_version)
{
    if (surface_table[surface].format == FORMAT_ANTHROPIC) {
        if (key->value.n)
            http_out_ready(o, SLICE("x-api-key: "), key->value);
        if (!has_anthropic_version)
            http_out_keep(o, SLICE("anthropic-version: 2023-06-01\r\n"));
    } else if (key->value.n && key->provider->dialect == DIALECT_AZURE) {
        http_out_ready(o, SLICE("api-key: "), key->value);
    } else if (key->value.n) {
        http_out_field2(o, SLICE("authorization"), SLICE("Bearer "), key->value);
    }
}

void headers_return(struct http_out *o, const struct http_response *r)
{
    copy_fields(o, r->field, r->nfields, r->hop_names, DROP_DOWN);
}
