/* PEM blocks and their base64. A bundle of 144 roots is 220 KB and is read on every start, so the inner loop takes four
 * characters per step through one table; everything else (line ends, padding) goes the slow way. Not for secrets in
 * constant time: keys are read once, from a file whose reader is the operator. */
#include "net/pem.h"

enum { NOT_BASE64 = 0x40, SPACE = 0x80 };

#define N8 NOT_BASE64, NOT_BASE64, NOT_BASE64, NOT_BASE64, NOT_BASE64, NOT_BASE64, NOT_BASE64, NOT_BASE64
#define N64 N8, N8, N8, N8, N8, N8, N8, N8

static const uint8_t b64[256] = {
    /* 00 */ N8, NOT_BASE64, SPACE, SPACE, NOT_BASE64, NOT_BASE64, SPACE, NOT_BASE64, NOT_BASE64, /* HT LF CR */
    /* 10 */ N8, N8,
    /* 20 */ SPACE, NOT_BASE64, NOT_BASE64, NOT_BASE64, NOT_BASE64, NOT_BASE64, NOT_BASE64, NOT_BASE64,
    /* 28 */ NOT_BASE64, NOT_BASE64, NOT_BASE64, 62, NOT_BASE64, NOT_BASE64, NOT_BASE64, 63,
    /* 30 */ 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, NOT_BASE64, NOT_BASE64, NOT_BASE64, NOT_BASE64, NOT_BASE64, NOT_BASE64,
    /* 40 */ NOT_BASE64, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14,
    /* 50 */ 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, NOT_BASE64, NOT_BASE64, NOT_BASE64, NOT_BASE64, NOT_BASE64,
    /* 60 */ NOT_BASE64, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40,
    /* 70 */ 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, NOT_BASE64, NOT_BASE64, NOT_BASE64, NOT_BASE64, NOT_BASE64,
    /* 80 */ N64, N64,
};

/* Decodes up to the first '-'. Returns where it stopped, NULL when the text is not base64 or does not fit. */
static const char *b64_decode(const char *p, const char *end, uint8_t *out, size_t cap, size_t *n)
{
    uint8_t *to = out, *const to_end = out + cap;
    uint32_t acc = 0;
    unsigned have = 0, pad = 0;

    while (p < end && *p != '-') {
        while (have == 0 && pad == 0 && end - p >= 4 && to_end - to >= 3) {
            uint32_t a = b64[(uint8_t)p[0]], b = b64[(uint8_t)p[1]], c = b64[(uint8_t)p[2]], d = b64[(uint8_t)p[3]];

            if ((a | b | c | d) & (NOT_BASE64 | SPACE))
                break;
            a = a << 18 | b << 12 | c << 6 | d;
            to[0] = (uint8_t)(a >> 16);
            to[1] = (uint8_t)(a >> 8);
            to[2] = (uint8_t)a;
            to += 3;
            p += 4;
        }
        if (p == end || *p == '-')
            break;
        uint32_t v = b64[(uint8_t)*p++];
        if (v == SPACE)
            continue;
        if (p[-1] == '=') {
            if (have < 2 || have + ++pad > 4)
                return NULL;
            continue;
        }
        if (v == NOT_BASE64 || pad)
            return NULL;
        acc = acc << 6 | v;
        if (++have == 4) {
            if (to_end - to < 3)
                return NULL;
            *to++ = (uint8_t)(acc >> 16);
            *to++ = (uint8_t)(acc >> 8);
            *to++ = (uint8_t)acc;
            acc = 0;
            have = 0;
        }
    }
    /* A last group of two or three characters; its unused bits must be zero and its padding complete. */
    if (have == 1 || (have && have + pad != 4) || (!have && pad))
        return NULL;
    if (have) {
        if ((acc & (have == 2 ? 0x0Fu : 0x03u)) || to_end - to < (ptrdiff_t)have - 1)
            return NULL;
        if (have == 3)
            *to++ = (uint8_t)(acc >> 10);
        *to++ = (uint8_t)(have == 3 ? acc >> 2 : acc >> 4);
    }
    *n = (size_t)(to - out);
    return p;
}

enum parse pem_next(struct slice *text, uint8_t *out, size_t cap, struct pem_block *block)
{
    static const char begin[] = "-----BEGIN ", end[] = "-----END ", dashes[] = "-----";
    const char *at = text->n ? memmem(text->p, text->n, begin, sizeof begin - 1) : NULL;
    const char *const text_end = text->n ? text->p + text->n : NULL;
    size_t n = 0;

    if (!at) {
        *text = slice_make(text_end, 0);
        return PARSE_MORE;
    }
    at += sizeof begin - 1;
    block->label = block->der = slice_make(NULL, 0);
    *text = slice_make(at, (size_t)(text_end - at));
    const char *line_end = memchr(at, '\n', text->n);
    const char *label_end = memmem(at, text->n, dashes, sizeof dashes - 1);
    if (!line_end || !label_end || label_end > line_end)
        return PARSE_BAD;
    block->label = slice_make(at, (size_t)(label_end - at));
    const char *body_end = b64_decode(line_end, text_end, out, cap, &n);
    if (!body_end)
        return PARSE_BAD;
    struct slice tail = slice_make(body_end, (size_t)(text_end - body_end));
    if (!slice_starts(tail, slice_make(end, sizeof end - 1)))
        return PARSE_BAD;
    tail = slice_from(tail, sizeof end - 1);
    if (!slice_starts(tail, block->label) ||
        !slice_starts(slice_from(tail, block->label.n), slice_make(dashes, sizeof dashes - 1)))
        return PARSE_BAD;
    block->der = slice_make((const char *)out, n);
    *text = slice_from(tail, block->label.n + sizeof dashes - 1);
    return PARSE_DONE;
}
