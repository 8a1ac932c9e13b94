/* See record.h. A record is believed when its CRC holds and its body parses; where the next one begins is known only then. */
#include "state/record.h"

static const char magic[8] = {'w', 'e', 'i', 'r', 'l', 'o', 'g', '\n'};
static const char sync_word[4] = {'\xf5', 'w', 'r', '1'}; /* the first is no byte of UTF-8 text: rare in values, so a search is quick */

enum { CRC_AT = 32 }; /* in both heads */

/* ---- Numbers. ---- */

static void put(char *p, unsigned bytes, uint64_t v)
{
    for (unsigned i = 0; i < bytes; i++)
        p[i] = (char)(v >> 8 * i);
}

static uint64_t get(const char *p, unsigned bytes)
{
    uint64_t v = 0;

    while (bytes--)
        v = v << 8 | (unsigned char)p[bytes];
    return v;
}

/* By half bytes: a table of 64 bytes, fast enough for a start. */
uint32_t record_crc(uint32_t crc, const char *p, size_t n)
{
    static const uint32_t table[16] = {0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,
                                       0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9, 0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75};

    crc = ~crc;
    for (size_t i = 0; i < n; i++) {
        crc ^= (unsigned char)p[i];
        crc = crc >> 4 ^ table[crc & 15];
        crc = crc >> 4 ^ table[crc & 15];
    }
    return ~crc;
}

static uint32_t crc_of(const char *head, size_t body_n, uint64_t salt)
{
    char s[8];
    uint32_t crc;

    put(s, 8, salt);
    crc = record_crc(0, s, 8);
    crc = record_crc(crc, head, CRC_AT);
    return record_crc(crc, head + RECORD_HEAD, body_n);
}

/* ---- Writing. ---- */

void record_put_file_head(char out[RECORD_FILE_HEAD], uint64_t salt, uint64_t snapshot)
{
    memcpy(out, magic, sizeof magic);
    put(out + 8, 4, RECORD_VERSION);
    put(out + 12, 4, 0);
    put(out + 16, 8, salt);
    put(out + 24, 8, snapshot);
    put(out + CRC_AT, 4, record_crc(0, out, CRC_AT));
}

size_t record_body_size(const struct store_change *c, size_t n)
{
    size_t size = 2;

    if (n > STORE_CHANGES_MAX)
        return 0;
    for (size_t i = 0; i < n; i++) {
        if (c[i].id.n > STORE_ID_MAX || c[i].value.n > RECORD_BODY_MAX || c[i].secret.n > RECORD_BODY_MAX)
            return 0;
        size += RECORD_CHANGE_HEAD + c[i].id.n + c[i].value.n + c[i].secret.n;
        if (size > RECORD_BODY_MAX)
            return 0;
    }
    return size;
}

static char *put_slice(char *p, struct slice s)
{
    if (s.n)
        memcpy(p, s.p, s.n);
    return p + s.n;
}

void record_put_body(char *out, const struct store_change *c, size_t n)
{
    put(out, 2, n);
    out += 2;
    for (size_t i = 0; i < n; i++) {
        put(out, 1, (uint64_t)c[i].kind);
        put(out + 1, 1, (uint64_t)c[i].op);
        put(out + 2, 2, c[i].id.n);
        put(out + 4, 4, c[i].value.n);
        put(out + 8, 4, c[i].secret.n);
        out = put_slice(out + RECORD_CHANGE_HEAD, c[i].id);
        out = put_slice(out, c[i].value);
        out = put_slice(out, c[i].secret);
    }
}

void record_put_head(char *out, size_t body_n, uint64_t salt, uint64_t seq, uint64_t durable, int64_t time_ms)
{
    memcpy(out, sync_word, sizeof sync_word);
    put(out + 4, 4, body_n);
    put(out + 8, 8, seq);
    put(out + 16, 8, durable);
    put(out + 24, 8, (uint64_t)time_ms);
    put(out + CRC_AT, 4, crc_of(out, body_n, salt));
}

/* ---- Reading. ---- */

const char *record_open(struct record_reader *r, struct slice image)
{
    uint64_t version;

    *r = (struct record_reader){.image = image, .at = RECORD_FILE_HEAD};
    if (image.n == 0)
        return "is empty: it never is when weir wrote it";
    if (memcmp(image.p, magic, image.n < sizeof magic ? image.n : sizeof magic) != 0)
        return "is not a log of weir's";
    if (image.n < RECORD_FILE_HEAD)
        return "is cut off within its first bytes";
    version = get(image.p + 8, 4);
    if (get(image.p + CRC_AT, 4) != record_crc(0, image.p, CRC_AT))
        return "is damaged in its first bytes";
    if (version > RECORD_VERSION)
        return "was written by a newer version of weir; this one leaves it alone";
    if (version != RECORD_VERSION || get(image.p + 12, 4) != 0)
        return "has a format this version of weir does not know";
    r->salt = get(image.p + 16, 8);
    r->snapshot = get(image.p + 24, 8);
    return NULL;
}

/* Whether a body is changes from its first byte to its last. */
static bool body_parses(struct slice body, unsigned *changes)
{
    size_t at = 2;

    if (body.n < 2)
        return false;
    *changes = (unsigned)get(body.p, 2);
    for (unsigned i = 0; i < *changes; i++) {
        uint64_t need;
        unsigned kind, op;

        if (body.n - at < RECORD_CHANGE_HEAD)
            return false;
        kind = (unsigned char)body.p[at];
        op = (unsigned char)body.p[at + 1];
        need = get(body.p + at + 2, 2) + get(body.p + at + 4, 4) + get(body.p + at + 8, 4);
        at += RECORD_CHANGE_HEAD;
        if (need > body.n - at || (op != STORE_PUT && op != STORE_DELETE) ||
            ((kind == 0 || kind >= STORE_KINDS) && kind != RECORD_KIND_KEY))
            return false;
        at += (size_t)need;
    }
    return at == body.n;
}

static bool record_at(const struct record_reader *r, uint64_t at, struct record *out)
{
    const char *p = r->image.p + at;
    uint64_t left = r->image.n - at, body_n;

    if (left < RECORD_HEAD || memcmp(p, sync_word, sizeof sync_word) != 0)
        return false;
    body_n = get(p + 4, 4);
    if (body_n > RECORD_BODY_MAX || body_n > left - RECORD_HEAD)
        return false;
    if (get(p + CRC_AT, 4) != crc_of(p, (size_t)body_n, r->salt))
        return false;
    *out = (struct record){.at = at,
                           .end = at + RECORD_HEAD + body_n,
                           .seq = get(p + 8, 8),
                           .durable = get(p + 16, 8),
                           .time_ms = (int64_t)get(p + 24, 8),
                           .body = slice_make(p + RECORD_HEAD, (size_t)body_n)};
    return body_parses(out->body, &out->changes);
}

/* The next good record behind `from`. Looking at each byte is no loop within a loop: the sync word and the CRC make a false start rare,
 * and a body is read once. */
static bool find(const struct record_reader *r, uint64_t from, struct record *out)
{
    while (from < r->image.n) {
        struct slice rest = slice_from(r->image, (size_t)from);
        ptrdiff_t i = slice_find(rest, slice_make(sync_word, sizeof sync_word));

        if (i < 0)
            return false;
        from += (uint64_t)i;
        if (record_at(r, from, out))
            return true;
        from++;
    }
    return false;
}

enum record_verdict record_next(struct record_reader *r, struct record *out)
{
    struct record later;

    if (r->at >= r->image.n && r->at >= r->snapshot)
        return RECORD_END;
    if (r->at < r->image.n && record_at(r, r->at, out) && out->seq == r->seq + 1) {
        r->at = out->end;
        r->seq = out->seq;
        return RECORD_GOOD;
    }
    if (r->at < r->snapshot)
        return RECORD_BAD;
    /* Good records may follow in an unfinished write as well, since disks write in any order: only one that knows of this place as
     * durable counts. One of a foreign sequence here is damage too: nothing writes such a thing. */
    for (uint64_t from = r->at; find(r, from, &later); from = later.end)
        if (later.durable > r->at || (from == r->at && later.at == r->at))
            return RECORD_BAD;
    return RECORD_TORN;
}

bool record_skip(struct record_reader *r)
{
    struct record next;

    if (!find(r, r->at, &next))
        return false;
    r->at = next.at;
    r->seq = next.seq - 1;
    return true;
}

void record_change(struct slice image, uint64_t *at, struct store_change *out)
{
    const char *p = image.p + *at;

    *out = (struct store_change){.kind = (enum store_kind)(unsigned char)p[0], .op = (enum store_op)(unsigned char)p[1]};
    out->id.n = (size_t)get(p + 2, 2);
    out->value.n = (size_t)get(p + 4, 4);
    out->secret.n = (size_t)get(p + 8, 4);
    out->id.p = p + RECORD_CHANGE_HEAD;
    out->value.p = out->id.p + out->id.n;
    out->secret.p = out->value.p + out->value.n;
    *at += RECORD_CHANGE_HEAD + out->id.n + out->value.n + out->secret.n;
}
