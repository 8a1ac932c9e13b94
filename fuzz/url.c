/* Base URLs: the parts lie in the text, and put together again they are the same URL. Socket addresses, which share its language. */
#include "fuzz.h"
#include "http/url.h"
#include "net/addr.h"

static void put_together(const struct url *u)
{
    struct url again;
    const char *why = NULL;
    bool v6 = u->host_is_ip && slice_find_char(u->host, ':') >= 0;
    size_t cap = u->host.n + u->path.n + 32;
    char *text = malloc(cap);
    int n;

    if (!text)
        abort();
    n = snprintf(text, cap, "%s://%s%.*s%s:%u%.*s", u->https ? "https" : "http", v6 ? "[" : "", (int)u->host.n, u->host.p, v6 ? "]" : "",
                 (unsigned)u->port, (int)u->path.n, u->path.n ? u->path.p : "");
    FUZZ_CHECK(url_parse(slice_make(text, (size_t)n), &again, &why));
    FUZZ_CHECK(again.https == u->https && again.port == u->port && again.host_is_ip == u->host_is_ip);
    FUZZ_CHECK(slice_eq(again.host, u->host) && slice_eq(again.path, u->path));
    free(text);
}

static void address(struct slice in)
{
    struct addr a = {0}, b = {0};
    struct sockaddr_storage ss;
    char text[ADDR_TEXT_MAX];
    struct slice s;

    if (!addr_parse(in, 80, &a))
        return;
    s = addr_text(&a, text);
    s = slice_first(s, s.n - 3); /* without ":80" */
    if (a.family == 6)
        s = slice_make(s.p + 1, s.n - 2);
    FUZZ_CHECK(addr_parse(s, 80, &b) && addr_eq(&a, &b));
    FUZZ_CHECK(addr_to_sockaddr(&a, &ss) > 0 && addr_from_sockaddr(&ss, &b) && addr_eq(&a, &b));
    FUZZ_CHECK(!addr_is_loopback(&a) || addr_is_private(&a));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = fuzz_slice(data, size);
    char *p = fuzz_copy(in);
    struct slice text = slice_make(p, in.n);
    struct url u;
    const char *why = NULL;

    if (url_parse(text, &u, &why)) {
        FUZZ_CHECK(u.host.n > 0 && u.port > 0 && fuzz_within(u.host, text) && fuzz_within(u.path, text));
        for (size_t i = 0; i < u.host.n; i++)
            FUZZ_CHECK(u.host.p[i] > ' ' && u.host.p[i] < 0x7f && !strchr("/@?#\\%*", u.host.p[i]));
        put_together(&u);
    } else {
        FUZZ_CHECK(why != NULL);
    }
    address(text);
    free(p);
    return 0;
}
