/* Who may call: names the page is reached under, where a request comes from, and API keys. */
#include "admin/server.h"
#include "base/sha256.h"
#include "net/addr.h"

enum { EXTRA_KEYS = 4 };

static struct {
    const char *id[EXTRA_KEYS];
    uint8_t sha256[EXTRA_KEYS][32];
    uint32_t n;
} extra;

bool admin_add_key(const char *id, const uint8_t sha256[32])
{
    if (extra.n == EXTRA_KEYS)
        return false;
    extra.id[extra.n] = id;
    memcpy(extra.sha256[extra.n++], sha256, 32);
    return true;
}

bool admin_has_key(const struct conf *c)
{
    return c->nadmin_keys > 0 || extra.n > 0;
}

/* DNS rebinding works with names only: an address in Host is what the browser really connected to. */
static bool host_known(struct slice host, const struct conf *c)
{
    struct slice bare = host.n > 2 && host.p[0] == '[' ? slice_make(host.p + 1, host.n - 2) : host;
    struct addr at;

    if (slice_eq_nocase(host, SLICE("localhost")) || addr_parse(bare, 0, &at))
        return true;
    for (uint32_t i = 0; i < c->nadmin_hosts; i++)
        if (slice_eq_nocase(host, c->admin_host[i]))
            return true;
    return false;
}

/* "http://HOST:PORT", the same as in Host. */
static bool same_origin(struct slice origin, struct slice host)
{
    ptrdiff_t at = slice_find(origin, SLICE("://"));

    return at > 0 && slice_eq_nocase(slice_from(origin, (size_t)at + 3), host);
}

bool admin_head_allowed(const struct http_request *r, const struct conf *c, bool open, struct admin_refusal *no)
{
    struct slice origin = http_request_get(r, HTTP_ORIGIN), site = http_request_get(r, HTTP_SEC_FETCH_SITE);

    if (!host_known(r->host, c))
        *no = (struct admin_refusal){421, "The admin plane is not known under this name. Use its address or localhost, or list the name in admin.hosts."};
    else if (origin.n && !same_origin(origin, http_request_get(r, HTTP_HOST)))
        *no = (struct admin_refusal){403, "Calls from pages of other sites are not answered."};
    else if (!open && site.n && !slice_eq(site, SLICE("same-origin")) && !slice_eq(site, SLICE("none")))
        *no = (struct admin_refusal){403, "Calls from pages of other sites are not answered."};
    else
        return true;
    return false;
}

struct slice admin_key_of(const struct http_request *r, const struct conf *c)
{
    struct slice token = http_request_get(r, HTTP_AUTHORIZATION), who = {NULL, 0}, known;
    uint8_t hash[32];

    if (!slice_starts_nocase(token, SLICE("bearer ")))
        return who;
    token = slice_trim(slice_from(token, 7));
    if (!token.n || token.n > TOKEN_MAX)
        return who;
    sha256(token, hash);
    known = slice_make((const char *)hash, sizeof hash);
    for (uint32_t i = 0; i < c->nadmin_keys; i++)
        if (slice_eq_const_time(known, slice_make((const char *)c->admin_key[i], 32)))
            who = SLICE("config");
    for (uint32_t i = 0; i < extra.n; i++)
        if (slice_eq_const_time(known, slice_make((const char *)extra.sha256[i], 32)))
            who = slice_str(extra.id[i]);
    return who.n ? who : admin_stored_key(hash);
}
