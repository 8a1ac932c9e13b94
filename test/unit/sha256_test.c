/* SHA-256 against FIPS 180-4 examples, and the fast engine against BearSSL at every length across the padding edges. */
#include "base/sha256.h"

#include <stdlib.h>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wundef"
#include "bearssl/inc/bearssl_hash.h"
#pragma GCC diagnostic pop
#include "check.h"

static void known(void)
{
    static const struct {
        const char *name, *message, *hex;
    } row[] = {
        {"empty", "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"two blocks", "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
        {"four blocks",
         "abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu",
         "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"},
    };

    for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
        uint8_t hash[32];
        char hex[65];

        check_case(row[i].name);
        sha256(slice_str(row[i].message), hash);
        sha256_hex(hash, hex);
        CHECK_STR(slice_str(hex), row[i].hex);
    }
}

/* Each message sits at the end of its own allocation, so that the sanitizer sees a read beyond it. */
static void every_length(void)
{
    check_case("same as BearSSL");
    for (size_t n = 0; n <= 300; n++) {
        char *text = malloc(n + !n);
        uint8_t got[32], want[32];
        br_sha256_context c;

        if (!CHECK(text != NULL))
            return;
        for (size_t i = 0; i < n; i++)
            text[i] = (char)(i * 131 + n * 7);
        sha256(slice_make(text, n), got);
        br_sha256_init(&c);
        br_sha256_update(&c, text, n);
        br_sha256_out(&c, want);
        if (!CHECK(memcmp(got, want, 32) == 0))
            printf("     length %zu\n", n);
        free(text);
    }
}

static void null_message(void)
{
    uint8_t hash[32];
    char hex[65];

    check_case("a NULL slice is the empty message");
    sha256(slice_make(NULL, 0), hash);
    sha256_hex(hash, hex);
    CHECK_STR(slice_str(hex), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    CHECK(strcmp(sha256_engine(), "sha-ni") == 0 || strcmp(sha256_engine(), "plain") == 0);
}

int main(void)
{
    known();
    every_length();
    null_message();
    return check_end();
}
