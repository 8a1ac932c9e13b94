/* DNS messages and the resolver's two text files. Pure: bytes in, verdicts out.
 *
 * Invariants: no read outside msg[0..n); a compression pointer must point before the name it stands in, so loops cannot
 * happen; records, hops and chain length are capped, so the work is bounded whatever the bytes say (S-62). */
#include "net/dns_msg.h"

#include <string.h>

enum {
    HEADER = 12,
    WIRE_NAME_MAX = 255, /* RFC 1035 2.3.4, length bytes and the root included */
    HOPS_MAX = 32,       /* pointers in one name; real ones have one or two */
    TYPE_CNAME = 5,
    TYPE_SOA = 6,
    TYPE_OPT = 41,
    CLASS_IN = 1,
    EDNS_RECORD = 11,
    EDNS_SIZE = 1232,    /* fits every path without fragments (DNS flag day 2020) */
};

/* A name in wire form, lower case, uncompressed. */
struct wire_name {
    uint8_t b[WIRE_NAME_MAX];
    size_t n;
};

struct record {
    size_t name_off, data_off;
    uint16_t type, class, data_len;
    uint32_t ttl;
};

static uint16_t get16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t get32(const uint8_t *p)
{
    return (uint32_t)get16(p) << 16 | get16(p + 2);
}

static void put16(uint8_t *p, unsigned v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static bool name_byte_ok(char c)
{
    c = ascii_lower(c);
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

static bool name_to_wire(struct slice name, struct wire_name *out)
{
    size_t label = 0;

    if (name.n && name.p[name.n - 1] == '.')
        name.n--;
    if (name.n == 0 || name.n > HOST_MAX)
        return false;
    out->n = 1;
    for (size_t i = 0; i <= name.n; i++) {
        if (i == name.n || name.p[i] == '.') {
            if (label == 0 || label > 63)
                return false;
            out->b[out->n - 1 - label] = (uint8_t)label;
            out->b[out->n++] = 0; /* the root, or the place of the next label's length byte */
            label = 0;
            continue;
        }
        if (!name_byte_ok(name.p[i]))
            return false;
        out->b[out->n++] = (uint8_t)ascii_lower(name.p[i]);
        label++;
    }
    return true;
}

size_t dns_query(uint16_t id, struct slice name, uint16_t type, uint8_t out[DNS_QUERY_MAX])
{
    struct wire_name wire;
    uint8_t *p = out + HEADER;

    if (!name_to_wire(name, &wire))
        return 0;
    memset(out, 0, HEADER);
    put16(out, id);
    out[2] = 0x01;     /* recursion desired */
    put16(out + 4, 1); /* one question */
    put16(out + 10, 1);
    memcpy(p, wire.b, wire.n);
    p += wire.n;
    put16(p, type);
    put16(p + 2, CLASS_IN);
    p += 4;
    memset(p, 0, EDNS_RECORD); /* root name, no flags, no options */
    put16(p + 1, TYPE_OPT);
    put16(p + 3, EDNS_SIZE);
    return (size_t)(p - out) + EDNS_RECORD;
}

size_t dns_query_plain(uint8_t *query, size_t n)
{
    put16(query + 10, 0);
    return n - EDNS_RECORD;
}

/* Expands the name at *at into out (may be NULL: only skipped) and moves *at behind it. */
static bool read_name(const uint8_t *msg, size_t n, size_t *at, struct wire_name *out)
{
    size_t p = *at, lowest = *at, total = 0;
    bool jumped = false;

    for (unsigned hops = 0;;) {
        if (p >= n)
            return false;
        uint8_t len = msg[p];
        if (len >= 0xc0) {
            if (n - p < 2)
                return false;
            size_t to = (size_t)(len & 0x3f) << 8 | msg[p + 1];
            if (!jumped)
                *at = p + 2;
            jumped = true;
            if (to >= lowest || to < HEADER || ++hops > HOPS_MAX)
                return false;
            p = lowest = to;
            continue;
        }
        if (len > 63 || n - p <= len || total + len + 1 > WIRE_NAME_MAX)
            return false;
        if (out) {
            out->b[total] = len;
            for (size_t i = 1; i <= len; i++)
                out->b[total + i] = (uint8_t)ascii_lower((char)msg[p + i]);
        }
        total += (size_t)len + 1;
        p += (size_t)len + 1;
        if (len == 0)
            break;
    }
    if (!jumped)
        *at = p;
    if (out)
        out->n = total;
    return true;
}

static bool read_record(const uint8_t *msg, size_t n, size_t *at, struct record *r)
{
    r->name_off = *at;
    if (!read_name(msg, n, at, NULL) || n - *at < 10)
        return false;
    const uint8_t *p = msg + *at;
    r->type = get16(p);
    r->class = get16(p + 2);
    r->ttl = get32(p + 4);
    if (r->ttl & 0x80000000u)
        r->ttl = 0; /* RFC 2181 8 */
    r->data_len = get16(p + 8);
    r->data_off = *at + 10;
    if (n - r->data_off < r->data_len)
        return false;
    *at = r->data_off + r->data_len;
    return true;
}

static bool name_is(const uint8_t *msg, size_t n, size_t at, const struct wire_name *want)
{
    struct wire_name got;

    return read_name(msg, n, &at, &got) && got.n == want->n && memcmp(got.b, want->b, got.n) == 0;
}

/* Once each; what does not fit is not needed. */
static void result_add(struct dns_result *out, const struct addr *a)
{
    for (unsigned i = 0; i < out->count; i++)
        if (addr_eq(&out->addr[i], a))
            return;
    if (out->count < ADDRESSES_MAX)
        out->addr[out->count++] = *a;
}

/* Whether the header and question are those of an answer to our query (RFC 5452 9.1). */
static bool answers_ours(const uint8_t *msg, size_t n, uint16_t id, const struct wire_name *name, uint16_t type, size_t *at)
{
    if (n < HEADER || get16(msg) != id || !(msg[2] & 0x80) || (msg[2] & 0x78) != 0)
        return false;
    *at = HEADER;
    if (get16(msg + 4) == 0) /* a bare refusal by a server that could not read the question, and so knows nothing of the name */
        return (msg[3] & 15) != 0 && (msg[3] & 15) != 3 && n == HEADER;
    if (get16(msg + 4) != 1 || !name_is(msg, n, HEADER, name) || !read_name(msg, n, at, NULL) || n - *at < 4)
        return false;
    if (get16(msg + *at) != type || get16(msg + *at + 2) != CLASS_IN)
        return false;
    *at += 4;
    return true;
}

/* How long a negative answer holds (RFC 2308 5): the smaller of the SOA's TTL and its minimum field. */
static bool negative_ttl(const uint8_t *msg, size_t n, size_t at, uint32_t *ttl_s)
{
    unsigned authority = get16(msg + 8);

    for (unsigned i = 0; i < authority && i < DNS_RECORDS_MAX; i++) {
        struct record r;

        if (!read_record(msg, n, &at, &r))
            return false;
        if (r.type != TYPE_SOA || r.class != CLASS_IN)
            continue;
        if (r.data_len < 22) /* two names of one byte and five numbers */
            return false;
        uint32_t minimum = get32(msg + r.data_off + r.data_len - 4);
        *ttl_s = minimum < r.ttl ? minimum : r.ttl;
        return true;
    }
    return true;
}

/* One pass over the answers for records owned by *owner. Moves *owner along a CNAME when there is one and no address. */
static bool follow(const uint8_t *msg, size_t n, const struct record *rec, unsigned nrec, uint16_t type,
                   struct wire_name *owner, struct dns_result *out, bool *moved)
{
    const struct record *alias = NULL;
    const uint16_t want_len = type == DNS_A ? 4 : 16;

    *moved = false;
    for (unsigned i = 0; i < nrec; i++) {
        const struct record *r = &rec[i];

        if (r->class != CLASS_IN || (r->type != type && r->type != TYPE_CNAME) || !name_is(msg, n, r->name_off, owner))
            continue;
        if (r->type == TYPE_CNAME) {
            alias = alias ? alias : r;
            continue;
        }
        if (r->data_len != want_len)
            return false;
        struct addr a = addr_make(type == DNS_A ? 4 : 6, msg + r->data_off, 0);
        result_add(out, &a);
        if (r->ttl < out->ttl_s)
            out->ttl_s = r->ttl;
    }
    if (out->count || !alias)
        return true;
    size_t at = alias->data_off;
    if (!read_name(msg, n, &at, owner) || at != alias->data_off + alias->data_len)
        return false;
    if (alias->ttl < out->ttl_s)
        out->ttl_s = alias->ttl;
    *moved = true;
    return true;
}

static enum dns_answer read_answers(const uint8_t *msg, size_t n, size_t at, struct wire_name *owner, uint16_t type,
                                    struct dns_result *out)
{
    struct record rec[DNS_RECORDS_MAX];
    unsigned nrec = get16(msg + 6);
    bool moved = true;

    /* The first ones serve as well as any; what stands behind them is not looked at. */
    bool whole = nrec <= DNS_RECORDS_MAX;
    if (!whole)
        nrec = DNS_RECORDS_MAX;
    for (unsigned i = 0; i < nrec; i++)
        if (!read_record(msg, n, &at, &rec[i]))
            return DNS_MALFORMED;
    out->ttl_s = UINT32_MAX;
    for (unsigned links = 0; moved && out->count == 0; links++) {
        if (links > DNS_CHAIN_MAX || !follow(msg, n, rec, nrec, type, owner, out, &moved))
            return DNS_MALFORMED;
    }
    if (out->count)
        return DNS_OK;
    out->ttl_s = 0;
    return !whole || negative_ttl(msg, n, at, &out->ttl_s) ? DNS_EMPTY : DNS_MALFORMED;
}

enum dns_answer dns_read(const uint8_t *msg, size_t n, uint16_t id, struct slice name, uint16_t type, struct dns_result *out)
{
    struct wire_name owner;
    size_t at;
    enum dns_answer verdict;

    out->count = 0;
    out->ttl_s = 0;
    if (!name_to_wire(name, &owner) || !answers_ours(msg, n, id, &owner, type, &at))
        return DNS_IGNORE;
    if (msg[2] & 0x02)
        return DNS_TRUNCATED;
    bool gone = (msg[3] & 15) == 3;
    switch (msg[3] & 15) {
    case 0:
    case 3:
        break;
    case 1:
    case 4:
        return DNS_OLD;
    default:
        return DNS_SERVER;
    }
    verdict = read_answers(msg, n, at, &owner, type, out);
    if (gone && verdict == DNS_OK)
        verdict = DNS_MALFORMED; /* NXDOMAIN is about the end of the chain (RFC 6604): no address can come with it */
    if (verdict == DNS_MALFORMED)
        out->count = out->ttl_s = 0;
    return gone && verdict == DNS_EMPTY ? DNS_NXDOMAIN : verdict;
}

/* ---- The two files. ---- */

/* Cuts the next line off *text, without its comment (from any of `marks` on). */
static bool next_line(struct slice *text, const char *marks, struct slice *line)
{
    if (text->n == 0)
        return false;
    ptrdiff_t end = slice_find_char(*text, '\n');
    *line = end < 0 ? *text : slice_first(*text, (size_t)end);
    *text = end < 0 ? slice_make(NULL, 0) : slice_from(*text, (size_t)end + 1);
    for (size_t i = 0; i < line->n; i++) {
        if (line->p[i] != '\0' && strchr(marks, line->p[i])) {
            line->n = i;
            break;
        }
    }
    return true;
}

static bool next_word(struct slice *line, struct slice *word)
{
    size_t i = 0, from;

    while (i < line->n && (line->p[i] == ' ' || line->p[i] == '\t' || line->p[i] == '\r'))
        i++;
    from = i;
    while (i < line->n && line->p[i] != ' ' && line->p[i] != '\t' && line->p[i] != '\r')
        i++;
    *word = slice_make(line->n ? line->p + from : NULL, i - from);
    *line = slice_from(*line, i);
    return word->n > 0;
}

/* "fe80::1%2" or "fe80::1%eth0"; what cannot be read is passed over, as libc does. */
static void add_server(struct slice text, struct dns_servers *out)
{
    ptrdiff_t percent = slice_find_char(text, '%');
    struct slice zone = percent < 0 ? slice_make(NULL, 0) : slice_from(text, (size_t)percent + 1);
    struct addr *a = &out->server[out->count];
    uint64_t number;

    if (percent >= 0)
        text = slice_first(text, (size_t)percent);
    if (!addr_parse(text, 53, a) || (percent >= 0 && a->family != 6))
        return;
    out->zone[out->count][0] = '\0';
    if (percent >= 0) {
        if (slice_u64(zone, &number) && number <= UINT32_MAX) {
            a->scope = (uint32_t)number;
        } else if (zone.n > 0 && zone.n < DNS_ZONE_MAX && slice_find_char(zone, '/') < 0) {
            memcpy(out->zone[out->count], zone.p, zone.n);
            out->zone[out->count][zone.n] = '\0';
        } else {
            return;
        }
    }
    out->count++;
}

static void read_option(struct slice word, struct dns_servers *out)
{
    uint64_t number;

    if (slice_starts(word, SLICE("timeout:")) && slice_u64(slice_from(word, 8), &number))
        out->timeout_ms = number < 1 ? 1000 : number > 30 ? 30000 : (unsigned)number * 1000;
    else if (slice_starts(word, SLICE("attempts:")) && slice_u64(slice_from(word, 9), &number))
        out->attempts = number < 1 ? 1 : number > 5 ? 5 : (unsigned)number;
}

void dns_resolv_conf(struct slice text, struct dns_servers *out)
{
    struct slice line, word;

    memset(out, 0, sizeof *out);
    out->timeout_ms = 5000;
    out->attempts = 2;
    while (next_line(&text, "#;", &line)) {
        if (!next_word(&line, &word))
            continue;
        if (slice_eq(word, SLICE("nameserver"))) {
            if (next_word(&line, &word) && out->count < DNS_SERVERS_MAX)
                add_server(word, out);
        } else if (slice_eq(word, SLICE("options"))) {
            while (next_word(&line, &word))
                read_option(word, out);
        }
    }
    if (out->count == 0)
        add_server(SLICE("127.0.0.1"), out);
}

void dns_hosts(struct slice text, struct slice name, struct dns_result *out)
{
    struct slice line, word;
    struct addr a;

    out->count = 0;
    out->ttl_s = 0;
    if (name.n && name.p[name.n - 1] == '.')
        name.n--;
    while (next_line(&text, "#", &line)) {
        if (!next_word(&line, &word) || !addr_parse(word, 0, &a))
            continue; /* a zone in a hosts file is nobody's */
        while (next_word(&line, &word)) {
            if (slice_eq_nocase(word, name)) {
                result_add(out, &a);
                break;
            }
        }
    }
}
