#include "admin/watch.h"

void watch_healthz(struct admin_call *c)
{
    admin_json(c, 200, SLICE("{\"status\":\"ok\"}\n"));
}
