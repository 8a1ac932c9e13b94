/* Edits of a document: the result is valid, holds what a naive reader expects, and every byte of it that was not put in
 * stands in the text, in order. */
#include "fuzz.h"
#include "json/edit.h"

enum { MEMBERS = 40 };

struct pair {
    struct slice key, value;
};

static const struct pair fresh[] = {{{"n", 1}, {"1", 1}}, {{"stream_options", 14}, {"{\"include_usage\":true}", 22}}, {{"x", 1}, {"\"\"", 2}}};
static struct json_member member[MEMBERS];

static uint32_t members_of(struct slice text, struct pair *out)
{
    struct json_check c;

    json_check_init(&c, member, MEMBERS);
    if (json_check_feed(&c, text.p, text.n) == PARSE_BAD || json_check_end(&c) != PARSE_DONE || c.top_type != JSON_OBJECT || c.members > MEMBERS)
        return UINT32_MAX;
    for (uint32_t i = 0; i < c.members; i++)
        out[i] = (struct pair){slice_make(text.p + member[i].key_off, member[i].key_len), slice_make(text.p + member[i].val_off, member[i].val_len)};
    return c.members;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pair have[MEMBERS], want[MEMBERS + 3], got[MEMBERS + 3];
    struct slice in = fuzz_slice(data, size), piece[JSON_PIECES_MAX];
    struct fuzz_dice dice = fuzz_dice(in);
    uint32_t n = members_of(in, have), k = 0;
    const char *at = in.p;
    struct json_edits e;
    size_t total = 0, len = 0;
    int pieces;
    char *out;

    if (n > MEMBERS - 3) /* what is added must be readable again */
        return 0;
    json_edits_init(&e, in);
    for (uint32_t i = 0; i < n; i++) {
        size_t what = fuzz_throw(&dice, 4);

        if (what == 0)
            json_edit_remove(&e, member, n, i);
        else
            want[k++] = (struct pair){have[i].key, what == 1 ? fresh[i % 3].value : have[i].value};
        if (what == 1)
            json_edit_value(&e, &member[i], fresh[i % 3].value);
    }
    for (size_t i = 0; i < fuzz_throw(&dice, 4) && i < 3; i++) {
        json_edit_add(&e, fresh[i].key, fresh[i].value);
        want[k++] = fresh[i];
    }
    pieces = json_edit_pieces(&e, piece, JSON_PIECES_MAX, &total);
    FUZZ_CHECK(pieces >= 0 && !e.failed);
    out = malloc(total + 1);
    for (int i = 0; out && i < pieces; i++) {
        if (piece[i].p >= in.p && piece[i].p < in.p + in.n) {
            FUZZ_CHECK(fuzz_within(piece[i], in) && piece[i].p >= at);
            at = piece[i].p + piece[i].n;
        }
        FUZZ_CHECK(piece[i].n > 0 && piece[i].n <= total - len);
        memcpy(out + len, piece[i].p, piece[i].n);
        len += piece[i].n;
    }
    FUZZ_CHECK(out && len == total && members_of(slice_make(out, total), got) == k);
    for (uint32_t i = 0; i < k; i++)
        FUZZ_CHECK(slice_eq(got[i].key, want[i].key) && slice_eq(got[i].value, want[i].value));
    free(out);
    return 0;
}
