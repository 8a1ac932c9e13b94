#include "base/token.h"

#include <string.h>

#include "base/sys.h"

bool token_make(const char *prefix, size_t n, char *out, size_t cap)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    size_t at = strlen(prefix), end = at + n;

    must(end < cap);
    memcpy(out, prefix, at);
    while (at < end) {
        unsigned char byte[64];

        if (!sys_random(byte, sizeof byte))
            return false;
        for (size_t i = 0; i < sizeof byte && at < end; i++)
            if (byte[i] < 248) /* 4 x 62: no letter more likely than another */
                out[at++] = letters[byte[i] % 62];
    }
    out[at] = '\0';
    return true;
}
