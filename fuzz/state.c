/* The state log: records of the input's choosing written as weir writes them, then hurt by the input: cut, flipped, overwritten, gone on.
 * Whatever reads back is what was written at that place (never half a key), whole images read back whole, and with a cut only the end goes.
 * The first byte 0: the rest is the image as it stands. */
#include "fuzz.h"
#include "state/live.h"

enum { RECORDS = 6, IMAGE_MAX = 65536 };

static struct written {
    size_t at, end;
} written[RECORDS];
static char image[IMAGE_MAX], original[IMAGE_MAX];

static size_t write_image(struct slice *in, unsigned *count)
{
    size_t n = RECORD_FILE_HEAD;
    unsigned records = fuzz_byte(in) % (RECORDS + 1);

    record_put_file_head(image, 0x1122334455667788, RECORD_FILE_HEAD);
    for (*count = 0; *count < records; ++*count) {
        struct store_change c[3];
        size_t changes = fuzz_byte(in) % 4, body;

        for (size_t i = 0; i < changes; i++) {
            struct slice *part[3] = {&c[i].id, &c[i].value, &c[i].secret};

            c[i] = (struct store_change){.kind = (enum store_kind)(1 + fuzz_byte(in) % (STORE_KINDS - 1)), .op = fuzz_byte(in) % 4 ? STORE_PUT : STORE_DELETE};
            for (int k = 0; k < 3; k++) {
                *part[k] = slice_first(*in, fuzz_byte(in) % 40);
                *in = slice_from(*in, part[k]->n);
            }
        }
        body = changes ? record_body_size(c, changes) : 2;
        FUZZ_CHECK(body > 0);
        if (changes)
            record_put_body(image + n + RECORD_HEAD, c, changes);
        else
            memset(image + n + RECORD_HEAD, 0, 2);
        record_put_head(image + n, body, 0x1122334455667788, *count + 1, n, 1000 + *count);
        written[*count] = (struct written){n, n + RECORD_HEAD + body};
        n += RECORD_HEAD + body;
    }
    return n;
}

/* Reads to the end, salvaging past damage; what a good record holds lies within it. Returns how many were good before the first damage. */
static unsigned read_image(struct slice text, unsigned count, bool ours)
{
    struct record_reader r;
    struct record rec;
    struct live live;
    unsigned good = 0;
    bool hurt = false;

    if (record_open(&r, text))
        return 0;
    live_init(&live, 7);
    for (;;) {
        enum record_verdict v = record_next(&r, &rec);

        if (v == RECORD_BAD && record_skip(&r)) {
            hurt = true;
            continue;
        }
        if (v != RECORD_GOOD)
            break;
        FUZZ_CHECK(rec.at >= RECORD_FILE_HEAD && rec.end > rec.at && rec.end <= text.n && fuzz_within(rec.body, text));
        for (unsigned i = 0, at = (unsigned)(rec.body.p - text.p) + 2; i < rec.changes; i++) {
            struct store_change c;
            uint64_t next = at;

            record_change(text, &next, &c);
            FUZZ_CHECK(next > at && next <= rec.end && fuzz_within(c.id, rec.body) && fuzz_within(c.value, rec.body) && fuzz_within(c.secret, rec.body));
            at = (unsigned)next;
        }
        if (ours) { /* what passes for a record is one that was written there, to the last byte */
            bool known = false;

            for (unsigned i = 0; i < count; i++)
                known |= rec.at == written[i].at && rec.end == written[i].end;
            FUZZ_CHECK(known && memcmp(text.p + rec.at, original + rec.at, rec.end - rec.at) == 0);
        }
        FUZZ_CHECK(live_add(&live, text, &rec));
        good += !hurt;
    }
    for (uint32_t i = 0; i < live.n; i++) {
        struct store_change c;

        if (live_change(&live, text, i, &c))
            FUZZ_CHECK(fuzz_within(c.id, text) && fuzz_within(c.value, text) && fuzz_within(c.secret, text));
    }
    (void)live_trim(&live, 2000);
    live_free(&live);
    return good;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = fuzz_slice(data, size);
    unsigned count, how;
    size_t n, at;

    if (fuzz_byte(&in) == 0) {
        (void)read_image(in, 0, false);
        return 0;
    }
    n = write_image(&in, &count);
    memcpy(original, image, n);
    FUZZ_CHECK(read_image(slice_make(image, n), count, true) == count);
    for (unsigned hits = fuzz_byte(&in) % 4; hits; hits--) {
        at = (fuzz_byte(&in) << 8 | fuzz_byte(&in)) % n;
        how = fuzz_byte(&in);
        if (how % 4 == 0) { /* cut: all whole records before it stay */
            unsigned whole = 0;

            while (whole < count && written[whole].end <= at)
                whole++;
            if (memcmp(image, original, at) == 0 && at >= RECORD_FILE_HEAD)
                FUZZ_CHECK(read_image(slice_make(image, at), count, true) == whole);
            n = at ? at : 1;
        } else {
            image[at] = (char)(how % 4 == 1 ? (unsigned char)image[at] ^ 1u << how / 4 % 8 : how);
        }
        (void)read_image(slice_make(image, n), count, true);
    }
    return 0;
}
