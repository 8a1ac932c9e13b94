/* The surfaces as data, and the two ways to find one. Adding a surface is one line in surface.h. */
#include "llm/surface.h"

const struct surface_info surface_table[SURFACE_COUNT] = {
#define X(id, name, route, path, format, streams)                                                   \
    [SURFACE_##id] = {{"" name, sizeof(name) - 1}, {"" route, sizeof(route) - 1}, {"" path, sizeof(path) - 1}, \
                      FORMAT_##format, streams},
    SURFACES(X)
#undef X
};

bool surface_by_route(struct slice path, enum surface *out)
{
    for (unsigned i = 0; i < SURFACE_COUNT; i++) {
        if (slice_eq(path, surface_table[i].route)) {
            *out = (enum surface)i;
            return true;
        }
    }
    return false;
}

bool surface_by_name(struct slice name, enum surface *out)
{
    for (unsigned i = 0; i < SURFACE_COUNT; i++) {
        if (slice_eq(name, surface_table[i].name)) {
            *out = (enum surface)i;
            return true;
        }
    }
    return false;
}
