/* Strings in settings, read strictly: what is not exactly one of the forms is refused, never guessed at. */
#include "conf/value.h"

#include <arpa/inet.h>

#include "base/limits.h"

/* ---- Durations: Go's syntax without signs. ---- */

enum { DURATION_MAX_MS = 24 * 3600 * 1000 };

struct unit {
    struct slice name;
    uint64_t size;
};

static const struct unit duration_unit[] = {
    {{"ns", 2}, 1},
    {{"us", 2}, 1000},
    {{"\xc2\xb5s", 3}, 1000}, /* micro sign, and below it the Greek letter; Go takes both */
    {{"\xce\xbcs", 3}, 1000},
    {{"ms", 2}, 1000000},
    {{"s", 1}, 1000000000},
    {{"m", 1}, 60000000000},
    {{"h", 1}, 3600000000000},
};

static size_t digits_of(struct slice s)
{
    size_t n = 0;

    while (n < s.n && s.p[n] >= '0' && s.p[n] <= '9')
        n++;
    return n;
}

/* One "12.5s" at the front of *s, added to *total_ns. */
static bool duration_part(struct slice *s, uint64_t *total_ns)
{
    const uint64_t max_ns = (uint64_t)DURATION_MAX_MS * 1000000;
    size_t whole = digits_of(*s), fraction = 0, unit_n;
    uint64_t value = 0, scale, ns;
    struct slice rest = slice_from(*s, whole), part = slice_make(NULL, 0);
    const struct unit *unit = NULL;

    if (whole && (!slice_u64(slice_first(*s, whole), &value) || value > max_ns))
        return false;
    if (rest.n && rest.p[0] == '.') {
        rest = slice_from(rest, 1);
        fraction = digits_of(rest);
        part = slice_first(rest, fraction);
        rest = slice_from(rest, fraction);
    }
    if (whole + fraction == 0)
        return false;
    for (unit_n = 0; unit_n < rest.n && rest.p[unit_n] != '.' && !digits_of(slice_from(rest, unit_n)); unit_n++)
        ;
    for (size_t i = 0; i < sizeof(duration_unit) / sizeof(duration_unit[0]); i++)
        if (slice_eq(slice_first(rest, unit_n), duration_unit[i].name))
            unit = &duration_unit[i];
    if (!unit || value > max_ns / unit->size)
        return false;
    ns = value * unit->size;
    scale = unit->size;
    for (size_t i = 0; i < part.n && scale >= 10; i++) {
        scale /= 10;
        ns += (uint64_t)(part.p[i] - '0') * scale;
    }
    *total_ns += ns;
    *s = slice_from(rest, unit_n);
    return *total_ns <= max_ns;
}

bool conf_duration_ms(struct slice text, uint32_t *ms)
{
    uint64_t ns = 0;

    if (slice_eq(text, SLICE("0"))) {
        *ms = 0;
        return true;
    }
    if (text.n == 0)
        return false;
    while (text.n)
        if (!duration_part(&text, &ns))
            return false;
    *ms = (uint32_t)((ns + 999999) / 1000000); /* up: what is more than nothing must not become "off" */
    return true;
}

/* ---- Sizes. ---- */

bool value_size(struct slice text, uint64_t *out)
{
    static const struct unit unit[] = {
        {{"", 0}, 1},           {{"B", 1}, 1},           {{"KB", 2}, 1000},       {{"MB", 2}, 1000000},
        {{"GB", 2}, 1000000000}, {{"KiB", 3}, 1u << 10}, {{"MiB", 3}, 1u << 20}, {{"GiB", 3}, 1u << 30},
        {{"TiB", 3}, 1ull << 40},
    };
    size_t n = digits_of(text);
    struct slice name = slice_trim(slice_from(text, n));
    uint64_t value;

    if (!slice_u64(slice_first(text, n), &value))
        return false;
    for (size_t i = 0; i < sizeof(unit) / sizeof(unit[0]); i++) {
        if (!slice_eq(name, unit[i].name))
            continue;
        if (value > UINT64_MAX / unit[i].size)
            return false;
        *out = value * unit[i].size;
        return true;
    }
    return false;
}

/* ---- Addresses. ---- */

static bool address_text(struct slice s, int family, void *out)
{
    char text[INET6_ADDRSTRLEN + 1];

    if (s.n == 0 || s.n >= sizeof(text) || memchr(s.p, '\0', s.n))
        return false;
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    return inet_pton(family, text, out) == 1;
}


bool value_listen(struct slice text, uint16_t default_port, struct conf_listen *out)
{
    struct slice host = text, port = slice_make(NULL, 0);
    unsigned char raw[16];
    uint64_t number = default_port;
    bool has_port = false;

    if (text.n && text.p[0] == '[') {
        ptrdiff_t close = slice_find_char(text, ']');

        if (close < 0)
            return false;
        host = slice_make(text.p + 1, (size_t)close - 1);
        text = slice_from(text, (size_t)close + 1);
        if (text.n && text.p[0] != ':')
            return false;
        has_port = text.n > 0;
        port = slice_from(text, 1);
        if (!address_text(host, AF_INET6, raw))
            return false;
    } else if (!address_text(text, AF_INET6, raw)) { /* a bare IPv6 address has colons, but no port */
        ptrdiff_t colon = slice_find_char(text, ':');

        has_port = colon >= 0;
        if (has_port) {
            host = slice_first(text, (size_t)colon);
            port = slice_from(text, (size_t)colon + 1);
        }
        if (has_port && host.n == 0 && default_port == 0)
            host = SLICE("0.0.0.0");
        if (slice_eq_nocase(host, SLICE("localhost")))
            host = SLICE("127.0.0.1");
        if (!address_text(host, AF_INET, raw))
            return false;
    }
    if (!has_port && default_port == 0)
        return false;
    if (has_port && (!slice_u64(port, &number) || number > 65535))
        return false;
    *out = (struct conf_listen){.host = host, .port = (uint16_t)number};
    return true;
}

static bool v4_private(const unsigned char a[4])
{
    return a[0] == 127 || a[0] == 10 || (a[0] == 172 && (a[1] & 0xf0) == 16) || (a[0] == 192 && a[1] == 168) ||
           (a[0] == 100 && (a[1] & 0xc0) == 64); /* RFC 6598: also what private overlay networks use */
}

/* Link-local is left out on purpose: it is where clouds keep their metadata service. */
static bool v6_private(const unsigned char a[16])
{
    static const unsigned char loopback[16] = {[15] = 1}, mapped[12] = {[10] = 0xff, [11] = 0xff};

    if (memcmp(a, mapped, 12) == 0)
        return v4_private(a + 12);
    return memcmp(a, loopback, 16) == 0 || (a[0] & 0xfe) == 0xfc;
}

static bool ends_nocase(struct slice s, struct slice suffix)
{
    return s.n > suffix.n && slice_eq_nocase(slice_from(s, s.n - suffix.n), suffix);
}

bool value_host_private(const struct url *u)
{
    unsigned char raw[16];
    struct slice host = u->host;

    if (address_text(host, AF_INET, raw))
        return v4_private(raw);
    if (address_text(host, AF_INET6, raw))
        return v6_private(raw);
    if (u->host_is_ip || host.n == 0)
        return false;
    if (slice_find_char(host, '.') < 0) /* a single label has no public meaning; a number might be read as an address */
        return digits_of(host) < host.n && !slice_starts_nocase(host, SLICE("0x"));
    return ends_nocase(host, SLICE(".internal")) || ends_nocase(host, SLICE(".local")) ||
           ends_nocase(host, SLICE(".localhost")) || ends_nocase(host, SLICE(".home.arpa"));
}

/* ---- Secrets and ids. ---- */

bool value_secret(struct slice s, size_t cap, const char **why)
{
    static const struct slice stand_in[] = {
        {"changeme", 8}, {"change-me", 9}, {"change_me", 9}, {"your-api-key", 12}, {"your_api_key", 12}, {"...", 3},
    };

    *why = NULL;
    if (s.n == 0)
        *why = "is empty";
    else if (s.n > cap)
        *why = "is too long";
    for (size_t i = 0; i < s.n && !*why; i++) {
        unsigned char c = (unsigned char)s.p[i];

        if (c < 0x20 || c == 0x7f)
            *why = "holds a control character";
        else if (c == ' ')
            *why = "holds a space";
        else if (c > 0x7e)
            *why = "holds a character that is not ASCII";
    }
    if (!*why && s.p[0] == '<' && s.p[s.n - 1] == '>')
        *why = "is a text to be replaced, not a key";
    for (size_t i = 0; i < sizeof(stand_in) / sizeof(stand_in[0]); i++)
        if (!*why && slice_eq_nocase(s, stand_in[i]))
            *why = "is a text to be replaced, not a key";
    return *why == NULL;
}

bool value_id(struct slice s, bool provider)
{
    if (s.n == 0 || s.n > 255)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];

        if (c < 0x21 || c > 0x7e || c == '"' || c == '\\' || c == ',')
            return false;
        if (provider && (c == ':' || c == '/'))
            return false;
    }
    return true;
}

bool value_sha256(struct slice s, uint8_t out[32])
{
    if (s.n != 64)
        return false;
    for (size_t i = 0; i < 64; i++) {
        char c = ascii_lower(s.p[i]);
        unsigned v;

        if (c >= '0' && c <= '9')
            v = (unsigned)(c - '0');
        else if (c >= 'a' && c <= 'f')
            v = (unsigned)(c - 'a') + 10;
        else
            return false;
        out[i / 2] = (uint8_t)(i % 2 ? out[i / 2] | v : v << 4);
    }
    return true;
}

size_t value_chars(struct slice s)
{
    size_t n = 0;

    for (size_t i = 0; i < s.n; i++)
        n += ((unsigned char)s.p[i] & 0xc0) != 0x80;
    return n;
}

/* Shown so that a person can tell keys apart; a short secret would give too much of itself away. */
struct slice conf_redact(struct slice secret, char out[20])
{
    size_t n = 0;

    if (secret.n >= 24) {
        memcpy(out, secret.p, 10);
        n = 10;
    }
    memcpy(out + n, "***", 3);
    n += 3;
    if (secret.n >= 24) {
        memcpy(out + n, secret.p + secret.n - 4, 4);
        n += 4;
    }
    out[n] = '\0';
    return slice_make(out, n);
}
