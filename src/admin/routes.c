/* Every call there is, as data. */
#include "admin/crud.h"
#include "admin/gateway.h"
#include "admin/metrics.h"
#include "admin/server.h"
#include "admin/trial.h"
#include "admin/usage.h"
#include "admin/watch.h"

#define RESOURCE(path)                                                                                        \
    {HTTP_GET, path, crud_list}, {HTTP_POST, path, crud_create}, {HTTP_GET, path "/{id}", crud_get},          \
    {HTTP_PATCH, path "/{id}", crud_update}, {HTTP_DELETE, path "/{id}", crud_delete}

const struct admin_route admin_routes[] = {
    RESOURCE("/providers"),
    RESOURCE("/provider-keys"),
    {HTTP_POST, "/provider-keys/{id}/rotate", crud_rotate},
    RESOURCE("/access-key-configurations"),
    RESOURCE("/access-keys"),
    RESOURCE("/api-keys"),
    {HTTP_GET, "/gateway-config", gateway_get},
    {HTTP_PATCH, "/gateway-config", gateway_update},
    {HTTP_GET, "/usage", usage_list},
    {HTTP_GET, "/usage/overview", usage_overview},
    {HTTP_GET, "/metrics", metrics_get},
    {HTTP_GET, "/healthz", watch_healthz},
    {HTTP_GET, "/about", watch_about},
    {HTTP_GET, "/requests", watch_requests},
    {HTTP_GET, "/requests/{id}", watch_request},
    {HTTP_GET, "/cooldowns", watch_cooldowns},
    {HTTP_DELETE, "/cooldowns/{id}", watch_clear_cooldown},
    {HTTP_POST, "/config/validate", try_config},
    {HTTP_POST, "/preview", try_preview},
    {HTTP_POST, "/try", try_request},
    {0},
};

/* "{id}" stands for one segment that is not empty. */
static bool matches(const char *pattern, struct slice path, struct slice *arg)
{
    size_t at = 0;

    for (; *pattern; pattern++) {
        if (*pattern == '{') {
            size_t from = at;

            while (at < path.n && path.p[at] != '/')
                at++;
            *arg = slice_make(path.p + from, at - from);
            while (*pattern != '}')
                pattern++;
            if (at == from)
                return false;
        } else if (at == path.n || path.p[at++] != *pattern) {
            return false;
        }
    }
    return at == path.n;
}

const struct admin_route *admin_route_find(enum http_method method, struct slice path, struct slice *arg, const char **allow)
{
    static const struct {
        unsigned methods;
        const char *text;
    } lists[] = {{1u << HTTP_GET, "GET, HEAD"},
                 {1u << HTTP_GET | 1u << HTTP_POST, "GET, HEAD, POST"},
                 {1u << HTTP_GET | 1u << HTTP_PATCH, "GET, HEAD, PATCH"},
                 {1u << HTTP_GET | 1u << HTTP_PATCH | 1u << HTTP_DELETE, "GET, HEAD, PATCH, DELETE"},
                 {1u << HTTP_GET | 1u << HTTP_DELETE, "GET, HEAD, DELETE"},
                 {1u << HTTP_DELETE, "DELETE"},
                 {1u << HTTP_POST, "POST"}};
    unsigned methods = 0;

    *allow = NULL;
    *arg = slice_make(NULL, 0);
    for (const struct admin_route *r = admin_routes; r->path; r++) {
        if (!matches(r->path, path, arg))
            continue;
        if (r->method == method)
            return r;
        methods |= 1u << r->method;
    }
    for (size_t i = 0; methods && i < sizeof lists / sizeof *lists; i++)
        if (lists[i].methods == methods)
            *allow = lists[i].text;
    must(!methods || *allow); /* a new combination belongs into the table */
    return NULL;
}
