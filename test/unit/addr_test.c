/* Addresses: literals both ways, socket forms, and the table of private space. */
#include "net/addr.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>

#include "check.h"

static const struct {
    const char *text, *canon; /* canon NULL: refused */
} literals[] = {
    {"127.0.0.1", "127.0.0.1:80"},
    {"0.0.0.0", "0.0.0.0:80"},
    {"255.255.255.255", "255.255.255.255:80"},
    {"8.8.4.4", "8.8.4.4:80"},
    {"::", "[::]:80"},
    {"::1", "[::1]:80"},
    {"1::", "[1::]:80"},
    {"1::8", "[1::8]:80"},
    {"1:2:3:4:5:6:7:8", "[1:2:3:4:5:6:7:8]:80"},
    {"1:2:3:4:5:6:7::", "[1:2:3:4:5:6:7:0]:80"},
    {"::2:3:4:5:6:7:8", "[0:2:3:4:5:6:7:8]:80"},
    {"2001:DB8:0:0:1:0:0:1", "[2001:db8::1:0:0:1]:80"},
    {"2001:db8:0:1:1:1:1:1", "[2001:db8:0:1:1:1:1:1]:80"},
    {"1:0:0:2:0:0:0:3", "[1:0:0:2::3]:80"},
    {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:80"},
    {"::ffff:10.1.2.3", "10.1.2.3:80"},
    {"::ffff:a01:203", "10.1.2.3:80"},
    {"::1.2.3.4", "[::102:304]:80"},
    {"64:ff9b::192.0.2.33", "[64:ff9b::c000:221]:80"},
    {"1:2:3:4:5:6:1.2.3.4", "[1:2:3:4:5:6:102:304]:80"},
    {"", NULL},
    {".", NULL},
    {":", NULL},
    {":::", NULL},
    {"1", NULL},
    {"1.2.3", NULL},
    {"1.2.3.", NULL},
    {"1.2.3.4.", NULL},
    {"1.2.3.4.5", NULL},
    {"01.2.3.4", NULL},
    {"1.2.3.04", NULL},
    {"0x7f.0.0.1", NULL},
    {"256.1.1.1", NULL},
    {"1.2.3.1000", NULL},
    {"1..2.3", NULL},
    {" 1.2.3.4", NULL},
    {"1.2.3.4 ", NULL},
    {"-1.2.3.4", NULL},
    {"1:2:3:4:5:6:7", NULL},
    {"1:2:3:4:5:6:7:8:9", NULL},
    {"1:2:3:4:5:6:7:8:", NULL},
    {":1:2:3:4:5:6:7:8", NULL},
    {"1:2:3:4:5:6:7:8::", NULL},
    {"::1:2:3:4:5:6:7:8", NULL},
    {"1::2::3", NULL},
    {"::1:", NULL},
    {"12345::", NULL},
    {"g::", NULL},
    {"[::1]", NULL},
    {"fe80::1%2", NULL},
    {"::1.2.3", NULL},
    {"::1.2.3.4:5", NULL},
    {"1:2:3:4:5:6:7:1.2.3.4", NULL},
    {"::256.1.1.1", NULL},
    {"1.2.3.4::", NULL},
    {"localhost", NULL},
};

/* The text is copied into a block of its exact size, so that a sanitizer sees a read behind it. */
static void test_literals(void)
{
    for (size_t i = 0; i < sizeof literals / sizeof literals[0]; i++) {
        size_t n = strlen(literals[i].text);
        char *exact = malloc(n ? n : 1), out[ADDR_TEXT_MAX];
        struct addr a;

        check_case(literals[i].text);
        memcpy(exact, literals[i].text, n);
        bool ok = addr_parse(slice_make(exact, n), 80, &a);
        CHECK_INT(ok, literals[i].canon != NULL);
        if (ok && literals[i].canon)
            CHECK_STR(addr_text(&a, out), literals[i].canon);
        free(exact);
    }
}

/* Whatever we accept, libc accepts too with the same bytes, over every text of a small alphabet. */
static void test_against_libc(void)
{
    static const char set[] = "01:.2f9";
    unsigned accepted = 0, wrong = 0;

    check_case("all short texts against inet_pton");
    for (unsigned long code = 0; code < 823543ul * 7; code++) { /* seven and eight letters of seven */
        char text[9];
        unsigned long rest = code;
        size_t n = code < 823543ul ? 7 : 8;
        struct addr a;
        uint8_t ip[16];

        for (size_t i = 0; i < n; i++, rest /= 7)
            text[i] = set[rest % 7];
        text[n] = '\0';
        bool ours = addr_parse(slice_make(text, n), 0, &a);
        bool libc4 = inet_pton(AF_INET, text, ip) == 1;
        bool libc = libc4 || inet_pton(AF_INET6, text, ip) == 1;
        if (ours != libc || (ours && a.family == 4 && libc4 && memcmp(a.ip, ip, 4) != 0)
            || (ours && a.family == 6 && memcmp(a.ip, ip, 16) != 0)) {
            if (wrong++ < 5)
                printf("     \"%s\" ours %d libc %d\n", text, ours, libc);
        }
        accepted += ours;
    }
    CHECK_INT(wrong, 0);
    CHECK(accepted > 1000);
}

static void test_sockaddr(void)
{
    static const char *const text[] = {"1.2.3.4", "::1", "2001:db8::5"};
    struct sockaddr_storage ss;
    struct addr a, b;

    for (size_t i = 0; i < 3; i++) {
        check_case(text[i]);
        CHECK(addr_parse(slice_str(text[i]), 8443, &a));
        CHECK_INT(addr_to_sockaddr(&a, &ss), a.family == 4 ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6));
        CHECK(addr_from_sockaddr(&ss, &b));
        CHECK(addr_eq(&a, &b));
        b.port++;
        CHECK(!addr_eq(&a, &b));
    }
    check_case("scope survives and shows");
    CHECK(addr_parse(SLICE("fe80::1"), 53, &a));
    a.scope = 4294967295u;
    addr_to_sockaddr(&a, &ss);
    CHECK(addr_from_sockaddr(&ss, &b) && addr_eq(&a, &b));
    char out[ADDR_TEXT_MAX];
    CHECK_STR(addr_text(&b, out), "[fe80::1%4294967295]:53");
    check_case("v4-mapped socket address is IPv4");
    struct sockaddr_in6 mapped = {.sin6_family = AF_INET6, .sin6_port = htons(9)};
    inet_pton(AF_INET6, "::ffff:9.8.7.6", &mapped.sin6_addr);
    memset(&ss, 0, sizeof ss);
    memcpy(&ss, &mapped, sizeof mapped);
    CHECK(addr_from_sockaddr(&ss, &b) && addr_parse(SLICE("9.8.7.6"), 9, &a) && addr_eq(&a, &b));
    check_case("other families");
    memset(&ss, 0, sizeof ss);
    ss.ss_family = AF_UNIX;
    CHECK(!addr_from_sockaddr(&ss, &b));
    struct addr none = {0};
    CHECK_INT(addr_to_sockaddr(&none, &ss), 0);
    CHECK(addr_is_private(&none));
    CHECK_STR(addr_text(&none, out), "none");
}

static const struct {
    const char *text;
    bool is_private, loopback;
} space[] = {
    {"127.0.0.1", true, true},      {"127.255.255.255", true, true}, {"126.255.255.255", false, false},
    {"128.0.0.0", false, false},    {"10.0.0.0", true, false},       {"10.255.255.255", true, false},
    {"9.255.255.255", false, false},{"11.0.0.0", false, false},      {"172.15.255.255", false, false},
    {"172.16.0.0", true, false},    {"172.31.255.255", true, false}, {"172.32.0.0", false, false},
    {"192.167.255.255", false, false}, {"192.168.0.1", true, false}, {"192.169.0.0", false, false},
    {"169.254.169.254", true, false}, {"169.253.255.255", false, false}, {"169.255.0.0", false, false},
    {"100.63.255.255", false, false}, {"100.64.0.0", true, false},   {"100.100.100.200", true, false},
    {"100.127.255.255", true, false}, {"100.128.0.0", false, false}, {"0.0.0.0", true, false},
    {"0.1.2.3", true, false},       {"1.0.0.0", false, false},       {"192.0.0.192", true, false},
    {"192.0.1.0", false, false},    {"198.18.0.1", true, false},     {"198.20.0.0", false, false},
    {"223.255.255.255", false, false}, {"224.0.0.1", true, false},   {"239.1.1.1", true, false},
    {"240.0.0.1", true, false},     {"255.255.255.255", true, false},{"8.8.8.8", false, false},
    {"::", true, false},            {"::1", true, true},             {"::2", true, false},
    {"::7f00:1", true, false},      {"::ffff:8.8.8.8", false, false},{"::ffff:169.254.169.254", true, false},
    {"::ffff:127.0.0.1", true, true},
    {"fe80::1", true, false},       {"febf::1", true, false},        {"fec0::1", true, false},
    {"fc00::1", true, false},       {"fd00:ec2::254", true, false},  {"ff02::1", true, false},
    {"2001:4860:4860::8888", false, false}, {"2606:4700::1111", false, false}, {"2a00::1", false, false},
    {"3fff:ffff::1", false, false}, {"4000::1", true, false},
    {"64:ff9b::8.8.8.8", false, false}, {"64:ff9b::10.0.0.1", true, false}, {"64:ff9b:1::8.8.8.8", true, false},
    {"2002:808:808::1", false, false}, {"2002:a9fe:a9fe::1", true, false}, {"2002:7f00:1::", true, false},
    {"2001::1", true, false},       {"2001:db8::1", true, false},
};

static void test_private(void)
{
    for (size_t i = 0; i < sizeof space / sizeof space[0]; i++) {
        struct addr a;

        check_case(space[i].text);
        CHECK(addr_parse(slice_str(space[i].text), 0, &a));
        CHECK_INT(addr_is_private(&a), space[i].is_private);
        CHECK_INT(addr_is_loopback(&a), space[i].loopback);
    }
    check_case("mapped address that kept its IPv6 form");
    struct addr raw = {.family = 6};
    inet_pton(AF_INET6, "::ffff:127.0.0.1", raw.ip);
    CHECK(addr_is_private(&raw));
    inet_pton(AF_INET6, "::ffff:8.8.8.8", raw.ip);
    CHECK(!addr_is_private(&raw));
}

int main(void)
{
    test_literals();
    test_against_libc();
    test_sockaddr();
    test_private();
    return check_end();
}
