/* Verifying in pieces must say exactly what BearSSL says in one go: good and bad signatures of every curve, and numbers
 * chosen so that a piece is zero. */
#include "check.h"
#include "net/ec_steps.h"

static unsigned seed = 2463534242u;

static unsigned char next_byte(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 17;
    seed ^= seed << 5;
    return (unsigned char)(seed >> 11);
}

/* Verifies until there is an answer. pieces counts the work done between. */
static uint32_t stepwise(const void *hash, size_t hash_n, const br_ec_public_key *pk, const void *sig, size_t sig_n, int *pieces)
{
    static struct ec_steps s;
    uint32_t r;

    s.count = 0;
    *pieces = 0;
    for (;;) {
        r = br_ecdsa_vrfy_asn1_get_default()(ec_steps_use(&s), hash, hash_n, pk, sig, sig_n);
        if (!s.wanted)
            return r;
        CHECK(r == 0 && ec_steps_waiting(&s));
        while (ec_steps_run(&s))
            if (++*pieces > 40)
                return 99;
        CHECK(!ec_steps_waiting(&s));
    }
}

static void test_curve(int curve, size_t key_n, int want_pieces)
{
    const br_ec_impl *ec = br_ec_get_default();
    br_ecdsa_vrfy direct = br_ecdsa_vrfy_asn1_get_default();
    unsigned char key[66], point[133], hash[64], sig[160];
    int pieces, accepted = 0, differ = 0;

    for (int round = 0; round < 6; round++) {
        for (size_t i = 0; i < key_n; i++)
            key[i] = next_byte();
        key[0] = 0; /* below the order */
        key[1] |= 1;
        for (size_t i = 0; i < sizeof hash; i++)
            hash[i] = round == 5 ? 0 : next_byte(); /* all zero: one of the two numbers is zero as a whole */
        br_ec_private_key sk = {curve, key, key_n};
        size_t point_n = ec->mulgen(point, key, key_n, curve);
        br_ec_public_key pk = {curve, point, point_n};
        size_t n = br_ecdsa_sign_asn1_get_default()(ec, &br_sha512_vtable, hash, &sk, sig);

        if (!CHECK(n > 0))
            continue;
        uint32_t want = direct(ec, hash, sizeof hash, &pk, sig, n);
        CHECK_INT(stepwise(hash, sizeof hash, &pk, sig, n, &pieces), want);
        CHECK(round == 5 || want == 1);
        CHECK_INT(pieces, round == 5 ? 1 : want_pieces);
        accepted += want == 1;
        /* Spoilt: hash, signature, key. */
        for (int what = 0; what < 6; what++) {
            unsigned char *at = what < 2 ? hash : what < 4 ? sig : point;
            size_t len = what < 2 ? key_n < 64 ? key_n : 64 : what < 4 ? n : point_n, i = (next_byte() * 7u) % len;

            at[i] ^= (unsigned char)(1u << round);
            differ += stepwise(hash, sizeof hash, &pk, sig, n, &pieces) != direct(ec, hash, sizeof hash, &pk, sig, n);
            at[i] ^= (unsigned char)(1u << round);
        }
    }
    CHECK(accepted >= 5);
    CHECK_INT(differ, 0);
}

int main(void)
{
    static struct ec_steps s;
    const unsigned char g[65] = {4}, sig[8] = {0x30, 6, 2, 1, 5, 2, 1, 7};
    unsigned char q[65], hash[32];
    br_ec_public_key pk = {BR_EC_secp256r1, q, sizeof q};

    check_case("P-256");
    test_curve(BR_EC_secp256r1, 32, 1);
    check_case("P-384");
    test_curve(BR_EC_secp384r1, 48, 5);
    check_case("P-521");
    test_curve(BR_EC_secp521r1, 66, 11);
    check_case("more signatures than places");
    memcpy(q, g, sizeof q);
    for (unsigned i = 0; i <= EC_JOBS_MAX; i++) {
        memset(hash, (int)i + 1, sizeof hash);
        CHECK(br_ecdsa_vrfy_asn1_get_default()(ec_steps_use(&s), hash, sizeof hash, &pk, sig, sizeof sig) == 0);
        CHECK_INT(s.too_many, i == EC_JOBS_MAX);
    }
    CHECK_INT(s.count, EC_JOBS_MAX);
    return check_end();
}
