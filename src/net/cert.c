/* A small DER walker over certificates (RFC 5280). It exists for three uses: anchors need name and key only, fast; the
 * chain check needs extensions that BearSSL 0.6 never reads (extended key usage, name constraints, IP names); a chain
 * found in the cache needs its leaf's key without running the validator.
 *
 * Invariant: every view handed out lies inside the caller's bytes; every length is checked against its parent. */
#include "net/cert.h"

enum {
    TAG_BOOLEAN = 0x01,
    TAG_INTEGER = 0x02,
    TAG_BITS = 0x03,
    TAG_OCTETS = 0x04,
    TAG_OID = 0x06,
    TAG_UTC_TIME = 0x17,
    TAG_TIME = 0x18,
    TAG_SEQUENCE = 0x30,
    TAG_CONTEXT_0 = 0xA0,
    TAG_CONTEXT_3 = 0xA3,
    TAG_IP_NAME = 0x87, /* GeneralName [7] */
};

struct der {
    const uint8_t *p, *end;
};

static struct der der_of(struct slice s)
{
    const uint8_t *p = (const uint8_t *)s.p;
    struct der d = {p, s.n ? p + s.n : p};
    return d;
}

static struct slice der_rest(struct der d)
{
    return slice_make((const char *)d.p, (size_t)(d.end - d.p));
}

static int der_peek(const struct der *d)
{
    return d->p < d->end ? d->p[0] : -1;
}

/* The next element; its content goes to *body, the whole of it to *whole when wanted. Tags above 30 and indefinite or
 * padded lengths do not occur in certificates. */
static bool der_any(struct der *d, int *tag, struct der *body, struct slice *whole)
{
    const uint8_t *start = d->p, *p = d->p;
    size_t n;

    if (d->end - p < 2 || (p[0] & 0x1F) == 0x1F)
        return false;
    *tag = *p++;
    n = *p++;
    if (n >= 0x80) {
        size_t bytes = n & 0x7F;

        if (bytes == 0 || bytes > 3 || (size_t)(d->end - p) < bytes || p[0] == 0)
            return false;
        for (n = 0; bytes > 0; bytes--)
            n = n << 8 | *p++;
        if (n < 0x80)
            return false;
    }
    if ((size_t)(d->end - p) < n)
        return false;
    body->p = p;
    body->end = d->p = p + n;
    if (whole)
        *whole = slice_make((const char *)start, (size_t)(d->p - start));
    return true;
}

static bool der_get(struct der *d, int tag, struct der *body, struct slice *whole)
{
    int got;

    return der_peek(d) == tag && der_any(d, &got, body, whole);
}

static bool der_is(struct der d, const uint8_t *bytes, size_t n)
{
    return (size_t)(d.end - d.p) == n && memcmp(d.p, bytes, n) == 0;
}

/* ---- Dates ---- */

/* Days since 1970-01-01, Gregorian (the usual era arithmetic, years from March). */
static int64_t days_from_civil(int64_t y, int64_t m, int64_t d)
{
    y -= m <= 2;
    int64_t era = y / 400, yoe = y - era * 400;
    int64_t doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;

    return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static bool two_digits(const uint8_t *p, int64_t low, int64_t high, int64_t *out)
{
    if (p[0] < '0' || p[0] > '9' || p[1] < '0' || p[1] > '9')
        return false;
    *out = (p[0] - '0') * 10 + (p[1] - '0');
    return *out >= low && *out <= high;
}

/* YYMMDDHHMMSSZ or YYYYMMDDHHMMSSZ: DER leaves no other form. */
static bool der_time(struct der *d, int64_t *out)
{
    int64_t century, year, month, day, hour, minute, second;
    struct der t;
    int tag;

    if (!der_any(d, &tag, &t, NULL))
        return false;
    if (tag == TAG_TIME && t.end - t.p == 15) {
        if (!two_digits(t.p, 0, 99, &century))
            return false;
        t.p += 2;
    } else if (tag == TAG_UTC_TIME && t.end - t.p == 13) {
        century = t.p[0] >= '5' ? 19 : 20;
    } else {
        return false;
    }
    if (!two_digits(t.p, 0, 99, &year) || !two_digits(t.p + 2, 1, 12, &month) || !two_digits(t.p + 4, 1, 31, &day) ||
        !two_digits(t.p + 6, 0, 23, &hour) || !two_digits(t.p + 8, 0, 59, &minute) ||
        !two_digits(t.p + 10, 0, 60, &second) || t.p[12] != 'Z')
        return false;
    *out = days_from_civil(century * 100 + year, month, day) * 86400 + hour * 3600 + minute * 60 + second;
    return true;
}

/* ---- Keys ---- */

/* An unsigned integer without its leading zeros; negative and empty ones are refused. */
static bool der_unsigned(struct der *d, struct slice *out)
{
    struct der v;

    if (!der_get(d, TAG_INTEGER, &v, NULL) || v.p == v.end || (v.p[0] & 0x80))
        return false;
    while (v.p < v.end && v.p[0] == 0)
        v.p++;
    *out = der_rest(v);
    return out->n > 0;
}

static bool read_key(struct der *tbs, struct cert_key *key)
{
    static const uint8_t rsa[] = {0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x01};
    static const uint8_t ec[] = {0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01};
    static const uint8_t p256[] = {0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07};
    static const uint8_t p384[] = {0x2B, 0x81, 0x04, 0x00, 0x22}, p521[] = {0x2B, 0x81, 0x04, 0x00, 0x23};
    struct der info, algorithm, oid, curve, bits, pair;

    if (!der_get(tbs, TAG_SEQUENCE, &info, NULL) || !der_get(&info, TAG_SEQUENCE, &algorithm, NULL) ||
        !der_get(&algorithm, TAG_OID, &oid, NULL) || !der_get(&info, TAG_BITS, &bits, NULL) || info.p != info.end ||
        bits.p == bits.end || *bits.p++ != 0)
        return false;
    key->kind = CERT_KEY_OTHER;
    if (der_is(oid, rsa, sizeof rsa)) {
        if (!der_get(&bits, TAG_SEQUENCE, &pair, NULL) || bits.p != bits.end || !der_unsigned(&pair, &key->n) ||
            !der_unsigned(&pair, &key->e) || pair.p != pair.end)
            return false;
        key->kind = CERT_KEY_RSA;
    } else if (der_is(oid, ec, sizeof ec) && der_get(&algorithm, TAG_OID, &curve, NULL)) {
        key->curve = der_is(curve, p256, sizeof p256) ? 23
                   : der_is(curve, p384, sizeof p384) ? 24
                   : der_is(curve, p521, sizeof p521) ? 25 : 0;
        key->n = der_rest(bits);
        /* Uncompressed points only, of exactly their curve's size. */
        if (key->curve) {
            static const size_t point_len[] = {65, 97, 133};

            if (key->n.n != point_len[key->curve - 23] || key->n.p[0] != 4)
                return false;
            key->kind = CERT_KEY_EC;
        }
    }
    return true;
}

/* ---- Extensions ---- */

enum { EXT_KEY_USAGE = 15, EXT_ALT_NAME = 17, EXT_BASIC = 19, EXT_NAME_CONSTRAINTS = 30, EXT_PURPOSES = 37 };

static bool read_purposes(struct der value, struct cert *c)
{
    static const uint8_t server[] = {0x2B, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01};
    static const uint8_t any[] = {0x55, 0x1D, 0x25, 0x00};
    struct der list, oid;

    if (!der_get(&value, TAG_SEQUENCE, &list, NULL) || value.p != value.end)
        return false;
    c->for_server = false;
    while (list.p < list.end) {
        if (!der_get(&list, TAG_OID, &oid, NULL))
            return false;
        if (der_is(oid, server, sizeof server) || der_is(oid, any, sizeof any))
            c->for_server = true;
    }
    return true;
}

static bool read_basic(struct der value, struct cert *c)
{
    struct der list, flag;

    if (!der_get(&value, TAG_SEQUENCE, &list, NULL) || value.p != value.end)
        return false;
    if (der_peek(&list) == TAG_BOOLEAN) {
        if (!der_get(&list, TAG_BOOLEAN, &flag, NULL) || flag.end - flag.p != 1)
            return false;
        c->is_ca = flag.p[0] != 0;
    }
    return true;
}

static bool read_extension(struct der ext, struct cert *c, uint64_t *seen)
{
    struct der oid, critical, value, list;

    if (!der_get(&ext, TAG_OID, &oid, NULL))
        return false;
    if (der_peek(&ext) == TAG_BOOLEAN && !der_get(&ext, TAG_BOOLEAN, &critical, NULL))
        return false;
    if (!der_get(&ext, TAG_OCTETS, &value, NULL) || ext.p != ext.end)
        return false;
    /* id-ce arc: 55 1D nn. Others are BearSSL's to refuse when critical. */
    if (oid.end - oid.p != 3 || oid.p[0] != 0x55 || oid.p[1] != 0x1D || oid.p[2] > 63)
        return true;
    if (*seen & (uint64_t)1 << oid.p[2])
        return false; /* twice: two readers would take different ones */
    *seen |= (uint64_t)1 << oid.p[2];
    switch (oid.p[2]) {
    case EXT_PURPOSES:
        return read_purposes(value, c);
    case EXT_BASIC:
        return read_basic(value, c);
    case EXT_NAME_CONSTRAINTS:
        c->name_constraints = true;
        return true;
    case EXT_ALT_NAME:
        if (!der_get(&value, TAG_SEQUENCE, &list, NULL) || value.p != value.end)
            return false;
        c->alt_names = der_rest(list);
        return true;
    default:
        return true;
    }
}

static bool read_extensions(struct der *tbs, struct cert *c)
{
    struct der outer, list, ext, skip;
    uint64_t seen = 0;
    int tag;

    while (tbs->p < tbs->end && der_peek(tbs) != TAG_CONTEXT_3) /* the unique identifiers of X.509v2 */
        if (!der_any(tbs, &tag, &skip, NULL) || (tag & 0x1F) > 2)
            return false;
    if (tbs->p == tbs->end)
        return true;
    if (!der_get(tbs, TAG_CONTEXT_3, &outer, NULL) || tbs->p != tbs->end ||
        !der_get(&outer, TAG_SEQUENCE, &list, NULL) || outer.p != outer.end)
        return false;
    while (list.p < list.end)
        if (!der_get(&list, TAG_SEQUENCE, &ext, NULL) || !read_extension(ext, c, &seen))
            return false;
    return true;
}

bool cert_parse(struct slice der, struct cert *out)
{
    struct der d = der_of(der), all, tbs, skip, dates;
    struct cert c = {.der = der, .for_server = true};

    if (!der_get(&d, TAG_SEQUENCE, &all, NULL) || d.p != d.end || !der_get(&all, TAG_SEQUENCE, &tbs, NULL) ||
        !der_get(&all, TAG_SEQUENCE, &skip, NULL) || !der_get(&all, TAG_BITS, &skip, NULL) || all.p != all.end)
        return false;
    if (der_peek(&tbs) == TAG_CONTEXT_0 && !der_get(&tbs, TAG_CONTEXT_0, &skip, NULL)) /* version */
        return false;
    if (!der_get(&tbs, TAG_INTEGER, &skip, NULL) || !der_get(&tbs, TAG_SEQUENCE, &skip, NULL) ||
        !der_get(&tbs, TAG_SEQUENCE, &skip, &c.issuer) || !der_get(&tbs, TAG_SEQUENCE, &dates, NULL) ||
        !der_time(&dates, &c.not_before) || !der_time(&dates, &c.not_after) || dates.p != dates.end ||
        !der_get(&tbs, TAG_SEQUENCE, &skip, &c.subject) || !read_key(&tbs, &c.key) || !read_extensions(&tbs, &c))
        return false;
    *out = c;
    return true;
}

bool cert_has_ip(const struct cert *c, const uint8_t *ip, size_t n)
{
    struct der names = der_of(c->alt_names), name;
    int tag;

    while (names.p < names.end) {
        if (!der_any(&names, &tag, &name, NULL))
            return false;
        if (tag == TAG_IP_NAME && der_is(name, ip, n))
            return true;
    }
    return false;
}
