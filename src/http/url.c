/* A provider's base URL. Stricter than RFC 3986: what this refuses is what makes two readers of one URL go to
 * different places (user info, escapes, dot segments, numbers that only some resolvers take for addresses). */
#include "http/url.h"

#include "base/limits.h"
#include "http/bytes.h"

static bool fail(const char **why, const char *text)
{
    *why = text;
    return false;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* A decimal octet without leading zeros at *p; moves over it. */
static bool take_octet(const char **p, const char *end)
{
    const char *start = *p;
    unsigned v = 0;

    while (*p < end && is_digit(**p) && *p - start < 3)
        v = v * 10 + (unsigned)(*(*p)++ - '0');
    return *p > start && v <= 255 && !(*p - start > 1 && *start == '0');
}

static bool is_ipv4(struct slice s)
{
    const char *p = s.p, *end = s.p + s.n;

    for (int i = 0; i < 4; i++) {
        if (i && (p == end || *p++ != '.'))
            return false;
        if (!take_octet(&p, end))
            return false;
    }
    return p == end;
}

/* RFC 4291 2.2: eight groups, at most one "::" for one or more zero groups, the last two may be dotted quad. */
static bool is_ipv6(struct slice s)
{
    const char *p = s.p, *end = s.p + s.n;
    unsigned groups = 0;
    bool gap = false;

    if (s.n >= 2 && p[0] == ':' && p[1] == ':') {
        gap = true;
        p += 2;
    }
    while (p < end) {
        const char *stop = p;

        while (stop < end && stop - p < 4 && http_is(*stop, HTTP_C_HEX))
            stop++;
        if (stop < end && *stop == '.') {
            if (!is_ipv4(slice_make(p, (size_t)(end - p))))
                return false;
            groups += 2;
            break;
        }
        if (stop == p || ++groups > 8)
            return false;
        p = stop;
        if (p == end)
            break;
        if (*p++ != ':' || p == end)
            return false;
        if (*p == ':') {
            if (gap)
                return false;
            gap = true;
            p++;
        }
    }
    return gap ? groups < 8 : groups == 8;
}

/* Whether the last label is one that some resolver reads as a number: then the whole must be a dotted quad. */
static bool ends_in_number(struct slice host)
{
    size_t at = host.n;

    while (at && host.p[at - 1] != '.')
        at--;
    if (host.n - at >= 2 && host.p[at] == '0' && (host.p[at + 1] | 0x20) == 'x')
        return true;
    for (; at < host.n; at++)
        if (!is_digit(host.p[at]))
            return false;
    return true;
}

/* Labels of letters, digits, '-' and '_' (seen in names inside container networks), 1 to 63 bytes each. */
static bool is_name(struct slice host)
{
    size_t label = 0;

    if (host.n == 0 || host.n > HOST_MAX)
        return false;
    for (size_t i = 0; i < host.n; i++) {
        if (host.p[i] == '.') {
            if (label == 0)
                return false;
            label = 0;
        } else if (!http_is(host.p[i], HTTP_C_HOST) || ++label > 63) {
            return false;
        }
    }
    return label > 0;
}

static bool parse_host(struct slice text, struct url *out, const char **why)
{
    if (text.n && text.p[0] == '[') {
        if (text.n < 4 || text.p[text.n - 1] != ']')
            return fail(why, "the host is not a closed IPv6 address");
        out->host = slice_make(text.p + 1, text.n - 2);
        out->host_is_ip = true;
        return is_ipv6(out->host) || fail(why, "the host is not an IPv6 address");
    }
    if (text.n > 1 && text.p[text.n - 1] == '.')
        text.n--;
    if (!is_name(text))
        return fail(why, text.n ? "the host has a byte or form that names do not have" : "the host is missing");
    out->host = text;
    out->host_is_ip = is_ipv4(text);
    if (!out->host_is_ip && ends_in_number(text))
        return fail(why, "the host looks like an address but is not four decimal numbers");
    return true;
}

static bool parse_port(struct slice text, struct url *out, const char **why)
{
    uint64_t port;

    if (text.n > 5 || !slice_u64(text, &port) || port < 1 || port > 65535)
        return fail(why, "the port is not a number from 1 to 65535");
    out->port = (uint16_t)port;
    out->port_given = true;
    return true;
}

/* text begins with '/' or is empty. */
static bool parse_path(struct slice text, struct url *out, const char **why)
{
    size_t start = 1;

    if (text.n && text.p[text.n - 1] == '/')
        text.n--;
    out->path = text;
    for (size_t i = 0; i < text.n; i++)
        if (!http_is(text.p[i], HTTP_C_PATH))
            return fail(why, "the path has a byte that needs escaping, or an escape");
    for (size_t i = 1; i <= text.n; i++) {
        struct slice segment;

        if (i < text.n && text.p[i] != '/')
            continue;
        segment = slice_make(text.p + start, i - start);
        if (segment.n == 0)
            return fail(why, "the path has an empty segment");
        if (slice_eq(segment, SLICE(".")) || slice_eq(segment, SLICE("..")))
            return fail(why, "the path has a dot segment");
        start = i + 1;
    }
    return true;
}

bool url_parse(struct slice text, struct url *out, const char **why)
{
    struct slice authority, path;
    size_t n = 0, host_n;

    *out = (struct url){0};
    *why = "";
    if (slice_starts_nocase(text, SLICE("https://"))) {
        out->https = true;
        text = slice_from(text, 8);
    } else if (slice_starts_nocase(text, SLICE("http://"))) {
        text = slice_from(text, 7);
    } else {
        return fail(why, "it does not begin with https:// or http://");
    }
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] == '?')
            return fail(why, "it has a query");
        if (text.p[i] == '#')
            return fail(why, "it has a fragment");
    }
    while (n < text.n && text.p[n] != '/')
        n++;
    authority = slice_first(text, n);
    path = slice_from(text, n);
    if (slice_find_char(authority, '@') >= 0)
        return fail(why, "it has user info; credentials belong into provider keys");
    host_n = authority.n;
    if (authority.n && authority.p[0] == '[')
        for (host_n = 1; host_n < authority.n && authority.p[host_n - 1] != ']'; host_n++)
            ;
    else
        for (host_n = 0; host_n < authority.n && authority.p[host_n] != ':'; host_n++)
            ;
    out->port = out->https ? 443 : 80;
    if (!parse_host(slice_first(authority, host_n), out, why))
        return false;
    if (host_n < authority.n) {
        if (authority.p[host_n] != ':')
            return fail(why, "something stands behind the IPv6 address");
        if (!parse_port(slice_from(authority, host_n + 1), out, why))
            return false;
    }
    return parse_path(path, out, why);
}
