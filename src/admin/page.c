/* Finding and unpacking the dashboard's files. What they are is in build/page_data.h, made by page.py from src/admin/page. The binary holds
 * only the packed form: every browser takes it as it is, and inflating for the others costs 1 KB of code in place of 60 KB of text. */
#include "admin/page.h"

#include "admin/inflate.h"
#include "build/page_data.h"

enum { GZIP_HEAD = 10, GZIP_TAIL = 8 }; /* page.py writes no optional fields: RFC 1952, 2.3 */

const char page_policy[] = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
                           "frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

const struct page_asset *page_at(uint32_t i)
{
    return i < sizeof page_assets / sizeof *page_assets ? &page_assets[i] : NULL;
}

const struct page_asset *page_find(struct slice path)
{
    const struct page_asset *a;

    for (uint32_t i = 0; (a = page_at(i)); i++)
        if (slice_eq(path, slice_str(a->path)))
            return a;
    return NULL;
}

/* What stands before sep, or all of it; *rest is what follows. */
static struct slice cut(struct slice *rest, char sep)
{
    ptrdiff_t at = slice_find_char(*rest, sep);
    struct slice item = slice_first(*rest, at < 0 ? rest->n : (size_t)at);

    *rest = slice_from(*rest, item.n + 1);
    return slice_trim(item);
}

bool page_packed_for(struct slice accept_encoding)
{
    while (accept_encoding.n) {
        struct slice item = cut(&accept_encoding, ','), name = cut(&item, ';');

        if (!slice_eq_nocase(name, SLICE("gzip")) && !slice_eq(name, SLICE("*")))
            continue;
        /* "q=0", "q=0.000": anything but zeros after it means yes. */
        item = slice_trim(item);
        if (item.n < 2 || (item.p[0] | 0x20) != 'q')
            return true;
        for (size_t i = 2; i < item.n; i++)
            if (item.p[i] >= '1' && item.p[i] <= '9')
                return true;
        return false;
    }
    return false;
}

bool page_unpack(const struct page_asset *a, unsigned char *out)
{
    return inflate(a->packed + GZIP_HEAD, a->packed_len - GZIP_HEAD - GZIP_TAIL, out, a->len);
}
