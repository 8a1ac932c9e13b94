/* What is sealed opens in its place only; the primitives against the numbers of their standards. And the small parts of the log that the
 * disk's flow tests take for granted: CRC32C, keys as people write them. */
#include "base/key32.h"
#include "base/sys.h"
#include "check.h"
#include "state/record.h"
#include "state/seal.h"

static void crc(void)
{
    char zeros[32] = {0}, ones[32], up[32];

    check_case("CRC32C (RFC 3720, B.4)");
    memset(ones, 0xff, sizeof ones);
    for (int i = 0; i < 32; i++)
        up[i] = (char)i;
    CHECK_INT(record_crc(0, zeros, 32), 0x8a9136aa);
    CHECK_INT(record_crc(0, ones, 32), 0x62a8ab43);
    CHECK_INT(record_crc(0, up, 32), 0x46dd794e);
    CHECK_INT(record_crc(0, "123456789", 9), 0xe3069283);
    CHECK_INT(record_crc(record_crc(0, "1234", 4), "56789", 5), 0xe3069283);
    CHECK_INT(record_crc(7, "", 0), 7);
}

static void key_texts(void)
{
    static const struct {
        const char *text;
        int first, last; /* -1: refused */
    } table[] = {
        {"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", 0, 0x1f},
        {" 000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1EFF\n", 0, 0xff},
        {"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", 0, 0x1f},
        {"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8", 0, 0x1f},
        {"__79_Pv6-fj39vX08_Lx8O_u7ezr6uno5-bl5OPi4eA=", 0xff, 0xe0},
        {"//79/Pv6+fj39vX08/Lx8O/u7ezr6uno5+bl5OPi4eA=", 0xff, 0xe0},
        {"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh9=", -1, -1}, /* bits left over that are not zero */
        {"", -1, -1},
        {"0", -1, -1},
        {"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1", -1, -1},
        {"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f0", -1, -1},
        {"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1g", -1, -1},
        {"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh==", -1, -1},
        {"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=AAAA", -1, -1},
        {"AAECAwQFBgcICQoLDA0ODxAREhMUFRYX GBkaGxwdHh8", -1, -1},
    };

    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        uint8_t key[KEY32];
        bool ok;

        check_case(table[i].text);
        ok = key32_parse(slice_str(table[i].text), key);
        CHECK_INT(ok, table[i].first >= 0);
        if (ok)
            CHECK(key[0] == table[i].first && key[31] == table[i].last);
    }
}

/* Ciphertext and tag from another implementation (Python's cryptography 48), nonce 00 01 .. 0b, key 80 81 .. 9f. */
static void foreign(void)
{
    static const unsigned char sealed[] = {
        0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b, 0x16, 0xdd, 0x16, 0x80, 0x06, 0xd8, 0x42, 0x14, 0xf3,
        0x80, 0x28, 0x7e, 0xa5, 0xb9, 0x6a, 0x4a, 0xdc, 0x3f, 0xb0, 0x8e, 0x48, 0x23, 0xfb, 0xd4, 0x4e, 0x6f, 0x94, 0x3c, 0xa6, 0xba,
        0x18, 0x75, 0x59, 0xbb, 0x06, 0xa7, 0x51, 0x28, 0x86, 0xc0, 0x40, 0xa4, 0xe6, 0x99, 0x32, 0x49, 0xa2, 0xac, 0x7d, 0xf0};
    uint8_t key[SEAL_KEY];
    char open[64];

    check_case("sealed by another implementation");
    for (int i = 0; i < SEAL_KEY; i++)
        key[i] = (uint8_t)(0x80 + i);
    CHECK(seal_open(key, 2, SLICE("aigpk_1"), slice_make((const char *)sealed, sizeof sealed), open));
    CHECK_SLICE(slice_make(open, sizeof sealed - SEAL_EXTRA), SLICE("sk-proj-abcdefghijklmnopqrstuvwxyz"));
}

static void sealing(void)
{
    static const struct slice plain = {"sk-secret-0123456789", 20};
    uint8_t key[SEAL_KEY] = {1, 2, 3}, other[SEAL_KEY] = {1, 2, 4};
    char sealed[64], again[64], open[64], zero[64] = {0};
    struct slice s = slice_make(sealed, plain.n + SEAL_EXTRA);

    check_case("seal");
    CHECK(seal_close(key, 2, SLICE("a"), plain, sealed) && seal_close(key, 2, SLICE("a"), plain, again));
    CHECK(memcmp(sealed, again, s.n) != 0);
    CHECK(slice_find(s, plain) < 0);
    CHECK(seal_open(key, 2, SLICE("a"), s, open));
    CHECK_SLICE(slice_make(open, plain.n), plain);

    check_case("another place, another key");
    memset(open, 'x', sizeof open);
    CHECK(!seal_open(other, 2, SLICE("a"), s, open));
    CHECK(memcmp(open, zero, plain.n) == 0); /* nothing of a try stays */
    CHECK(!seal_open(key, 3, SLICE("a"), s, open));
    CHECK(!seal_open(key, 2, SLICE("b"), s, open));
    CHECK(!seal_open(key, 2, SLICE(""), s, open));
    CHECK(!seal_open(key, 2, SLICE("a\0"), s, open));

    check_case("every flipped bit, every shorter one");
    for (size_t i = 0; i < s.n * 8; i++) {
        sealed[i / 8] = (char)(sealed[i / 8] ^ 1 << i % 8);
        CHECK(!seal_open(key, 2, SLICE("a"), s, open));
        sealed[i / 8] = (char)(sealed[i / 8] ^ 1 << i % 8);
    }
    for (size_t n = 0; n < s.n; n++)
        CHECK(!seal_open(key, 2, SLICE("a"), slice_make(sealed, n), open));

    check_case("nothing to seal");
    CHECK(seal_close(key, 2, SLICE("a"), SLICE(""), sealed));
    CHECK(seal_open(key, 2, SLICE("a"), slice_make(sealed, SEAL_EXTRA), open));
}

int main(void)
{
    crc();
    key_texts();
    foreign();
    sealing();
    return check_end();
}
