/* Socket addresses. Literals are parsed here and not by libc: inet_pton wants a NUL behind the text, and its edge
 * cases differ between C libraries. Pure. */
#include "net/addr.h"

#include "base/text.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

/* Decimal, 0..255, no leading zero (some readers take those for octal). */
static bool parse_v4(struct slice s, uint8_t out[4])
{
    size_t at = 0;

    for (int part = 0; part < 4; part++) {
        unsigned value = 0;
        size_t from = at;

        while (at < s.n && at - from < 3 && s.p[at] >= '0' && s.p[at] <= '9')
            value = value * 10 + (unsigned)(s.p[at++] - '0');
        if (at == from || value > 255 || (at - from > 1 && s.p[from] == '0'))
            return false;
        if (part < 3 && (at == s.n || s.p[at++] != '.'))
            return false;
        out[part] = (uint8_t)value;
    }
    return at == s.n;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = ascii_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One group of one to four hex digits at *at. */
static bool parse_group(struct slice s, size_t *at, uint8_t out[2])
{
    unsigned value = 0;
    size_t from = *at;

    while (*at < s.n && *at - from < 4 && hex_value(s.p[*at]) >= 0)
        value = value << 4 | (unsigned)hex_value(s.p[(*at)++]);
    out[0] = (uint8_t)(value >> 8);
    out[1] = (uint8_t)value;
    return *at > from;
}

/* RFC 4291 2.2: eight groups, at most one "::" for one or more zero groups, IPv4 form allowed for the last two. */
static bool parse_v6(struct slice s, uint8_t out[16])
{
    uint8_t ip[16] = {0};
    size_t at = 0, n = 0;
    ptrdiff_t gap = -1;

    if (s.n >= 2 && s.p[0] == ':' && s.p[1] == ':') {
        gap = 0;
        at = 2;
    }
    while (at < s.n) {
        ptrdiff_t dot = slice_find_char(slice_from(s, at), '.');

        if (dot > 0 && dot <= 3 && n <= 12 && parse_v4(slice_from(s, at), ip + n)) {
            n += 4;
            at = s.n;
            break;
        }
        if (n == 16 || !parse_group(s, &at, ip + n))
            return false;
        n += 2;
        if (at == s.n)
            break;
        if (s.p[at++] != ':' || at == s.n)
            return false; /* five digits, a stray byte, or a lone colon at the end */
        if (s.p[at] == ':') {
            if (gap >= 0)
                return false;
            gap = (ptrdiff_t)n;
            at++;
        }
    }
    if (gap < 0 ? n != 16 : n > 14)
        return false;
    memset(out, 0, 16);
    if (gap < 0)
        gap = (ptrdiff_t)n;
    memcpy(out, ip, (size_t)gap);
    memcpy(out + 16 - (n - (size_t)gap), ip + gap, n - (size_t)gap);
    return true;
}

struct addr addr_make(uint8_t family, const uint8_t *ip, uint16_t port)
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    struct addr a = {.family = family, .port = port};

    if (family == 6 && memcmp(ip, mapped, sizeof mapped) == 0) {
        a.family = 4;
        memcpy(a.ip, ip + 12, 4);
    } else {
        memcpy(a.ip, ip, family == 4 ? 4 : 16);
    }
    return a;
}

bool addr_parse(struct slice text, uint16_t port, struct addr *out)
{
    uint8_t ip[16];

    if (parse_v4(text, ip))
        *out = addr_make(4, ip, port);
    else if (parse_v6(text, ip))
        *out = addr_make(6, ip, port);
    else
        return false;
    return true;
}

socklen_t addr_to_sockaddr(const struct addr *a, struct sockaddr_storage *out)
{
    memset(out, 0, sizeof *out);
    if (a->family == 4) {
        struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(a->port)};

        memcpy(&sin.sin_addr, a->ip, 4);
        memcpy(out, &sin, sizeof sin);
        return sizeof sin;
    }
    if (a->family == 6) {
        struct sockaddr_in6 sin6 = {.sin6_family = AF_INET6, .sin6_port = htons(a->port), .sin6_scope_id = a->scope};

        memcpy(&sin6.sin6_addr, a->ip, 16);
        memcpy(out, &sin6, sizeof sin6);
        return sizeof sin6;
    }
    return 0;
}

bool addr_from_sockaddr(const struct sockaddr_storage *ss, struct addr *out)
{
    if (ss->ss_family == AF_INET) {
        struct sockaddr_in sin;

        memcpy(&sin, ss, sizeof sin);
        *out = addr_make(4, (const uint8_t *)&sin.sin_addr, ntohs(sin.sin_port));
        return true;
    }
    if (ss->ss_family == AF_INET6) {
        struct sockaddr_in6 sin6;

        memcpy(&sin6, ss, sizeof sin6);
        *out = addr_make(6, (const uint8_t *)&sin6.sin6_addr, ntohs(sin6.sin6_port));
        if (out->family == 6)
            out->scope = sin6.sin6_scope_id;
        return true;
    }
    return false;
}

bool addr_eq(const struct addr *a, const struct addr *b)
{
    return a->family == b->family && a->port == b->port && a->scope == b->scope && memcmp(a->ip, b->ip, 16) == 0;
}

/* RFC 5952: lower case, no leading zeros, the longest run of two or more zero groups (the first of equals) shortened. */
static size_t v6_text(const uint8_t ip[16], char out[40])
{
    int best = -1, best_len = 1;
    size_t n = 0;

    for (int i = 0; i < 8; i++) {
        int len = 0;

        while (i + len < 8 && ip[2 * (i + len)] == 0 && ip[2 * (i + len) + 1] == 0)
            len++;
        if (len > best_len) {
            best = i;
            best_len = len;
        }
    }
    for (int i = 0; i < 8; i++) {
        if (i == best) {
            n += (size_t)text_format(out + n, 40 - n, "%s", "::");
            i += best_len - 1;
            continue;
        }
        n += (size_t)text_format(out + n, 40 - n, "%s%x", n && out[n - 1] != ':' ? ":" : "",
                              (unsigned)ip[2 * i] << 8 | ip[2 * i + 1]);
    }
    return n;
}

struct slice addr_text(const struct addr *a, char out[ADDR_TEXT_MAX])
{
    char v6[40] = "", zone[12] = "";
    int n;

    if (a->family == 4) {
        n = text_format(out, ADDR_TEXT_MAX, "%u.%u.%u.%u:%u", a->ip[0], a->ip[1], a->ip[2], a->ip[3], a->port);
    } else if (a->family == 6) {
        v6_text(a->ip, v6);
        if (a->scope)
            text_format(zone, sizeof zone, "%%%u", (unsigned)a->scope);
        n = text_format(out, ADDR_TEXT_MAX, "[%s%s]:%u", v6, zone, a->port);
    } else {
        n = text_format(out, ADDR_TEXT_MAX, "none");
    }
    return slice_make(out, (size_t)n); /* the longest form is 58 bytes */
}

struct block {
    uint8_t ip[4];
    uint8_t bits;
};

/* The IANA special-purpose registry, and multicast and reserved space above it. */
static const struct block v4_private[] = {
    {{0, 0, 0, 0}, 8},       /* this network; Linux connects 0.0.0.0 to itself */
    {{10, 0, 0, 0}, 8},      /* RFC 1918 */
    {{100, 64, 0, 0}, 10},   /* carrier NAT; some clouds' metadata (100.100.100.200) */
    {{127, 0, 0, 0}, 8},     /* loopback */
    {{169, 254, 0, 0}, 16},  /* link-local, metadata */
    {{172, 16, 0, 0}, 12},   /* RFC 1918 */
    {{192, 0, 0, 0}, 24},    /* protocol assignments; Oracle's metadata (192.0.0.192) */
    {{192, 0, 2, 0}, 24},    /* documentation */
    {{192, 168, 0, 0}, 16},  /* RFC 1918 */
    {{198, 18, 0, 0}, 15},   /* benchmarks */
    {{198, 51, 100, 0}, 24}, /* documentation */
    {{203, 0, 113, 0}, 24},  /* documentation */
    {{224, 0, 0, 0}, 3},     /* multicast, reserved, broadcast */
};

static bool v4_is_private(const uint8_t ip[4])
{
    uint32_t v = (uint32_t)ip[0] << 24 | (uint32_t)ip[1] << 16 | (uint32_t)ip[2] << 8 | ip[3];

    for (size_t i = 0; i < sizeof v4_private / sizeof v4_private[0]; i++) {
        const struct block *b = &v4_private[i];
        uint32_t net = (uint32_t)b->ip[0] << 24 | (uint32_t)b->ip[1] << 16 | (uint32_t)b->ip[2] << 8 | b->ip[3];

        if (((v ^ net) >> (32 - b->bits)) == 0)
            return true;
    }
    return false;
}

/* The only IPv6 space that is routed on the Internet is 2000::/3; all else is local in some way. */
static bool v6_is_private(const uint8_t ip[16])
{
    static const uint8_t nat64[12] = {0, 0x64, 0xff, 0x9b};
    static const uint8_t documentation[4] = {0x20, 0x01, 0x0d, 0xb8};

    if (memcmp(ip, nat64, sizeof nat64) == 0)
        return v4_is_private(ip + 12);
    if ((ip[0] & 0xe0) != 0x20)
        return true; /* ::, ::1, mapped, compatible, fe80::/10, fc00::/7, ff00::/8, local NAT64, discard */
    if (ip[0] == 0x20 && ip[1] == 0x02)
        return v4_is_private(ip + 2); /* 6to4 */
    if (ip[0] == 0x20 && ip[1] == 0x01 && ip[2] == 0 && ip[3] == 0)
        return true; /* Teredo: a tunnel to wherever its bytes say */
    return memcmp(ip, documentation, sizeof documentation) == 0;
}

bool addr_is_private(const struct addr *a)
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

    if (a->family == 4)
        return v4_is_private(a->ip);
    if (a->family == 6 && memcmp(a->ip, mapped, sizeof mapped) == 0)
        return v4_is_private(a->ip + 12);
    return a->family != 6 || v6_is_private(a->ip);
}

bool addr_is_loopback(const struct addr *a)
{
    static const uint8_t one[16] = {[15] = 1};

    return a->family == 4 ? a->ip[0] == 127 : a->family == 6 && memcmp(a->ip, one, sizeof one) == 0;
}
